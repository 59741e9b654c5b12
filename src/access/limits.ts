import type { Caller, Refusal } from './caller.ts'
import { createQuota } from './quota.ts'

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

export type Resource = 'events' | 'bytes'

/** What each caller, and all of them together, may take. What an answer costs is known afterwards: a debt is waited for. */
export interface Limits {
  /** Counts a request; a refusal where there is no more to take. */
  request (key: Caller['key']): Refusal | undefined
  /** Notes what a request or stream has cost. */
  spend (key: Caller['key'], resource: Resource, amount: number): void
  /** `RateLimit-Limit`, `-Remaining`, `-Reset` of requests, names and values in turn; none where they are not limited. */
  headers (key: Caller['key']): string[]
}

const MOST_CALLERS = 20_000
const ALL = ''
const WORDS = { requests: 'too many requests', events: 'too many events of the past were asked for', bytes: 'too many bytes were asked for' } as const

export function createLimits (options: LimitsOptions): Limits {
  const quotas = (['requests', 'events', 'bytes'] as const).flatMap((resource) => {
    const { all, each } = options[resource]
    const make = (perMinute: number, ofAll: boolean) => perMinute === 0 ? [] : [{ resource, ofAll, quota: createQuota(perMinute, ofAll ? 1 : MOST_CALLERS, options.nowMs) }]
    return [...make(each, false), ...make(all, true)]
  })
  const own = quotas.find(({ ofAll, resource }) => resource === 'requests' && !ofAll)?.quota
  return { request, spend, headers }

  function request (key: Caller['key']): Refusal | undefined {
    for (const { ofAll, quota, resource } of quotas) {
      const waitMs = quota.waitMs(ofAll ? ALL : key, resource === 'requests' ? 1 : 0)
      if (waitMs > 0) return refusal(ofAll, WORDS[resource], waitMs)
    }
    take(key, 'requests', 1)
    return undefined
  }

  function spend (key: Caller['key'], resource: Resource, amount: number): void {
    if (amount > 0) take(key, resource, amount)
  }

  function take (key: Caller['key'], taken: 'requests' | Resource, amount: number): void {
    for (const { ofAll, quota, resource } of quotas) if (resource === taken) quota.spend(ofAll ? ALL : key, amount)
  }

  function headers (key: Caller['key']): string[] {
    if (own === undefined) return []
    const left = Math.max(0, Math.floor(own.left(key)))
    const resetSeconds = Math.ceil(own.waitMs(key, own.perMinute) / 1000)
    return ['ratelimit-limit', String(own.perMinute), 'ratelimit-remaining', String(left), 'ratelimit-reset', String(resetSeconds)]
  }
}

/** The caller's own doing is 429; where all of them together are too many it is 503. */
function refusal (ofAll: boolean, words: string, retryAfterMs: number): Refusal {
  return ofAll
    ? { ok: false, code: 'overloaded', detail: `Of all callers together, ${words}.`, retryAfterMs }
    : { ok: false, code: 'rate-limited', detail: `Within a minute, ${words}.`, retryAfterMs }
}
