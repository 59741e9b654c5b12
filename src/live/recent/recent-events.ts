import type { AuditEvent } from '../../audit/event.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import type { Instant } from '../../audit/instant.ts'
import type { RecentAnswer, RecentEvents, RecentPageQuery } from '../../audit/recent-events.ts'
import type { Failure } from '../../audit/source.ts'
import type { Clock } from '../../clock.ts'
import type { PollDemand } from '../ingest/poll-on-demand.ts'
import type { CompletedReads } from '../ingest/upstream-reader.ts'
import type { Poller } from '../ingest/poller.ts'
import type { RecentRows, Selection } from './recent-rows.ts'

export interface RecentEventsOptions {
  readonly rows: Pick<RecentRows, 'select'>
  /** The event with this id, if the log holds it. */
  readonly find: (id: string) => AuditEvent | undefined
  readonly end: () => LogCursor
  readonly poller: Pick<Poller, 'completedReads' | 'demand' | 'health'>
  /** When Kubiya last refused the credential in any call: monotonic time, milliseconds. */
  readonly refusedMs: () => number
  /** Largest age of an answer whose poll succeeds, milliseconds. */
  readonly openTtlMs: number
  readonly intervalMs: number
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Both reads of one moment, where the log may answer. */
type Reads = { readonly [Name in keyof CompletedReads]-?: NonNullable<CompletedReads[Name]> }

const MOST_POLLS = 3

/**
 * Answers queries out of the log, equal to what Kubiya would answer. A query that needs newer rows than the last poll
 * brought waits for a poll on demand. After a refused credential nothing is answered until a poll is good again.
 */
export function createRecentEvents (options: RecentEventsOptions): RecentEvents {
  const { clock, end, find, intervalMs, openTtlMs, poller, refusedMs, rows } = options
  return async (query) => 'id' in query ? byId(query.id) : byPage(query)

  /** An event in the log needs no poll: a poll shows neither changes nor deletions. */
  function byId (id: string): RecentAnswer | undefined {
    const [reads, event, position] = [readsThatCount(), find(id), end()]
    if (reads === undefined || event === undefined) return undefined
    const instant = event.instant ?? reads.last.start
    const row = { event, key: { instant, id } }
    return { ok: true, rows: [row], hasMore: false, scanned: 1, window: {}, position, readMs: knownMs(instant, reads) }
  }

  async function byPage (query: RecentPageQuery): Promise<RecentAnswer | Failure | undefined> {
    const askedMs = clock.monotonicMs()
    if (!await isTrusted()) return undefined
    let last: { readonly failure?: Failure } | undefined // Set once no further poll may be waited for.
    for (let polls = 0; polls <= MOST_POLLS; polls++) {
      const reads = readsThatCount() // Before the rows are taken: a poll may end meanwhile.
      const selection = reads === undefined ? undefined : await rows.select(query)
      if (reads === undefined || selection === undefined) return undefined
      const demand = demandOf(selection, reads, askedMs)
      if (last !== undefined || isMet(demand, reads)) return answerOf(selection, reads, last)
      const result = await poller.demand(demand)
      if (result.kind === 'stopped') return undefined
      if (result.kind === 'held-back') last = {}
      if (result.kind !== 'failed') continue
      if (isRefusal(result.failure)) return result.failure
      last = { failure: result.failure }
    }
    return undefined
  }

  /**
   * Whether Kubiya has accepted the credential since it last refused it. One poll on demand may show that. While the
   * poller itself is refused, each query asks Kubiya.
   */
  async function isTrusted (): Promise<boolean> {
    const { last } = poller.completedReads()
    if (last === undefined || refusedMs() < last.startedMs) return true
    if (poller.health().upstream === 'unauthorized') return false
    const { kind } = await poller.demand({ sinceMs: refusedMs() + 1 })
    return kind === 'met'
  }

  /** The reads that answers rest on. `undefined`: the log answers nothing now. */
  function readsThatCount (): Reads | undefined {
    const { last, lastFull } = poller.completedReads()
    const { latenessMs, upstream } = poller.health()
    // While the lateness window is shortened, late events may be missing.
    if (last === undefined || lastFull === undefined || latenessMs !== undefined) return undefined
    return upstream === 'unauthorized' || refusedMs() >= last.startedMs ? undefined : { last, lastFull }
  }

  function demandOf ({ from }: Selection, { last }: Reads, askedMs: number): PollDemand {
    const sinceMs = askedMs - Math.min(intervalMs, openTtlMs)
    return from < last.start ? { sinceMs, fullSinceMs: askedMs - openTtlMs } : { sinceMs }
  }

  function answerOf (selection: Selection, reads: Reads, { failure }: { failure?: Failure } = {}): RecentAnswer {
    const { from, ...rest } = selection
    return { ok: true, ...rest, readMs: knownMs(from, reads), ...failure !== undefined && { failure } }
  }
}

/** When the read began that rows from this instant on are known from. */
function knownMs (from: Instant, { last, lastFull }: Reads): number {
  return from < last.start ? lastFull.startedMs : last.startedMs
}

function isMet ({ fullSinceMs = -Infinity, sinceMs }: PollDemand, { last, lastFull }: Reads): boolean {
  return last.startedMs >= sinceMs && lastFull.startedMs >= fullSinceMs
}

function isRefusal ({ kind }: Failure): boolean {
  return kind === 'unauthorized' || kind === 'forbidden'
}
