import type { AuditEvent } from '../audit/event.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { KeyedEvent, SortKey } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'

/** A page of matching events, as the archive reads it. */
export interface PageRequest {
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  /** From 1. Used where `after` is not set. */
  readonly page: number
  readonly pageSize: number
  /** The last event of the page before. */
  readonly after?: SortKey
  /** Matches behind `after` that belong to pages before this one. */
  readonly skip?: number
}

export interface Page {
  readonly ok: true
  readonly events: AuditEvent[]
  /** Where the next page begins; `undefined` when there is none. */
  readonly next: SortKey | undefined
  /** Matches behind `next` that belong to this page or pages before it, and were not read. */
  readonly skip: number
  readonly scanned: number
  /** Whether the page is full or the window was read to its end: no limit cut the page off. */
  readonly complete: boolean
  /** Whether rows were filtered here and not by Kubiya alone, so that pages count matches. */
  readonly filteredLocally: boolean
  /** Whether a shortage that will pass cut the page off, so that the answer is not worth storing. */
  readonly transient: boolean
  /** Ranges whose rows could not be read. */
  readonly skipped: readonly SkippedRange[]
}

/** How large an answer may become. */
export interface AnswerSize {
  /** Bytes of events at which a page ends early. The first event is in the page however large it is. */
  readonly maxBytes: number
  /** Called with the bytes of events that are held while the page is read. */
  readonly onHeld: (eventBytes: number) => void
}

/** The first rows, as many as one answer holds; at least one, however large. */
export function withinBytes (rows: KeyedEvent[], maxBytes: number): KeyedEvent[] {
  let bytes = 0
  const end = rows.findIndex(({ event }, index) => (bytes += event.json.length) > maxBytes && index > 0)
  return end < 0 ? rows : rows.slice(0, end)
}
