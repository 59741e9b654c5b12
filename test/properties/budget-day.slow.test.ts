import t, { type Test } from 'tap'
import {
  DAY_MS,
  HOUR_MS,
  LATENESS_MS,
  MINUTE_MS,
  SECOND_MS,
  liveThrough,
  mostWithin,
  seeded,
  type Day,
  type DayOptions,
  type Phase
} from '../support/day.ts'

/*
 * The arithmetic of 100 requests a minute and 5 000 a day: a bucket holds a quarter, three quarters flow in evenly.
 *
 *   Limits   any 24 h see at most a full bucket and a day's inflow, 1 250 + 3 750 = 5 000; any minute 25 + 75 = 100.
 *   Inflow   3 750 a day = 2.6 a minute = one in 23 s. Callers go first: 125 of the bucket are theirs alone, 1 125 serve the
 *            poller too, which gets what callers leave, but no less than its own one a minute.
 *   3 s      a poll takes 3 s and the answer 0.2 s: 18.75 a minute. 1 125 / (18.75 - 2.6) = 70 min of it are borne. Without
 *            a budget it would be 27 000 a day; 5 000 are gone after 4.4 h (the last test).
 *   Quiet    an event in four minutes. Waits of a tenth of the quiet would be 8 polls a minute, and the bucket empty after
 *            1 125 / (8 - 2.6) = 3.5 h; with thrift they are 3, 6, 13, 26, 30, 30 … s: 2.5 a minute, which is borne for ever.
 *   Busy     0.5 events a second are 60 in the lateness of 120 s: one answer, even at 100 a page. A burst of 3 a second makes
 *            360: one answer at 1 000 a page, 187 requests in ten minutes. At 100 a page a poll reads the last 5 s and what
 *            is new, one answer, and a full read of 5 to 8 comes every 30 s to 2 min: about 240 requests.
 *   Spent    one poll in 23 s, or 60 s while callers ask for more than there is: (120 + 60) × 0.5 = 90 events, one answer.
 *            A burst at 100 a page: every read is a whole one that takes g seconds, one request in 23 s, and has to bring
 *            (120 + g) × 3 events: after ten minutes g is four to five minutes, and passes with the burst.
 *   Flood    5 a second. At 1 000 a page (120 + g) × 5 events are one answer up to g = 80 s, so one poll in 23 … 60 s bears
 *            it. At 100 a page 2.6 requests a minute bring 4.3 rows a second, some of them twice: it falls behind by a fifth
 *            to a third of the time that goes by, and more while callers ask.
 */
const LIMITS = { perMinute: 100, perDay: 5000 }
const MOST_HOURS = 26
const EVENTS_IN_QUIET = 1 / 240
const QUIET: Phase[] = [[0, EVENTS_IN_QUIET]]
const MORNING_BURST = [8 * HOUR_MS + 20 * MINUTE_MS, 8 * HOUR_MS + 30 * MINUTE_MS] as const
const LATER_BURST = [15 * HOUR_MS, 15 * HOUR_MS + 10 * MINUTE_MS] as const
const BUSY: Phase[] = [
  [0, EVENTS_IN_QUIET],
  [8 * HOUR_MS, 0.5], [MORNING_BURST[0], 3], [MORNING_BURST[1], 0.5],
  [LATER_BURST[0], 3], [LATER_BURST[1], 0.5],
  [18 * HOUR_MS, EVENTS_IN_QUIET]
]
const FLOOD: Phase[] = [[0, 5]]
const RUSH_MS = 10 * HOUR_MS // Forty calls within 4 s: more than a minute's bucket of 25 and its inflow.
const CROWD = [11 * HOUR_MS, 11.5 * HOUR_MS] as const // Twenty calls a minute: more than the day bears.
const SETTLED_MS = 5 * MINUTE_MS // What became visible so short before the end may be yet to come.

function callsOfADay (): number[] {
  const random = seeded(7)
  const calls = Array.from({ length: 40 }, (_, i) => RUSH_MS + i * 100)
  for (let ms = CROWD[0]; ms < CROWD[1]; ms += 3 * SECOND_MS) calls.push(ms)
  for (let ms = 0; ms < MOST_HOURS * HOUR_MS; ms -= Math.log(1 - random()) * 5 * MINUTE_MS) calls.push(ms)
  return calls.sort((a, b) => a - b)
}

const live = (phases: Phase[], pageCap: number, options: Partial<DayOptions> = {}) =>
  liveThrough({
    phases,
    pageCap,
    hours: MOST_HOURS,
    limits: LIMITS,
    group: 1,
    calls: callsOfADay(),
    seed: 1,
    ...options
  })

/** When requests went out. */
const outOf = (day: Day) => day.requests.filter(({ waitMs }) => waitMs === 0).map(({ atMs }) => atMs)
const pollsOf = (day: Day) =>
  day.requests.filter(({ purpose, waitMs }) => purpose === 'poller' && waitMs === 0).map(({ atMs }) => atMs)
const refusedCallers = (day: Day) => day.requests.filter(({ purpose, waitMs }) => purpose === 'caller' && waitMs > 0)

/** How long after they became visible events were announced, of those that did so in a span of the day: ascending. */
function delays (day: Day, fromMs = 0, toMs = day.endMs - SETTLED_MS): Float64Array {
  const found: number[] = []
  for (let i = 0; i < day.events; i++) {
    const visibleMs = day.visibleOf(i)
    if (day.countOf(i) > 0 && visibleMs >= fromMs && visibleMs < toMs) found.push(day.announcedOf(i) - visibleMs)
  }
  return Float64Array.from(found).sort()
}

const quantile = (ascending: Float64Array, share: number) =>
  ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? NaN
const median = (ascending: Float64Array) => quantile(ascending, 0.5)
const most = (ascending: Float64Array) => ascending.at(-1) ?? NaN
const seconds = (ms: number) => `${(ms / SECOND_MS).toFixed(1)} s`

/** Events of the day that were not announced so often, of those that are meant. */
function notSo (day: Day, isRight: (count: number) => boolean, isMeant: (index: number) => boolean): number[] {
  const found: number[] = []
  for (let i = 0; i < day.events; i++) {
    if (day.instantOf(i) >= 0 && !isRight(day.countOf(i)) && isMeant(i)) found.push(i)
  }
  return found
}

const once = (count: number) => count === 1
const inTime = (day: Day) => (index: number) => day.visibleOf(index) < day.endMs - SETTLED_MS

/** What holds on every day, whatever happens. */
function keepsItsPromises (t: Test, day: Day, name: string): void {
  const out = outOf(day)
  const found = delays(day)
  t.comment(
    `${name}: ${mostWithin(out, DAY_MS)} requests in the worst 24 h, ${
      mostWithin(out, MINUTE_MS)
    } in the worst minute, ` +
      `${refusedCallers(day).length} calls refused; delay ${seconds(median(found))} median, ${
        seconds(quantile(found, 0.95))
      } 95 %, ${seconds(most(found))} at most`
  )
  t.ok(mostWithin(out, MINUTE_MS) <= LIMITS.perMinute, 'no minute sees more than 100 requests')
  t.ok(mostWithin(out, DAY_MS) <= LIMITS.perDay, 'no 24 hours see more than 5 000')
  t.same(day.faults.slice(0, 3), [], 'events come in the order of their instants, and are called late if they are')
  t.same(
    notSo(day, once, (index) => day.instantOf(index) < day.floorMs),
    [],
    'what is said to be complete is complete, each event once'
  )
  t.ok(day.highWaterMs <= day.floorMs + LATENESS_MS, 'a cursor claims no more than that')
  t.same(notSo(day, (count) => count <= 1, () => true), [], 'no event comes twice')
  callersGoFirst(t, day)
}

/** While a caller has to wait the poller has no more than its one call a pause. */
function callersGoFirst (t: Test, day: Day): void {
  const polls = pollsOf(day)
  const refused = refusedCallers(day)
  const beyondItsOwn = polls.filter((atMs, i) => atMs - (polls[i - 1] ?? -Infinity) < 3 * SECOND_MS)
  const jumps = beyondItsOwn.filter((pollMs) =>
    refused.some(({ atMs, waitMs }) => atMs < pollMs && pollMs < atMs + waitMs)
  )
  t.same(jumps, [], 'the poller takes nothing that a caller waits for')
  const isBusy = (atMs: number) =>
    (atMs >= RUSH_MS && atMs < RUSH_MS + MINUTE_MS) || (atMs >= CROWD[0] && atMs < CROWD[1] + 5 * MINUTE_MS)
  t.same(refused.filter(({ atMs }) => !isBusy(atMs)), [], 'nobody is refused who does not come with many')
}

const longestPause = (polls: number[]) =>
  polls.reduce((longest, atMs, i) => Math.max(longest, atMs - (polls[i - 1] ?? 0)), 0)
const medianPause = (polls: number[]) =>
  median(Float64Array.from(polls.slice(1), (atMs, i) => atMs - (polls[i] ?? 0)).sort())
const isWithin = ([fromMs, toMs]: readonly [number, number]) => (atMs: number) => atMs >= fromMs && atMs < toMs

for (const pageCap of [100, 1000]) {
  t.test(`the budget lasts a quiet day, ${pageCap} rows a page`, async (t) => {
    const day = await live(QUIET, pageCap)
    keepsItsPromises(t, day, `quiet, ${pageCap} a page`)
    t.same(notSo(day, once, inTime(day)), [], 'every event is announced, once')
    t.ok(most(delays(day)) <= MINUTE_MS + SECOND_MS, 'none waits longer than a minute')
    t.same(day.states.filter(({ atMs }) => atMs < RUSH_MS), [], 'an event now and then is borne for ever')
    t.ok(longestPause(pollsOf(day).filter((atMs) => atMs < RUSH_MS)) <= 31 * SECOND_MS, 'at 30 s at the slowest')
    t.ok(longestPause(pollsOf(day)) <= MINUTE_MS + SECOND_MS, 'and once a minute, however many callers ask')
  })

  t.test(`the budget lasts a busy day, ${pageCap} rows a page`, async (t) => {
    const day = await live(BUSY, pageCap)
    keepsItsPromises(t, day, `busy, ${pageCap} a page`)
    t.same(notSo(day, once, inTime(day)), [], 'every event is announced, once')
    const [morning, burst, later] = [[8 * HOUR_MS, 8.75 * HOUR_MS] as const, MORNING_BURST, LATER_BURST].map((span) =>
      delays(day, ...span)
    )
    for (
      const [name, found] of Object.entries({
        'from 8 to 8:45': morning,
        'burst of the morning': burst,
        'burst of the afternoon': later
      })
    ) {
      if (found !== undefined) {
        t.comment(
          `busy, ${pageCap} a page, ${name}: ${found.length} events, ${seconds(median(found))} median, ${
            seconds(quantile(found, 0.95))
          } 95 %, ${seconds(most(found))} at most`
        )
      }
    }
    t.ok(
      median(morning ?? new Float64Array()) <= 4 * SECOND_MS,
      'a night that was quiet leaves enough for three quarters of an hour at 3 s'
    )
    t.ok(median(burst ?? new Float64Array()) <= 4 * SECOND_MS, 'a burst is followed at 3 s')
    const polls = pollsOf(day).filter(isWithin(MORNING_BURST))
    t.ok(medianPause(polls) <= 3.3 * SECOND_MS, 'as the pauses show')
    t.ok(
      most(delays(day)) <= (pageCap === 1000 ? MINUTE_MS + SECOND_MS : 10 * MINUTE_MS),
      'and when the budget is spent, as far as what flows in permits'
    )
    t.ok(
      longestPause(pollsOf(day)) <= MINUTE_MS + SECOND_MS,
      'the poller has its call a minute, however many callers ask'
    )
  })
}

t.test('the budget lasts a flood, 1000 rows a page', async (t) => {
  const day = await live(FLOOD, 1000, { hours: 12 })
  keepsItsPromises(t, day, 'flood, 1000 a page')
  t.same(notSo(day, once, inTime(day)), [], 'every event is announced, once')
  t.ok(median(delays(day)) <= 23 * SECOND_MS, 'as fast as the budget flows in')
  t.ok(most(delays(day)) <= 4 * MINUTE_MS)
})

t.test('the budget lasts a flood, 100 rows a page', async (t) => {
  const day = await live(FLOOD, 100)
  keepsItsPromises(t, day, 'flood, 100 a page')
  t.equal(day.states.at(-1)?.upstream, 'throttled', 'it is more than the budget bears, and said so')
  const lags = [4, 9, 14, 19].map((hour) => median(delays(day, hour * HOUR_MS, (hour + 1) * HOUR_MS)))
  t.comment(
    `flood, 100 a page: behind by ${lags.map((ms) => `${(ms / HOUR_MS).toFixed(1)} h`).join(', ')} at 4, 9, 14 and 19 h`
  )
  t.same(lags, lags.toSorted((a, b) => a - b), 'it falls behind more and more')
  t.ok(
    day.floorMs < day.reachedMs - LATENESS_MS,
    'a read that does not catch up has not looked for what came late behind it, and cursors claim no more'
  )
  const announced = delays(day, 0, Infinity).length
  t.ok(
    announced / pollsOf(day).length >= 70,
    `${(announced / pollsOf(day).length).toFixed(0)} new events for each request`
  )
})

t.test('the budget of 2 000 subscribers is that of one, and none cost least', async (t) => {
  for (const [phases, pageCap] of [[QUIET, 1000], [BUSY, 100]] as const) {
    const hours = 9
    const [one, many] = [await live(phases, pageCap, { hours }), await live(phases, pageCap, { hours, group: 2000 })]
    t.equal(JSON.stringify(many.requests), JSON.stringify(one.requests), 'the same requests at the same times')
  }
  const none = await live(BUSY, 1000, { hours: 10, group: 0, calls: [] })
  t.ok(none.requests.length <= 10 * 60 + 2, `${none.requests.length} requests in ten hours`)
})

t.test('without a budget, the same day has too many requests', async (t) => {
  for (const [name, phases, hours] of [['busy', [[0, 0.5]], 4.7], ['flood', [[0, 5]], 2.8]] as const) {
    const day = await live([...phases.map(([fromMs, perSecond]): Phase => [fromMs, perSecond])], 100, {
      hours,
      limits: { perMinute: 0, perDay: 0 }
    })
    t.comment(`${name} without a budget: ${outOf(day).length} requests in ${hours} h`)
    t.ok(outOf(day).length > LIMITS.perDay)
  }
})
