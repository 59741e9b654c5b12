import type { Caller, Denied } from './caller.ts'
import { createTokenBucket } from './token-bucket.ts'

/** What callers may take within a minute; 0: as much as they like. */
export interface LimitsOptions {
  readonly requests: Limit
  /** Events that Kubiya is asked for on a caller's behalf: searches, describes, replays. */
  readonly events: Limit
  /** Bytes of answers. */
  readonly bytes: Limit
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
}

export interface Limit {
  readonly each: number
  readonly all: number
}

/** What was taken ahead for a question to Kubiya. */
export interface Ahead {
  readonly ok: true
  /** So many events were read: what was not taken ahead is taken now. */
  read (events: number): void
  /** Gives back what was taken ahead and not read; once, whichever way the question ended. */
  end (): void
}

/** What each caller, and all of them together, may take. */
export interface RateLimits {
  /** Counts a request; a refusal where there is no more to take. */
  request (key: Caller['key']): Denied | undefined
  /** Takes events, and the bytes that they likely are, before Kubiya is asked. A full limit admits any one question. */
  reserve (key: Caller['key'], events: number): Ahead | Denied
  /** Takes the bytes of an answer that is about to be sent. A full limit admits any one; what it weighs beyond is owed. */
  takeBytes (key: Caller['key'], bytes: number): Denied | undefined
  /** `RateLimit-Limit`, `-Remaining`, `-Reset` of requests, names and values in turn; none where they are not limited. */
  headers (key: Caller['key']): string[]
}

type Amounts = Partial<Record<'requests' | 'events' | 'bytes', number>>
/** What to take of a resource, of which so much was asked for as a whole limit allows. */
type AmountOf = (resource: keyof Amounts, asked: number) => number

const MOST_CALLERS = 20_000
const ALL = ''
// An event is some 400 bytes and more; what an answer is in the end is taken when it is sent.
const BYTES_OF_EVENT = 1024
const WORDS = { requests: 'too many requests', events: 'too many events of the past were asked for', bytes: 'too many bytes were asked for' } as const

export function createRateLimits (options: LimitsOptions): RateLimits {
  const quotas = (['requests', 'events', 'bytes'] as const).flatMap((resource) => {
    const { all, each } = options[resource]
    const make = (perMinute: number, ofAll: boolean) => perMinute === 0 ? [] : [{ resource, ofAll, quota: createTokenBucket(perMinute, ofAll ? 1 : MOST_CALLERS, options.nowMs) }]
    return [...make(each, false), ...make(all, true)]
  })
  const own = quotas.find(({ ofAll, resource }) => resource === 'requests' && !ofAll)?.quota
  return { request, reserve, takeBytes, headers }

  /** Who is in debt waits for the end of it, whatever it asks for. */
  function request (key: Caller['key']): Denied | undefined {
    return take(key, { requests: 1, events: 0, bytes: 0 })
  }

  function reserve (key: Caller['key'], events: number): Ahead | Denied {
    const ahead = { events, bytes: events * BYTES_OF_EVENT }
    const refusal = take(key, ahead)
    if (refusal !== undefined) return refusal
    let read = 0
    let isOpen = true
    return {
      ok: true,
      read (more) {
        const beyond = (taken: number) => Math.max(taken, read + more) - Math.max(taken, read)
        spend(key, ahead, (resource, taken) => resource === 'events' ? beyond(taken) : 0)
        read += more
      },
      end () {
        if (isOpen) spend(key, ahead, (resource, taken) => resource === 'events' ? Math.min(taken, read) - taken : -taken)
        isOpen = false
      }
    }
  }

  function takeBytes (key: Caller['key'], bytes: number): Denied | undefined {
    return bytes === 0 ? undefined : take(key, { bytes }, (resource) => resource === 'bytes' ? bytes : 0)
  }

  /** Takes all of it or nothing. What is more than a whole limit needs a full one. */
  function take (key: Caller['key'], amounts: Amounts, amountOf: AmountOf = (_, asked) => asked): Denied | undefined {
    for (const { ofAll, quota, resource } of quotas) {
      const waitMs = quota.waitMs(ofAll ? ALL : key, Math.min(quota.perMinute, amounts[resource] ?? -Infinity))
      if (waitMs > 0) return refusal(ofAll, WORDS[resource], waitMs)
    }
    spend(key, amounts, amountOf)
    return undefined
  }

  function spend (key: Caller['key'], amounts: Amounts, amountOf: AmountOf): void {
    for (const { ofAll, quota, resource } of quotas) {
      const amount = amountOf(resource, Math.min(quota.perMinute, amounts[resource] ?? 0))
      if (amount !== 0) quota.spend(ofAll ? ALL : key, amount)
    }
  }

  function headers (key: Caller['key']): string[] {
    if (own === undefined) return []
    const left = Math.max(0, Math.floor(own.left(key)))
    const resetSeconds = Math.ceil(own.waitMs(key, own.perMinute) / 1000)
    return ['ratelimit-limit', String(own.perMinute), 'ratelimit-remaining', String(left), 'ratelimit-reset', String(resetSeconds)]
  }
}

/** The caller's own doing is 429; where all of them together are too many it is 503. */
function refusal (ofAll: boolean, words: string, retryAfterMs: number): Denied {
  return ofAll
    ? { ok: false, code: 'overloaded', detail: `Of all callers together, ${words}.`, retryAfterMs }
    : { ok: false, code: 'rate-limited', detail: `Within a minute, ${words}.`, retryAfterMs }
}
