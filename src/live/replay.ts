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
  /** Whether there was more than the limits allow … */
  readonly cut: boolean
  /** … and then, from where on events are missing. */
  readonly reached: Instant
}

export interface ReplaysOptions {
  readonly source: AuditSource
  readonly head: () => LogCursor
  /** Most events that a replay gives; it looks through ten times as many. */
  readonly limit: number
  /** Told of what should not happen; the replay counts as failed. */
  readonly onError: (error: unknown) => void
}

const PAGE_SIZE = 1000
const SHARED_MS = 5000
const SCANNED_PER_GIVEN = 10
const MOST_SHARED = 16

/**
 * Reads the past for streams that begin before the log. Streams that ask for the same at about the same time share one
 * read, and with it the place in the log that was taken before it, so that none of them has a hole.
 */
export function createReplays ({ head, limit, onError, source }: ReplaysOptions): (filter: AuditFilter, from: Instant) => Replay {
  const shared = new LRUCache<string, Replay>({ max: MOST_SHARED, ttl: SHARED_MS, ttlAutopurge: true })

  return (filter, from) => {
    const key = `${from}${filterKey(filter)}`
    const known = shared.get(key)
    if (known !== undefined) return known
    const replay = { place: head(), outcome: read(filter, from).catch(fail) }
    shared.set(key, replay)
    replay.outcome.then(forgetFailed)
    return replay

    function forgetFailed (outcome: ReplayOutcome | Failure): void {
      if (!outcome.ok && shared.get(key) === replay) shared.delete(key)
    }
  }

  function fail (error: unknown): Failure {
    onError(error)
    return { ok: false, kind: 'invalid' }
  }

  async function read (filter: AuditFilter, from: Instant): Promise<ReplayOutcome | Failure> {
    const rows: Row[] = []
    let scanned = 0
    for await (const step of walk(source, { filter, window: { start: from }, direction: 'asc', pageSize: PAGE_SIZE, purpose: 'caller' })) {
      if (!step.ok) return step
      rows.push(...step.rows)
      rows.sort(compareRows('asc'))
      scanned += step.scanned
      if (step.end) return outcomeOf(rows, undefined)
      // Only what lies before `reached` is certain to be the oldest there is.
      const { reached } = step
      const certain = reached === undefined ? [] : rows.filter(({ place }) => place.instant < reached)
      if (reached !== undefined && (certain.length >= limit || scanned >= SCANNED_PER_GIVEN * limit)) return outcomeOf(certain, reached)
    }
    throw new Error('a walk ended without saying so')
  }

  function outcomeOf (rows: Row[], reached: Instant | undefined): ReplayOutcome {
    const given = rows.slice(0, limit)
    const ids = new Set(given.map(({ event }) => event.id))
    const firstMissing = rows[limit]?.place.instant ?? reached
    return { ok: true, rows: given, ids, cut: firstMissing !== undefined, reached: firstMissing ?? 0n }
  }
}
