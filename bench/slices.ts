import { readSteal, stealSince } from './machine.ts'

/** One look at one contender. */
export interface Slice {
  /** CPU per unit, microseconds. */
  readonly cost: number
  /** Share of the machine's CPU time that went to others meanwhile. */
  readonly steal: number
}

export interface Contender {
  readonly name: string
  /** Works for a while; gives the CPU time that it took and the units that it did. */
  slice (): Promise<{ readonly micros: number, readonly units: number }>
}

export interface Outcome {
  /** The median cost of each contender, by name. */
  readonly costs: ReadonlyMap<string, number>
  /** The largest steal of a slice that counts. */
  readonly steal: number
  /** Slices that were dropped. */
  readonly dropped: number
}

export const MOST_STEAL = 0.06

/** Has contenders take turns, so that what disturbs the machine disturbs all of them. */
export async function alternate (contenders: readonly Contender[], rounds: number): Promise<Outcome> {
  const slices = new Map<string, Slice[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const { name, slice } of contenders) {
      const before = readSteal()
      const { micros, units } = await slice()
      if (units === 0) throw new Error(`${name} did nothing`)
      slices.get(name)?.push({ cost: micros / units, steal: stealSince(before) })
    }
  }
  const kept = new Map([...slices].map(([name, each]) => [name, undisturbed(each)]))
  const all = [...kept.values()].flat()
  return {
    costs: new Map([...kept].map(([name, each]) => [name, median(each.map(({ cost }) => cost))])),
    steal: Math.max(...all.map(({ steal }) => steal)),
    dropped: rounds * contenders.length - all.length
  }
}

/** The slices during which little was stolen; if there are none, the third of them with the least. */
export function undisturbed (slices: readonly Slice[]): Slice[] {
  const calm = slices.filter(({ steal }) => steal < MOST_STEAL)
  return calm.length > 0 ? calm : [...slices].sort((a, b) => a.steal - b.steal).slice(0, Math.ceil(slices.length / 3))
}

export function median (values: readonly number[]): number {
  return percentile(values, 50)
}

/** By the nearest rank. */
export function percentile (values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * percent / 100) - 1)] ?? NaN
}
