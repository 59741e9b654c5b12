/** The clock that a module is given. A test gives it another one. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now (): number
  /** Monotonic clock for durations, milliseconds. */
  monotonicMs (): number
  /**
   * Calls `callback` once, after `waitMs` milliseconds. Returns a function that cancels the timer. A timer does not
   * keep the process alive: open sockets do.
   */
  setTimer (callback: () => void, waitMs: number): () => void
}

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer (callback, waitMs) {
    const timer = setTimeout(callback, waitMs).unref()
    return () => clearTimeout(timer)
  }
}

/** Calls `callback` every `intervalMs` milliseconds. Returns a function that stops it. */
export function repeat (clock: Pick<Clock, 'setTimer'>, callback: () => void, intervalMs: number): () => void {
  let cancel = clock.setTimer(run, intervalMs)
  return () => cancel()

  function run (): void {
    cancel = clock.setTimer(run, intervalMs)
    callback()
  }
}
