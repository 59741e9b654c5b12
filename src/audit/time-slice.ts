const SLICE_MS = 10

// All tasks of the process share one slice in each turn of the event loop: 200 slices would block it for two seconds.
const waiting: Array<() => void> = []
let endMs: number | undefined

/**
 * Lets other work run during work over many events. Returns a promise to await once the slice of this turn of the event
 * loop is spent. Before that it returns nothing: a promise for each event would cost more than the work. Waiting tasks
 * resume in their order, one in each turn.
 */
export function pauseIfDue (): Promise<void> | undefined {
  if (endMs === undefined) beginTurn()
  if (performance.now() < (endMs ?? 0)) return undefined
  return new Promise((resolve) => waiting.push(resolve))
}

function beginTurn (): void {
  endMs = performance.now() + SLICE_MS
  setImmediate(nextTurn)
}

function nextTurn (): void {
  endMs = undefined
  const resume = waiting.shift()
  if (resume === undefined) return
  beginTurn()
  resume()
}
