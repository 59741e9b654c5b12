import { LRUCache } from 'lru-cache'
import type { LogCursor } from '../audit/cursor.ts'
import { filterKey, type AuditFilter } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import { compareRows, type Row } from '../audit/place.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { walk } from '../audit/walk.ts'

/** Events of the past as Kubiya gave them, and the place in the log from which the live ones go on. */
export interface Replay {
  /** The log's head before Kubiya was asked: everything that the replay could miss comes behind it. */
  readonly place: LogCursor
  readonly outcome: Promise<ReplayOutcome | Failure>
}

export interface ReplayOutcome {
  readonly ok: true
  /** Oldest first. */
  readonly rows: Row[]
  readonly ids: ReadonlySet<string>
  /** Whether there were more than the limit, which were not read. */
  readonly cut: boolean
}

export interface ReplaysOptions {
  readonly source: AuditSource
  readonly head: () => LogCursor
  readonly limit: number
}

const PAGE_SIZE = 1000
const SHARED_MS = 5000
const MOST_SHARED = 16

/**
 * Reads the past for streams that begin before the log. Streams that ask for the same at about the same time share one
 * read, and with it the place in the log that was taken before it, so that none of them has a hole.
 */
export function createReplays ({ head, limit, source }: ReplaysOptions): (filter: AuditFilter, from: Instant) => Replay {
  const shared = new LRUCache<string, Replay>({ max: MOST_SHARED, ttl: SHARED_MS })

  return (filter, from) => {
    const key = `${from}${filterKey(filter)}`
    const known = shared.get(key)
    if (known !== undefined) return known
    const replay = { place: head(), outcome: read(filter, from) }
    shared.set(key, replay)
    replay.outcome.then(forgetFailed)
    return replay

    function forgetFailed (outcome: ReplayOutcome | Failure): void {
      if (!outcome.ok && shared.get(key) === replay) shared.delete(key)
    }
  }

  async function read (filter: AuditFilter, from: Instant): Promise<ReplayOutcome | Failure> {
    const rows: Row[] = []
    for await (const step of walk(source, { filter, window: { start: from }, direction: 'asc', pageSize: PAGE_SIZE, purpose: 'caller' })) {
      if (!step.ok) return step
      rows.push(...step.rows)
      if (rows.length > limit) break
    }
    const given = rows.sort(compareRows('asc')).slice(0, limit)
    return { ok: true, rows: given, ids: new Set(given.map(({ event }) => event.id)), cut: rows.length > limit }
  }
}
