import { LRUCache } from 'lru-cache'
import type { AuditFilter } from '../audit/filter.ts'
import { ceilToSecond, floorToSecond, formatInstant } from '../audit/instant.ts'
import type { Answer, Failure, SourceQuery } from '../audit/source.ts'

/** The filter key for sessions in requests to Kubiya. `local`: this service filters sessions itself. */
export type SessionFilterKey = 'extra.session_id' | 'session_id' | 'local'

type Read = (key: SessionFilterKey, query: SourceQuery) => Promise<Answer | Failure>

const MAX_SESSIONS = 1000
const LIST_PATH = '/api/v1/auditing/items'

/** The URL of the list. The base may end in `/api/v1` or a slash; a gateway's path prefix is kept. */
export function listUrl (baseUrl: string): URL {
  const url = new URL(baseUrl)
  url.pathname = url.pathname.replace(/\/+$/, '').replace(/\/api\/v1$/, '') + LIST_PATH
  url.search = ''
  url.hash = ''
  return url
}

/**
 * The list call's parameters as Kubiya's public clients encode them (docs/kubiya-api.md §1.4): `filter` and `sort` as
 * compact JSON, `page` from 1, `page_size`. Bounds are whole seconds, rounded outward: nobody knows what Kubiya does
 * with fractions. `text` and `status` are never sent: whether and how Kubiya filters by them is unknown.
 */
export function listParameters (query: SourceQuery, spelling: SessionFilterKey): URLSearchParams {
  const filter = { ...timestampFilter(query), ...fieldFilter(query.filter, spelling) }
  const parameters = new URLSearchParams()
  if (Object.keys(filter).length > 0) parameters.set('filter', JSON.stringify(filter))
  parameters.set('sort', JSON.stringify({ timestamp: query.direction === 'asc' ? 1 : -1 }))
  parameters.set('page', String(query.page))
  parameters.set('page_size', String(query.pageSize))
  return parameters
}

function timestampFilter ({ window: { start, end } }: SourceQuery): object {
  if (start === undefined && end === undefined) return {}
  return {
    timestamp: {
      ...start !== undefined && { gte: formatInstant(floorToSecond(start)) },
      ...end !== undefined && { lte: formatInstant(ceilToSecond(end)) }
    }
  }
}

function fieldFilter (filter: AuditFilter, spelling: SessionFilterKey): object {
  return {
    ...filter.category_type !== undefined && { category_type: filter.category_type },
    ...filter.category_name !== undefined && { category_name: filter.category_name },
    ...filter.resource_type !== undefined && { resource_type: filter.resource_type },
    ...filter.action_type !== undefined && { action_type: filter.action_type },
    ...filter.session_id !== undefined && spelling !== 'local' && { [spelling]: filter.session_id }
  }
}

/**
 * Kubiya stores a session under one of two keys, and nobody knows which (docs/kubiya-api.md §1.7). A query for a
 * session tries the configured key first, and the other key when the first page is empty. The key that found events is
 * remembered for the session.
 */
export function createSessionFilter (configured: SessionFilterKey) {
  const foundBy = new LRUCache<string, SessionFilterKey>({ max: MAX_SESSIONS })
  const other = configured === 'session_id' ? 'extra.session_id' : 'session_id'

  return async function readBySession (query: SourceQuery, read: Read): Promise<Answer | Failure> {
    const session = query.filter.session_id
    if (session === undefined || configured === 'local') return read(configured, query)
    const known = foundBy.get(session)
    if (known !== undefined) return read(known, query)
    const first = await read(configured, query)
    if (!first.ok || first.rows > 0 || query.page > 1) {
      if (first.ok && first.rows > 0) foundBy.set(session, configured)
      return first
    }
    const second = await read(other, query)
    if (second.ok && second.rows > 0) foundBy.set(session, other)
    return isRefusal(second) ? first : second
  }
}

/** A refusal of the other key says nothing about the session. */
function isRefusal (outcome: Answer | Failure): boolean {
  return !outcome.ok && outcome.kind === 'invalid'
}
