import type { CountedField } from '../aggregates/columns.ts'
import type { SessionOrder, SessionPosition } from '../aggregates/sessions.ts'
import type { SessionOutcome } from '../audit/session.ts'
import type { SessionsCursor } from '../audit/cursor.ts'
import { filterKey, type AuditFilter } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import { rangeKey, resolveRange, type RequestedRange, type TimeRange } from '../audit/time-range.ts'
import { isRequested } from './page-query.ts'

/** The most buckets of a timeline. */
export const MOST_BUCKETS = 1500

/** What is counted. */
export type CountKind =
  | { readonly operation: 'summary', readonly top: number }
  | {
    readonly operation: 'timeline'
    /** The number of buckets, or the width of each in seconds. */
    readonly width: { readonly buckets: number } | { readonly intervalSeconds: number }
    readonly by: CountedField | 'none'
    readonly top: number
  }
  | SessionsKind
  | { readonly operation: 'facets', readonly fields: readonly CountedField[], readonly top: number }

/** A page of sessions. */
export interface SessionsKind extends Pick<SessionsCursor, 'pin'> {
  readonly operation: 'sessions'
  readonly orderBy: SessionOrder
  readonly outcome: SessionOutcome | undefined
  readonly pageSize: number
  /** The last session of the page before. */
  readonly after: SessionPosition | undefined
  /** Path prefix of the link to the next page. */
  readonly prefix: string
}

/** A question for counts, before "now" is known. */
export interface CountQuery {
  readonly kind: CountKind
  readonly filter: AuditFilter
  /** As requested, or as resolved for the first page if a cursor is followed. */
  readonly window: RequestedRange | TimeRange
  /** Equal for equal questions, and different for different ones. */
  readonly key: string
}

export function createCountQuery (query: Omit<CountQuery, 'key'>): CountQuery {
  const { filter, kind, window } = query
  const range = isRequested(window) ? rangeKey(window) : [window.start, window.end]
  return { ...query, key: JSON.stringify([kind, filterKey(filter), range], writeBigint) }
}

/** The filter that selects all events which the answer depends on: a facet is counted without its own filter. */
export function selectionOf ({ filter, kind }: CountQuery): AuditFilter {
  // The figures of a session are of all its events, also of those that do not match.
  if (kind.operation === 'sessions') {
    return filter.session_id === undefined ? {} : { session_id: filter.session_id }
  }
  if (kind.operation !== 'facets') return filter
  const fields: readonly string[] = kind.fields
  return Object.fromEntries(Object.entries(filter).filter(([name]) => !fields.includes(name))) as AuditFilter
}

/** Resolves the window. `earliest` is now by the slower of two clocks. */
export function windowOf ({ window }: CountQuery, now: Instant, earliest: Instant): TimeRange {
  return isRequested(window) ? resolveRange(window, now, earliest) : window
}

function writeBigint (_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
