import type { UpstreamLimit } from './request-budget.ts'

type Headers = Record<string, string | string[] | undefined>

const LONGEST_RESET_MS = 24 * 3_600_000
const WHOLE = /^\d{1,12}$/

/**
 * What the upstream says is left (`X-RateLimit-Remaining`, and `-Reset` in seconds since 1970). Anything else than one
 * whole number each, or a reset that is not within a day, means something else and says nothing.
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
