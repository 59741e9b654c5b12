import type { BackOffBounds } from './types.ts'

const QUICK_TRIES = 3
const MOST_DOUBLINGS = 30
const LONGEST_TIMER_MS = 2 ** 31 - 1 // A longer timer ends at once.

/**
 * How long to wait before try number `attempt`, from 0. Clients who were cut off together do not come back together:
 * full jitter for the first three tries, anywhere below 250 ms, 500 ms, 1 s. From then on at least half of the bound
 * passes: 2 s, 4 s … 16 s, 30 s, 30 s. So no chance makes more than 12 tries a minute.
 */
export function backOffMs (attempt: number, { leastMs, mostMs }: BackOffBounds, random: () => number): number {
  const boundMs = Math.min(mostMs, leastMs * 2 ** Math.min(attempt, MOST_DOUBLINGS), LONGEST_TIMER_MS)
  return attempt < QUICK_TRIES ? random() * boundMs : (1 + random()) / 2 * boundMs
}
