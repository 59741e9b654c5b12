import { EARLIEST, NANOS_PER_SECOND, floorToSecond, maxInstant, minInstant, type Instant } from '../audit/instant.ts'
import type { KeyedEvent } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { Granularity } from './granularity.ts'
import type { PageAnswer, SkippedRows } from './page-run.ts'

/** Rows that could not be read. All of them are between two instants. */
export interface SkippedRange extends SkippedRows {
  readonly from: Instant
  /** `undefined`: no row after them was read yet. */
  readonly to: Instant | undefined
}

/** One answer with its query and the row before it. */
export interface SkippedContext {
  readonly answer: PageAnswer
  readonly rows: KeyedEvent[]
  readonly direction: Direction
  /** The range of the query. */
  readonly bound: TimeRange
  readonly granularity: Granularity
  /** The last row of the previous answer. */
  readonly previous: KeyedEvent | undefined
}

/** The range of the rows that are missing before or in an answer. `undefined`: none is missing. */
export function skippedRangeOf (context: SkippedContext): SkippedRange | undefined {
  const before = skippedBefore(context)
  const inside = unreadableInside(context)
  if (before === undefined || inside === undefined) return before ?? inside
  const to = before.to === undefined || inside.to === undefined ? undefined : maxInstant(before.to, inside.to)
  return { from: minInstant(before.from, inside.from), to, rows: before.rows + inside.rows, reason: before.reason }
}

/**
 * Rows that were skipped directly before the answer. Only a scan in ascending order knows both neighbours. If the
 * upstream sorts by whole seconds, the rows may be anywhere in the seconds of their neighbours.
 */
function skippedBefore (context: SkippedContext): SkippedRange | undefined {
  const { answer: { skipped }, bound, direction, granularity, previous, rows } = context
  if (skipped === undefined) return undefined
  const start = bound.start === undefined ? EARLIEST : floorToSecond(bound.start)
  if (direction === 'desc') return { ...skipped, from: start, to: undefined }
  const from = previous?.key.instant ?? start
  const to = rows[0]?.key.instant
  if (granularity !== 'second') return { ...skipped, from, to }
  return {
    ...skipped,
    from: floorToSecond(from),
    to: to === undefined ? undefined : floorToSecond(to) + NANOS_PER_SECOND - 1n
  }
}

/** Rows of the answer itself that are too large to be read. They are between their neighbours in it. */
function unreadableInside ({ answer, bound, direction, rows }: SkippedContext): SkippedRange | undefined {
  const { unreadable = [] } = answer
  const [first] = unreadable
  const last = unreadable.at(-1)
  if (first === undefined || last === undefined) return undefined
  const [before, after] = [rows[first - 1]?.key.instant, rows[last]?.key.instant]
  const [from, to] = direction === 'asc'
    ? [before ?? bound.start, after ?? bound.end]
    : [after ?? bound.start, before ?? bound.end]
  return { from: from ?? EARLIEST, to, rows: unreadable.length, reason: 'too-large' }
}
