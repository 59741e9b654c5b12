import type { Aggregates } from '../aggregates/aggregates.ts'
import type { AuditEvent } from '../audit/event.ts'
import { compileFilter, type AuditFilter } from '../audit/filter.ts'
import { instantFromMs } from '../audit/instant.ts'
import type { Failure } from '../audit/source.ts'
import { isWithin, type TimeRange } from '../audit/time-range.ts'
import type { ConversationQuery } from './conversation-query.ts'
import { produceConversation, type ConversationResponseContext } from './conversation-response.ts'
import { selectionOf, windowOf, type CountQuery } from './count-query.ts'
import { produceCounts, produceCountsFromMemory, type CountResponseContext } from './count-response.ts'
import { produceEvent, produceEventFromLog, type EventResponseContext } from './event-response.ts'
import { endIsRelative, rangeOf, type PageQuery } from './page-query.ts'
import { lastOfPageBefore, produceItems, type ItemsResponseContext } from './items-response.ts'
import { SCAN_PAGE_SIZE, eventsInMemory, producePage, producePageFromLog } from './page-response.ts'
import type { CacheRequest, CacheResult, Produced, RequestContext, ResponseCache } from './response-cache.ts'
import type { ResponseMemory, ResponseReservation } from './response-memory.ts'
import { createSessionSummaries } from './session-summaries.ts'
import type { StoredResponse } from './stored-response.ts'

type Contexts =
  & ItemsResponseContext
  & EventResponseContext
  & ConversationResponseContext
  & CountResponseContext

export interface ArchiveOptions extends Omit<Contexts, 'aggregates' | 'now' | 'earliest' | 'memory' | 'summaries'> {
  readonly aggregates: Aggregates
  readonly cache: ResponseCache
  readonly memory: ResponseMemory
  /** Whose events these are. A part of each key, so that no tenant can meet the responses of another. */
  readonly tenant: string
  /** Kubiya's clock, milliseconds since 1970. */
  readonly upstreamNow: () => number
  /** The slower of Kubiya's clock and this machine's, milliseconds since 1970. */
  readonly earliestNow: () => number
}

/** The past: events that are read from Kubiya through the cache. */
export interface Archive {
  /** Returns a page of a list or search, at once if it is in the cache. */
  page (query: PageQuery, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure>
  /** Returns a page of one session with its figures, or its absence. */
  conversation (query: ConversationQuery, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure>
  /** Returns counts of the events of a window. */
  count (query: CountQuery, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure>
  /** Drops what was read and not answered yet, and all counts: a refused credential has read it. */
  dropParts (): void
  /** Returns one event, or its absence. */
  describe (id: string, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure>
}

/** Which events a response covers. */
interface Coverage {
  /** Returns the test for events that belong into the response, as of now. */
  readonly matches: () => (event: AuditEvent) => boolean
  /** Whether an event that does not belong into the response now never will. */
  readonly isStable: boolean
}

const OVERLOADED_RETRY_MS = 5000

/** Wires the past of one tenant: the cache in front, and behind it what makes a response from Kubiya's answers. */
export function createArchive ({ earliestNow, upstreamNow, ...options }: ArchiveOptions): Archive {
  const { cache, log, memory, tenant } = options
  const summaries = createSessionSummaries(log, options.clock)
  const context = {
    ...options,
    summaries,
    now: () => instantFromMs(upstreamNow()),
    earliest: () => instantFromMs(Math.min(upstreamNow(), earliestNow()))
  }
  // One for each query object. To build and hash the key costs a hit 0.6 µs; to look it up here costs 0.02 µs.
  const requests = new WeakMap<PageQuery, CacheRequest>()
  return { page, count, describe, conversation, dropParts }

  function page (query: PageQuery, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure> {
    return cache.serve(requests.get(query) ?? prepare(query), requestContext)
  }

  function prepare (query: PageQuery): CacheRequest {
    const isItems = query.operation === 'items'
    const after = () => isItems ? lastOfPageBefore(query, stored, context.clock.monotonicMs()) : query.after
    const request: CacheRequest = {
      key: keyOf(query),
      produceFromLog: () => withRoom(eventsInMemory(query), () => producePageFromLog(context, query, after())),
      produce: (requester, signal) =>
        withRoom(eventsInMemory(query), (room) => isItems
          ? produceItems(context, query, { requester, room, signal, stored })
          : producePage(context, query, room, requester, signal)),
      isInvalidated: (response) => isInvalidated(response, () => coverageOf(query))
    }
    requests.set(query, request)
    return request
  }

  function keyOf (query: Pick<PageQuery, 'key'>): string {
    return `${tenant} ${query.key}`
  }

  function stored (query: PageQuery): StoredResponse | undefined {
    return cache.peek(keyOf(query))
  }

  function coverageOf (query: PageQuery): Coverage {
    return {
      isStable: !endIsRelative(query),
      matches: () => matcherOf(query.filter, rangeOf(query, context.now(), context.earliest()))
    }
  }

  /** `no-cache` counts Kubiya's events again, where that is allowed now. Otherwise it is an ordinary request. */
  function count (query: CountQuery, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure> {
    const noCache = requestContext.noCache && options.aggregates.beginRecount()
    return cache.serve({
      key: keyOf(query),
      produceFromLog: () => withRoom(1, (room) => produceCountsFromMemory(context, query, room)),
      produce: (requester) => withRoom(1, (room) => produceCounts(context, query, room, requester)),
      isInvalidated: (response) => isInvalidated(response, () => ({
        isStable: !endIsRelative(query),
        matches: () => matcherOf(selectionOf(query), windowOf(query, context.now(), context.earliest()))
      }))
    }, { ...requestContext, noCache })
  }

  function describe (id: string, requestContext: RequestContext): CacheResult | Promise<CacheResult | Failure> {
    const coverage: Coverage = { isStable: true, matches: () => (event) => event.id === id }
    return cache.serve({
      key: `${tenant} ${JSON.stringify(['describe', id])}`,
      produceFromLog: () => produceEventFromLog(context, id),
      produce: (requester, signal) => withRoom(SCAN_PAGE_SIZE, () => produceEvent(context, id, requester, signal)),
      isInvalidated: (response) => isInvalidated(response, () => coverage)
    }, requestContext)
  }

  function conversation (
    query: ConversationQuery,
    requestContext: RequestContext
  ): CacheResult | Promise<CacheResult | Failure> {
    const coverage: Coverage = {
      isStable: true,
      matches () {
        const accepts = compileFilter({ session_id: query.id }) // Events that are not shown change the figures.
        return ({ item }) => accepts(item)
      }
    }
    return cache.serve({
      key: `${tenant} ${query.key}`,
      produce: (requester, signal) => withRoom(query.pageSize + SCAN_PAGE_SIZE, (room) =>
        produceConversation(context, query, room, requester, signal)),
      isInvalidated: (response) => isInvalidated(response, () => coverage)
    }, requestContext)
  }

  function dropParts (): void {
    options.parts.clear()
    options.aggregates.clear()
    summaries.clear()
  }

  /**
   * Whether an event entered the log that the response does not show (RFC 9111 §4.4). The position up to which the log
   * was checked is kept in the response, so that each entry of the log is checked once.
   */
  function isInvalidated (response: StoredResponse, covered: () => Coverage): boolean {
    const since = response.logPosition
    if (since === undefined) return false
    const end = log.position()
    if (end.offset === since.offset && end.epoch === since.epoch) return false
    const { isStable, matches } = covered()
    if (log.hasNew(since, matches())) return true
    if (isStable) response.logPosition = end
    return false
  }

  /** Makes a response when there is memory for it. */
  async function withRoom<Result extends Produced | Failure | undefined> (
    events: number,
    produce: (room: ResponseReservation) => Promise<Result>
  ): Promise<Result | Failure> {
    const room = await memory.reserve(events)
    if (room === undefined) return { ok: false, kind: 'overloaded', retryAfterMs: OVERLOADED_RETRY_MS }
    const produced = await produce(room).finally(room.release)
    if (produced?.ok === false && produced.kind === 'unauthorized') dropParts()
    return produced
  }
}

function matcherOf (filter: AuditFilter, window: TimeRange): (event: AuditEvent) => boolean {
  const accepts = compileFilter(filter)
  return ({ instant, item }) => accepts(item) && (instant === undefined || isWithin(instant, window))
}
