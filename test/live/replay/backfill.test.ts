import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { createBytePool } from '../../../src/audit/byte-pool.ts'
import type { AuditFilter } from '../../../src/audit/filter.ts'
import { LATEST, type Instant } from '../../../src/audit/instant.ts'
import type { Failure } from '../../../src/audit/source.ts'
import { systemClock } from '../../../src/clock.ts'
import {
  createBackfillPages,
  type BackfillPage,
  type BackfillPages,
  type BackfillPagesOptions,
  type PageRequest
} from '../../../src/live/replay/backfill-pages.ts'
import type { MemorySource } from '../../contracts/memory-source.ts'
import { holdsAsync } from '../../contracts/property.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { evenly, numbered, sourceOf } from '../../support/past.ts'
import { at, batch, nameOf, openLog } from '../../support/timeline.ts'

const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }
const THROTTLED: Failure = { ok: false, kind: 'throttled' }
const FILTER: AuditFilter = { category_type: 'a' }
const END = at(100_000)

async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(1)
}

/** Whatever was due has happened: the source answers at once. */
async function settled (): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await sleep(1)
}

/** Back-off without waiting. */
function hurry (t: { teardown (action: () => void): void }): void {
  const { random } = Math
  Math.random = () => 0
  t.teardown(() => { Math.random = random })
}

/** Pages beside a log of three events that keeps nothing before `END`. */
function pagesOf (source: MemorySource, options: Partial<BackfillPagesOptions> = {}) {
  const log = openLog()
  log.append(batch(0, ['x', 'y', 'z']))
  const pages = createBackfillPages({
    clock: systemClock,
    source,
    log: { ...log, completeSince: () => END },
    scanLimit: 10_000,
    maxBytes: 10_000_000,
    isUpstreamThere: () => true,
    onError: (error) => { throw error },
    ...options
  })
  const open = (request: Partial<PageRequest> = {}, wake = () => {}) =>
    pages.open({ filter: {}, from: at(0), until: undefined, ...request }, wake)
  const ended = async (...opened: BackfillPage[]) => {
    for (const page of opened) await until(() => page.state.kind !== 'reading')
  }
  return { log, pages, open, ended }
}

/** Reads page after page, as a stage does. */
async function readFrom (pages: BackfillPages, start: Instant, filter: AuditFilter = {}) {
  const names: string[] = []
  const instants: Instant[] = []
  let count = 0
  for (let from = start; from <= END; count++) {
    const page = pages.open({ filter, from, until: undefined }, () => {})
    await until(() => page.state.kind !== 'reading')
    if (page.state.kind !== 'ready') return { names, instants, count, from, state: page.state }
    const rows = (pages.rows(page) ?? []).filter(({ key }) => key.instant >= from && key.instant < END)
    names.push(...rows.map(nameOf))
    instants.push(...rows.map(({ key }) => key.instant))
    from = page.state.reached
  }
  return { names, instants, count, from: END, state: undefined }
}

t.test('backfill pages: follow each other without a hole or a repeat, in the order of instants', async (t) => {
  for (const quirks of [{}, { ignoresSort: true }, { pageCap: 70 }]) {
    for (const count of [0, 50, 2500]) {
      const source = sourceOf(evenly(count), quirks)
      const read = await readFrom(pagesOf(source).pages, at(0))
      t.same(read.names, numbered(count))
      const most = count === 0 ? 2 : Math.ceil(count / (quirks.pageCap ?? 1000)) + (quirks.ignoresSort ? 9 : 3)
      t.ok(source.questions.length <= most, `${source.questions.length} requests for ${count} events`)
    }
  }
})

t.test('backfill pages: a second that is longer than a page is in one of them', async (t) => {
  const source = sourceOf([0, 1, ...Array.from({ length: 2500 }, () => 2), 3, 4])
  const read = await readFrom(pagesOf(source).pages, at(0))
  t.same([new Set(read.names).size, read.names.length], [2504, 2504])
})

t.test('backfill pages: hold every event once and in order, whatever fails', async (t) => {
  hurry(t)
  const events = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 })
  await holdsAsync(
    t,
    fc.asyncProperty(
      events,
      fc.boolean(),
      fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 5 }),
      fc.integer({ min: 2, max: 15 }),
      async (tenths, ignoresSort, failing, pageCap) => {
        const source = sourceOf(
          tenths.map((each) => each / 10),
          { ignoresSort, pageCap },
          (reads) => failing.includes(reads) ? UNAVAILABLE : undefined
        )
        const { instants, names, state } = await readFrom(pagesOf(source).pages, at(0))
        if (state !== undefined || names.length !== tenths.length || new Set(names).size !== names.length) {
          throw new Error(`${names.length} of ${tenths.length} came`)
        }
        if (instants.some((instant, i) => i > 0 && instant < (instants[i - 1] ?? instant))) {
          throw new Error('out of order')
        }
      }
    ),
    { numRuns: 40 }
  )
})

t.test('backfill pages: the last one is from the log, by instant, and asks Kubiya nothing', async (t) => {
  const source = sourceOf([])
  const log = openLog()
  log.append(batch(0, ['x', 'y', 'z']))
  const { ended, open, pages } = pagesOf(source, { log })
  const page = open({ from: at(1) })
  t.match(page.state, { kind: 'ready', reached: LATEST + 1n })
  t.same(pages.rows(page)?.map((row) => [nameOf(row), row.offset]), [['x', 0], ['y', 1], ['z', 2]])
  t.equal(open({ from: at(0), filter: FILTER, until: log.end() }), page, 'one for every filter')
  log.append(batch(3, ['later']))
  t.not(open({ from: at(0), until: log.end() }), page)
  await ended(open({ from: at(-400) }))
  t.same(source.questions.map(({ window }) => window.end), [at(-300) - 1n], 'Kubiya has what is older')
})

t.test('backfill pages: wake those who wait when the page has ended, and not those who left', async (t) => {
  const { ended, open, pages } = pagesOf(sourceOf(evenly(5)))
  const woken: string[] = []
  const leave = () => { woken.push('a') }
  const page = open({}, leave)
  open({}, () => { woken.push(`b ${page.state.kind}`) })
  pages.leave(page, leave)
  await ended(page)
  t.same(woken, ['b ready'])
})

t.test('backfill pages: fail after more than eight failures in a row, while Kubiya serves the poller', async (t) => {
  hurry(t)
  const source = sourceOf(evenly(2500), {}, (reads) => reads > 1 ? THROTTLED : undefined)
  const { names, from, state } = await readFrom(pagesOf(source).pages, at(0))
  t.match(state, { kind: 'failed', reason: 'upstream-outage' })
  t.equal(source.questions.length, 1 + 9)
  t.same([names, from], [numbered(names.length), at(names.length)], 'from there on events may be missing')
})

t.test('backfill pages: wait, without requests, while Kubiya does not serve the poller either', async (t) => {
  hurry(t)
  let isThere = false
  const source = sourceOf(evenly(5), {}, () => isThere ? undefined : UNAVAILABLE)
  const { ended, open, pages } = pagesOf(source, { isUpstreamThere: () => isThere })
  const page = open()
  await until(() => source.questions.length > 0)
  for (let polls = 0; polls < 20; polls++) {
    await settled()
    pages.polled()
  }
  t.same([page.state.kind, source.questions.length], ['reading', 1])
  isThere = true
  pages.polled()
  await ended(page)
  t.same(pages.rows(page)?.map(nameOf), numbered(5))
})

t.test('backfill pages: do not fail while Kubiya goes as soon as it has come', async (t) => {
  hurry(t)
  let isThere = true
  const source = sourceOf(evenly(5), {}, (reads) => {
    isThere = reads > 20
    return isThere ? undefined : THROTTLED
  })
  const { ended, open, pages } = pagesOf(source, { isUpstreamThere: () => isThere })
  const page = open()
  const timer = setInterval(() => {
    isThere = true
    pages.polled()
  }, 1)
  t.teardown(() => clearInterval(timer))
  await ended(page)
  t.equal(page.state.kind, 'ready')
})

t.test('backfill pages: a read that nobody waits for ends with its next failure', async (t) => {
  hurry(t)
  let fails = true
  const source = sourceOf(evenly(5), {}, () => fails ? UNAVAILABLE : undefined)
  const { ended, open, pages } = pagesOf(source, { isUpstreamThere: () => false })
  const wake = () => {}
  const page = open({}, wake)
  await settled()
  pages.leave(page, wake)
  pages.polled()
  await settled()
  fails = false
  t.equal(source.questions.length, 1)
  const another = open()
  t.not(another, page)
  await ended(another)
  t.equal(another.state.kind, 'ready')
})

t.test('backfill pages: name what cannot be read, between its neighbours', async (t) => {
  hurry(t)
  for (const kind of ['too-large', 'invalid'] as const) {
    const { ended, open, pages } = pagesOf(sourceOf(evenly(20), { spoils: ({ id }) => id === 'e7' ? kind : undefined }))
    const page = open()
    await ended(page)
    const rows = pages.rows(page) ?? []
    const gap = rows[7]
    t.same(rows.map(nameOf), numbered(20).with(7, kind === 'too-large' ? 'too-large' : 'upstream-outage'))
    t.same(gap !== undefined && 'gap' in gap && [gap.gap.from, gap.gap.to], [at(6), at(8)])
  }
})

t.test('backfill pages: a defect fails the page and is reported', async (t) => {
  const errors: unknown[] = []
  const source = sourceOf([], {}, () => { throw new Error('unforeseen') })
  const { ended, open } = pagesOf(source, { onError: (error) => { errors.push(error) } })
  const page = open()
  await ended(page)
  t.same([page.state, errors.length], [{ kind: 'failed', reason: 'upstream-outage' }, 1])
})

t.test('backfill pages: are shared by all who need a part of them', async (t) => {
  const source = sourceOf(evenly(50))
  const { ended, log, open } = pagesOf(source)
  const all = [open(), open(), open({ filter: FILTER }), open({ from: at(20) })]
  t.not(open({ from: at(20), until: log.end() }), all[0], 'a stream that goes on does not wait for an earlier part')
  await ended(...all)
  t.ok(all.every((page) => page === all[0]))
  t.equal(open({ from: at(7) }), all[0])
  t.ok(source.questions.length <= 4)
  t.equal(open({ from: at(30), filter: FILTER }), all[0])
  t.not(open({ from: at(-20) }), all[0], 'a part before it is not in it')
})

t.test('backfill pages: one that was read with a filter serves that filter only', async (t) => {
  const source = sourceOf(evenly(5))
  const { ended, open } = pagesOf(source)
  const filtered = open({ filter: FILTER })
  await ended(filtered)
  t.same(source.questions.map(({ filter }) => filter.category_type)[0], 'a')
  t.equal(open({ filter: FILTER }), filtered)
  t.not(open({ filter: { category_type: 'b' } }), filtered)
  t.not(open(), filtered)
})

t.test('backfill pages: one serves only streams whose position was taken before it was read', async (t) => {
  const { ended, log, open } = pagesOf(sourceOf(evenly(5)))
  const first = open()
  await ended(first)
  const taken = log.end()
  log.append(batch(3, ['later']))
  t.equal(open({ until: taken }), first)
  t.not(open({ until: log.end() }), first)
})

t.test('backfill pages: a stream without a position takes that of a page, while the log keeps it', async (t) => {
  const log = openLog({ maxEvents: 3 })
  log.append(batch(0, ['x', 'y']))
  const { ended, open } = pagesOf(sourceOf([]), { log: { ...log, completeSince: () => END } })
  const first = open()
  await ended(first)
  t.match(first, { until: { offset: 2 } })
  log.append(batch(2, ['z']))
  t.equal(open(), first)
  log.append(batch(3, ['a', 'b', 'c']))
  t.match(open(), { until: log.end() })
})

t.test('backfill pages: are dropped when they hold too much, those not used for longest first', async (t) => {
  const { ended, open, pages } = pagesOf(sourceOf(evenly(100)), { maxBytes: 12_000 })
  const [first, second] = [open({ from: at(20) }), open({ from: at(60) })]
  await ended(first, second)
  t.ok(pages.rows(second) !== undefined && pages.rows(first) !== undefined)
  const third = open({ from: at(10) })
  await ended(third)
  t.same([pages.rows(second), pages.rows(third)?.length], [undefined, 90])
})

t.test('backfill pages: one that is larger than the bound is kept alone', async (t) => {
  const { ended, open, pages } = pagesOf(sourceOf(evenly(100)), { maxBytes: 1000 })
  const [first, second] = [open({ from: at(90) }), open({ from: at(20) })]
  await ended(first, second)
  t.same([pages.rows(first), pages.rows(second)?.length], [undefined, 80])
})

t.test('backfill pages: of several tenants share a bound, and the tenant that holds most drops pages', async (t) => {
  const pool = createBytePool(5000)
  const [one, other] = [pagesOf(sourceOf(evenly(100)), { pool }), pagesOf(sourceOf(evenly(100)), { pool })]
  const first = one.open({ from: at(20) })
  await one.ended(first)
  const second = other.open({ from: at(60) })
  await other.ended(second)
  t.same([one.pages.rows(first), other.pages.rows(second)?.length], [undefined, 40])
  t.ok(pool.bytes() > 0 && pool.bytes() <= 5000)
  other.pages.close()
  t.equal(pool.bytes(), 0)
})

t.test('backfill pages: a poll drops those that nobody has used for half a minute', async (t) => {
  const clock = createManualClock()
  clock.advance(1)
  const pool = createBytePool(1_000_000)
  const { ended, open, pages } = pagesOf(sourceOf(evenly(5)), { clock, pool })
  const page = open()
  await ended(page)
  for (let i = 0; i < 3; i++) {
    clock.advance(29_000)
    pages.polled()
    t.equal(pages.rows(page)?.length, 5, 'it was used')
  }
  clock.advance(30_001)
  t.equal(pages.rows(page), undefined)
  pages.polled()
  t.equal(pool.bytes(), 0)
})

t.test('backfill pages: who has a share left pays for those who have not', async (t) => {
  const clock = createManualClock()
  const ends: string[] = []
  const requester = (key: string) => ({
    key,
    reserve: () => key === 'poor'
      ? { ok: false, kind: 'share', retryAfterMs: 60_000 } as const
      : { ok: true, read: () => {}, end: () => { ends.push(key) } } as const
  })
  const source = sourceOf(evenly(5))
  const { ended, open } = pagesOf(source, { clock })
  const page = open({ requester: requester('poor') })
  await settled()
  t.same([page.state.kind, source.questions.length], ['reading', 0])
  t.equal(open({ requester: requester('rich') }), page)
  await clock.pass(1000)
  await ended(page)
  t.equal(page.state.kind, 'ready')
  t.ok(ends.length > 0 && ends.every((key) => key === 'rich'), 'who pays is given back what was not read')
})
