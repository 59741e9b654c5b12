import type { UpstreamLimit } from './request-budget.ts'

type Headers = Record<string, string | string[] | undefined>

const LONGEST_RESET_MS = 24 * 3_600_000
const WHOLE = /^\d{1,12}$/

/**
 * Reads the upstream's own limit: `X-RateLimit-Remaining`, and `-Reset` in seconds since 1970. Headers with another
 * form, or a reset that is more than a day away, are ignored: their meaning is unknown.
 */
export function readUpstreamLimit (headers: Headers, nowMs: number): UpstreamLimit | undefined {
  const [remaining, reset] = [headers['x-ratelimit-remaining'], headers['x-ratelimit-reset']].map(wholeNumber)
  if (remaining === undefined || reset === undefined) return undefined
  const untilMs = reset * 1000
  return Math.abs(untilMs - nowMs) <= LONGEST_RESET_MS ? { remaining, untilMs } : undefined
}

function wholeNumber (header: string | string[] | undefined): number | undefined {
  return typeof header === 'string' && WHOLE.test(header.trim()) ? Number(header) : undefined
}
