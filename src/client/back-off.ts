import type { BackOffBounds } from './types.ts'

const QUICK_TRIES = 3
const MOST_DOUBLINGS = 30
const LONGEST_TIMER_MS = 2 ** 31 - 1 // A longer timer fires at once.

/**
 * The wait before try number `attempt` (from 0), milliseconds. Jitter spreads clients that were disconnected together.
 * The first three waits are anywhere below 250 ms, 500 ms and 1 s (full jitter). After that, a wait is at least half of
 * its bound: 2 s, 4 s … 16 s, 30 s, 30 s. So a client makes at most 12 tries in a minute.
 */
export function backOffMs (attempt: number, { leastMs, mostMs }: BackOffBounds, random: () => number): number {
  const boundMs = Math.min(mostMs, leastMs * 2 ** Math.min(attempt, MOST_DOUBLINGS), LONGEST_TIMER_MS)
  return attempt < QUICK_TRIES ? random() * boundMs : (1 + random()) / 2 * boundMs
}
