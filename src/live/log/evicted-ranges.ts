import { minInstant, maxInstant, type Instant } from '../../audit/instant.ts'

/** Which instants the log has let go of, so that a reader can be told exactly what it missed. */
export interface EvictedRanges {
  /** Offsets come in rising order. */
  add (offset: number, instant: Instant): void
  /** The first and the last instant between two offsets, the second one excluded. */
  between (from: number, to: number): { readonly from: Instant, readonly to: Instant } | undefined
}

interface Span {
  readonly first: number
  readonly last: number
  readonly from: Instant
  readonly to: Instant
}

const ENTRIES_PER_SPAN = 8
const MOST_SPANS = 20_000

/** Remembers spans of a few entries each, and forgets the oldest half of them at once. */
export function createEvictedRanges (): EvictedRanges {
  let spans: Span[] = []

  return {
    add (offset, instant) {
      const newest = spans.at(-1)
      if (newest !== undefined && offset - newest.first < ENTRIES_PER_SPAN) {
        spans[spans.length - 1] = {
          ...newest,
          last: offset,
          from: minInstant(newest.from, instant),
          to: maxInstant(newest.to, instant)
        }
        return
      }
      if (spans.length >= MOST_SPANS) spans = spans.slice(MOST_SPANS / 2)
      spans.push({ first: offset, last: offset, from: instant, to: instant })
    },
    between (from, to) {
      const missed = spans.filter(({ first, last }) => last >= from && first < to)
      if (missed.length === 0) return undefined
      return {
        from: missed.map((each) => each.from).reduce(minInstant),
        to: missed.map((each) => each.to).reduce(maxInstant)
      }
    }
  }
}
