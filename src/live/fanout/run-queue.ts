import type { Clock } from '../../clock.ts'

/** Tasks that wait for their turn. */
export interface RunQueue<Task> {
  /** The task runs soon, once for each time that it is added. */
  add (task: Task): void
  /** Runs tasks now, for one slice of time. The rest runs in the next turns of the event loop. */
  run (): void
}

const SLICE_MS = 5
const MOST_FINISHED_KEPT = 50_000

/**
 * Runs tasks in the order in which they were added, for one slice of time in each turn of the event loop. Probes and
 * other requests are served between the slices.
 */
export function createRunQueue<Task> (perform: (task: Task) => void, { monotonicMs }: Clock): RunQueue<Task> {
  let tasks: Task[] = []
  let finished = 0
  let isPlanned = false

  return {
    add (task) {
      tasks.push(task)
      plan()
    },
    run
  }

  function plan (): void {
    if (isPlanned) return
    isPlanned = true
    setImmediate(() => {
      isPlanned = false
      run()
    })
  }

  function run (): void {
    const endMs = monotonicMs() + SLICE_MS
    while (finished < tasks.length && monotonicMs() < endMs) {
      const task = tasks[finished++]
      if (task !== undefined) perform(task)
    }
    if (finished === tasks.length || finished > MOST_FINISHED_KEPT) {
      tasks = tasks.slice(finished)
      finished = 0
    }
    if (tasks.length > 0) plan()
  }
}
