import type { Purpose } from '../audit/source.ts'
import { createCallerShares } from './caller-shares.ts'
import { createBucket, type Bucket } from './budget-bucket.ts'

export interface BudgetLimits {
  /** 0: no limit. */
  readonly perMinute: number
  /** 0: no limit. */
  readonly perDay: number
  /** Requests for one caller within a minute; 0: no limit but its share. */
  readonly perCaller?: number
  /** The poller's pause while events flow and somebody listens. */
  readonly pollMs?: number
}

/** What the upstream itself says is left until a moment (`X-RateLimit-Remaining`, `-Reset`). */
export interface UpstreamLimit {
  readonly remaining: number
  readonly untilMs: number
}

/** How many requests may go upstream. The clock is the caller's: every call says what time it is. */
export interface RequestBudget {
  /** Takes one request: 0 when it may go out now, otherwise how many milliseconds to wait before asking again. */
  take (purpose: Purpose, nowMs: number): number
  /** How long `take` would have to wait, taking nothing. */
  waitMs (purpose: Purpose, nowMs: number): number
  /** How long any caller has to wait at least, whatever it had before. */
  leastWaitMs (nowMs: number): number
  /** How long this caller has to wait for its own limit. */
  ownWaitMs (key: string, nowMs: number): number
  /** Notes that a caller asks: it has a share from now on, for a while. */
  asks (key: string, nowMs: number): void
  /** Callers in the order in which they come next: first who had least. */
  order (keys: Iterable<string>, nowMs: number): string[]
  /** Whether so much is left that this caller may ask for more than it needs. */
  hasPlenty (key: string, nowMs: number): boolean
  /** How little the poller has left of what it may use: 0: the buckets are full, 1: it gets what flows in. */
  scarcity (nowMs: number): number
  /** Obeys the upstream's own count where it is stricter; `undefined`: it told none. */
  applyUpstreamLimit (upstreamLimit: UpstreamLimit | undefined, nowMs: number): void
  /** Lets nothing out before a moment: the upstream said when to come back. */
  pauseUntil (untilMs: number): void
  /** How each limit stands now; none where there is none. */
  levels (nowMs: number): BudgetLevel[]
}

/** How a limit stands. */
export interface BudgetLevel {
  /** What the limit is on: requests in a minute, or in a day. */
  readonly span: 'minute' | 'day'
  /** Whole requests that may go out at once. */
  readonly left: number
  /** The most that this can be. */
  readonly capacity: number
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
// Without callers, the poller leaves this share of a bucket to them, except for the calls that are its own.
const CALLERS_SHARE = 0.1
// The poller's own is one call per pause only while the day's bucket is this full.
const OWN_AT = 0.25
// The poller's own is at most every second request that flows in within a minute.
const OWN_EVERY = 2
// One caller's memory of what it had in a day's bucket: longer would starve it when another comes.
const MOST_DAY_LEAD = 10
const LONGEST_ALLOWANCE_MS = 5 * MINUTE_MS
const TRIAL_EVERY_MS = MINUTE_MS

/**
 * Token buckets: a quarter of each limit is the capacity, three quarters flow in evenly. What any one span can see is
 * at most a full bucket and the inflow of that span: 1/4 + 3/4 of the limit. So 5 000 a day bear 1 250 at once and 2.6
 * a minute for ever; a 3-second poller (20 a minute) that leaves callers their tenth is borne for 1 125 / (20 − 2.6) =
 * 65 minutes and then slows down to one poll in 23 s.
 *
 * Callers share what the poller leaves: who had more than its part of the inflow leaves as much in the minute's bucket
 * for others, up to half, and one request in the day's bucket for each caller who comes before it.
 */
export function createRequestBudget (limits: BudgetLimits): RequestBudget {
  const minute = limits.perMinute > 0 ? [createBucket('minute', limits.perMinute, MINUTE_MS)] : []
  const day = limits.perDay > 0 ? [createBucket('day', limits.perDay, DAY_MS)] : []
  const buckets = [...minute, ...day]
  const pollMs = Math.max(limits.pollMs ?? MINUTE_MS, ...minute.map(({ perMs }) => OWN_EVERY / perMs))
  const callerShares = createCallerShares({
    perCaller: limits.perCaller ?? 0,
    flows: buckets.map(({ capacity, perMs, span }) => {
      return { perMs, mostLead: span === 'minute' ? held(capacity) + 1 : MOST_DAY_LEAD }
    })
  })
  let upstreamLimit: UpstreamLimit | undefined
  let triedMs = -Infinity
  let pausedUntilMs = -Infinity
  let polledMs = -Infinity

  return {
    take (purpose, nowMs) {
      const waitingMs = waitMs(purpose, nowMs)
      if (waitingMs > 0) return waitingMs
      for (const bucket of buckets) bucket.take(nowMs)
      if (upstreamLimit !== undefined && nowMs < upstreamLimit.untilMs) {
        if (upstreamLimit.remaining < 1) triedMs = nowMs
        upstreamLimit = { ...upstreamLimit, remaining: upstreamLimit.remaining - 1 }
      }
      if (purpose.kind === 'poller') polledMs = nowMs
      else callerShares.took(purpose.key, nowMs)
      return 0
    },
    applyUpstreamLimit (told, nowMs) {
      if (told !== undefined && (upstreamLimit === undefined || upstreamLimit.remaining >= 1)) triedMs = nowMs
      upstreamLimit = told && { ...told, untilMs: Math.min(told.untilMs, nowMs + LONGEST_ALLOWANCE_MS) }
    },
    pauseUntil (untilMs) {
      pausedUntilMs = Math.max(pausedUntilMs, untilMs)
    },
    waitMs,
    leastWaitMs: (nowMs) => Math.ceil(Math.max(upstreamWaitMs(nowMs), longestWaitMs(nowMs, () => 1))),
    ownWaitMs: callerShares.ownWaitMs,
    asks: callerShares.asks,
    order: callerShares.order,
    hasPlenty: (key, nowMs) => waitMs({ kind: 'caller', key }, nowMs) === 0 &&
      buckets.every(({ capacity, tokens }) => tokens(nowMs) >= capacity / 2),
    scarcity: (nowMs) =>
      Math.max(0, ...buckets.map(({ capacity, tokens }) => 1 - share(tokens(nowMs), reserveOf(capacity), capacity))),
    levels: (nowMs) =>
      buckets.map(({ capacity, span, tokens }) => ({ span, left: Math.floor(tokens(nowMs)), capacity }))
  }

  function waitMs (purpose: Purpose, nowMs: number): number {
    const ownMs = purpose.kind === 'caller' ? callerWaitMs(purpose.key, nowMs) : pollerWaitMs(nowMs)
    return Math.ceil(Math.max(upstreamWaitMs(nowMs), ownMs))
  }

  /** What the upstream asked for. It may be wrong, so one request a minute finds out. */
  function upstreamWaitMs (nowMs: number): number {
    const isSpent = upstreamLimit !== undefined && nowMs < upstreamLimit.untilMs && upstreamLimit.remaining < 1
    const untilMs = isSpent ? Math.min(upstreamLimit?.untilMs ?? nowMs, triedMs + TRIAL_EVERY_MS) : nowMs
    return Math.max(0, pausedUntilMs - nowMs, untilMs - nowMs)
  }

  /** Callers may take all but the poller's next own request, and what they leave to each other. */
  function callerWaitMs (key: string, nowMs: number): number {
    const dueMs = Math.max(nowMs, polledMs + ownPauseMs(nowMs))
    const isPollers = (bucket: Bucket) => bucket.capacity >= 2 && bucket.waitMs(2, nowMs) > dueMs - nowMs
    const sharedMs = buckets.map((bucket, i) => {
      const most = 1 + (isPollers(bucket) ? 1 : 0)
      return bucket.waitMs(most + leftToOthers(bucket, i, key, nowMs, bucket.tokens(nowMs) - most), nowMs)
    })
    return Math.max(0, callerShares.ownWaitMs(key, nowMs), ...sharedMs)
  }

  function leftToOthers ({ capacity, span }: Bucket, index: number, key: string, nowMs: number, spare: number): number {
    const most = held(capacity)
    if (spare >= most) return 0 // Whatever it is, it is there.
    return span === 'minute'
      ? Math.min(most, callerShares.lead(key, index, nowMs))
      : callerShares.countBefore(key, most, nowMs)
  }

  function pollerWaitMs (nowMs: number): number {
    const spareMs = longestWaitMs(nowMs, ({ capacity }) => 1 + reserveOf(capacity))
    const ownMs = Math.max(polledMs + ownPauseMs(nowMs) - nowMs, longestWaitMs(nowMs, () => 1))
    return Math.max(0, Math.min(spareMs, ownMs))
  }

  function ownPauseMs (nowMs: number): number {
    return day.every(({ capacity, tokens }) => tokens(nowMs) >= capacity * OWN_AT)
      ? pollMs
      : Math.max(pollMs, MINUTE_MS)
  }

  function longestWaitMs (nowMs: number, needed: (bucket: Bucket) => number): number {
    return Math.max(0, ...buckets.map((bucket) => bucket.waitMs(needed(bucket), nowMs)))
  }
}

/** The most of a bucket that one caller leaves to others. */
function held (capacity: number): number {
  return Math.floor((capacity - 1) / 2)
}

/** What the poller leaves in a bucket to callers. */
function reserveOf (capacity: number): number {
  return Math.floor(capacity * CALLERS_SHARE)
}

/** Where a value stands between two others, from 0 to 1. */
function share (value: number, least: number, most: number): number {
  return Math.min(1, Math.max(0, (value - least) / Math.max(1, most - least)))
}
