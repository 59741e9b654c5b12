import { LRUCache } from 'lru-cache'
import type { LogCursor } from '../audit/cursor.ts'
import { compileFilter } from '../audit/filter.ts'
import type { Clock } from '../clock.ts'
import type { SessionSummary } from './conversation-body.ts'
import type { ConversationQuery } from './conversation-query.ts'
import type { LogView } from './stored-response.ts'

export interface CountedSession {
  readonly summary: SessionSummary
  /** The end of the log before Kubiya was called. */
  readonly position: LogCursor
  readonly readMs: number
}

/** The figures of sessions that were counted lately: the pages of a long session need one count. */
export interface SessionSummaries {
  /** `undefined`: the session has to be counted. */
  get (query: Pick<ConversationQuery, 'after' | 'id'>): SessionSummary | undefined
  keep (id: string, counted: CountedSession): void
  clear (): void
}

const MAX_SESSIONS = 100
const KEEP_MS = 5 * 60_000

/**
 * Keeps the figures of a session for five minutes. A first page shows new figures once an event of the session has
 * entered the log. The pages behind it keep those of the first.
 */
export function createSessionSummaries (
  log: Pick<LogView, 'hasNew'>,
  clock: Pick<Clock, 'monotonicMs'>
): SessionSummaries {
  const sessions = new LRUCache<string, CountedSession>({ max: MAX_SESSIONS })
  return { get, keep: (id, counted) => { sessions.set(id, counted) }, clear: () => sessions.clear() }

  function get ({ after, id }: Pick<ConversationQuery, 'after' | 'id'>): SessionSummary | undefined {
    const counted = sessions.get(id)
    if (counted === undefined || clock.monotonicMs() - counted.readMs >= KEEP_MS) return undefined
    const accepts = compileFilter({ session_id: id })
    const isOld = after === undefined && log.hasNew(counted.position, ({ item }) => accepts(item))
    return isOld ? undefined : counted.summary
  }
}
