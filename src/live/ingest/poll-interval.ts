import type { Failure } from '../../audit/source.ts'

export interface PollIntervalOptions {
  readonly intervalMs: number
  readonly maxIntervalMs: number
}

export interface PollReport {
  /** `undefined`: the poll succeeded. */
  readonly failure: Failure | undefined
  /** Consecutive failed polls, this one included. */
  readonly failures: number
  /** Requests of a poll that found nothing new but had to pass rows that cannot be read. Otherwise 0. */
  readonly extraRequests: number
  /** Time since the newest event arrived. */
  readonly quietMs: number
  readonly subscribers: number
  /** How much of the request budget is spent, from 0 (nothing) to 1 (everything). */
  readonly scarcity: number
}

const NO_SUBSCRIBERS_MS = 60_000
const FIRST_BACK_OFF_MS = 800
const LONGEST_BACK_OFF_MS = 60_000
const UNAUTHORIZED_MS = 60_000
const QUIET_SHARE = 0.1
const THRIFTY_SHARE = 1
const THRIFTY_AT = 0.25
const FULL_READ_EVERY_MS = 30_000
const MOST_FULL_READ_STRETCH = 4
const SHORT_OF_BUDGET = 0.5

/**
 * The wait before the next poll, milliseconds:
 *
 * - While events arrive: the interval.
 * - When quiet: a tenth of the quiet time, so that after five minutes it is 30 s.
 * - If each poll must pass rows that cannot be read: one interval for each request.
 * - Without subscribers: the maximum, at least a minute.
 * - After a failure: full jitter over 0.8 s, 1.6 s … 60 s, and at least what the upstream asks for. An outage of five
 *   minutes costs about 14 requests.
 * - After a refused credential: a minute.
 *
 * The cost, with 5 000 requests a day and so an inflow of 2.6 a minute: with one event in four minutes, waits of a
 * tenth would make 8 polls a minute, and a quiet night would spend the whole budget. So the share grows from a tenth to
 * the whole quiet time while the first quarter of the budget is spent. The waits are then 3, 6, 13, 26, 30, 30 …
 * seconds: 2.5 polls a minute, which the inflow covers. While events arrive, polls keep the interval, 18.75 a minute
 * (3.2 s with the answer). A full budget lasts for 1 125 / (18.75 − 2.6) = 70 minutes of that.
 */
export function nextPollDelayMs (report: PollReport, options: PollIntervalOptions, random: () => number): number {
  const { failure, failures, extraRequests, quietMs, subscribers, scarcity } = report
  if (failure === undefined) {
    const longestMs = subscribers > 0 ? options.maxIntervalMs : Math.max(NO_SUBSCRIBERS_MS, options.maxIntervalMs)
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

/**
 * The shortest time between two polls that queries demand, milliseconds: none while the request budget is hardly
 * touched, then that of polls with subscribers.
 */
export function demandedPollPauseMs (quietMs: number, scarcity: number, options: PollIntervalOptions): number {
  if (scarcity < THRIFTY_AT) return 0
  return Math.min(options.maxIntervalMs, Math.max(options.intervalMs, quietMs * quietShare(scarcity)))
}

/** The share of the quiet time to wait: a tenth with a full budget, all of it once a quarter of the budget is spent. */
function quietShare (scarcity: number): number {
  return QUIET_SHARE + (THRIFTY_SHARE - QUIET_SHARE) * Math.min(1, scarcity / THRIFTY_AT)
}

/**
 * The interval of full reads while the lateness window takes several answers, milliseconds: 30 s, and up to two minutes
 * when the request budget is short. Nothing is lost by a longer interval: a read begins where the last full read left
 * something in doubt, and late events only arrive later.
 *
 * An even longer interval would save little. A full read reads everything since the last one again: with λ events a
 * second and c events in an answer, at least λ/c requests a second. And new events have to wait for it. If polls are as
 * rare as full reads, each poll is a full read, and costs
 *
 *   (lateness + g) λ/c requests every g seconds.
 *
 * With 2.6 requests a minute and c = 100, the budget covers up to 4 events a second.
 */
export function fullReadEveryMs (scarcity: number): number {
  const shortness = Math.max(0, (scarcity - SHORT_OF_BUDGET) / (1 - SHORT_OF_BUDGET))
  return FULL_READ_EVERY_MS * MOST_FULL_READ_STRETCH ** shortness
}
