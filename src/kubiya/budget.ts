import type { Purpose } from '../audit/source.ts'

export interface BudgetLimits {
  /** 0: no limit. */
  readonly perMinute: number
  /** 0: no limit. */
  readonly perDay: number
}

/** What the upstream itself says is left until a moment (`X-RateLimit-Remaining`, `-Reset`). */
export interface Allowance {
  readonly remaining: number
  readonly untilMs: number
}

/** How many requests may go upstream. The clock is the caller's: every call says what time it is. */
export interface Budget {
  /** Takes one request: 0 when it may go out now, otherwise how many milliseconds to wait before asking again. */
  take (purpose: Purpose, nowMs: number): number
  /** How long `take` would have to wait, taking nothing. */
  waitMs (purpose: Purpose, nowMs: number): number
  /** How little the poller has left of what it may use: 0: the buckets are full, 1: it gets what flows in. */
  shortage (nowMs: number): number
  /** Obeys the upstream's own count where it is stricter. */
  heed (allowance: Allowance): void
  /** Lets nothing out before a moment: the upstream said when to come back. */
  pauseUntil (untilMs: number): void
  /** How each limit stands now; none where there is none. */
  stocks (nowMs: number): Stock[]
}

/** How a limit stands. */
export interface Stock {
  /** What the limit is on: requests in a minute, or in a day. */
  readonly span: 'minute' | 'day'
  /** Whole requests that may go out at once. */
  readonly left: number
  /** The most that this can be. */
  readonly capacity: number
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
// The poller leaves this share of a bucket to callers, except for the one call a minute that is its own.
const CALLERS_SHARE = 0.1

/**
 * Token buckets: a quarter of each limit is the capacity, three quarters flow in evenly. What any one span can see is at
 * most a full bucket and the inflow of that span: 1/4 + 3/4 of the limit. So 5 000 a day bear 1 250 at once and 2.6 a
 * minute for ever; a 3-second poller (20 a minute) that leaves callers their tenth is borne for
 * 1 125 / (20 − 2.6) = 65 minutes and then slows down to one poll in 23 s.
 */
export function createBudget (limits: BudgetLimits): Budget {
  const buckets = [
    ...limits.perMinute > 0 ? [createBucket('minute', limits.perMinute, MINUTE_MS)] : [],
    ...limits.perDay > 0 ? [createBucket('day', limits.perDay, DAY_MS)] : []
  ]
  let allowance: Allowance = { remaining: Infinity, untilMs: -Infinity }
  let pausedUntilMs = -Infinity
  let polledMs = -Infinity

  return {
    take (purpose, nowMs) {
      const heldMs = waitMs(purpose, nowMs)
      if (heldMs > 0) return heldMs
      for (const bucket of buckets) bucket.take(nowMs)
      allowance = { ...allowance, remaining: allowance.remaining - 1 }
      if (purpose === 'poller') polledMs = nowMs
      return 0
    },
    heed (told) {
      allowance = told
    },
    pauseUntil (untilMs) {
      pausedUntilMs = Math.max(pausedUntilMs, untilMs)
    },
    waitMs,
    shortage: (nowMs) => Math.max(0, ...buckets.map(({ capacity, tokens }) => 1 - share(tokens(nowMs), reserveOf(capacity), capacity))),
    stocks: (nowMs) => buckets.map(({ capacity, span, tokens }) => ({ span, left: Math.floor(tokens(nowMs)), capacity }))
  }

  function waitMs (purpose: Purpose, nowMs: number): number {
    return Math.ceil(Math.max(0, pausedUntilMs - nowMs, allowanceWaitMs(nowMs), purpose === 'caller' ? callerWaitMs(nowMs) : pollerWaitMs(nowMs)))
  }

  function allowanceWaitMs (nowMs: number): number {
    return nowMs < allowance.untilMs && allowance.remaining < 1 ? allowance.untilMs - nowMs : 0
  }

  /** Callers may take all but the one request a minute that is the poller's own: it must be there when the poller's minute is over. */
  function callerWaitMs (nowMs: number): number {
    const dueMs = Math.max(nowMs, polledMs + MINUTE_MS)
    return longestWaitMs(nowMs, (bucket) => bucket.capacity >= 2 && bucket.waitMs(2, nowMs) > dueMs - nowMs ? 2 : 1)
  }

  function pollerWaitMs (nowMs: number): number {
    const spareMs = longestWaitMs(nowMs, ({ capacity }) => 1 + reserveOf(capacity))
    const ownMs = Math.max(polledMs + MINUTE_MS - nowMs, longestWaitMs(nowMs, () => 1))
    return Math.max(0, Math.min(spareMs, ownMs))
  }

  function longestWaitMs (nowMs: number, wanted: (bucket: Bucket) => number): number {
    return Math.max(0, ...buckets.map((bucket) => bucket.waitMs(wanted(bucket), nowMs)))
  }
}

/** What the poller leaves in a bucket to callers. */
function reserveOf (capacity: number): number {
  return Math.floor(capacity * CALLERS_SHARE)
}

/** Where a value stands between two others, from 0 to 1. */
function share (value: number, least: number, most: number): number {
  return Math.min(1, Math.max(0, (value - least) / Math.max(1, most - least)))
}

type Bucket = ReturnType<typeof createBucket>

function createBucket (span: Stock['span'], limit: number, spanMs: number) {
  const capacity = Math.max(1, Math.floor(limit / 4))
  const perMs = Math.max(limit - capacity, 0.1) / spanMs
  let held = capacity
  let atMs = -Infinity
  const tokens = (nowMs: number) => Math.min(capacity, held + Math.max(0, nowMs - atMs) * perMs)
  return {
    span,
    capacity,
    tokens,
    waitMs: (wanted: number, nowMs: number) => Math.max(0, (wanted - tokens(nowMs)) / perMs),
    take (nowMs: number) {
      held = tokens(nowMs) - 1
      atMs = nowMs
    }
  }
}
