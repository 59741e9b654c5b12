import { LRUCache } from 'lru-cache'
import type { SourceQuery, Answer, Failure } from '../audit/source.ts'
import type { SessionFilterKey } from './list-request.ts'

type Read = (key: SessionFilterKey, query: SourceQuery) => Promise<Answer | Failure>

const MAX_SESSIONS = 1000

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
