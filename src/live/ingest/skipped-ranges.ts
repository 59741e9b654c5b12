import type { Gap } from '../../audit/log-batch.ts'
import { minInstant, maxInstant, type Instant } from '../../audit/instant.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'

type Known = SkippedRange & { readonly to: Instant }

/**
 * The ranges of rows that the poller could not read. The next reads meet the same rows again, perhaps between other
 * neighbours, or several ranges as one. Each is announced once; more rows in the same range are announced again.
 */
export function createSkippedRanges () {
  let known: Known[] = []

  return {
    all: (): readonly SkippedRange[] => known,
    /** The gap to announce for a range. `undefined`: it is known. */
    newGap (skippedRange: SkippedRange, now: Instant): Gap | undefined {
      const { from, reason, rows, to } = bounded(skippedRange, now)
      const same = sameAs(skippedRange, now)
      if (same.length === 0) return { from, to, reason }
      return rows > rowsOf(same)
        ? { from: minInstant(same.map((each) => each.to).reduce(maxInstant), to), to, reason }
        : undefined
    },
    add (skippedRange: SkippedRange, now: Instant): void {
      const added = bounded(skippedRange, now)
      const same = sameAs(skippedRange, now)
      const [only] = same
      const others = known.filter((each) => !same.includes(each))
      if (added.rows > rowsOf(same)) known = [...others, added]
      // The narrowest range distinguishes best between these rows and others.
      else if (same.length === 1 && only?.rows === added.rows) {
        known = [...others, { ...only, from: maxInstant(only.from, added.from), to: minInstant(only.to, added.to) }]
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

/** Whether two ranges overlap, or one is an instant within the other. Two ranges with a common neighbour only touch. */
function isSame (a: Known, b: Known): boolean {
  const [from, to] = [maxInstant(a.from, b.from), minInstant(a.to, b.to)]
  return from < to || (from === to && (a.from === a.to || b.from === b.to))
}
