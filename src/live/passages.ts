import type { Gap } from '../audit/batch.ts'
import { earlier, later, type Instant } from '../audit/instant.ts'
import type { Passage } from '../audit/walk.ts'

type Known = Passage & { readonly to: Instant }

/**
 * What the tail could not read and passed by. It meets the same again in the next reads, between other neighbours
 * perhaps, and must say so once; more rows at the same place are more than was said.
 */
export function createPassages () {
  let known: Known[] = []

  return {
    all: (): readonly Passage[] => known,
    /** The gap that a passage means, if it is none of those known. */
    look (passage: Passage, now: Instant): Gap | undefined {
      const { from, reason, to } = bounded(passage, now)
      const same = sameAs(passage, now)
      if (same === undefined) return { from, to, reason }
      return passage.rows > same.rows ? { from: earlier(same.to, to), to, reason } : undefined
    },
    keep (passage: Passage, now: Instant): void {
      const interval = bounded(passage, now)
      const same = sameAs(passage, now)
      // The narrowest neighbours tell best whether the next one is another.
      const narrowest = same === undefined || passage.rows > same.rows
        ? interval
        : { ...same, from: later(same.from, interval.from), to: earlier(same.to, interval.to) }
      known = [...known.filter((each) => each !== same), narrowest]
    },
    forgetBefore (instant: Instant): void {
      known = known.filter(({ to }) => to >= instant)
    }
  }

  function sameAs (passage: Passage, now: Instant): Known | undefined {
    const interval = bounded(passage, now)
    return known.find((each) => isSame(each, interval))
  }
}

function bounded (passage: Passage, now: Instant): Known {
  return { ...passage, to: later(passage.from, passage.to ?? now) }
}

/** Whether two intervals overlap, or one is a moment within the other; two at a common neighbour only touch. */
function isSame (a: Known, b: Known): boolean {
  const [from, to] = [later(a.from, b.from), earlier(a.to, b.to)]
  return from < to || (from === to && (a.from === a.to || b.from === b.to))
}
