import { parseComputedId } from './identity.ts'
import type { Row } from './place.ts'

/**
 * From which of an answer's rows on to read again with the answer that follows: those of the last instant, so that its
 * twins are counted in one answer; no more than `most` where the instant is long, but never from between two twins.
 */
export function overlapFrom (rows: Row[], most: number): number {
  const last = rows.at(-1)?.place.instant
  const firstOfLast = rows.findLastIndex(({ place }) => place.instant !== last) + 1
  let from = Math.max(firstOfLast, rows.length - most)
  while (from > 0 && areTwins(rows[from - 1], rows[from])) from--
  return from
}

function areTwins (a: Row | undefined, b: Row | undefined): boolean {
  const digests = [a, b].map((row) => row === undefined ? undefined : parseComputedId(row.event.id)?.digest)
  return digests[0] !== undefined && digests[0] === digests[1]
}
