import t from 'tap'
import { LONGEST_VALUE } from '../../src/aggregates/dictionary.ts'
import { createEventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import {
  bucketCount,
  countTimeline,
  eventExtent,
  intervalFor,
  type TimelineField,
  type TimelineOptions
} from '../../src/aggregates/timeline.ts'
import { NANOS_PER_SECOND } from '../../src/audit/instant.ts'
import { numberedEvent, partOf, type CountedRow } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

const DAY_S = 86_400

function minute (part: TablePart, more: Partial<TimelineOptions> = {}) {
  const options = { intervalSeconds: 10, start: at(0), end: at(60) - 1n, by: 'email' as TimelineField, top: 8, ...more }
  return countTimeline([part], {}, options)
}

t.test('the width of buckets is the least one that fits', async (t) => {
  t.same([0, 60, 61, 120, 121].map((span) => intervalFor(span, 60)), [1, 1, 2, 2, 5])
  t.same([intervalFor(DAY_S, 60), intervalFor(DAY_S, 1), intervalFor(DAY_S + 1, 1)], [1800, DAY_S, 7 * DAY_S])
  t.equal(intervalFor(10_000 * DAY_S, 500), 30 * DAY_S)
  t.equal(intervalFor(1e12, 1), 30 * DAY_S, 'the greatest width, if none fits')
})

t.test('the number of buckets is that of a timeline, which begins at a multiple of the width', async (t) => {
  const part = partOf([])
  for (const [start, end] of [[0, 60], [3, 60], [9.5, 10], [0, 0], [5, 4]] as const) {
    const { buckets } = await minute(part, { start: at(start), end: at(end) })
    t.equal(buckets.length, bucketCount(at(start), at(end), 10), `${start} to ${end}`)
  }
  t.same([bucketCount(at(0), at(60), 10), bucketCount(at(0), at(60) - 1n, 10), bucketCount(at(5), at(4), 10)], [7, 6, 0])
})

t.test('buckets have no hole, contain their start and not their end, and say when they are partial', async (t) => {
  const part = partOf([[3], [10], [39.999], [45], [47]])
  const { buckets } = await minute(part, { start: at(5), end: at(46), by: 'none' })
  t.same(buckets.map(({ events, partial }) => [events, partial]), [
    [0, true], [1, undefined], [0, undefined], [1, undefined], [1, true]
  ])
  t.same(buckets.map(({ start_time: from }) => from), [0, 10, 20, 30, 40].map(at))
  t.same(buckets.map(({ end_time: to }) => to), [10, 20, 30, 40, 50].map(at))
  t.ok(buckets.every((bucket) => bucket.partial !== undefined || !('partial' in bucket)))
})

t.test('a bucket that ends a nanosecond after the window is whole', async (t) => {
  const partials = async (start: bigint, end: bigint) =>
    (await minute(partOf([]), { start, end })).buckets.map(({ partial }) => partial === true)
  t.same(await partials(at(0), at(20) - 1n), [false, false])
  t.same(await partials(at(0) + 1n, at(20) - 2n), [true, true])
})

t.test('buckets before 1970 are multiples of their width as well', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  const instants = [-7_000_000_001n, -7_000_000_000n, -1n, 0n, 6_999_999_999n]
  instants.forEach((instant, number) => table.add(numberedEvent(number, instant), instant))
  const options = { start: -8n * NANOS_PER_SECOND, end: 7n * NANOS_PER_SECOND, intervalSeconds: 7, by: 'none' as const, top: 1 }
  const { buckets } = await countTimeline([{ snapshot: table.snapshot(), window: {} }], {}, options)
  t.same(buckets.map(({ end_time: to, events, start_time: from }) => [from, to, events]), [
    [-14n, -7n, 1], [-7n, 0n, 2], [0n, 7n, 2], [7n, 14n, 0]
  ].map(([from, to, events]) => [BigInt(from ?? 0) * NANOS_PER_SECOND, BigInt(to ?? 0) * NANOS_PER_SECOND, events]))
  t.same(buckets.map(({ partial }) => partial === true), [true, false, false, true])
})

t.test('further values and missing ones are one series, whose value is empty', async (t) => {
  const rows: CountedRow[] = [[0, { email: 'a' }], [11, { email: 'a' }], [12, { email: 'b' }], [13, { email: 'c' }], [14]]
  const { buckets, series } = await minute(partOf(rows), { top: 1, end: at(20) - 1n })
  t.same(series, [{ value: 'a', events: 2 }, { value: '', events: 3 }])
  t.same(buckets.map(({ counts, events }) => [events, ...counts]), [[1, 1, 0], [4, 1, 3]])
  const all = await minute(partOf(rows.slice(0, 4)), { top: 3, end: at(20) - 1n })
  t.same(all.series.map(({ value }) => value), ['a', 'b', 'c'], 'no rest without events')
  t.same(all.buckets.map(({ counts }) => counts), [[1, 0, 0], [1, 1, 1]])
})

t.test('a timeline by nothing has no series, and one by status has its own values', async (t) => {
  const rows: CountedRow[] = [[0, { action_successful: true }], [1, { action_successful: false }], [2], [3]]
  const none = await minute(partOf(rows), { by: 'none', end: at(9) })
  t.same([none.series, none.buckets.map(({ counts, events }) => [events, counts])], [[], [[4, []]]])
  const { buckets, series } = await minute(partOf(rows), { by: 'status', end: at(9) })
  t.same(series, [{ value: 'unknown', events: 2 }, { value: 'failed', events: 1 }, { value: 'success', events: 1 }])
  t.same(buckets[0]?.counts, [2, 1, 1])
})

t.test('a series counts the events within the window only, and none without an instant', async (t) => {
  const rows: CountedRow[] = [[0, { email: 'a' }], [5, { email: 'b' }], [undefined, { email: 'b' }], [99, { email: 'a' }]]
  const { buckets, series } = await minute(partOf(rows, { start: at(-9) }), { start: at(1) })
  t.same([series, buckets[0]?.events], [[{ value: 'b', events: 1 }], 1])
})

t.test('values that are not held are in the rest, and the answer says so', async (t) => {
  const rows: CountedRow[] = [[0, { email: 'x'.repeat(LONGEST_VALUE + 1) }], [1, { email: 'a' }]]
  const capped = await minute(partOf(rows))
  t.same([capped.capped, capped.series], [true, [{ value: 'a', events: 1 }, { value: '', events: 1 }]])
  t.notOk('capped' in await minute(partOf(rows), { start: at(1) }))
  t.notOk('capped' in await minute(partOf(rows), { by: 'none' }))
})

t.test('parts are joined in one series', async (t) => {
  const options = { intervalSeconds: 10, start: at(0), end: at(20) - 1n, by: 'email' as const, top: 1 }
  const parts = [partOf([[11, { email: 'b' }], [12, { email: 'a' }]]), partOf([[1, { email: 'a' }], [2, { email: 'c' }]])]
  const { buckets, series } = await countTimeline(parts, {}, options)
  t.same(series, [{ value: 'a', events: 2 }, { value: '', events: 2 }])
  t.same(buckets.map(({ counts }) => counts), [[1, 1], [1, 1]])
})

t.test('the extent of events is from the first dated one to the last that match', async (t) => {
  const rows: CountedRow[] = [[undefined, { email: 'a' }], [7.5, { email: 'a' }], [3, { email: 'a' }], [9, { email: 'b' }]]
  t.same(await eventExtent([partOf(rows)], { email: 'a' }), { first: at(3), last: at(7.5) })
  t.same(await eventExtent([partOf(rows), partOf([[-5, { email: 'a' }]])], {}), { first: at(-5), last: at(9) })
  t.same(await eventExtent([partOf(rows, { start: at(8) })], {}), { first: at(9), last: at(9) })
  t.equal(await eventExtent([partOf(rows, { end: at(1) })], {}), undefined)
  t.equal(await eventExtent([partOf(rows)], { email: 'nobody' }), undefined)
})
