import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { createTokenBucket, takeTokens, tokensAt, waitForTokens, type TokenBucket } from '../token-bucket.ts'
import type { Caller, Denied } from './caller.ts'

/** Limits within a minute; 0: no limit. */
export interface RateLimitsOptions {
  /** Requests of one caller. */
  readonly requests: number
  /** Requests of all callers together. */
  readonly requestsOfAll: number
  /** Events that this service requests from the upstream for one caller: searches, describes, replays. */
  readonly events: number
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Events that are reserved for one read of the upstream. */
export interface EventReservation {
  readonly ok: true
  /** Reports events that were read. Those beyond the reservation are charged at once. */
  read (events: number): void
  /** Returns the events that were reserved and not read. Call it however the read ended; a second call does nothing. */
  end (): void
}

/** The rate limits of each caller, and of all callers together. */
export interface RateLimits {
  /** Counts a request. Returns the denial when none is left, or when the caller is in debt of events. */
  request (key: Caller['key']): Denied | undefined
  /** Reserves events before the upstream is asked. A full bucket grants one read of any size. */
  reserve (key: Caller['key'], events: number): EventReservation | Denied
  /**
   * `RateLimit-Limit`, `-Remaining` and `-Reset` of requests, names and values in turn. Empty when requests have no
   * limit.
   */
  headers (key: Caller['key']): string[]
}

const MAX_CALLERS = 20_000
const MINUTE_MS = 60_000
const UNLIMITED: EventReservation = { ok: true, read: () => {}, end: () => {} }

export function createRateLimits ({ clock, events, requests, requestsOfAll }: RateLimitsOptions): RateLimits {
  const callerRequests = createBuckets(requests)
  const totalRequests = requestsOfAll === 0 ? undefined : createMinuteBucket(requestsOfAll)
  const callerEvents = createBuckets(events)
  const isUnlimited = requests + requestsOfAll + events === 0
  return { request, reserve, headers }

  function request (key: Caller['key']): Denied | undefined {
    if (isUnlimited) return undefined
    const nowMs = clock.monotonicMs()
    const own = callerRequests?.(key)
    const waitMs = waitFor(own, 1, nowMs)
    if (waitMs > 0) return tooMany('requests', waitMs)
    const debtMs = waitFor(callerEvents?.(key), 0, nowMs)
    if (debtMs > 0) return tooMany('events of the past', debtMs)
    const totalMs = waitFor(totalRequests, 1, nowMs)
    if (totalMs > 0) {
      return {
        ok: false,
        code: 'overloaded',
        detail: 'All callers together sent too many requests.',
        retryAfterMs: totalMs
      }
    }
    for (const bucket of [own, totalRequests]) if (bucket !== undefined) takeTokens(bucket, 1, nowMs)
    return undefined
  }

  function reserve (key: Caller['key'], wanted: number): EventReservation | Denied {
    const bucket = callerEvents?.(key)
    if (bucket === undefined) return UNLIMITED
    const nowMs = clock.monotonicMs()
    const reserved = Math.min(bucket.capacity, wanted)
    const waitMs = waitFor(bucket, reserved, nowMs)
    if (waitMs > 0) return tooMany('events of the past', waitMs)
    takeTokens(bucket, reserved, nowMs)
    return createReservation(bucket, reserved, clock)
  }

  function headers (key: Caller['key']): string[] {
    const bucket = callerRequests?.(key)
    if (bucket === undefined) return []
    const nowMs = clock.monotonicMs()
    const remaining = Math.max(0, Math.floor(tokensAt(bucket, nowMs)))
    const resetSeconds = Math.ceil(waitForTokens(bucket, bucket.capacity, nowMs) / 1000)
    return [
      'ratelimit-limit',
      String(bucket.capacity),
      'ratelimit-remaining',
      String(remaining),
      'ratelimit-reset',
      String(resetSeconds)
    ]
  }
}

/** One bucket for each caller, made when it is first used. The bucket that was unused for longest is dropped first. */
function createBuckets (perMinute: number): ((key: string) => TokenBucket) | undefined {
  if (perMinute === 0) return undefined
  const buckets = new LRUCache<string, TokenBucket>({ max: MAX_CALLERS })
  return (key) => {
    const known = buckets.get(key)
    if (known !== undefined) return known
    const bucket = createMinuteBucket(perMinute)
    buckets.set(key, bucket)
    return bucket
  }
}

function createMinuteBucket (perMinute: number): TokenBucket {
  return createTokenBucket({ capacity: perMinute, refill: perMinute, spanMs: MINUTE_MS })
}

function createReservation (
  bucket: TokenBucket,
  reserved: number,
  clock: RateLimitsOptions['clock']
): EventReservation {
  let read = 0
  let isOpen = true

  return {
    ok: true,
    read (more) {
      const beyond = Math.max(reserved, read + more) - Math.max(reserved, read)
      if (beyond > 0) takeTokens(bucket, beyond, clock.monotonicMs())
      read += more
    },
    end () {
      if (isOpen && read < reserved) takeTokens(bucket, read - reserved, clock.monotonicMs())
      isOpen = false
    }
  }
}

function waitFor (bucket: TokenBucket | undefined, amount: number, nowMs: number): number {
  return bucket === undefined ? 0 : waitForTokens(bucket, amount, nowMs)
}

function tooMany (what: string, retryAfterMs: number): Denied {
  return {
    ok: false,
    code: 'rate-limited',
    detail: `This caller requested too many ${what} within a minute.`,
    retryAfterMs
  }
}
