import type { Gap } from '../audit/batch.ts'
import { earlier, later, type Instant } from '../audit/instant.ts'
import type { Passage } from '../audit/walk.ts'

type Known = Passage & { readonly to: Instant }

/**
 * What the tail could not read and passed by. It meets the same again in the next reads, between other neighbours
 * perhaps, or several as one, and must say so once; more rows at the same place are more than was said.
 */
export function createPassages () {
  let known: Known[] = []

  return {
    all: (): readonly Passage[] => known,
    /** The gap that a passage means, if it is none of those known. */
    look (passage: Passage, now: Instant): Gap | undefined {
      const { from, reason, rows, to } = bounded(passage, now)
      const same = sameAs(passage, now)
      if (same.length === 0) return { from, to, reason }
      return rows > rowsOf(same) ? { from: earlier(same.map((each) => each.to).reduce(later), to), to, reason } : undefined
    },
    keep (passage: Passage, now: Instant): void {
      const met = bounded(passage, now)
      const same = sameAs(passage, now)
      const [only] = same
      const others = known.filter((each) => !same.includes(each))
      if (met.rows > rowsOf(same)) known = [...others, met]
      // The narrowest neighbours tell best whether the next one is another.
      else if (same.length === 1 && only?.rows === met.rows) known = [...others, { ...only, from: later(only.from, met.from), to: earlier(only.to, met.to) }]
    },
    forgetBefore (instant: Instant): void {
      known = known.filter(({ to }) => to >= instant)
    }
  }

  function sameAs (passage: Passage, now: Instant): Known[] {
    const interval = bounded(passage, now)
    return known.filter((each) => isSame(each, interval))
  }
}

function rowsOf (passages: readonly Passage[]): number {
  return passages.reduce((sum, { rows }) => sum + rows, 0)
}

function bounded (passage: Passage, now: Instant): Known {
  return { ...passage, to: later(passage.from, passage.to ?? now) }
}

/** Whether two intervals overlap, or one is a moment within the other; two at a common neighbour only touch. */
function isSame (a: Known, b: Known): boolean {
  const [from, to] = [later(a.from, b.from), earlier(a.to, b.to)]
  return from < to || (from === to && (a.from === a.to || b.from === b.to))
}
