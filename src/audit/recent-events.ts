import type { LogCursor } from './cursor.ts'
import type { AuditFilter } from './filter.ts'
import type { KeyedEvent, SortKey } from './sort-key.ts'
import type { Direction, Failure } from './source.ts'
import type { TimeRange } from './time-range.ts'

/** One page of matching events. */
export interface RecentPageQuery {
  readonly filter: AuditFilter
  /** Resolves the window. A poll may pass before the log is read, so a relative window is resolved after it. */
  readonly window: () => TimeRange
  readonly direction: Direction
  /** The last event of the page before. */
  readonly after?: SortKey
  /** How many matches to pass over, from the window's first end or from `after`. */
  readonly skip: number
  /** Most rows of the answer. */
  readonly count: number
}

/** A page, or one event by its id. */
export type RecentQuery = RecentPageQuery | { readonly id: string }

/** What the event log answers. It equals what Kubiya would have answered at `readMs`. */
export interface RecentAnswer {
  readonly ok: true
  readonly rows: readonly KeyedEvent[]
  /** Whether a further match follows the rows. */
  readonly hasMore: boolean
  /** How many events were compared with the filter. */
  readonly scanned: number
  readonly window: TimeRange
  /** The position of the log that was read. Entries behind it are not in the answer. */
  readonly position: LogCursor
  /** When the poll began that the rows are known from: monotonic time, milliseconds. */
  readonly readMs: number
  /** Why the rows are no newer: the poll on demand failed. */
  readonly failure?: Failure
}

/**
 * The port to the recent events that the service holds. `undefined`: the log is not complete for this query, so Kubiya
 * has to be asked. A failure is a refused credential: nothing that it saw may be shown.
 */
export type RecentEvents = (query: RecentQuery) => Promise<RecentAnswer | Failure | undefined>
