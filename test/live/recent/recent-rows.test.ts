import t from 'tap'
import type { NewEntry } from '../../../src/audit/log-batch.ts'
import type { RecentPageQuery } from '../../../src/audit/recent-events.ts'
import { createRecentRows } from '../../../src/live/recent/recent-rows.ts'
import { EPOCH, TEN_MS, at, batch, freshNamed, openLog } from '../../support/timeline.ts'
import type { EventLogOptions } from '../../../src/live/log/event-log.ts'

/** A log that is complete since 9:55, and its rows. Ten o'clock and 100 seconds is now. */
function opened (options: Partial<EventLogOptions> = {}) {
  const log = openLog({ ...options, onEvicted: (entry) => rows.evicted(entry) })
  const rows = createRecentRows({ log, start: at(-300), now: () => TEN_MS + 100_000 })
  let offset = 0
  return { log, rows, enter }

  function enter (entries: NewEntry[]): void {
    log.append({ ...batch(offset, []), entries, epoch: EPOCH, first: offset, highWater: at(50) })
    offset += entries.length
  }
}

const NEWEST: RecentPageQuery = { filter: {}, window: () => ({}), direction: 'desc', skip: 0, count: 2 }

/** The ids of a page; `undefined` where Kubiya has to be asked. */
async function idsOf ({ rows }: ReturnType<typeof opened>, query: Partial<RecentPageQuery> = {}) {
  return (await rows.select({ ...NEWEST, ...query }))?.rows.map(({ event }) => event.id)
}

t.test('recent rows', async (t) => {
  t.test('a page is taken in the order of instants, whatever the order of arrival', async (t) => {
    const world = opened()
    world.enter(freshNamed([['a', 1], ['c', 3]]))
    t.same(await idsOf(world, { window: () => ({ start: at(0) }) }), ['c', 'a'])
    world.enter(freshNamed([['b', 2]]))
    t.same(await idsOf(world), ['c', 'b'])
    t.same(await idsOf(world, { window: () => ({ start: at(0) }), direction: 'asc', count: 3 }), ['a', 'b', 'c'])
  })

  t.test('a page without a further row needs a window that begins where the log is complete', async (t) => {
    const world = opened()
    world.enter(freshNamed([['a', 1], ['b', 2]]))
    t.same(await idsOf(world, { count: 1 }), ['b'], 'the row behind it is there')
    t.equal(await idsOf(world), undefined)
    t.same(await idsOf(world, { window: () => ({ start: at(-300) }) }), ['b', 'a'])
    t.equal(await idsOf(world, { window: () => ({ start: at(-301) }), direction: 'asc', count: 1 }), undefined)
  })

  t.test('a page that follows another one begins behind its last row', async (t) => {
    const world = opened()
    world.enter(freshNamed([['a', 1], ['b', 1], ['c', 1], ['d', 2]]))
    const after = { instant: at(1), id: 'c' }
    t.same(await idsOf(world, { after, count: 1 }), ['b'])
    t.same(await idsOf(world, { after, direction: 'asc', window: () => ({ start: at(0) }) }), ['d'])
    t.same(await idsOf(world, { skip: 1, count: 2 }), ['c', 'b'])
  })

  t.test('entries that arrive while a page is taken are not in it', async (t) => {
    const world = opened()
    world.enter(freshNamed([['a', 1], ['b', 2]]))
    const page = world.rows.select({ ...NEWEST, window: () => ({ start: at(0) }) })
    world.enter(freshNamed([['c', 3]]))
    t.same((await page)?.rows.map(({ event }) => event.id), ['b', 'a'])
    t.equal((await page)?.position.offset, 2)
  })

  t.test('the log is complete behind an evicted event', async (t) => {
    const world = opened({ maxEvents: 2 })
    world.enter(freshNamed([['a', 1], ['b', 2], ['c', 3]]))
    t.equal(world.rows.completeSince(), at(1) + 1n)
    t.same(await idsOf(world, { window: () => ({ start: at(1) + 1n }) }), ['c', 'b'])
    t.equal(await idsOf(world, { window: () => ({ start: at(1) }) }), undefined)
  })

  t.test('the log is complete behind a gap, also behind an evicted one', async (t) => {
    const gap: NewEntry = { gap: { from: at(1), to: at(5), reason: 'too-large' } }
    const kept = opened()
    kept.enter([gap, ...freshNamed([['a', 6]])])
    t.equal(kept.rows.completeSince(), at(5) + 1n)
    const evicted = opened({ maxEvents: 1 })
    evicted.enter([gap, ...freshNamed([['a', 6]])])
    t.equal(evicted.rows.completeSince(), at(5) + 1n)
  })

  t.test('an evicted event dated past now is kept, up to a hundred of them', async (t) => {
    const world = opened({ maxEvents: 1 })
    world.enter(freshNamed([['ahead', 200], ['a', 1], ['b', 2]]))
    t.equal(world.rows.completeSince(), at(1) + 1n)
    t.same(await idsOf(world, { count: 1 }), ['ahead'])
    world.enter(freshNamed(Array.from({ length: 101 }, (_, n): [string, number] => [`f${n}`, 300 + n])))
    world.enter(freshNamed([['c', 3]]))
    t.equal(world.rows.completeSince(), at(300) + 1n, 'two were too many')
  })

  t.test('a query whose answer may hold an event without an instant goes to Kubiya', async (t) => {
    const world = opened({ maxEvents: 4 })
    world.enter([...freshNamed([['a', 1], ['b', 2], ['c', 3]]), { ...undated('u'), notAfter: at(4) }])
    t.equal(await idsOf(world), undefined)
    t.same(await idsOf(world, { filter: { text: 'b' }, window: () => ({ start: at(0) }) }), ['b'])
    world.enter(freshNamed([['d', 4], ['e', 5], ['f', 6], ['g', 7]]))
    t.equal(world.rows.completeSince(), at(5), 'it was evicted: it may have stood behind c')
    const oldestFirst = { direction: 'asc', window: () => ({ start: at(4.5) }) } as const
    t.equal(await idsOf(world, oldestFirst), undefined, 'Kubiya answers whole seconds')
    t.same(await idsOf(world), ['g', 'f'])
  })

  t.test('what the log has evicted for its bound is not kept by the index', async (t) => {
    const world = opened({ maxEvents: 10 })
    const names = Array.from({ length: 10 }, (_, n): [string, number] => [`e${n}`, n])
    world.enter(freshNamed(names))
    await idsOf(world)
    world.enter(freshNamed(names.map(([name, seconds]) => [`${name}x`, seconds + 20])))
    t.equal(world.rows.completeSince(), at(9) + 1n)
    t.same(await idsOf(world), ['e9x', 'e8x'])
  })
})

function undated (
  id: string
): { readonly event: { id: string, instant: undefined, item: { id: string }, json: string }, readonly late: false } {
  return { event: { id, instant: undefined, item: { id }, json: '{}' }, late: false }
}
