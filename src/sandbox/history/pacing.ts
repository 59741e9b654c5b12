import type { Random } from './random.ts'

const MICROSECONDS = 1_000_000

/** The pause until the next event of people and agents, in microseconds: 1 to 12 seconds. */
export function pauseUs (random: Random, hourOfDay: number): number {
  // The higher the power, the more often a pause is short: by day the mean is near 4.7 s, by night near 7.5 s.
  const power = hourOfDay >= 7 && hourOfDay < 18 ? 2 : 0.7
  return Math.round((1 + 11 * random.fraction() ** power) * MICROSECONDS)
}

/** The pause between events that one action causes together. */
export function quickPauseUs (random: Random): number {
  return random.integer(20_000, 300_000)
}
