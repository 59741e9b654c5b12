import { formatInstant } from '../../src/audit/instant.ts'
import type { Failure } from '../../src/audit/source.ts'
import { USUAL_HABITS, createMemorySource, dated, type Habits, type MemorySource } from '../contracts/memory-source.ts'
import { at } from './timeline.ts'

/** A Kubiya that holds events e0, e1 … at these seconds after ten o'clock. `interfere` may fail a read. */
export function sourceOf (
  seconds: number[],
  quirks: Partial<Habits> = {},
  interfere: (reads: number) => Failure | undefined = () => undefined
): MemorySource {
  const source = createMemorySource({ ...USUAL_HABITS, ...quirks }, interfere)
  source.keep(...seconds.map((each, n) => dated({ id: `e${n}`, timestamp: formatInstant(at(each)) })))
  return source
}

/** 0, 1 … or with another distance. */
export function evenly (count: number, apart = 1): number[] {
  return Array.from({ length: count }, (_, n) => n * apart)
}

/** `e0`, `e1` … */
export function numbered (count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, n) => `e${first + n}`)
}
