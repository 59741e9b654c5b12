import type { Gap } from '../audit/batch.ts'
import { earlier, later, type Instant } from '../audit/instant.ts'
import type { Passage } from '../audit/walk.ts'

type Known = Passage & { readonly to: Instant }

/**
 * What the tail could not read and passed by. It meets the same again in the next reads, between other neighbours
 * perhaps, and must say so once.
 */
export function createPassages () {
  let known: Known[] = []

  return {
    all: (): readonly Passage[] => known,
    /** The gap that a passage means, if it is none of those known. */
    look (passage: Passage, now: Instant): Gap | undefined {
      const interval = bounded(passage, now)
      return known.some((each) => isSame(each, interval)) ? undefined : interval
    },
    keep (passage: Passage, now: Instant): void {
      const interval = bounded(passage, now)
      const same = known.find((each) => isSame(each, interval))
      // The narrowest neighbours tell best whether the next one is another.
      const narrowest = same === undefined ? interval : { ...interval, from: later(same.from, interval.from), to: earlier(same.to, interval.to) }
      known = [...known.filter((each) => each !== same), narrowest]
    },
    forgetBefore (instant: Instant): void {
      known = known.filter(({ to }) => to >= instant)
    }
  }
}

function bounded ({ from, reason, to }: Passage, now: Instant): Known {
  return { from, to: later(from, to ?? now), reason }
}

/** Whether two intervals overlap, or one is a moment within the other; two at a common neighbour only touch. */
function isSame (a: Known, b: Known): boolean {
  const [from, to] = [later(a.from, b.from), earlier(a.to, b.to)]
  return from < to || (from === to && (a.from === a.to || b.from === b.to))
}
