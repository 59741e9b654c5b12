const SLICE_MS = 10

/** Runs tasks in the order in which they came, some milliseconds' worth in each turn of the event loop. */
export function createTurns (): (task: () => void) => void {
  let waiting: Array<() => void> = []
  let isRunning = false

  return (task) => {
    waiting.push(task)
    if (isRunning) return
    isRunning = true
    setImmediate(run)
  }

  function run (): void {
    const tasks = waiting
    const startedMs = performance.now()
    let done = 0
    waiting = []
    while (done < tasks.length && performance.now() - startedMs < SLICE_MS) tasks[done++]?.()
    waiting = [...tasks.slice(done), ...waiting]
    isRunning = waiting.length > 0
    if (isRunning) setImmediate(run)
  }
}
