/** A time that runs faster than ours, so that a minute's window is tried in seconds. Durations handed in are meant in it. */
export interface QuickTime {
  /** Milliseconds since 1970. */
  clock (): number
  nowMs (): number
  setTimer (callback: () => void, waitMs: number): () => void
}

export function createQuickTime (speed: number): QuickTime {
  const startedMs = Date.now()
  const started = performance.now()
  return {
    clock: () => startedMs + (performance.now() - started) * speed,
    nowMs: () => performance.now() * speed,
    setTimer (callback, waitMs) {
      const timer = setTimeout(callback, waitMs / speed)
      return () => clearTimeout(timer)
    }
  }
}
