import t from 'tap'
import { LONGEST_VALUE } from '../../src/aggregates/dictionary.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import { partOf, type CountedRow } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

/** Sessions of so many events, one event each second. */
function sessionsOf (sizes: readonly number[]): CountedRow[] {
  return sizes.flatMap((size, session) =>
    Array.from({ length: size }, (_, second) => [second, { session_id: `s${session}` }] as const))
}

const emails = (counts: Record<string, number>): CountedRow[] =>
  Object.entries(counts).flatMap(([email, count]) => Array<CountedRow>(count).fill([0, { email }]))

async function sessionsIn (rows: CountedRow[]) {
  return (await countSummary([partOf(rows)], {}, { top: 0 })).sessions
}

t.test('a summary of nothing has nulls where there is nothing to distribute', async (t) => {
  const { by, sessions, ...rest } = await countSummary([partOf([])], {}, { top: 10 })
  t.same(rest, {
    totals: { events: 0, success: 0, failed: 0, unknown: 0, success_rate: null, users: 0, sessions: 0, undated: 0 },
    first_event: null,
    last_event: null
  })
  const empty = { median: null, p95: null, max: null }
  t.same(sessions, {
    count: 0, events_without_session: 0, events_per_session: { mean: null, ...empty }, duration_seconds: empty
  })
  t.same(by.email, { values: [], distinct: 0, other_events: 0, missing_events: 0 })
  t.same((await sessionsIn([[0], [1]])).events_without_session, 2)
})

t.test('the median of an even number of sessions is the mean of the two in the middle', async (t) => {
  const even = await sessionsIn(sessionsOf([10, 1, 3, 2]))
  t.same(even.events_per_session, { mean: 4, median: 2.5, p95: 10, max: 10 })
  t.same(even.duration_seconds, { median: 1.5, p95: 9, max: 9 })
  const odd = await sessionsIn(sessionsOf([10, 1, 4]))
  t.same(odd.events_per_session, { mean: 5, median: 4, p95: 10, max: 10 })
})

t.test('p95 is the value of the nearest rank', async (t) => {
  const upTo = (most: number) => Array.from({ length: most }, (_, session) => most - session)
  const p95 = async (most: number) => (await sessionsIn(sessionsOf(upTo(most)))).events_per_session.p95
  t.same([await p95(1), await p95(19), await p95(20), await p95(21), await p95(40)], [1, 19, 19, 20, 38])
})

t.test('a duration is exact to the nanosecond, and needs a dated event', async (t) => {
  const rows: CountedRow[] = [
    [0.25, { session_id: 'a' }], [86_400.125, { session_id: 'a' }], [undefined, { session_id: 'a' }],
    [undefined, { session_id: 'b' }], [7, { session_id: 'c' }]
  ]
  const { count, duration_seconds: durations, events_per_session: events } = await sessionsIn(rows)
  t.same([count, events.max], [3, 3])
  t.same(durations, { median: 86_399.875 / 2, p95: 86_399.875, max: 86_399.875 })
})

t.test('values are ranked by events, then in code units, and the rest is counted', async (t) => {
  const rows = [...emails({ b: 2, B: 2, '😀': 2, '｟': 2, é: 2, a: 3, z: 1, '': 4 }), [0] as const]
  const byEmail = async (top: number) => (await countSummary([partOf(rows)], {}, { top })).by.email
  const all = await byEmail(100)
  t.same(all.values.map(({ value }) => value), ['a', 'B', 'b', 'é', '😀', '｟', 'z'])
  t.same([all.distinct, all.other_events, all.missing_events], [7, 0, 5])
  const three = await byEmail(3)
  t.same(three.values.map(({ events, value }) => [value, events]), [['a', 3], ['B', 2], ['b', 2]])
  t.same([three.distinct, three.other_events, three.missing_events], [7, 7, 5])
  t.same(await byEmail(0), { values: [], distinct: 7, other_events: 14, missing_events: 5 })
})

t.test('each value has its outcomes, and the success rate counts known outcomes only', async (t) => {
  const outcome = (email: string, value: boolean | null | string): CountedRow => [0, { email, action_successful: value }]
  const rows = [outcome('a', true), outcome('a', true), outcome('a', false), outcome('a', 'true'), outcome('b', null)]
  const { by, totals } = await countSummary([partOf(rows)], {}, { top: 10 })
  t.same(by.email.values, [
    { value: 'a', events: 4, success: 2, failed: 1, unknown: 1 }, { value: 'b', events: 1, success: 0, failed: 0, unknown: 1 }
  ])
  t.same(totals, { events: 5, success: 2, failed: 1, unknown: 2, success_rate: 2 / 3, users: 2, sessions: 0, undated: 0 })
  t.equal((await countSummary([partOf(rows.slice(3))], {}, { top: 1 })).totals.success_rate, null)
})

t.test('undated events count, but not as the first or the last', async (t) => {
  const summary = await countSummary([partOf([[undefined], [5], [2], [undefined]])], {}, { top: 1 })
  t.same([summary.totals.events, summary.totals.undated], [4, 2])
  t.same([summary.first_event, summary.last_event], [at(2), at(5)])
  const none = await countSummary([partOf([[undefined]])], {}, { top: 1 })
  t.same([none.first_event, none.last_event], [null, null])
})

t.test('a value that is not held counts as another one, and the answer says so', async (t) => {
  const rows: CountedRow[] = [[0, { email: 'x'.repeat(LONGEST_VALUE + 1) }], ...emails({ u: 2 })]
  const capped = await countSummary([partOf(rows)], {}, { top: 10 })
  t.equal(capped.capped, true)
  t.same([capped.by.email.distinct, capped.by.email.other_events, capped.totals.events], [1, 1, 3])
  t.equal('capped' in await countSummary([partOf(rows, { start: at(1) })], {}, { top: 10 }), false, 'of other rows')
  t.equal((await countSummary([partOf(rows)], { email: 'nobody' }, { top: 10 })).capped, true, 'of a filter')
  const session: CountedRow[] = [[0, { session_id: 'x'.repeat(LONGEST_VALUE + 1) }]]
  const { capped: isCapped, sessions } = await countSummary([partOf(session)], {}, { top: 10 })
  t.same([isCapped, sessions.count, sessions.events_without_session], [true, 0, 0])
})

t.test('two parts are joined by value and by session', async (t) => {
  const older = partOf([[0, { email: 'a', session_id: 's' }], [1, { email: 'b', action_successful: true }]])
  const newer = partOf([[9, { email: 'b', session_id: 's', action_successful: false }], [8, { session_id: 'new' }]])
  const joined = await countSummary([newer, older], {}, { top: 1 })
  t.same(joined.by.email, {
    values: [{ value: 'b', events: 2, success: 1, failed: 1, unknown: 0 }], distinct: 2, other_events: 1, missing_events: 1
  })
  t.same(joined.sessions, {
    count: 2,
    events_without_session: 1,
    events_per_session: { mean: 1.5, median: 1.5, p95: 2, max: 2 },
    duration_seconds: { median: 4.5, p95: 9, max: 9 }
  })
  t.same([joined.first_event, joined.last_event, joined.totals.users], [at(0), at(9), 2])
})
