import { encodeCursor, type LogCursor } from '../audit/cursor.ts'
import { isJudgedHere } from '../audit/filter.ts'
import { floorToSecond, type Instant } from '../audit/instant.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { isFinal, type TimeRange } from '../audit/time-range.ts'
import type { Clock } from '../clock.ts'
import { representationOf } from './content-encoding.ts'
import { readPage } from './keyset-page.ts'
import { linkHeader, nextCursor, nextNumber, renderPage, type RenderedPage } from './page-body.ts'
import { hasAbsoluteRange, rangeOf, type PageQuery } from './page-query.ts'
import type { Produced } from './response-cache.ts'
import type { ResponseMemory, ResponseReservation } from './response-memory.ts'
import { cacheableFor, MUST_REVALIDATE, type ContentResponse, type LogView } from './stored-response.ts'

export interface PageResponseContext {
  readonly source: AuditSource
  readonly log: LogView
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

/** Reads one page from Kubiya, and makes the complete response. */
export async function producePage (
  context: PageResponseContext,
  query: PageQuery,
  room: ResponseReservation,
  requester: Requester,
  signal: AbortSignal
): Promise<Produced | Failure> {
  const { log, memory, scanLimit, source } = context
  const readAt = context.now()
  const window = rangeOf(query, readAt, context.earliest())
  const position = log.position() // Before Kubiya is called: an event that enters meanwhile is in the log at least.
  const purpose = { kind: 'caller' as const, key: requester.key, signal }
  const size = { maxBytes: memory.maxAnswerBytes, onHeld: room.resize }
  const page = await withReservation(requester, eventsAhead(query), (reservation) =>
    readPage(metered(source, reservation), { ...query, window }, scanLimit, purpose, size))
  if (!page.ok) return page

  const readMs = context.clock.monotonicMs()
  return { ok: true, response: await respond(context, query, page, { window, readAt, position, readMs }), keep: !page.transient }
}

/** What a page was read from. */
export interface PageReading {
  readonly window: TimeRange
  readonly readAt: Instant
  /** The end of the log before Kubiya was called. */
  readonly position: LogCursor
  readonly readMs: number
}

/** Makes the complete response of a page. */
export async function respond (
  context: PageResponseContext,
  query: PageQuery,
  page: RenderedPage,
  { position, readAt, readMs, window }: PageReading
): Promise<ContentResponse> {
  const next = nextCursor(query, window, page)
  const liveCursor = isOpen(query, window, readAt) ? position : undefined
  const isClosed = hasAbsoluteRange(query) &&
    isFinal(newestInstant(query, window), context.earliest(), context.latenessMs)
  const freshMs = isClosed ? context.closedTtlMs : context.openTtlMs
  const { body, etag } = await renderPage(query, window, page, next, liveCursor)
  const headers = [
    'etag',
    etag,
    'cache-control',
    isClosed ? cacheableFor(freshMs) : MUST_REVALIDATE,
    ...linkHeader(next === undefined ? nextNumber(query, page) : `cursor=${next}`),
    ...liveCursor === undefined ? [] : ['x-live-cursor', encodeCursor(liveCursor)],
    ...query.operation === 'items' && !page.complete ? ['x-scan-complete', 'false'] : []
  ]
  const validity = { readMs, freshMs, ...!isClosed && { logPosition: position } }
  return { status: 200, etag, headers, identity: representationOf(body), ...validity }
}

/** How many events one response to the query may hold in memory. */
export function eventsInMemory ({ filter, operation, page, pageSize }: PageQuery): number {
  if (operation === 'items') return pageSize + SCAN_PAGE_SIZE
  return Math.max(pageSize * Math.min(page, 2), isJudgedHere(filter) ? SCAN_PAGE_SIZE : 0)
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
