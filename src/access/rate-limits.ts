import type { Caller, Denied } from './caller.ts'
import { createTokenBucket, type TokenBucket } from './token-bucket.ts'

/** What callers may take within a minute; 0: as much as they like. */
export interface RateLimitsOptions {
  /** Requests of one caller. */
  readonly requests: number
  /** Requests of all callers together. */
  readonly requestsOfAll: number
  /** Events that the upstream is asked for on behalf of one caller: searches, describes, replays. */
  readonly events: number
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
}

/** Events that were reserved for one question to the upstream. */
export interface EventReservation {
  readonly ok: true
  /** So many events were read: those beyond the reservation are taken now. */
  read (events: number): void
  /** Gives back what was reserved and not read; once, whichever way the question ended. */
  end (): void
}

/** What each caller, and all of them together, may take. */
export interface RateLimits {
  /** Counts a request; a refusal where none is left, or where the caller owes events. */
  request (key: Caller['key']): Denied | undefined
  /** Reserves events before the upstream is asked. A full limit admits any one question. */
  reserve (key: Caller['key'], events: number): EventReservation | Denied
  /**
   * `RateLimit-Limit`, `-Remaining` and `-Reset` of requests, names and values in turn; none where they are not
   * limited.
   */
  headers (key: Caller['key']): string[]
}

const MOST_CALLERS = 20_000
const ALL = ''
const UNLIMITED: EventReservation = { ok: true, read: () => {}, end: () => {} }

export function createRateLimits ({ events, nowMs, requests, requestsOfAll }: RateLimitsOptions): RateLimits {
  const bucketOf = (perMinute: number, mostKeys: number) =>
    perMinute === 0 ? undefined : createTokenBucket(perMinute, mostKeys, nowMs)
  const ofCaller = bucketOf(requests, MOST_CALLERS)
  const ofAll = bucketOf(requestsOfAll, 1)
  const ofEvents = bucketOf(events, MOST_CALLERS)
  return { request, reserve, headers }

  function request (key: Caller['key']): Denied | undefined {
    const waitMs = waitFor(ofCaller, key, 1)
    if (waitMs > 0) return tooMany('requests', waitMs)
    const owedMs = waitFor(ofEvents, key, 0)
    if (owedMs > 0) return tooMany('events of the past', owedMs)
    const allMs = waitFor(ofAll, ALL, 1)
    if (allMs > 0) {
      return {
        ok: false,
        code: 'overloaded',
        detail: 'All callers together sent too many requests.',
        retryAfterMs: allMs
      }
    }
    ofCaller?.spend(key, 1)
    ofAll?.spend(ALL, 1)
    return undefined
  }

  function reserve (key: Caller['key'], wanted: number): EventReservation | Denied {
    if (ofEvents === undefined) return UNLIMITED
    const reserved = Math.min(ofEvents.perMinute, wanted)
    const waitMs = waitFor(ofEvents, key, reserved)
    if (waitMs > 0) return tooMany('events of the past', waitMs)
    ofEvents.spend(key, reserved)
    return reservation(ofEvents, key, reserved)
  }

  function headers (key: Caller['key']): string[] {
    if (ofCaller === undefined) return []
    const left = Math.max(0, Math.floor(ofCaller.left(key)))
    const resetSeconds = Math.ceil(ofCaller.waitMs(key, ofCaller.perMinute) / 1000)
    return [
      'ratelimit-limit',
      String(ofCaller.perMinute),
      'ratelimit-remaining',
      String(left),
      'ratelimit-reset',
      String(resetSeconds)
    ]
  }
}

function reservation (bucket: TokenBucket, key: Caller['key'], reserved: number): EventReservation {
  let read = 0
  let isOpen = true

  return {
    ok: true,
    read (more) {
      const beyond = Math.max(reserved, read + more) - Math.max(reserved, read)
      if (beyond > 0) bucket.spend(key, beyond)
      read += more
    },
    end () {
      if (isOpen && read < reserved) bucket.spend(key, read - reserved)
      isOpen = false
    }
  }
}

function waitFor (bucket: TokenBucket | undefined, key: string, amount: number): number {
  return bucket?.waitMs(key, amount) ?? 0
}

function tooMany (what: string, retryAfterMs: number): Denied {
  return {
    ok: false,
    code: 'rate-limited',
    detail: `This caller asked for too many ${what} within a minute.`,
    retryAfterMs
  }
}
