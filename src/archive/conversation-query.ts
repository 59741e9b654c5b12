import { filterKey, type AuditFilter } from '../audit/filter.ts'
import type { NarrativeKind } from '../audit/narrative.ts'
import type { SortKey } from '../audit/sort-key.ts'

/** The query of a page of one session's events, oldest first, without bounds of time. */
export interface ConversationQuery {
  readonly id: string
  /** The session, and what selects entries of it: `text` and `status`. */
  readonly filter: AuditFilter
  /** Selects entries of one kind. */
  readonly kind?: NarrativeKind
  /** From 1. */
  readonly page: number
  readonly pageSize: number
  /** The position after which the page begins. Set if a cursor is followed. */
  readonly after?: SortKey
  /** The number of entries after `after` that belong to earlier pages. */
  readonly skip?: number
  /** Path prefix of the links in the response. */
  readonly prefix?: string
  /** Equal for equal queries, and different for different ones. */
  readonly key: string
}

/** Completes a query with its key. */
export function createConversationQuery (query: Omit<ConversationQuery, 'key'>): ConversationQuery {
  const { after, filter, id, kind = null, page, pageSize, prefix = '', skip = 0 } = query
  const position = after === undefined ? null : [String(after.instant), after.id, skip]
  return { ...query, key: JSON.stringify(['session', id, filterKey(filter), kind, page, pageSize, position, prefix]) }
}
