import type { BackOffBounds } from './contract.ts'

/**
 * How long to wait before try number `attempt`, from 0. Full jitter, so that clients who were cut off together do not come
 * back together: anywhere below 250 ms, 500 ms, 1 s … 16 s, 30 s, 30 s.
 */
export function backOffMs (attempt: number, { leastMs, mostMs }: BackOffBounds, random: () => number): number {
  return random() * Math.min(mostMs, leastMs * 2 ** attempt)
}
