import { encodeCursor, type LogCursor } from '../audit/cursor.ts'
import { isJudgedHere } from '../audit/filter.ts'
import { NANOS_PER_MS, floorToSecond, type Instant } from '../audit/instant.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { RecentEvents } from '../audit/recent-events.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { isFinal, type TimeRange } from '../audit/time-range.ts'
import type { Clock } from '../clock.ts'
import { representationOf } from './content-encoding.ts'
import { readPage } from './keyset-page.ts'
import { linkHeader, nextCursor, nextNumber, renderPage, type RenderedPage } from './page-body.ts'
import { hasAbsoluteRange, rangeOf, withinBytes, type Page, type PageQuery } from './page-query.ts'
import type { Produced } from './response-cache.ts'
import type { ResponseMemory, ResponseReservation } from './response-memory.ts'
import { cacheableFor, MUST_REVALIDATE, type ContentResponse, type LogView } from './stored-response.ts'

export interface PageResponseContext {
  readonly source: AuditSource
  readonly log: LogView
  /** Answers a query out of the log, if the log is complete for it. */
  readonly recent: RecentEvents
  readonly memory: Pick<ResponseMemory, 'maxAnswerBytes'>
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Now by Kubiya's clock. */
  readonly now: () => Instant
  /** Now by the slower of Kubiya's clock and this machine's. */
  readonly earliest: () => Instant
  readonly scanLimit: number
  readonly latenessMs: number
  readonly openTtlMs: number
  readonly closedTtlMs: number
}

/** Largest page that Kubiya returns, in events. */
export const SCAN_PAGE_SIZE = 1000

/** How a page was read. */
export interface PageReading {
  readonly window: TimeRange
  /** The position of the log before the page was read: an event that enters meanwhile is in the log at least. */
  readonly position: LogCursor
  /** When the page was read: Kubiya's clock, the earlier of both clocks, and monotonic time in milliseconds. */
  readonly readAt: Instant
  readonly earliest: Instant
  readonly readMs: number
  /** Set if the rows came out of the log. */
  readonly heldIn?: 'log'
}

/** Reads one page from Kubiya, and makes the complete response. */
export async function producePage (
  context: PageResponseContext,
  query: PageQuery,
  room: ResponseReservation,
  requester: Requester,
  signal: AbortSignal
): Promise<Produced | Failure> {
  const { log, memory, scanLimit, source } = context
  const [readAt, earliest] = [context.now(), context.earliest()]
  const window = rangeOf(query, readAt, earliest)
  const position = log.position()
  const purpose = { kind: 'caller' as const, key: requester.key, signal }
  const size = { maxBytes: memory.maxAnswerBytes, onHeld: room.resize }
  const page = await withReservation(requester, eventsAhead(query), (reservation) =>
    readPage(metered(source, reservation), { ...query, window }, scanLimit, purpose, size))
  if (!page.ok) return page
  const readMs = context.clock.monotonicMs()
  return {
    ok: true,
    response: await respond(context, query, page, { window, position, readAt, earliest, readMs }),
    keep: !page.transient
  }
}

/** Makes the response out of the log. `undefined`: Kubiya has to be asked. `after` replaces the number of the page. */
export async function producePageFromLog (
  context: PageResponseContext,
  query: PageQuery,
  after = query.after
): Promise<Produced | Failure | undefined> {
  const { direction, filter, operation, page: number, pageSize, skip = 0 } = query
  const answer = await context.recent({
    filter,
    window: () => rangeOf(query, context.now(), context.earliest()),
    direction,
    ...after !== undefined && { after },
    skip: after === undefined ? (number - 1) * pageSize : skip,
    count: pageSize
  })
  if (answer === undefined || !answer.ok) return answer
  const { failure, position, readMs, scanned, window } = answer
  const rows = withinBytes([...answer.rows], context.memory.maxAnswerBytes)
  const isCut = rows.length < answer.rows.length
  if (isCut && operation === 'items') return undefined // A short page of Kubiya's own list is the last one.
  const hasMore = answer.hasMore || isCut
  const last = rows.at(-1)?.key
  const page: Page = {
    ok: true,
    events: rows.map(({ event }) => event),
    next: hasMore ? last : undefined,
    last,
    skip: 0,
    scanned,
    complete: true,
    filteredLocally: isJudgedHere(filter),
    transient: false,
    skipped: []
  }
  // The page shows what was visible when its poll began.
  const sinceRead = BigInt(Math.ceil(context.clock.monotonicMs() - readMs)) * NANOS_PER_MS
  const [readAt, earliest] = [context.now(), context.earliest() - sinceRead]
  const response = await respond(context, query, page, { window, position, readAt, earliest, readMs, heldIn: 'log' })
  const items = operation === 'items' && last !== undefined ? { last } : {}
  return { ok: true, response: { ...response, ...items }, keep: failure === undefined, ...failure && { failure } }
}

/** Makes the complete response of a page. */
export async function respond (
  { closedTtlMs, latenessMs, openTtlMs }: PageResponseContext,
  query: PageQuery,
  page: RenderedPage,
  { earliest, heldIn, position, readAt, readMs, window }: PageReading
): Promise<ContentResponse> {
  const next = nextCursor(query, window, page)
  const liveCursor = isOpen(query, window, readAt) ? position : undefined
  const isClosed = hasAbsoluteRange(query) && isFinal(newestInstant(query, window), earliest, latenessMs)
  const freshMs = isClosed ? closedTtlMs : openTtlMs
  const { body, etag } = await renderPage(query, window, page, next, liveCursor)
  const headers = [
    'etag',
    etag,
    'cache-control',
    isClosed && heldIn === undefined ? cacheableFor(freshMs) : MUST_REVALIDATE,
    ...linkHeader(next === undefined ? nextNumber(query, page) : `cursor=${next}`),
    ...liveCursor === undefined ? [] : ['x-live-cursor', encodeCursor(liveCursor)],
    ...query.operation === 'items' && !page.complete ? ['x-scan-complete', 'false'] : []
  ]
  const validity = { readMs, freshMs, ...heldIn && { heldIn }, ...!isClosed && { logPosition: position } }
  return { status: 200, etag, headers, identity: representationOf(body), ...validity }
}

/** How many events one response to the query may hold in memory. */
export function eventsInMemory ({ filter, operation, page, pageSize }: PageQuery): number {
  const events = Math.max(pageSize * Math.min(page, 2), isJudgedHere(filter) ? SCAN_PAGE_SIZE : 0)
  // A page of Kubiya's own list has up to ten thousand rows, and is read behind the page before it.
  return operation === 'items' ? Math.min(events, pageSize + SCAN_PAGE_SIZE) : events
}

/** How many events to reserve from the caller's limit. A scan reads whole pages, whatever it matches. */
export function eventsAhead ({ filter, operation, pageSize }: PageQuery): number {
  return Math.max(operation === 'search' || isJudgedHere(filter) ? SCAN_PAGE_SIZE : 0, pageSize)
}

/** Whether a client can page on from here and then stream: a first page whose window has not ended. */
function isOpen (query: PageQuery, window: TimeRange, readAt: Instant): boolean {
  const isFirst = query.page === 1 && query.after === undefined && query.operation !== 'items'
  return isFirst && (window.end === undefined || window.end >= floorToSecond(readAt))
}

/** The newest instant that this page, or a later one, can show. */
function newestInstant (query: PageQuery, window: TimeRange): Instant | undefined {
  return query.direction === 'desc' && query.after !== undefined ? query.after.instant : window.end
}
