import t from 'tap'
import {
  createAggregates,
  type AggregatesOptions,
  type EventsQuery,
  type Gathered
} from '../../src/aggregates/aggregates.ts'
import { UNDATED } from '../../src/aggregates/chunk.ts'
import { identify } from '../../src/audit/event-id.ts'
import { EARLIEST, LATEST, NANOS_PER_SECOND, formatInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { Requester } from '../../src/audit/requester.ts'
import type { Failure } from '../../src/audit/source.ts'
import { USUAL_HABITS, createMemorySource } from '../contracts/memory-source.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { EPOCH, TEN_MS, at } from '../support/timeline.ts'

const HOUR_S = 3600
const PAGE = 1000
const REQUESTER: Requester = { key: 'someone', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }
const LAST_DAY: EventsQuery = { filter: {}, markedText: undefined, window: { start: at(-24 * HOUR_S) } }
const WITH_TEXT: EventsQuery = { ...LAST_DAY, filter: { text: '20' } }

/** An upstream with an event every `stepS` seconds of the last `span` hours, and counts before it. */
function createWorld (
  { span = 2, stepS = 1, ...options }: { span?: number, stepS?: number } & Partial<AggregatesOptions> = {}
) {
  const clock = createManualClock(TEN_MS)
  let failure: Failure | undefined
  let isHung = false
  const memory = createMemorySource(USUAL_HABITS, () => failure)
  const source: typeof memory = {
    ...memory,
    read: (query, purpose) => isHung ? new Promise(() => {}) : memory.read(query, purpose)
  }
  memory.keep(...Array.from({ length: span * HOUR_S / stepS }, (_, n) => {
    const instant = at(-n * stepS)
    return { at: instant, item: { timestamp: formatInstant(instant) } }
  }))
  let offset = 0
  const aggregates = createAggregates({
    source,
    clock,
    onError: (error) => { throw error },
    upstreamNow: clock.now,
    hours: 24,
    maxEvents: 100_000,
    scanLimit: 100_000,
    searchScanLimit: 2000,
    latenessMs: 10_000,
    openTtlMs: 10_000,
    waitMs: 8000,
    position: () => ({ kind: 'log', epoch: EPOCH, offset, instant: at(0) }),
    isRefused: () => false,
    hasHalfOfBudget: () => true,
    onHour: () => {},
    freshFeed: async () => ({ ok: true, readMs: clock.monotonicMs(), polledMs: clock.monotonicMs() }),
    ...options
  })
  return {
    aggregates,
    clock,
    source,
    fail: (kind: Failure['kind'] | undefined) => { failure = kind && { ok: false, kind } },
    hang: (hung: boolean) => { isHung = hung },
    show,
    feed
  }

  function show (instant: Instant, more: JsonObject = {}): JsonObject {
    const item = { timestamp: formatInstant(instant), ...more }
    memory.keep({ at: instant, item })
    return item
  }

  /** What the poller found enters the log and the table. */
  function feed (...items: JsonObject[]): void {
    const entries = identify(items).map((event) => ({ event, late: false }))
    aggregates.append({ entries, highWater: at(0), epoch: EPOCH, first: offset })
    offset += items.length
  }
}

/** How many rows of the parts lie in their windows. */
function eventsOf (result: Gathered | Failure | undefined): number {
  if (result?.ok !== true) return -1
  return result.parts.reduce((sum, { snapshot: { chunks }, window: { end = LATEST, start = EARLIEST } }) =>
    sum + chunks.reduce((rows, { nanos, rows: count, seconds }) => {
      const positions = Array.from({ length: count }, (_, row) =>
        BigInt(seconds[row] ?? 0) * NANOS_PER_SECOND + BigInt(nanos[row] ?? 0))
      return rows + positions.filter((position) => position >= start && position <= end).length
    }, 0), 0)
}

function coverageOf (result: Gathered | Failure | undefined) {
  return result?.ok === true ? result.coverage : undefined
}

t.test('the first count reads Kubiya once, and later counts of the same hours cost no call', async (t) => {
  const { aggregates, source } = createWorld()
  t.equal(await aggregates.fromMemory(LAST_DAY), undefined, 'nothing is in memory yet')
  const first = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.equal(eventsOf(first), 7200)
  t.match(coverageOf(first), { complete: true, scanned: 7200, start: at(-24 * HOUR_S), retryAfterMs: undefined })
  const calls = source.questions.length
  t.ok(calls <= 7200 / PAGE + 2, `${calls} calls`)
  const second = await aggregates.fromMemory({ ...LAST_DAY, window: { start: at(-HOUR_S), end: at(-60) } })
  t.equal(eventsOf(second), 3541)
  t.match(second, { ok: true, isFromMemory: true })
  t.equal(source.questions.length, calls)
})

t.test('an event that both the poller and the scan bring is counted once', async (t) => {
  const { aggregates, feed, show } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  feed({ timestamp: formatInstant(at(0)) }, show(at(-30), { n: 'late' }), show(at(1), { n: 'new' }))
  t.equal(eventsOf(await aggregates.fromMemory(LAST_DAY)), 122)
})

t.test('an event without an instant is counted where the poller read it', async (t) => {
  const { aggregates, feed } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  feed({ timestamp: 'yesterday' })
  const result = await aggregates.fromMemory({ ...LAST_DAY, window: { start: at(-30) } })
  t.equal(eventsOf(result), 2)
  const [part] = result?.ok === true ? result.parts : []
  t.ok(part?.snapshot.chunks.some(({ flags, rows }) => flags.subarray(0, rows).some((each) => (each & UNDATED) !== 0)))
})

t.test('a failure during the fill ends the count where the reading stopped', async (t) => {
  const { aggregates, fail, source } = createWorld()
  const read = source.read
  source.read = async (query, purpose) => {
    if (source.questions.length === 3) fail('unavailable')
    return read(query, purpose)
  }
  const first = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  const coverage = coverageOf(first)
  t.match(coverage, { complete: false, retryAfterMs: 5000 })
  t.ok(coverage?.start !== undefined && coverage.start > at(-HOUR_S) && coverage.start < at(-2000))
  t.equal(eventsOf(first), Number((at(0) - (coverage?.start ?? 0n)) / NANOS_PER_SECOND) + 1, 'only what was covered')
  fail(undefined)
  source.read = read
  const before = source.questions.length
  const second = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.match(coverageOf(second), { complete: true })
  t.equal(eventsOf(second), 7200)
  t.ok(source.questions.length - before <= 7, 'the reading goes on where it stopped')
})

t.test('a failure before the first page is a failure, not a count of zero', async (t) => {
  const { aggregates, fail } = createWorld()
  fail('unavailable')
  t.match(await aggregates.fromKubiya(LAST_DAY, REQUESTER), { ok: false, kind: 'unavailable' })
})

t.test('a credential that is refused during the fill gets no count', async (t) => {
  const { aggregates, fail, source } = createWorld()
  const read = source.read
  source.read = async (query, purpose) => {
    if (source.questions.length === 2) fail('unauthorized')
    return read(query, purpose)
  }
  t.match(await aggregates.fromKubiya(LAST_DAY, REQUESTER), { ok: false, kind: 'unauthorized' })
})

t.test('a count without a lower bound sends none to Kubiya', async (t) => {
  const { aggregates, source } = createWorld({ stepS: 60, span: 40 })
  const result = await aggregates.fromKubiya({ ...LAST_DAY, window: {} }, REQUESTER)
  t.equal(eventsOf(result), 2400)
  t.match(coverageOf(result), { complete: true, start: undefined })
  t.ok(source.questions.some(({ window }) => window.start === undefined))
})

t.test('a count answers with what was read when its wait ends, and the reading continues', async (t) => {
  const { aggregates, clock, hang, source } = createWorld()
  const read = source.read
  source.read = async (query, purpose) => {
    if (source.questions.length === 2) hang(true)
    return read(query, purpose)
  }
  const waiting = aggregates.fromKubiya(LAST_DAY, REQUESTER)
  await clock.pass(0)
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => { setImmediate(resolve) })
  clock.advance(8000)
  const first = await waiting
  t.match(coverageOf(first), { complete: false, retryAfterMs: 1000 })
  t.ok(eventsOf(first) > 0)
})

t.test('a count tells what is left of the wait for the budget, also in later answers', async (t) => {
  const { aggregates, clock, source } = createWorld()
  const read = source.read
  let isSpent = false
  source.read = async (query, purpose) => {
    isSpent ||= source.questions.length === 5
    return isSpent ? { ok: false, kind: 'budget', retryAfterMs: 52_000 } : read(query, purpose)
  }
  const first = await countFor(8000)
  t.match(coverageOf(first), { complete: false, retryAfterMs: 44_000 }, 'the answer came 8 s after the refusal')
  t.ok(eventsOf(first) > 0)
  clock.advance(20_000)
  t.match(coverageOf(await countFor(8000)), { complete: false, retryAfterMs: 16_000 })
  clock.advance(7900)
  t.match(coverageOf(await countFor(8000)), { complete: false, retryAfterMs: 100 })
  isSpent = false
  source.read = read
  clock.advance(100)
  t.match(coverageOf(await countFor(0)), { complete: true }, 'the reading went on when the wait was over')

  /** Asks, and lets time pass until the answer comes. */
  async function countFor (ms: number) {
    const answer = aggregates.fromKubiya(LAST_DAY, REQUESTER)
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => { setImmediate(resolve) })
    clock.advance(ms)
    return answer
  }
})

t.test('a count without any page within its wait is a timeout', async (t) => {
  const { aggregates, clock, hang } = createWorld()
  hang(true)
  const waiting = aggregates.fromKubiya(LAST_DAY, REQUESTER)
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => { setImmediate(resolve) })
  clock.advance(8000)
  t.match(await waiting, { ok: false, kind: 'timeout' })
})

t.test('a window that begins before the hours in memory is counted in two parts', async (t) => {
  const { aggregates, source } = createWorld({ span: 60, stepS: 60 })
  const query = { ...LAST_DAY, window: { start: at(-48 * HOUR_S) } }
  const result = await aggregates.fromKubiya(query, REQUESTER)
  t.equal(eventsOf(result), 48 * 60 + 1)
  t.match(coverageOf(result), { complete: true, start: at(-48 * HOUR_S) })
  const calls = source.questions.length
  t.equal(eventsOf(await aggregates.fromKubiya(query, REQUESTER)), 48 * 60 + 1)
  t.equal(source.questions.length, calls, 'both parts are kept')
})

t.test('a count with a text reads up to the scan limit and says that no more will come', async (t) => {
  const { aggregates } = createWorld()
  const result = await aggregates.fromKubiya({ ...LAST_DAY, filter: { text: '2025' } }, REQUESTER)
  const coverage = coverageOf(result)
  t.match(coverage, { complete: false, retryAfterMs: undefined })
  t.ok(coverage !== undefined && coverage.scanned >= 2000 && coverage.scanned < 3000)
  t.equal(eventsOf(result), Number((at(0) - (coverage?.start ?? 0n)) / NANOS_PER_SECOND) + 1)
  t.equal(await aggregates.fromMemory({ ...LAST_DAY, filter: { text: '2025' } }), undefined)
})

t.test('a table keeps the newest events up to its bound, and the coverage says so', async (t) => {
  const { aggregates } = createWorld({ maxEvents: 3200 })
  const result = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  const coverage = coverageOf(result)
  t.match(coverage, { complete: false, retryAfterMs: undefined })
  t.ok(eventsOf(result) >= 3000 && eventsOf(result) <= 3200, `${eventsOf(result)} events`)
  t.equal(eventsOf(result), Number((at(0) - (coverage?.start ?? 0n)) / NANOS_PER_SECOND) + 1)
})

t.test('a gap of the poller makes the counts of its interval incomplete', async (t) => {
  const { aggregates } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  const gap = { from: at(-100), to: at(-90), reason: 'too-large' as const }
  aggregates.append({ entries: [{ gap }], highWater: at(0), epoch: EPOCH, first: 0 })
  const inside = await aggregates.fromMemory({ ...LAST_DAY, window: { start: at(-95) } })
  t.match(coverageOf(inside), { complete: false, retryAfterMs: undefined, skipped: [{ from: at(-95), to: at(-90) }] })
  t.match(coverageOf(await aggregates.fromMemory({ ...LAST_DAY, window: { start: at(-80) } })), { complete: true })
})

t.test('a table without a query for ten minutes is dropped', async (t) => {
  const { aggregates, clock } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  clock.advance(9 * 60_000)
  t.equal(aggregates.usage().events, 120)
  await aggregates.fromMemory(LAST_DAY)
  clock.advance(9 * 60_000)
  t.equal(aggregates.usage().events, 120, 'a question keeps it')
  clock.advance(2 * 60_000)
  t.equal(aggregates.usage().events, 0)
})

t.test('a refused credential empties the table', async (t) => {
  const { aggregates } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  aggregates.clear()
  t.equal(aggregates.usage().events, 0)
  t.equal(await aggregates.fromMemory(LAST_DAY), undefined)
})

t.test('a feed that vouches for nothing makes counts read Kubiya, and its refusal is the answer', async (t) => {
  const answers: Array<Awaited<ReturnType<AggregatesOptions['freshFeed']>>> = []
  const { aggregates, source } = createWorld({ stepS: 60, freshFeed: async () => answers.at(-1) })
  const result = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.equal(eventsOf(result), 120)
  t.equal(aggregates.usage().events, 0, 'the live table is not filled')
  t.ok(source.questions.length > 0)
  answers.push({ ok: false, kind: 'unauthorized' })
  t.match(await aggregates.fromKubiya(LAST_DAY, REQUESTER), { ok: false, kind: 'unauthorized' })
})

t.test('what was counted before the first poll is the answer until the table has read something', async (t) => {
  let isFed = false
  const { aggregates, clock, fail } = createWorld({
    stepS: 60,
    freshFeed: async () => isFed ? { ok: true, readMs: clock.monotonicMs(), polledMs: clock.monotonicMs() } : undefined
  })
  t.equal(eventsOf(await aggregates.fromKubiya(LAST_DAY, REQUESTER)), 120)
  isFed = true
  clock.advance(40_000)
  fail('unavailable')
  const waiting = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.equal(eventsOf(waiting), 120)
  t.match(waiting, { isFromMemory: false, readMs: 0 })
  t.match(coverageOf(waiting), { complete: true, asOf: at(0) }, 'it tells how old it is')
  fail('unauthorized')
  t.match(await aggregates.fromKubiya(LAST_DAY, REQUESTER), { ok: false, kind: 'unauthorized' })
  fail(undefined)
  t.match(coverageOf(await aggregates.fromKubiya(LAST_DAY, REQUESTER)), { complete: true, asOf: at(40) })
})

t.test('a failed poll shows as an old as_of', async (t) => {
  const failure: Failure = { ok: false, kind: 'unavailable' }
  let polledMs = 0
  const { aggregates, clock } = createWorld({
    stepS: 60,
    freshFeed: async () => ({ ok: true, readMs: polledMs, polledMs, ...clock.monotonicMs() > 0 && { failure } })
  })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  clock.advance(30_000)
  const result = await aggregates.fromMemory(LAST_DAY)
  t.match(result, { ok: true, failure, readMs: 0 })
  t.match(coverageOf(result), { asOf: at(0), end: at(0) })
  polledMs = 20_000
  t.match(coverageOf(await aggregates.fromMemory(LAST_DAY)), { asOf: at(20) })
})

t.test('a count with a text has an age, and is not zero when Kubiya fails', async (t) => {
  const { aggregates, clock, fail } = createWorld({ stepS: 60 })
  await aggregates.fromKubiya(WITH_TEXT, REQUESTER)
  for (const kind of ['unavailable', 'throttled'] as const) {
    fail(kind)
    clock.advance(4000)
    const kept = await aggregates.fromKubiya(WITH_TEXT, REQUESTER)
    t.match(kept, { isFromMemory: false, readMs: 0 }, kind)
    t.match(coverageOf(kept), { complete: true, asOf: at(0), end: at(0) }, kind)
  }
  fail('unavailable')
  clock.advance(3000)
  t.match(await aggregates.fromKubiya(WITH_TEXT, REQUESTER), { ok: false, kind: 'unavailable' })
})

t.test('while the poller is refused, each count asks Kubiya', async (t) => {
  const { aggregates, fail, source } = createWorld({ stepS: 60, isRefused: () => true, freshFeed: async () => undefined })
  const closed = { ...LAST_DAY, window: { start: at(-48 * HOUR_S), end: at(-30 * HOUR_S) } }
  for (const query of [WITH_TEXT, LAST_DAY, closed]) {
    t.match(coverageOf(await aggregates.fromKubiya(query, REQUESTER)), { complete: true })
    const calls = source.questions.length
    t.match(coverageOf(await aggregates.fromKubiya(query, REQUESTER)), { complete: true })
    t.ok(source.questions.length > calls)
    fail('unauthorized')
    t.match(await aggregates.fromKubiya(query, REQUESTER), { ok: false, kind: 'unauthorized' })
    fail(undefined)
  }
})

t.test('a credential that is refused elsewhere during a count with a text leaves it no answer', async (t) => {
  const { aggregates, source } = createWorld()
  const read = source.read
  source.read = async (query, purpose) => {
    if (source.questions.length === 2) aggregates.clear()
    return read(query, purpose)
  }
  t.match(await aggregates.fromKubiya(WITH_TEXT, REQUESTER), { ok: false, kind: 'unavailable' })
})

t.test('a recount is allowed once in 15 minutes, and only while half of the budget is left', async (t) => {
  let hasHalf = false
  const { aggregates, clock, source } = createWorld({ stepS: 60, hasHalfOfBudget: () => hasHalf })
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  const [{ bytes, events }, calls] = [aggregates.usage(), source.questions.length]
  t.notOk(aggregates.beginRecount())
  hasHalf = true
  t.ok(aggregates.beginRecount())
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.equal(source.questions.length, 2 * calls, 'all is read again')
  t.same(aggregates.usage(), { bytes, events }, 'the new table replaces the old one')
  t.notOk(aggregates.beginRecount())
  clock.advance(15 * 60_000)
  t.ok(aggregates.beginRecount())
})

t.test('counts without memory read Kubiya each time', async (t) => {
  const { aggregates, clock, source } = createWorld({ stepS: 60, hours: 0 })
  t.equal(source.questions.length, 0)
  const result = await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.match(coverageOf(result), { complete: true })
  t.equal(aggregates.usage().events, 0)
  const calls = source.questions.length
  clock.advance(10_001)
  await aggregates.fromKubiya(LAST_DAY, REQUESTER)
  t.ok(source.questions.length > calls)
})
