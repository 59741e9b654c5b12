import type { Gap } from '../../audit/log-batch.ts'
import { minInstant, maxInstant, type Instant } from '../../audit/instant.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'

type Known = SkippedRange & { readonly to: Instant }

/**
 * What the poller could not read and passed by. It meets the same again in the next reads, between other neighbours
 * perhaps, or several as one, and must say so once; more rows at the same place are more than was said.
 */
export function createSkippedRanges () {
  let known: Known[] = []

  return {
    all: (): readonly SkippedRange[] => known,
    /** The gap that a passage means, if it is none of those known. */
    look (skippedRange: SkippedRange, now: Instant): Gap | undefined {
      const { from, reason, rows, to } = bounded(skippedRange, now)
      const same = sameAs(skippedRange, now)
      if (same.length === 0) return { from, to, reason }
      return rows > rowsOf(same)
        ? { from: minInstant(same.map((each) => each.to).reduce(maxInstant), to), to, reason }
        : undefined
    },
    keep (skippedRange: SkippedRange, now: Instant): void {
      const met = bounded(skippedRange, now)
      const same = sameAs(skippedRange, now)
      const [only] = same
      const others = known.filter((each) => !same.includes(each))
      if (met.rows > rowsOf(same)) known = [...others, met]
      // The narrowest neighbours tell best whether the next one is another.
      else if (same.length === 1 && only?.rows === met.rows) {
        known = [...others, { ...only, from: maxInstant(only.from, met.from), to: minInstant(only.to, met.to) }]
      }
    },
    forgetBefore (instant: Instant): void {
      known = known.filter(({ to }) => to >= instant)
    }
  }

  function sameAs (skippedRange: SkippedRange, now: Instant): Known[] {
    const interval = bounded(skippedRange, now)
    return known.filter((each) => isSame(each, interval))
  }
}

function rowsOf (skippedRanges: readonly SkippedRange[]): number {
  return skippedRanges.reduce((sum, { rows }) => sum + rows, 0)
}

function bounded (skippedRange: SkippedRange, now: Instant): Known {
  return { ...skippedRange, to: maxInstant(skippedRange.from, skippedRange.to ?? now) }
}

/** Whether two intervals overlap, or one is a moment within the other; two at a common neighbour only touch. */
function isSame (a: Known, b: Known): boolean {
  const [from, to] = [maxInstant(a.from, b.from), minInstant(a.to, b.to)]
  return from < to || (from === to && (a.from === a.to || b.from === b.to))
}
