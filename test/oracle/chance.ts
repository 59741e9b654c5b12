/** Numbers that look random and are the same again from their seed (mulberry32). */
export interface Chance {
  /** From 0 up to 1. */
  next (): number
  /** From one to the other, both included. */
  integer (from: number, to: number): number
  pick<T> (from: readonly [T, ...T[]]): T
  is (probability: number): boolean
}

export function createChance (seed: number): Chance {
  let state = seed >>> 0
  const integer = (from: number, to: number) => from + Math.floor(next() * (to - from + 1))

  return {
    next,
    integer,
    pick: (from) => from[integer(0, from.length - 1)] ?? from[0],
    is: (probability) => next() < probability
  }

  function next (): number {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
