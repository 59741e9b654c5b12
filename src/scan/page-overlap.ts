import { parseComputedId } from '../audit/event-id.ts'
import type { KeyedEvent } from '../audit/sort-key.ts'

/**
 * From which of an answer's rows on to read again with the answer that follows: those of the last instant, so that its
 * exact duplicates are counted in one answer; no more than `most` where the instant is long, but never from between two
 * exact duplicates.
 */
export function overlapFrom (rows: KeyedEvent[], most: number): number {
  const last = rows.at(-1)?.key.instant
  const firstOfLast = rows.findLastIndex(({ key }) => key.instant !== last) + 1
  let from = Math.max(firstOfLast, rows.length - most)
  while (from > 0 && areTwins(rows[from - 1], rows[from])) from--
  return from
}

function areTwins (a: KeyedEvent | undefined, b: KeyedEvent | undefined): boolean {
  const digests = [a, b].map((row) => row === undefined ? undefined : parseComputedId(row.event.id)?.digest)
  return digests[0] !== undefined && digests[0] === digests[1]
}
