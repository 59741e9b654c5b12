import type { Quirks } from './quirks.ts'

const MINUTE_MS = 60_000

/** The state of the rate limit after a request. */
export interface Allowed {
  headers: Record<string, string>
  /** `undefined`: the request is within the limit. */
  retryAfterSeconds: number | undefined
}

/** Counts requests in fixed windows of a minute, which begin with a request. `undefined`: there is no limit. */
export function createAllowance (quirks: Quirks, now: () => number): () => Allowed | undefined {
  let endsAt = -Infinity
  let used = 0

  return function spend (): Allowed | undefined {
    if (quirks.rateLimit === undefined) return undefined
    const { perMinute } = quirks.rateLimit
    const at = now()
    if (at >= endsAt) {
      endsAt = at + MINUTE_MS
      used = 0
    }
    used++
    const headers = {
      'x-ratelimit-limit': String(perMinute),
      'x-ratelimit-remaining': String(Math.max(0, perMinute - used)),
      'x-ratelimit-reset': String(Math.ceil(endsAt / 1000))
    }
    return { headers, retryAfterSeconds: used > perMinute ? Math.ceil((endsAt - at) / 1000) : undefined }
  }
}
