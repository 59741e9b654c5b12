import type { Failure } from '../../audit/source.ts'

export interface PollIntervalOptions {
  readonly intervalMs: number
  readonly maxIntervalMs: number
}

export interface PollReport {
  /** What the poll came to. */
  readonly failure: Failure | undefined
  /** Polls in a row that failed, this one included. */
  readonly failures: number
  /** Requests that the poll took, if it brought nothing and there is something that cannot be read. */
  readonly extraRequests: number
  /** How long no new event has come. */
  readonly quietMs: number
  readonly subscribers: number
  /** How little is left of the request budget, from 0 to 1. */
  readonly scarcity: number
}

const NO_AUDIENCE_MS = 60_000
const FIRST_BACK_OFF_MS = 800
const LONGEST_BACK_OFF_MS = 60_000
const UNAUTHORIZED_MS = 60_000
const QUIET_SHARE = 0.1
const THRIFTY_SHARE = 1
const THRIFTY_AT = 0.25
const SWEEP_EVERY_MS = 30_000
const SWEEPS_STRETCH_TO = 4
const SHORT_OF_BUDGET = 0.5

/**
 * How long to wait before the next poll, milliseconds. While events flow: the interval. When quiet: a tenth of how long
 * it has been quiet, so that five minutes stretch it to 30 s, or one interval for each request where getting past what
 * cannot be read takes many; longer still with nobody listening. After a failure: full jitter over 0.8 s, 1.6 s … 60 s
 * (expected requests in five minutes of outage: about 14), never less than the upstream asks for; a refused credential
 * is tried once a minute.
 *
 * What that costs of 5 000 a day, of which 2.6 a minute flow in: an event now and then, one in four minutes, makes
 * about 32 polls out of every four minutes at a tenth: 8 a minute, so that a quiet night would leave nothing for the
 * morning. So the share grows to the whole of the quiet as the first quarter of the budget goes: 3, 6, 13, 26, then
 * every 30 s, 2.5 a minute, which is borne for ever. Events that flow are followed at the interval all the same: 18.75
 * a minute (3.2 s with the answer), for 1 125 / (18.75 - 2.6) = 70 minutes of a full budget.
 */
export function nextPollDelayMs (report: PollReport, options: PollIntervalOptions, random: () => number): number {
  const { failure, failures, extraRequests, quietMs, subscribers, scarcity } = report
  if (failure === undefined) {
    const longestMs = subscribers > 0 ? options.maxIntervalMs : Math.max(NO_AUDIENCE_MS, options.maxIntervalMs)
    if (subscribers === 0) return longestMs
    return Math.min(
      longestMs,
      Math.max(options.intervalMs * Math.max(1, extraRequests), quietMs * quietShare(scarcity))
    )
  }
  if (failure.kind === 'unauthorized') return UNAUTHORIZED_MS
  if (failure.kind === 'budget') return Math.max(failure.retryAfterMs ?? 0, options.intervalMs)
  const ceilingMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** (failures - 1))
  return Math.max(failure.retryAfterMs ?? 0, random() * ceilingMs)
}

/** What share of the quiet so far to wait: a tenth with a full budget, all of it once a quarter is gone. */
function quietShare (shortage: number): number {
  return QUIET_SHARE + (THRIFTY_SHARE - QUIET_SHARE) * Math.min(1, shortage / THRIFTY_AT)
}

/**
 * How often the whole lateness window is read where that takes several answers, milliseconds: 30 s, and up to two
 * minutes as the request budget runs short, before polls themselves get fewer. Nothing is lost by that: a read begins
 * where the last whole one leaves a doubt; what is late comes later. Not longer: a full read reads all since the last
 * one again, so a longer pause saves ever less (with λ events a second and c in an answer, λ/c requests a second are
 * the least) and what is new has to wait for it the longer. Where polls have become as rare as that, each of them is a
 * full read, and (lateness + g) λ/c requests are borne every g seconds: at 2.6 requests a minute and c = 100 up to 4
 * events a second.
 */
export function fullReadEveryMs (shortage: number): number {
  const shortness = Math.max(0, (shortage - SHORT_OF_BUDGET) / (1 - SHORT_OF_BUDGET))
  return SWEEP_EVERY_MS * SWEEPS_STRETCH_TO ** shortness
}
