import type { Purpose } from '../audit/source.ts'
import { createTokenBucket, takeTokens, tokensAt, waitForTokens, type TokenBucket } from '../token-bucket.ts'
import { createCallerShares } from './caller-shares.ts'

export interface BudgetLimits {
  /** 0: no limit. */
  readonly perMinute: number
  /** 0: no limit. */
  readonly perDay: number
  /** Requests of one caller within a minute; 0: its share is the only limit. */
  readonly perCaller?: number
  /** The poll interval while events arrive and someone is subscribed. */
  readonly pollMs?: number
}

/** The upstream's own limit (`X-RateLimit-Remaining`, `-Reset`): requests that remain until a time. */
export interface UpstreamLimit {
  readonly remaining: number
  readonly untilMs: number
}

/** Limits requests to the upstream. It has no clock of its own: every call passes the time. */
export interface RequestBudget {
  /** Takes one request. Returns 0 when it may go out now, otherwise the milliseconds to wait before the next try. */
  take (purpose: Purpose, nowMs: number): number
  /** What `take` would return; takes nothing. */
  waitMs (purpose: Purpose, nowMs: number): number
  /** The least time that any caller has to wait, also one that took nothing before. */
  leastWaitMs (nowMs: number): number
  /** How long the caller has to wait for its own limit. */
  ownWaitMs (key: string, nowMs: number): number
  /** Registers a caller that asks. It has a share of the budget until it is idle for two minutes. */
  asks (key: string, nowMs: number): void
  /** Callers in the order of their turns: the one that took least comes first. */
  order (keys: Iterable<string>, nowMs: number): string[]
  /** Whether the budget allows this caller requests beyond those that it needs. */
  hasPlenty (key: string, nowMs: number): boolean
  /** From 0 to 1. 0: the buckets are full; 1: the poller has the inflow only. */
  scarcity (nowMs: number): number
  /** Obeys the upstream's own limit where it is stricter. `undefined`: the answer named none. */
  applyUpstreamLimit (upstreamLimit: UpstreamLimit | undefined, nowMs: number): void
  /** Stops all requests until a time that the upstream named (`Retry-After`). */
  pauseUntil (untilMs: number): void
  /** The state of each limit. Empty when there is no limit. */
  levels (nowMs: number): BudgetLevel[]
}

/** The state of one limit. */
export interface BudgetLevel {
  readonly span: 'minute' | 'day'
  /** Whole requests that may go out at once. */
  readonly left: number
  /** The maximum of `left`. */
  readonly capacity: number
}

interface BudgetBucket extends TokenBucket {
  readonly span: 'minute' | 'day'
}

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
const LONGEST_RESET_MS = DAY_MS
const WHOLE = /^\d{1,12}$/
const LEAST_REFILL = 0.1 // A limit of one request has a capacity of one and would never refill.
// The part of a bucket that the poller leaves to callers, except for its own requests.
const CALLERS_SHARE = 0.1
// The poller's own request comes once per poll interval only while the day's bucket is this full.
const OWN_AT = 0.25
// The poller's own requests take at most every second request of a minute's inflow.
const OWN_EVERY = 2
// The largest lead of one caller in a day's bucket. A longer memory would starve it when another caller comes.
const MAX_DAY_LEAD = 10
// The part of a minute's limit that bulk work may take, and the part of a day's bucket that it leaves.
const BULK_SHARE = 0.5
const BULK_RESERVE = 0.25
const MAX_UPSTREAM_LIMIT_MS = 5 * MINUTE_MS
const TRIAL_EVERY_MS = MINUTE_MS

/**
 * Token buckets. A quarter of each limit is the capacity; the other three quarters flow in evenly. One span therefore
 * sees at most a full bucket and the inflow of that span:
 *
 *   1/4 + 3/4 of the limit.
 *
 * 5 000 requests a day allow 1 250 at once and an inflow of 2.6 a minute. A poller with a 3 s interval sends 20 a
 * minute. With the callers' tenth left alone, it can do so for
 *
 *   1 125 / (20 − 2.6) = 65 minutes,
 *
 * and then slows down to one poll in 23 s.
 *
 * Callers share the rest. A caller that took more than its part of the inflow leaves that lead in the bucket for
 * others. In the minute's bucket it leaves at most half. In the day's bucket it leaves one request for each caller
 * before it. Bulk work of all callers together has a bucket of its own besides.
 */
export function createRequestBudget (limits: BudgetLimits): RequestBudget {
  const minute = createBucket('minute', limits.perMinute, MINUTE_MS)
  const day = createBucket('day', limits.perDay, DAY_MS)
  const buckets = [...minute, ...day]
  const bulk = createBucket('minute', limits.perMinute * BULK_SHARE, MINUTE_MS)
  const pollMs = Math.max(
    limits.pollMs ?? MINUTE_MS,
    ...minute.map(({ refill, spanMs }) => OWN_EVERY * spanMs / refill)
  )
  const callerShares = createCallerShares({
    perCaller: limits.perCaller ?? 0,
    flows: buckets.map(({ capacity, refill, span, spanMs }) => {
      return { perMs: refill / spanMs, maxLead: span === 'minute' ? leftToOthersAtMost(capacity) + 1 : MAX_DAY_LEAD }
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
      for (const bucket of [...buckets, ...isBulk(purpose) ? bulk : []]) takeTokens(bucket, 1, nowMs)
      if (upstreamLimit !== undefined && nowMs < upstreamLimit.untilMs) {
        if (upstreamLimit.remaining < 1) triedMs = nowMs
        upstreamLimit = { ...upstreamLimit, remaining: upstreamLimit.remaining - 1 }
      }
      if (purpose.kind === 'poller') polledMs = nowMs
      else callerShares.took(purpose.key, nowMs)
      return 0
    },
    applyUpstreamLimit (limit, nowMs) {
      if (limit !== undefined && (upstreamLimit === undefined || upstreamLimit.remaining >= 1)) triedMs = nowMs
      upstreamLimit = limit && { ...limit, untilMs: Math.min(limit.untilMs, nowMs + MAX_UPSTREAM_LIMIT_MS) }
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
      buckets.every((bucket) => tokensAt(bucket, nowMs) >= bucket.capacity / 2),
    scarcity: (nowMs) =>
      Math.max(0, ...buckets.map((bucket) =>
        1 - fraction(tokensAt(bucket, nowMs), reserveOf(bucket.capacity), bucket.capacity))),
    levels: (nowMs) =>
      buckets.map((bucket) =>
        ({ span: bucket.span, left: Math.floor(tokensAt(bucket, nowMs)), capacity: bucket.capacity }))
  }

  function waitMs (purpose: Purpose, nowMs: number): number {
    const ownMs = purpose.kind === 'caller' ? callerWaitMs(purpose.key, nowMs) : pollerWaitMs(nowMs)
    return Math.ceil(Math.max(upstreamWaitMs(nowMs), ownMs, isBulk(purpose) ? bulkWaitMs(nowMs) : 0))
  }

  function bulkWaitMs (nowMs: number): number {
    return Math.max(
      0,
      ...bulk.map((bucket) => waitForTokens(bucket, 1, nowMs)),
      ...day.map((bucket) => waitForTokens(bucket, 1 + Math.floor(bucket.capacity * BULK_RESERVE), nowMs))
    )
  }

  /** The wait that the upstream asked for. It may be wrong, so one request a minute tests it. */
  function upstreamWaitMs (nowMs: number): number {
    const isSpent = upstreamLimit !== undefined && nowMs < upstreamLimit.untilMs && upstreamLimit.remaining < 1
    const untilMs = isSpent ? Math.min(upstreamLimit?.untilMs ?? nowMs, triedMs + TRIAL_EVERY_MS) : nowMs
    return Math.max(0, pausedUntilMs - nowMs, untilMs - nowMs)
  }

  /** Callers may take everything but the poller's next own request and the part that they leave to each other. */
  function callerWaitMs (key: string, nowMs: number): number {
    const dueMs = Math.max(nowMs, polledMs + ownPauseMs(nowMs))
    const isPollers = (bucket: TokenBucket) =>
      bucket.capacity >= 2 && waitForTokens(bucket, 2, nowMs) > dueMs - nowMs
    const sharedMs = buckets.map((bucket, i) => {
      const needed = 1 + (isPollers(bucket) ? 1 : 0)
      const spare = tokensAt(bucket, nowMs) - needed
      return waitForTokens(bucket, needed + leftToOthers(bucket, i, key, nowMs, spare), nowMs)
    })
    return Math.max(0, callerShares.ownWaitMs(key, nowMs), ...sharedMs)
  }

  function leftToOthers (
    { capacity, span }: BudgetBucket,
    index: number,
    key: string,
    nowMs: number,
    spare: number
  ): number {
    const most = leftToOthersAtMost(capacity)
    if (spare >= most) return 0 // The bucket covers any lead.
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
    return day.every((bucket) => tokensAt(bucket, nowMs) >= bucket.capacity * OWN_AT)
      ? pollMs
      : Math.max(pollMs, MINUTE_MS)
  }

  function longestWaitMs (nowMs: number, needed: (bucket: TokenBucket) => number): number {
    return Math.max(0, ...buckets.map((bucket) => waitForTokens(bucket, needed(bucket), nowMs)))
  }
}

function isBulk (purpose: Purpose): boolean {
  return purpose.kind === 'caller' && purpose.isBulk === true
}

/** The bucket of one limit; none where the limit is 0. */
function createBucket (span: BudgetBucket['span'], limit: number, spanMs: number): BudgetBucket[] {
  if (limit === 0) return []
  const capacity = Math.max(1, Math.floor(limit / 4))
  const refill = Math.max(limit - capacity, LEAST_REFILL)
  return [{ span, ...createTokenBucket({ capacity, refill, spanMs }) }]
}

/** The most of a bucket that one caller leaves to others. */
function leftToOthersAtMost (capacity: number): number {
  return Math.floor((capacity - 1) / 2)
}

/** The part of a bucket that the poller leaves to callers. */
function reserveOf (capacity: number): number {
  return Math.floor(capacity * CALLERS_SHARE)
}

/** The position of a value between two others, from 0 to 1. */
function fraction (value: number, least: number, most: number): number {
  return Math.min(1, Math.max(0, (value - least) / Math.max(1, most - least)))
}

/**
 * Reads the upstream's own limit: `X-RateLimit-Remaining`, and `-Reset` in seconds since 1970. Headers with another
 * form, or a reset that is more than a day away, are ignored: their meaning is unknown.
 */
export function readUpstreamLimit (
  headers: Readonly<Record<string, string | string[] | undefined>>,
  nowMs: number
): UpstreamLimit | undefined {
  const [remaining, reset] = [headers['x-ratelimit-remaining'], headers['x-ratelimit-reset']].map(wholeNumber)
  if (remaining === undefined || reset === undefined) return undefined
  const untilMs = reset * 1000
  return Math.abs(untilMs - nowMs) <= LONGEST_RESET_MS ? { remaining, untilMs } : undefined
}

function wholeNumber (header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && WHOLE.test(header.trim()) ? Number(header) : undefined
}
