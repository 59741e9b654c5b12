import type { Clock } from '../../src/clock.ts'

/**
 * A clock that runs faster than ours, so that a minute's window is tried in seconds. Durations handed in are meant in
 * it.
 */
export interface QuickTime extends Clock {
  readonly speed: number
}

export function createQuickTime (speed: number): QuickTime {
  const startedMs = Date.now()
  const started = performance.now()
  return {
    speed,
    now: () => startedMs + (performance.now() - started) * speed,
    monotonicMs: () => performance.now() * speed,
    setTimer (callback, waitMs) {
      const timer = setTimeout(callback, waitMs / speed)
      return () => clearTimeout(timer)
    }
  }
}
