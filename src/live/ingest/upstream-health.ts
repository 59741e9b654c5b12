import type { Failure, FailureKind } from '../../audit/source.ts'

export type UpstreamState = 'ok' | 'degraded' | 'throttled' | 'unauthorized'

/** How the poller fares with the upstream. */
export interface Health {
  readonly upstream: UpstreamState
  /** Since when, milliseconds since 1970. */
  readonly sinceMs: number
  /** When the last poll that succeeded ended, milliseconds since 1970. */
  readonly lastGoodMs: number | undefined
  /** Age of the last good poll, or of the poller while there was none. */
  readonly lagMs: number
  /** Whether a first attempt has ended, either way. */
  readonly attempted: boolean
  /** How late an event may be now and still be noticed, while that is less than it should be. */
  readonly latenessMs: number | undefined
  /** Reads of the whole lateness window that came to their end; from the first one on the log is filled. */
  readonly fullReads: number
  /** Whether polls go on, whatever comes of them. */
  readonly isPolling: boolean
}

const STATES: Record<FailureKind, UpstreamState> = {
  unauthorized: 'unauthorized',
  forbidden: 'unauthorized',
  throttled: 'throttled',
  budget: 'throttled',
  share: 'throttled',
  timeout: 'degraded',
  unavailable: 'degraded',
  invalid: 'degraded',
  'too-large': 'degraded',
  overloaded: 'degraded'
}

/** How a poll ended. */
export interface PollOutcome {
  readonly failure: Failure | undefined
  /** Whether the next one comes later than it should, for want of budget. */
  readonly isHeldBack: boolean
  /** As in `Health`. */
  readonly latenessMs: number | undefined
  /** Whether our clock and the upstream's differ by more than they may. */
  readonly isSkewed?: boolean
}

/** Keeps count of how polls end. */
export function createUpstreamHealth (clock: () => number, isTrying: () => boolean) {
  const startedMs = clock()
  let upstream: UpstreamState = 'ok'
  let sinceMs = startedMs
  let lastGoodMs: number | undefined
  let attempted = false
  let fullReads = 0
  let latenessMs: number | undefined

  return {
    now: (): Health => ({
      upstream,
      sinceMs,
      lastGoodMs,
      lagMs: Math.max(0, clock() - (lastGoodMs ?? startedMs)),
      attempted,
      latenessMs,
      fullReads,
      isPolling: isTrying()
    }),
    fullReadEnded: () => {
      fullReads++
    },
    /** Notes how a poll ended; tells whether that is another state than before. */
    report (outcome: PollOutcome): boolean {
      attempted = true
      if (outcome.failure === undefined) lastGoodMs = clock()
      const state = stateOf(outcome)
      const changed = state !== upstream || (outcome.latenessMs === undefined) !== (latenessMs === undefined)
      if (changed) sinceMs = clock()
      upstream = state
      latenessMs = outcome.latenessMs
      return changed
    }
  }
}

function stateOf ({ failure, isHeldBack, isSkewed = false, latenessMs }: PollOutcome): UpstreamState {
  if (failure !== undefined) return STATES[failure.kind]
  if (latenessMs !== undefined || isSkewed) return 'degraded'
  return isHeldBack ? 'throttled' : 'ok'
}
