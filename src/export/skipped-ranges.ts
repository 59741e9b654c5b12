import { maxInstant, minInstant } from '../audit/instant.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'

const MOST_RANGES = 100

/** Ranges with rows that could not be read, each once. When the list is full, its last range grows. */
export function createSkippedRanges () {
  const ranges = new Map<string, SkippedRange>()
  let rest: SkippedRange | undefined
  return { add, list: (): readonly SkippedRange[] => [...ranges.values(), ...rest === undefined ? [] : [rest]] }

  /** Pages overlap, so the same range may come again. */
  function add (range: SkippedRange): void {
    const key = `${range.from}/${range.to}`
    if (ranges.has(key)) return
    if (ranges.size < MOST_RANGES - 1) ranges.set(key, range)
    else rest = rest === undefined ? range : joined(rest, range)
  }
}

function joined (a: SkippedRange, b: SkippedRange): SkippedRange {
  return {
    from: minInstant(a.from, b.from),
    to: a.to === undefined || b.to === undefined ? undefined : maxInstant(a.to, b.to),
    rows: a.rows + b.rows,
    reason: a.reason
  }
}
