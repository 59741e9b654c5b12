import type { ExportCursor } from '../audit/cursor.ts'
import type { AuditFilter } from '../audit/filter.ts'
import { EARLIEST, LATEST } from '../audit/instant.ts'
import type { SortKey } from '../audit/sort-key.ts'
import type { Direction, Failure } from '../audit/source.ts'
import type { RequestedRange, TimeRange } from '../audit/time-range.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'

/** What to export, before "now" is known. */
export interface ExportQuery {
  readonly filter: AuditFilter
  /** As requested, or as pinned by the part before. */
  readonly window: RequestedRange | TimeRange
  readonly direction: Direction
  /** The most events. */
  readonly limit: number
  /** Where the part before ended. */
  readonly after?: SortKey
  /** Whether rows of parts before could not be read. */
  readonly hasSkipped?: boolean
}

/** A query whose window is resolved. Its end is set, so that no new event belongs to it. */
export interface ExportRequest extends ExportQuery {
  readonly window: TimeRange
}

/** A part of an export: events in their order, or the end. */
export type ExportStep = ExportedEvents | ExportEnd

export interface ExportedEvents {
  readonly kind: 'events'
  readonly events: readonly AuditEvent[]
}

/** How an export ended. */
export interface ExportEnd {
  readonly kind: 'end'
  /** Whether every event of the query was exported, together with the parts before. */
  readonly complete: boolean
  /** Where the next part begins. `undefined`: the window was read to its end. */
  readonly next: ExportCursor | undefined
  /** Why it ended. `limit`: the most events were exported or read; `stopped`: the service or the caller ended it. */
  readonly reason: 'end' | 'limit' | 'stopped' | Failure['kind']
  /** Rows that could not be read. */
  readonly skipped: readonly SkippedRange[]
  /** Of an export that got nowhere. */
  readonly failure?: Failure
}

/** The position before the first event. */
export function startOf ({ after, direction, window }: ExportRequest): SortKey {
  return after ?? { instant: direction === 'asc' ? window.start ?? EARLIEST : window.end ?? LATEST, id: '' }
}
