import type { AuditEvent } from '../audit/event.ts'
import { filterKey, type AuditFilter } from '../audit/filter.ts'
import { formatInstant, type Instant } from '../audit/instant.ts'
import type { KeyedEvent, SortKey } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'
import { isAbsolute, resolveRange, rangeKey, type RequestedRange, type TimeRange } from '../audit/time-range.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'

/** The query of a page, before "now" is known. */
export interface PageQuery {
  /** `items`: Kubiya's own list. Its pages are bare arrays, numbered, and short only at the end of the range. */
  readonly operation: 'list' | 'search' | 'items'
  readonly filter: AuditFilter
  /** As requested, or as resolved for the first page if a cursor is followed. */
  readonly window: RequestedRange | TimeRange
  readonly direction: Direction
  /** From 1. Used if `after` is not set. */
  readonly page: number
  readonly pageSize: number
  /** The position after which the page begins. Set if a cursor is followed. */
  readonly after?: SortKey
  /** The number of matches after `after` that belong to earlier pages. */
  readonly skip?: number
  /** The query string of all pages of the same `items`, without the number of the page. */
  readonly numbered?: string
  /** Path prefix of the links in the response, for a proxy that offers the service under a path. */
  readonly prefix?: string
  /** Equal for equal queries, and different for different ones. Computed once, because it costs half a hit (35 µs). */
  readonly key: string
}

/** A query whose window is resolved. */
export interface PageRequest extends Pick<PageQuery, 'after' | 'direction' | 'filter' | 'page' | 'pageSize' | 'skip'> {
  readonly window: TimeRange
  /** Index of the first row, from 0, where it does not follow from `page` and `pageSize`. */
  readonly firstRow?: number
}

/** A page of matching events, read from Kubiya. */
export interface Page<Event = AuditEvent> {
  readonly ok: true
  readonly events: readonly Event[]
  /** Where the next page begins; `undefined` when there is none. */
  readonly next: SortKey | undefined
  /** The position of the last event. `undefined`: there is none. */
  readonly last: SortKey | undefined
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

/** Completes a query with its key. */
export function createPageQuery (query: Omit<PageQuery, 'key'>): PageQuery {
  return { ...query, key: keyOf(query) }
}

/** Resolves the window. `earliest` is now by the slower of two clocks: this machine's and Kubiya's. */
export function rangeOf ({ window }: PageQuery, now: Instant, earliest: Instant): TimeRange {
  return isRequested(window) ? resolveRange(window, now, earliest) : window
}

/** Whether the window stays the same as time goes by. */
export function hasAbsoluteRange ({ window }: { readonly window: RequestedRange | TimeRange }): boolean {
  return !isRequested(window) || isAbsolute(window)
}

/** Whether the upper bound moves with time, so that later events will fall into the window. */
export function endIsRelative ({ window }: { readonly window: RequestedRange | TimeRange }): boolean {
  return isRequested(window) && window.end?.kind === 'ago'
}

/** The first rows, as many as one answer holds; at least one, however large. */
export function withinBytes (rows: KeyedEvent[], maxBytes: number): KeyedEvent[] {
  let bytes = 0
  const end = rows.findIndex(({ event }, index) => (bytes += event.json.length) > maxBytes && index > 0)
  return end < 0 ? rows : rows.slice(0, end)
}

/** JSON, so that no character in a value can make two queries equal. A relative window counts as it was requested. */
function keyOf (query: Omit<PageQuery, 'key'>): string {
  const { after, direction, filter, operation, page, pageSize, prefix = '', skip = 0, window } = query
  const windowText = isRequested(window)
    ? rangeKey(window)
    : [window.start, window.end].map((bound) => bound === undefined ? '' : formatInstant(bound)).join('/')
  return JSON.stringify([operation, filterKey(filter), windowText, direction, page, pageSize,
    after === undefined ? null : [String(after.instant), after.id, skip], prefix])
}

/** Whether a range is still as it was requested. */
export function isRequested (window: RequestedRange | TimeRange): window is RequestedRange {
  return 'unbounded' in window
}
