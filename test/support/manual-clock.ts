import type { Clock } from '../../src/clock.ts'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves the clock; timers that are due fire in order. */
  advance (ms: number): void
  /** The same. Between two timers, everything that waits for nothing else happens. */
  pass (ms: number): Promise<void>
  /** How long the timers still have, milliseconds. */
  waitsMs (): number[]
}

const MAX_TIMERS = 5000

/** `now` starts at `startMs`, `monotonicMs` at 0. */
export function createManualClock (startMs = 0): ManualClock {
  const timers = new Set<{ readonly atMs: number, readonly callback: () => void }>()
  let elapsedMs = 0

  return {
    now: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer (callback, waitMs) {
      const timer = { atMs: elapsedMs + waitMs, callback }
      timers.add(timer)
      return () => { timers.delete(timer) }
    },
    advance (ms) {
      const endMs = elapsedMs + ms
      for (let fired = 0; fireNext(endMs, fired); fired++);
      elapsedMs = endMs
    },
    async pass (ms) {
      const endMs = elapsedMs + ms
      for (let fired = 0; fireNext(endMs, fired); fired++) await new Promise((resolve) => { setImmediate(resolve) })
      elapsedMs = endMs
    },
    waitsMs: () => [...timers].map(({ atMs }) => atMs - elapsedMs)
  }

  function fireNext (endMs: number, fired: number): boolean {
    let next: { readonly atMs: number, readonly callback: () => void } | undefined
    for (const timer of timers) if (next === undefined || timer.atMs < next.atMs) next = timer
    if (next === undefined || next.atMs > endMs) return false
    if (fired === MAX_TIMERS) throw new Error('timers of 0 ms fire without end')
    elapsedMs = Math.max(elapsedMs, next.atMs)
    timers.delete(next)
    next.callback()
    return true
  }
}
