import { msFromInstant, type Instant } from '../../audit/instant.ts'

export interface UpstreamClockOptions {
  /** Our own clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Clocks that differ by more make the health `degraded`, milliseconds. */
  readonly mostSkewMs: number
  /** Called when the clocks begin to differ by more. Both are in milliseconds since 1970. */
  readonly onSkew: (upstreamMs: number, ownMs: number) => void
}

/** An estimate of the upstream's clock. */
export interface UpstreamClock {
  /** Notes the `Date` of an answer, milliseconds since 1970. Returns true if the upstream's clock has jumped. */
  note (upstreamMs: number | undefined): boolean
  /** Notes the instant of a visible event. */
  see (instant: Instant): void
  /** Milliseconds since 1970. */
  now (): number
  /** The earlier of both clocks. No new event is before it, whichever clock is wrong. */
  earliest (): number
  /** The same with the newest `Date`, also if it is not accepted yet. */
  earliestTold (): number
  /** Whether the clocks differ by more than they may. */
  isSkewed (): boolean
}

const LEAST_SKEW_MS = 2000 // `Date` has whole seconds, so a smaller difference is not a skew.
/** A larger skew is accepted after several consecutive answers agree on it, with at most this difference. */
const CREDIBLE_SKEW_MS = 60_000
const AGREEING_ANSWERS = 3

/**
 * Our own clock, corrected by the upstream's `Date`. One wrong `Date` must not stop the poller from finding new events:
 * a skew of more than a minute counts only when three consecutive answers agree.
 *
 * If the clocks differ by more than the lateness, the newest event is a third clock, and the middle one of the three
 * counts. Two of them would have to be wrong in the same way.
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
    return accept(Math.abs(differenceMs) > LEAST_SKEW_MS ? differenceMs : 0)
  }

  function accept (differenceMs: number): boolean {
    const [wasSkewed, hasJumped] = [isSkewed(), Math.abs(differenceMs - skewMs) > CREDIBLE_SKEW_MS]
    skewMs = differenceMs
    if (!wasSkewed && isSkewed()) onSkew(clock() + skewMs, clock())
    return hasJumped
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
