/** Time, handed to whoever needs it, so that tests can put another one in its place. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now (): number
  /** Monotonic clock for durations, milliseconds. */
  monotonicMs (): number
  /** Calls back once after so many milliseconds; gives the function that prevents it. */
  setTimer (callback: () => void, waitMs: number): () => void
}

/** The time of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer (callback, waitMs) {
    const timer = setTimeout(callback, waitMs)
    return () => clearTimeout(timer)
  }
}
