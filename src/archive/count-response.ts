import type { Aggregates, EventsQuery, Gathered } from '../aggregates/aggregates.ts'
import type { TablePart } from '../aggregates/event-table.ts'
import { countFacets } from '../aggregates/facets.ts'
import { countSessions, type SessionPosition } from '../aggregates/sessions.ts'
import { countSummary } from '../aggregates/summary.ts'
import { countTimeline, eventExtent, intervalFor } from '../aggregates/timeline.ts'
import { encodeCursor } from '../audit/cursor.ts'
import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, floorToSecond, maxInstant, type Instant } from '../audit/instant.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import { isFinal } from '../audit/time-range.ts'
import { representationOf } from './content-encoding.ts'
import { renderCounts } from './count-body.ts'
import {
  MOST_BUCKETS,
  selectionOf,
  windowOf,
  type CountKind,
  type CountQuery,
  type SessionsKind
} from './count-query.ts'
import { hasAbsoluteRange } from './page-query.ts'
import type { Produced } from './response-cache.ts'
import type { ResponseMemory, ResponseReservation } from './response-memory.ts'
import { MUST_REVALIDATE, type ContentResponse } from './stored-response.ts'

const SESSIONS_PATH = '/api/v1/audit/sessions'

export interface CountResponseContext {
  readonly aggregates: Pick<Aggregates, 'fromKubiya' | 'fromMemory'>
  /** A page of sessions ends early behind the session that exceeds `maxAnswerBytes`. */
  readonly memory: Pick<ResponseMemory, 'maxAnswerBytes'>
  /** Now by Kubiya's clock, and by the slower of Kubiya's clock and this machine's. */
  readonly now: () => Instant
  readonly earliest: () => Instant
  readonly latenessMs: number
  readonly openTtlMs: number
  readonly closedTtlMs: number
}

/** Counts what is in memory. `undefined`: Kubiya has to be asked. */
export async function produceCountsFromMemory (
  context: CountResponseContext,
  query: CountQuery,
  room: ResponseReservation
): Promise<Produced | Failure | undefined> {
  const askedAt = context.now()
  const gathered = await context.aggregates.fromMemory(eventsOf(context, query, askedAt))
  return gathered?.ok === true ? respond(context, query, gathered, { askedAt, room }) : gathered
}

/** Counts after Kubiya was asked for what is not in memory. */
export async function produceCounts (
  context: CountResponseContext,
  query: CountQuery,
  room: ResponseReservation,
  requester: Requester
): Promise<Produced | Failure> {
  const askedAt = context.now()
  const gathered = await context.aggregates.fromKubiya(eventsOf(context, query, askedAt), requester)
  return gathered.ok ? respond(context, query, gathered, { askedAt, room }) : gathered
}

/** The text of a search for sessions. Their other events count as well, so it is no part of the selection. */
function markedTextOf ({ filter, kind }: CountQuery): string | undefined {
  return kind.operation === 'sessions' ? filter.text : undefined
}

function eventsOf ({ earliest }: CountResponseContext, query: CountQuery, askedAt: Instant): EventsQuery {
  return { filter: selectionOf(query), markedText: markedTextOf(query), window: windowOf(query, askedAt, earliest()) }
}

async function respond (
  context: CountResponseContext,
  query: CountQuery,
  gathered: Gathered,
  { askedAt, room }: { readonly askedAt: Instant, readonly room: ResponseReservation }
): Promise<Produced> {
  const { closedTtlMs, earliest, latenessMs, memory, openTtlMs } = context
  const { coverage, failure, isFromMemory, position, readMs, window } = gathered
  const counts = await countsOf(query, gathered, { askedAt, maxBytes: memory.maxAnswerBytes })
  const { body, etag } = await renderCounts(counts, window, coverage, room.resize)
  // A count that ended at a scan limit would end there again.
  const isAllThereIs = coverage.retryAfterMs === undefined
  const isClosed = hasAbsoluteRange(query) && isFinal(window.end, earliest(), latenessMs) && isAllThereIs &&
    coverage.skipped.length === 0
  const response: ContentResponse = {
    status: 200,
    etag,
    headers: ['etag', etag, 'cache-control', MUST_REVALIDATE],
    identity: representationOf(body),
    readMs,
    freshMs: isClosed ? closedTtlMs : openTtlMs,
    ...isFromMemory && { heldIn: 'memory' },
    ...!isClosed && { logPosition: position }
  }
  return { ok: true, response, keep: isAllThereIs && failure === undefined, ...failure && { failure } }
}

function countsOf (
  { filter, kind }: CountQuery,
  gathered: Gathered,
  { askedAt, maxBytes }: { readonly askedAt: Instant, readonly maxBytes: number }
): Promise<object> {
  const { parts } = gathered
  switch (kind.operation) {
    case 'summary': return countSummary(parts, filter, kind)
    case 'facets': return countFacets(parts, filter, kind)
    case 'timeline': return timelineOf(filter, kind, gathered, askedAt)
    case 'sessions': return sessionsOf(filter, kind, gathered, maxBytes)
  }
}

async function timelineOf (
  filter: AuditFilter,
  { by, top, width }: Extract<CountKind, { operation: 'timeline' }>,
  { coverage, parts, window }: Gathered,
  askedAt: Instant
): Promise<object> {
  const { end = coverage.end } = window
  const start = window.start ?? (await eventExtent(parts, filter))?.first ?? end
  // A relative start was counted from the second in which the question came. A poll may have passed since.
  const spanEnd = window.end ?? floorToSecond(askedAt)
  const spanSeconds = Math.max(1, Math.ceil(Number(spanEnd - start) / Number(NANOS_PER_SECOND)))
  const intervalSeconds = 'buckets' in width ? widthOf(spanSeconds, width.buckets) : width.intervalSeconds
  return countTimeline(parts, filter, { by, top, intervalSeconds, start, end })
}

async function sessionsOf (
  filter: AuditFilter,
  kind: SessionsKind,
  gathered: Gathered,
  maxBytes: number
): Promise<object> {
  const { after, orderBy, outcome, pageSize } = kind
  const { coverage: { asOf }, parts } = gathered
  const pin = pinOf(kind, parts)
  const page = await countSessions(pinned(parts, pin), filter, {
    orderBy,
    pageSize,
    maxBytes,
    asOf,
    ...outcome && { outcome },
    ...after && { after }
  })
  const next = page.next && nextSessions(filter, kind, gathered, page.next, pin)
  return {
    items: page.items,
    pagination: { page_size: pageSize, has_more: next !== undefined, total: page.total, next: next ?? null },
    unassigned_events: page.unassigned_events,
    ...page.capped && { capped: true }
  }
}

/**
 * The rows that all pages count: those that the newest table had at the first page. An older table has no later rows.
 * `undefined`: the table is another one by now.
 */
function pinOf ({ pin }: SessionsKind, [newest]: readonly TablePart[]): SessionsKind['pin'] {
  if (newest === undefined) return undefined
  const { id, sequence } = newest.snapshot
  if (pin === undefined) return { table: id, rows: sequence }
  return pin.table === id ? pin : undefined
}

function pinned (parts: readonly TablePart[], pin: SessionsKind['pin']): readonly TablePart[] {
  return parts.map((part) => part.snapshot.id === pin?.table ? { ...part, sequence: pin.rows } : part)
}

/** The newest instant that the first page counted. It may lie after the last poll, by another clock than Kubiya's. */
function newestIn (parts: readonly TablePart[], asOf: Instant): Instant {
  return parts.flatMap(({ snapshot }) => snapshot.chunks).map(({ most }) => most).reduce(maxInstant, asOf)
}

/** The link to the next page of sessions. */
function nextSessions (
  filter: AuditFilter,
  { orderBy, outcome, pageSize, prefix }: SessionsKind,
  { coverage: { asOf }, parts, window }: Gathered,
  after: SessionPosition,
  pin: SessionsKind['pin']
): string {
  const fixed = { ...window, end: window.end ?? newestIn(parts, asOf) }
  const cursor = encodeCursor({ kind: 'sessions', filter, window: fixed, orderBy, outcome, pageSize, after, pin })
  return `${prefix}${SESSIONS_PATH}?cursor=${cursor}`
}

/** The width of buckets. A window of centuries gets multiples of the greatest width, so that their number is bounded. */
function widthOf (spanSeconds: number, buckets: number): number {
  const width = intervalFor(spanSeconds, buckets)
  return width * Math.max(1, Math.ceil(spanSeconds / width / MOST_BUCKETS))
}
