import type { Failure } from '../audit/source.ts'

export interface CadenceOptions {
  readonly intervalMs: number
  readonly maxIntervalMs: number
}

export interface PollReport {
  /** What the poll came to. */
  readonly failure: Failure | undefined
  /** Polls in a row that failed, this one included. */
  readonly failures: number
  /** Requests that the poll took, if it brought nothing and there is something that cannot be read. */
  readonly detourRequests: number
  /** How long no new event has come. */
  readonly quietMs: number
  readonly audience: number
}

const NO_AUDIENCE_MS = 60_000
const FIRST_BACK_OFF_MS = 800
const LONGEST_BACK_OFF_MS = 60_000
const UNAUTHORIZED_MS = 60_000
const QUIET_SHARE = 10
const SWEEP_EVERY_MS = 30_000
const SWEEPS_STRETCH_TO = 20
const SHORT_OF_BUDGET = 0.5

/**
 * How long to wait before the next poll, milliseconds. While events flow: the interval. When quiet: a tenth of how long it
 * has been quiet, so that five minutes stretch it to 30 s, or one interval for each request where getting past what cannot
 * be read takes many; longer still with nobody listening. After a failure: full jitter over 0.8 s, 1.6 s … 60 s (expected requests in five minutes of outage: about 14), never less than the upstream
 * asks for; a refused credential is tried once a minute.
 */
export function nextWaitMs (report: PollReport, options: CadenceOptions, random: () => number): number {
  const { failure, failures, detourRequests, quietMs, audience } = report
  if (failure === undefined) {
    const longestMs = audience > 0 ? options.maxIntervalMs : Math.max(NO_AUDIENCE_MS, options.maxIntervalMs)
    if (audience === 0) return longestMs
    return Math.min(longestMs, Math.max(options.intervalMs * Math.max(1, detourRequests), quietMs / QUIET_SHARE))
  }
  if (failure.kind === 'unauthorized') return UNAUTHORIZED_MS
  if (failure.kind === 'budget') return Math.max(failure.retryAfterMs ?? 0, options.intervalMs)
  const ceilingMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (failures - 1))
  return Math.max(failure.retryAfterMs ?? 0, random() * ceilingMs)
}

/**
 * How often the whole lateness window is read where that takes several answers, milliseconds: 30 s, and up to 10 minutes as
 * the request budget runs short, before polls themselves get fewer. Nothing is lost by that: a read begins where the last
 * whole one leaves a doubt; what is late comes later.
 */
export function sweepEveryMs (shortage: number): number {
  const shortness = Math.max(0, (shortage - SHORT_OF_BUDGET) / (1 - SHORT_OF_BUDGET))
  return SWEEP_EVERY_MS * SWEEPS_STRETCH_TO ** shortness
}
