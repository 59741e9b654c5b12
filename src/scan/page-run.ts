import { parseComputedId } from '../audit/event-id.ts'
import type { Instant } from '../audit/instant.ts'
import type { KeyedEvent } from '../audit/sort-key.ts'
import type { Answer, AuditSource, Failure, Purpose, SourceQuery } from '../audit/source.ts'

/** One numbered page, as the rows that it covers. */
export interface PageSpan {
  /** From 1. */
  readonly page: number
  readonly size: number
  /** Index of the first row, from 0. */
  readonly start: number
}

/** A query for the page that contains one row. */
export interface RowQuery extends SourceQuery {
  /** Index of that row, from 0. Without it: the first row of the page. */
  readonly row?: number
}

/** An answer to a `RowQuery`. */
export interface PageAnswer extends Answer {
  /** The page that was read, if it is not the page of the query. It contains the row, or the rows after it. */
  readonly span?: PageSpan
  /** Rows directly before the page that could not be read. */
  readonly skipped?: SkippedRows
}

/** How many rows could not be read, and why. */
export interface SkippedRows {
  readonly rows: number
  readonly reason: 'too-large' | 'upstream-outage'
}

/** The source of a scan: any `AuditSource`, or one that reads smaller pages when a page fails. */
export interface PagedSource extends Pick<AuditSource, 'quirks' | 'reportQuirk'> {
  read (query: RowQuery, purpose: Purpose): Promise<PageAnswer | Failure>
}

interface Position {
  /** The row that the next page must contain. */
  readonly offset: number
  /** No page may begin before this row: the row before it cannot be read. */
  readonly leastStart: number
  /** Rows read from the start of the run. */
  readonly furthest: number
  /** Consecutive answers that reached further and contained nothing new. */
  readonly barren: number
  /** Whether the run began again because rows had been removed. */
  readonly isReread: boolean
  /** The last row of the previous answer. */
  readonly last: KeyedEvent | undefined
}

const START: Position = { offset: 0, leastStart: 0, furthest: 0, barren: 0, isReread: false, last: undefined }
// An upstream that ignores page numbers answers with the same rows each time.
const MOST_BARREN_ANSWERS = 8
const OVERLAP_SHARE = 0.25

/**
 * Reads one query page by page. Pages overlap by the rows of the last instant, up to a quarter of a page. The reason:
 * exact duplicates are numbered within one answer, so equal rows must be in one answer. Each row is returned once.
 * Pages have the requested size, until a short answer shows that the upstream caps them.
 */
export function createPageRun (requestedSize: number) {
  const met = new Map<string, Instant | undefined>()
  let at = START
  let pageSize = requestedSize
  let longest = 0 // Rows of the longest answer: the upstream supports pages of this size.
  let isOver = false
  let isShort = false // The previous answer was shorter than requested, and may not be the end.

  return {
    next,
    take,
    restart,
    withPrevious,
    /** Index of the row that the next page must contain. */
    row: () => at.offset,
    /** The last row of the previous answer. */
    last: () => at.last,
    rowsRead: () => at.furthest,
    /** Whether the last answer was the end of the query. */
    isOver: () => isOver
  }

  /** The page to request next. */
  function next (): PageSpan {
    const largest = at.offset === 0 ? pageSize : Math.max(1, Math.min(longest, pageSize))
    return pageCovering(at.offset, largest, at.leastStart)
  }

  /**
   * Prepends the last row of the previous answer if these rows follow it directly, so that their order is checked too.
   */
  function withPrevious (rows: KeyedEvent[]): KeyedEvent[] {
    const isAdjacent = rows[0] !== undefined && !met.has(rows[0].event.id)
    return isAdjacent && at.last !== undefined ? [at.last, ...rows] : rows
  }

  /**
   * Adds an answer to the run and returns its new rows. `undefined`: rows were removed meanwhile, so rows may be
   * missing before this page. Then the answer is dropped, and the run begins again, once.
   */
  function take (requested: PageSpan, answer: PageAnswer, rows: KeyedEvent[]): KeyedEvent[] | undefined {
    const span = answer.span ?? requested
    longest = Math.max(longest, answer.rows)
    if (answer.skipped !== undefined) {
      at = { ...at, offset: span.start, leastStart: span.start, furthest: Math.max(at.furthest, span.start) }
    }
    if (hasHoleBefore(rows)) {
      at = { ...at, offset: 0, isReread: true, last: undefined }
      return undefined
    }
    const fresh = rows.filter(isNew)
    // The short answer was not the end, so the upstream's pages are smaller than requested.
    if (isShort && fresh.length > 0) pageSize = Math.min(pageSize, longest)
    isShort = answer.end === undefined
    advance(span, answer, rows, fresh.length)
    isOver = answer.rows === 0 || answer.end === true || at.barren >= MOST_BARREN_ANSWERS
    return fresh
  }

  function isNew ({ event }: KeyedEvent): boolean {
    if (met.has(event.id)) return false
    met.set(event.id, event.instant)
    return true
  }

  /** Pages overlap, so the first row of a page inside the run should be known. */
  function hasHoleBefore ([first]: KeyedEvent[]): boolean {
    return at.offset > 0 && at.offset < at.furthest && !at.isReread && first !== undefined && !met.has(first.event.id)
  }

  /** The next page repeats some of these rows, if it still reaches further than they do. */
  function advance (span: PageSpan, answer: PageAnswer, rows: KeyedEvent[], fresh: number): void {
    const largest = Math.min(longest, pageSize, answer.span?.size ?? Infinity)
    const read = span.start + answer.rows
    at = {
      ...at,
      offset: overlapOffset(span.start, rows, largest, read),
      furthest: Math.max(at.furthest, read),
      last: rows.at(-1) ?? at.last,
      // A page of rows that were known from the start contains nothing new, and proves nothing.
      barren: fresh > 0 ? 0 : at.barren + (read > Math.max(at.furthest, met.size) ? 1 : 0)
    }
  }

  /**
   * The first row that the next page repeats. The result is the longest overlap with which the page still reaches
   * further. Without an overlap the page could contain one of two exact duplicates, with an id that is already known.
   */
  function overlapOffset (start: number, rows: KeyedEvent[], largest: number, read: number): number {
    for (let index = overlapStart(rows, Math.floor(largest * OVERLAP_SHARE)); index < rows.length; index++) {
      if (areExactDuplicates(rows[index - 1], rows[index])) continue
      const following = pageCovering(start + index, largest, at.leastStart)
      if (following.start + following.size > read) return start + index
    }
    return read
  }

  /** Begins another query, and forgets the ids of rows outside it. A row without an instant may be in any query. */
  function restart (isPossible: (instant: Instant) => boolean): void {
    at = START
    for (const [id, instant] of met) if (instant !== undefined && !isPossible(instant)) met.delete(id)
  }
}

export type PageRun = ReturnType<typeof createPageRun>

/**
 * The page that contains a row, reaches furthest after it, and begins at `leastStart` or later. Pages begin only at
 * multiples of their size, so the size varies. With at most 100 rows, the best page for row 170 is the third page of
 * 85.
 */
export function pageCovering (row: number, largest: number, leastStart = 0): PageSpan {
  let best: PageSpan = { page: 1, size: largest, start: 0 }
  if (row < 1) return best
  let bestEnd = 0
  for (let size = largest; size >= 1 && size > bestEnd - row; size--) {
    const start = Math.floor(row / size) * size
    if (start >= leastStart && start + size > bestEnd) {
      bestEnd = start + size
      best = { page: start / size + 1, size, start }
    }
  }
  return best
}

/**
 * Index of the first row to read again with the next answer. It is the first row of the last instant. If that instant
 * has more than `most` rows, it is one of the last `most`. It never divides two exact duplicates.
 */
export function overlapStart (rows: KeyedEvent[], most: number): number {
  const last = rows.at(-1)?.key.instant
  const firstOfLast = rows.findLastIndex(({ key }) => key.instant !== last) + 1
  let start = Math.max(firstOfLast, rows.length - most)
  while (start > 0 && areExactDuplicates(rows[start - 1], rows[start])) start--
  return start
}

function areExactDuplicates (a: KeyedEvent | undefined, b: KeyedEvent | undefined): boolean {
  const digests = [a, b].map((row) => row === undefined ? undefined : parseComputedId(row.event.id)?.digest)
  return digests[0] !== undefined && digests[0] === digests[1]
}
