import type { Clock } from '../../clock.ts'

/** A queue of those who wait for their turn. */
export interface RunQueue<Task> {
  /** Is served soon, once for each time that it is added. */
  add (guest: Task): void
  /** Serves now, for some milliseconds; who is left over has its turn in the next turns of the event loop. */
  run (): void
}

const SLICE_MS = 5
const SERVED_BETWEEN_LOOKS = 8
const MOST_SERVED_KEPT = 50_000

/**
 * Serves guests in the order in which they came, a slice of time in each turn of the event loop: all else goes on
 * meanwhile.
 */
export function createRunQueue<Guest> (serve: (guest: Guest) => void, { monotonicMs }: Clock): RunQueue<Guest> {
  let guests: Guest[] = []
  let served = 0
  let isPlanned = false

  return {
    add (guest) {
      guests.push(guest)
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
    while (served < guests.length && (served % SERVED_BETWEEN_LOOKS !== 0 || monotonicMs() < endMs)) {
      const guest = guests[served++]
      if (guest !== undefined) serve(guest)
    }
    if (served === guests.length || served > MOST_SERVED_KEPT) {
      guests = guests.slice(served)
      served = 0
    }
    if (guests.length > 0) plan()
  }
}
