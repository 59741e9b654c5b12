import type { Failure, FailureKind } from '../../audit/source.ts'

export type UpstreamState = 'ok' | 'degraded' | 'throttled' | 'unauthorized'

/** The state of the upstream as the poller sees it. */
export interface Health {
  readonly upstream: UpstreamState
  /** When this state began, milliseconds since 1970. */
  readonly sinceMs: number
  /** When the last successful poll ended, milliseconds since 1970. */
  readonly lastGoodMs: number | undefined
  /** Age of the last successful poll; before the first one, age of the poller. */
  readonly lagMs: number
  /** Whether the first poll has ended, successful or not. */
  readonly attempted: boolean
  /** How late an event may now be and still be published. `undefined`: as late as configured. */
  readonly latenessMs: number | undefined
  /** Completed reads of the whole lateness window. The log is filled after the first one. */
  readonly fullReads: number
  /** Whether no poll hangs, successful or not. */
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
  unfinished: 'degraded',
  'page-too-large': 'degraded',
  overloaded: 'degraded'
}

/** The outcome of a poll. */
export interface PollOutcome {
  readonly failure: Failure | undefined
  /** Whether the next poll has to wait for the request budget. */
  readonly isHeldBack: boolean
  /** As in `Health`. */
  readonly latenessMs: number | undefined
  /** Whether our clock and the upstream's differ by more than they may. */
  readonly isSkewed?: boolean
}

/** Derives the state of the upstream from the outcomes of polls. */
export function createUpstreamHealth (clock: () => number, isAlive: () => boolean) {
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
      isPolling: isAlive()
    }),
    fullReadEnded: () => {
      fullReads++
    },
    /** Notes the outcome of a poll. Returns whether the state has changed. */
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
