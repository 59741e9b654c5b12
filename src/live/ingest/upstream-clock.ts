import { msFromInstant, type Instant } from '../../audit/instant.ts'

export interface UpstreamClockOptions {
  /** Our own clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Clocks that differ by more make the health `degraded`, milliseconds. */
  readonly mostSkewMs: number
  /** Told of both clocks, milliseconds since 1970, when they begin to differ by more. */
  readonly onSkew: (upstreamMs: number, ownMs: number) => void
}

/** What time it is at the upstream, as far as it can be known. */
export interface UpstreamClock {
  /** Notes the `Date` of an answer, milliseconds since 1970. True: the upstream's clock has leapt. */
  note (upstreamMs: number | undefined): boolean
  /** Notes the instant of a visible event. */
  see (instant: Instant): void
  /** Milliseconds since 1970. */
  now (): number
  /** The earlier of both clocks: nothing that is new lies before it, whichever is wrong. */
  earliest (): number
  /** The same with the newest `Date`, whether or not it is believed. */
  earliestTold (): number
  /** Whether the clocks differ by more than they may. */
  isSkewed (): boolean
}

const LEAST_SKEW_MS = 2000 // `Date` has whole seconds; less than this is no skew.
/** A larger skew is believed once several answers in a row agree on it as closely. */
const CREDIBLE_SKEW_MS = 60_000
const AGREEING_ANSWERS = 3

/**
 * Our own clock as the upstream's `Date` corrects it. One wrong `Date` must not blind the poller for good: a skew
 * beyond a minute counts only when three answers in a row agree. Where the clocks differ for longer than events may be
 * late, the newest event has a say as well, and the middle one of the three counts: two of them would have to be wrong
 * alike.
 */
export function createUpstreamClock ({ clock, mostSkewMs, onSkew }: UpstreamClockOptions): UpstreamClock {
  let skewMs = 0
  let candidateMs = 0
  let agreeing = 0
  let newestMs: number | undefined

  return {
    note,
    see,
    now,
    earliest: () => clock() + Math.min(0, skewMs),
    earliestTold: () => clock() + Math.min(0, skewMs, candidateMs),
    isSkewed
  }

  function note (upstreamMs: number | undefined): boolean {
    if (upstreamMs === undefined || !Number.isFinite(upstreamMs)) return false
    const differenceMs = upstreamMs - clock()
    agreeing = Math.abs(differenceMs - candidateMs) <= CREDIBLE_SKEW_MS ? agreeing + 1 : 1
    candidateMs = differenceMs
    if (Math.abs(differenceMs) > CREDIBLE_SKEW_MS && agreeing < AGREEING_ANSWERS) return false
    return believe(Math.abs(differenceMs) > LEAST_SKEW_MS ? differenceMs : 0)
  }

  function believe (differenceMs: number): boolean {
    const [wasSkewed, hasLeapt] = [isSkewed(), Math.abs(differenceMs - skewMs) > CREDIBLE_SKEW_MS]
    skewMs = differenceMs
    if (!wasSkewed && isSkewed()) onSkew(clock() + skewMs, clock())
    return hasLeapt
  }

  function see (instant: Instant): void {
    newestMs = Math.max(newestMs ?? -Infinity, msFromInstant(instant))
  }

  function now (): number {
    const [ownMs, upstreamMs] = [clock(), clock() + skewMs]
    if (!isSkewed()) return upstreamMs
    const [, middleMs = ownMs] = [ownMs, upstreamMs, newestMs ?? Math.min(ownMs, upstreamMs)].sort((a, b) => a - b)
    return middleMs
  }

  function isSkewed (): boolean {
    return Math.abs(skewMs) > mostSkewMs
  }
}
