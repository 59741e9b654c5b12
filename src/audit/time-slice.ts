const SLICE_MS = 10

// All of this process share one turn of the event loop: two hundred tasks with a slice each would hold it for two
// seconds.
const waiting: Array<() => void> = []
let endMs: number | undefined

/**
 * For work over many events: gives a promise to await once the slice of this turn of the event loop is spent, so that
 * other work gets its turn; otherwise nothing, since a promise for each event would cost more than the work. Tasks that
 * wait go on one a turn, in the order in which they came.
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
  const goOn = waiting.shift()
  if (goOn === undefined) return
  beginTurn()
  goOn()
}
