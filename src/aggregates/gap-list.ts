import { maxInstant, type Instant } from '../audit/instant.ts'

/** Most intervals of a list. Beyond it the two nearest ones are joined, so that no lost instant is forgotten. */
export const MOST_GAPS = 64

/** An interval of time, both ends included. */
export interface Interval {
  readonly from: Instant
  readonly to: Instant
}

export interface GapList {
  add (gap: Interval): void
  /** Drops the intervals that end before an instant. */
  dropBefore (instant: Instant): void
  clear (): void
  /** Disjoint, in the order of time. A later change does not change the list. */
  list (): readonly Interval[]
}

/** Intervals that could not be read: at most `MOST_GAPS`. */
export function createGapList (): GapList {
  let gaps: readonly Interval[] = []
  return {
    add (gap) {
      const joined = joinOverlapping([...gaps, gap])
      gaps = joined.length > MOST_GAPS ? joinNearest(joined) : joined
    },
    dropBefore (instant) {
      gaps = gaps.filter(({ to }) => to >= instant)
    },
    clear () {
      gaps = []
    },
    list: () => gaps
  }
}

function joinOverlapping (gaps: readonly Interval[]): Interval[] {
  const joined: Interval[] = []
  for (const gap of [...gaps].sort((a, b) => a.from < b.from ? -1 : a.from > b.from ? 1 : 0)) {
    const last = joined.at(-1)
    if (last === undefined || gap.from > last.to) joined.push(gap)
    else joined[joined.length - 1] = { from: last.from, to: maxInstant(last.to, gap.to) }
  }
  return joined
}

/** Joins the two neighbours with the shortest time between them. */
function joinNearest (gaps: readonly Interval[]): Interval[] {
  const distances = gaps.slice(1).map(({ from }, at) => from - (gaps[at]?.to ?? from))
  const nearest = distances.reduce((best, distance, at) => distance < (distances[best] ?? distance) ? at : best, 0)
  const [first, second] = gaps.slice(nearest, nearest + 2)
  if (first === undefined || second === undefined) return [...gaps]
  return [...gaps.slice(0, nearest), { from: first.from, to: second.to }, ...gaps.slice(nearest + 2)]
}
