import type { Failure } from '../audit/source.ts'

const LONGEST_WAIT_MS = 5 * 60_000

/** The failure behind a status other than 2xx. Redirects and other 4xx are not part of the protocol. */
export function failureOfStatus (status: number, retryAfterMs: number | undefined): Failure {
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs }
  if (status === 401) return { ok: false, kind: 'unauthorized' }
  if (status === 403) return { ok: false, kind: 'forbidden' }
  if (status === 429) return { ok: false, kind: 'throttled', ...wait }
  if (status >= 500) return { ok: false, kind: 'unavailable', ...wait }
  return { ok: false, kind: 'invalid' }
}

/** The failure behind an exception of the HTTP client: a deadline, corrupt compression, or no connection. */
export function failureOfError (error: unknown): Failure {
  const names = [error, error instanceof Error ? error.cause : undefined].map((each) =>
    each instanceof Error ? `${each.name} ${'code' in each ? String(each.code) : ''}` : '')
  if (names.some((name) => /Timeout|TIMEOUT|TIMEDOUT|AbortError/.test(name))) return { ok: false, kind: 'timeout' }
  if (names.some((name) => / Z_/.test(name))) return { ok: false, kind: 'invalid' }
  return { ok: false, kind: 'unavailable' }
}

/** Whether another try may help. After a timeout it cannot: the deadline is spent. */
export function isWorthAnotherTry (failure: Failure): boolean {
  return failure.kind === 'unavailable' || failure.kind === 'throttled'
}

/** `Retry-After` (RFC 9110 §10.2.3), seconds or a date, as milliseconds from `nowMs`: at most five minutes. */
export function parseRetryAfter (header: unknown, nowMs: number): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined
  const waitMs = /^\s*-?\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(0, waitMs), LONGEST_WAIT_MS)
}
