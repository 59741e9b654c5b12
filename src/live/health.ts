import type { Failure, FailureKind } from '../audit/source.ts'

export type UpstreamState = 'ok' | 'degraded' | 'throttled' | 'unauthorized'

/** How the tail fares with the upstream. */
export interface Health {
  readonly upstream: UpstreamState
  /** Since when, milliseconds since 1970. */
  readonly sinceMs: number
  /** When the last poll that succeeded ended, milliseconds since 1970. */
  readonly lastGoodMs: number | undefined
  /** Age of the last good poll, or of the tail while there was none. */
  readonly lagMs: number
  /** Whether a first attempt has ended, either way. */
  readonly attempted: boolean
  /** Reads of the whole lateness window that came to their end; from the first one on the log is filled. */
  readonly sweeps: number
}

const STATES: Record<FailureKind, UpstreamState> = {
  unauthorized: 'unauthorized',
  forbidden: 'unauthorized',
  throttled: 'throttled',
  budget: 'throttled',
  timeout: 'degraded',
  unavailable: 'degraded',
  invalid: 'degraded',
  'too-large': 'degraded'
}

/** Keeps count of how polls end. */
export function createHealth (clock: () => number) {
  const startedMs = clock()
  let upstream: UpstreamState = 'ok'
  let sinceMs = startedMs
  let lastGoodMs: number | undefined
  let attempted = false
  let sweeps = 0
  let failure: Failure | undefined

  return {
    now: (): Health => ({ upstream, sinceMs, lastGoodMs, lagMs: Math.max(0, clock() - (lastGoodMs ?? startedMs)), attempted, sweeps }),
    failure: () => failure,
    swept: () => { sweeps++ },
    /** Notes how a poll ended; tells whether that is another state than before. */
    report (outcome: Failure | undefined): boolean {
      failure = outcome
      attempted = true
      if (outcome === undefined) lastGoodMs = clock()
      const state = outcome === undefined ? 'ok' : STATES[outcome.kind]
      const changed = state !== upstream
      if (changed) sinceMs = clock()
      upstream = state
      return changed
    }
  }
}
