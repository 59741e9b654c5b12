import { filterKey, type AuditFilter } from '../audit/filter.ts'
import { formatInstant, type Instant } from '../audit/instant.ts'
import type { SortKey } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'
import { isAbsolute, resolveRange, rangeKey, type RequestedRange, type TimeRange } from '../audit/time-range.ts'

/** What a caller asks of the past, before "now" is known. */
export interface PageQuery {
  readonly operation: 'list' | 'search'
  readonly filter: AuditFilter
  /** As asked on a first or numbered page; pinned when a cursor is followed. */
  readonly window: RequestedRange | TimeRange
  readonly direction: Direction
  readonly page: number
  readonly pageSize: number
  /** Set when a cursor is followed: where the page begins … */
  readonly after?: SortKey
  /** … and how many matches behind that belong to pages before it. */
  readonly skip?: number
  /** What goes in front of paths in the answer, for a proxy that offers the service under a path. */
  readonly prefix?: string
}

/** The window that was meant, now; `earliest` is now by the clock that is behind. */
export function rangeOf (question: PageQuery, now: Instant, earliest: Instant): TimeRange {
  return isAsked(question.window) ? resolveRange(question.window, now, earliest) : question.window
}

/** Whether the answer is about a stretch of time that stays where it is. */
export function hasAbsoluteRange (question: PageQuery): boolean {
  return !isAsked(question.window) || isAbsolute(question.window)
}

/** Whether the window's upper bound moves on with time, so that what lies behind it now will be inside. */
export function endIsRelative ({ window }: PageQuery): boolean {
  return isAsked(window) && window.end?.kind === 'ago'
}

/**
 * The cache's key: equal for equal questions, different for different ones whatever characters the values hold. The
 * window counts as it was asked, so that "the last 24 hours" is one question a second later too.
 */
export function pageCacheKey (tenant: string, question: PageQuery): string {
  const { after, direction, filter, operation, page, pageSize, prefix = '', skip = 0, window } = question
  const windowText = isAsked(window)
    ? rangeKey(window)
    : [window.start, window.end].map((bound) => bound === undefined ? '' : formatInstant(bound)).join('/')
  return JSON.stringify([tenant, operation, filterKey(filter), windowText, direction, page, pageSize,
    after === undefined ? null : [String(after.instant), after.id, skip], prefix])
}

/** The cache's key of a single event. */
export function eventCacheKey (tenant: string, id: string): string {
  return JSON.stringify([tenant, 'describe', id])
}

function isAsked (window: RequestedRange | TimeRange): window is RequestedRange {
  return 'unbounded' in window
}
