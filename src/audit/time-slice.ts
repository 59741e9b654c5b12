const SLICE_MS = 10

/**
 * For work over many events: gives a promise to await once a slice of time is spent, so that other work gets its turn of the
 * event loop; otherwise nothing, since a promise for each event would cost more than the work.
 */
export function createTimeSlice (): () => Promise<void> | undefined {
  let endMs = performance.now() + SLICE_MS

  return () => {
    if (performance.now() < endMs) return undefined
    return new Promise((resolve) => {
      setImmediate(() => {
        endMs = performance.now() + SLICE_MS
        resolve()
      })
    })
  }
}
