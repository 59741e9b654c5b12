import t from 'tap'
import { formatInstant } from '../../../src/audit/instant.ts'
import type { RecentPageQuery } from '../../../src/audit/recent-events.ts'
import { createRecentWorld, type RecentWorld } from '../../support/recent-world.ts'
import { at } from '../../support/timeline.ts'

const NEWEST: RecentPageQuery = { filter: {}, window: () => ({}), direction: 'desc', skip: 0, count: 2 }

/** A world whose poller has filled the log with 30 events of the last seconds, and sleeps. */
async function asleep (t: { teardown (action: () => unknown): void }, options = {}): Promise<RecentWorld> {
  const world = createRecentWorld(options)
  for (let n = 30; n > 0; n--) show(world, -n * 700)
  world.clock.advance(1)
  world.feed.poller.start()
  await world.settle()
  t.teardown(() => world.feed.poller.stop())
  return world
}

function show (world: RecentWorld, placeMs: number): void {
  world.show({ n: placeMs, timestamp: formatInstant(at(placeMs / 1000)) }, placeMs)
}

t.test('recent events', async (t) => {
  t.test('two hundred different pages with the poller asleep cost one call', async (t) => {
    const { clock, feed, source } = await asleep(t)
    await clock.pass(30_000)
    const before = source.questions.length
    const answers = await Promise.all(Array.from({ length: 25 * 8 }, (_, n) =>
      feed.recent({ ...NEWEST, count: 1 + n % 25, skip: Math.floor(n / 200) })))
    t.ok(answers.every((answer) => answer?.ok === true))
    t.equal(source.questions.length, before + 1)
  })

  t.test('a page within the interval of the last poll costs no call and tells when that poll began', async (t) => {
    const { clock, feed, source } = await asleep(t)
    const before = source.questions.length
    clock.advance(2900)
    const answer = await feed.recent(NEWEST)
    t.match(answer, { ok: true, readMs: 1 })
    t.equal(source.questions.length, before)
  })

  t.test('a query is no audience: the poller sleeps for a minute after it', async (t) => {
    const { clock, feed, settle, source } = await asleep(t)
    clock.advance(30_000)
    await feed.recent(NEWEST)
    await settle()
    const before = source.questions.length
    await clock.pass(59_000)
    await settle()
    t.equal(source.questions.length, before)
    await clock.pass(2000)
    await settle()
    t.equal(source.questions.length, before + 1)
  })

  t.test('rows from before the last poll need a whole read, at most one in the time that an answer is fresh', async (t) => {
    const world = await asleep(t, { pollPageSize: 5, subscribers: 1 })
    const { clock, feed, source } = world
    for (let second = 0; second < 12; second++) {
      show(world, clock.monotonicMs())
      await clock.pass(1000)
      await world.settle()
    }
    const { last, lastFull } = feed.poller.completedReads()
    t.ok((lastFull?.startedMs ?? 0) < (last?.startedMs ?? 0), 'polls read the last seconds alone')
    const old: RecentPageQuery = { ...NEWEST, window: () => ({ start: at(-15) }), count: 100 }
    t.match(await feed.recent(old), { ok: true })
    t.equal(feed.poller.completedReads().lastFull?.startedMs, clock.monotonicMs())
    const before = source.questions.length
    t.match(await feed.recent({ ...old, count: 90 }), { ok: true })
    t.equal(source.questions.length, before)
  })

  t.test('during an outage the answer is that of the last good poll and names the failure', async (t) => {
    const { clock, fall, feed } = await asleep(t)
    clock.advance(20_000)
    fall(true)
    t.match(await feed.recent(NEWEST), { ok: true, readMs: 1, failure: { kind: 'unavailable' } })
    fall(false)
  })

  t.test('an event is answered by its id as long as the log holds it', async (t) => {
    const world = await asleep(t, { historyEvents: 10 })
    const newest = await world.feed.recent({ ...NEWEST, count: 1 })
    const row = newest?.ok === true ? newest.rows[0] : undefined
    t.match(await world.feed.recent({ id: row?.event.id ?? '' }), { ok: true, rows: [{ event: row?.event }] })
    t.equal(await world.feed.recent({ id: 'unknown' }), undefined)
  })
})
