import type { AuditEvent } from '../../audit/event.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import type { RecentAnswer, RecentEvents, RecentPageQuery } from '../../audit/recent-events.ts'
import type { Failure } from '../../audit/source.ts'
import { knownMs, type Fresh, type Freshness } from './freshness.ts'
import type { RecentRows, Selection } from './recent-rows.ts'

export interface RecentEventsOptions {
  readonly rows: Pick<RecentRows, 'select'>
  /** The event with this id, if the log holds it. */
  readonly find: (id: string) => AuditEvent | undefined
  readonly end: () => LogCursor
  readonly freshness: Freshness
}

/**
 * Answers queries out of the log, equal to what Kubiya would answer. A query that needs newer rows than the last poll
 * brought waits for a poll on demand.
 */
export function createRecentEvents ({ end, find, freshness, rows }: RecentEventsOptions): RecentEvents {
  return async (query) => 'id' in query ? byId(query.id) : byPage(query)

  /** An event in the log needs no poll: a poll shows neither changes nor deletions. */
  function byId (id: string): RecentAnswer | undefined {
    const [reads, event, position] = [freshness.reads(), find(id), end()]
    if (reads === undefined || event === undefined) return undefined
    const instant = event.instant ?? reads.last.start
    const row = { event, key: { instant, id } }
    return { ok: true, rows: [row], hasMore: false, scanned: 1, window: {}, position, readMs: knownMs(instant, reads) }
  }

  async function byPage (query: RecentPageQuery): Promise<RecentAnswer | Failure | undefined> {
    const fresh = await freshness.freshly(() => rows.select(query))
    return fresh?.ok === true ? answerOf(fresh) : fresh
  }

  function answerOf ({ failure, reads, taken: { from, ...rest } }: Fresh<Selection>): RecentAnswer {
    return { ok: true, ...rest, readMs: knownMs(from, reads), ...failure !== undefined && { failure } }
  }
}
