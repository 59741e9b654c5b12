import type { NewEntry } from '../../audit/log-batch.ts'

/** How much was judged in one turn. */
export interface MatchBudget {
  /** Notes that one more is judged. */
  spend (fresh: NewEntry): void
  /** Whether others should have their turn first. The first one is always judged, however large it is. */
  isSpent (): boolean
}

const MOST_JUDGED = 256
const MOST_CHARACTERS = 512 * 1024 // Some milliseconds at most: a large event costs more than a small one.

/** The bound on one turn. It counts and does not time, so that a slow machine cuts at the same places as a fast one. */
export function createMatchBudget (): MatchBudget {
  let judged = 0
  let characters = 0

  return {
    spend (fresh) {
      judged++
      if ('event' in fresh) characters += fresh.event.json.length
    },
    isSpent: () => judged >= MOST_JUDGED || characters > MOST_CHARACTERS
  }
}
