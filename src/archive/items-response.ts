import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { SortKey } from '../audit/sort-key.ts'
import type { Failure } from '../audit/source.ts'
import { readFullPage, type PagePart, type Stop } from './full-page.ts'
import type { PageParts } from './page-parts.ts'
import { createPageQuery, rangeOf, type PageQuery } from './page-query.ts'
import type { RenderedPage } from './page-body.ts'
import { eventsAhead, respond, type PageResponseContext } from './page-response.ts'
import type { Produced } from './response-cache.ts'
import type { ResponseReservation } from './response-memory.ts'
import type { StoredResponse } from './stored-response.ts'

export interface ItemsResponseContext extends PageResponseContext {
  readonly parts: PageParts
}

export interface ItemsReading {
  /** The stored response to a query. */
  readonly stored: (query: PageQuery) => StoredResponse | undefined
  readonly requester: Requester
  readonly room: ResponseReservation
  readonly signal: AbortSignal
}

// An export asks for its pages one after the other. Later, its reader may have seen another page before this one.
const LONGEST_BETWEEN_PAGES_MS = 5 * 60_000
const UNFINISHED_RETRY_MS = 1000

/**
 * Reads one page of Kubiya's own list, and makes the complete response. Programs take a short page for the end of the
 * list, so a page is full, or the last, or a failure. The rows of an incomplete page are kept, and the next request
 * continues behind them. Only a search may end at the scan limit. A header then says so.
 */
export async function produceItems (
  context: ItemsResponseContext,
  query: PageQuery,
  { requester, room, signal, stored }: ItemsReading
): Promise<Produced | Failure> {
  const { clock, log, memory, parts, scanLimit, source } = context
  const key = `${requester.key} ${query.key}`
  const begun = parts.get(key)
  const part = begun?.part ?? followingPart(query, stored, clock.monotonicMs())
  const [readAt, earliest] = [context.now(), context.earliest()]
  const window = rangeOf(query, readAt, earliest)
  const position = begun?.position ?? log.position() // Before Kubiya is called.
  const options = {
    rowLimit: isSearch(query) ? Math.max(1, scanLimit - (part?.scanned ?? 0)) : query.pageSize + scanLimit,
    scanLimit,
    maxBytes: memory.maxAnswerBytes,
    onHeld: room.resize,
    purpose: { kind: 'caller' as const, key: requester.key, signal }
  }
  const result = await withReservation(requester, eventsAhead(query), (reservation) =>
    readFullPage(metered(source, reservation), { ...query, window }, part, options))
  if ('ok' in result) return result // The caller's limit is spent. What was read before stays.
  const readMs = begun?.readMs ?? clock.monotonicMs()
  if (result.kind === 'page') return complete(result.page)
  const { part: read, stop } = result
  const found = endOfScan(query, stop, read)
  if (found !== undefined) return complete(found)
  const failure = failureOf(stop, read)
  if (read === undefined || isFinal(failure)) parts.drop(key)
  else parts.keep(key, { part: read, position, readMs })
  return failure

  async function complete (page: RenderedPage): Promise<Produced> {
    parts.drop(key)
    const response = await respond(context, query, page, { window, readAt, earliest, position, readMs })
    return { ok: true, response: { ...response, ...page.last !== undefined && { last: page.last } }, keep: true }
  }
}

/**
 * The key of the last row of the page before one of `items`, if that page was read recently. The page begins behind it.
 * So events that arrived since shift no row from one page to the other.
 */
export function lastOfPageBefore (
  query: PageQuery,
  stored: ItemsReading['stored'],
  nowMs: number
): SortKey | undefined {
  if (query.page === 1) return undefined
  const before = stored(createPageQuery({ ...query, page: query.page - 1 }))
  if (before?.status !== 200 || nowMs - before.readMs > LONGEST_BETWEEN_PAGES_MS) return undefined
  return before.last
}

function followingPart (query: PageQuery, stored: ItemsReading['stored'], nowMs: number): PagePart | undefined {
  const next = lastOfPageBefore(query, stored, nowMs)
  return next === undefined ? undefined : { events: [], next, skip: 0, scanned: 0, skipped: [] }
}

function isSearch ({ filter }: PageQuery): boolean {
  return filter.text !== undefined || filter.status !== undefined
}

/** What a search found until the scan limit. */
function endOfScan (query: PageQuery, stop: Stop, part: PagePart | undefined): RenderedPage | undefined {
  if (stop !== 'row-limit' || part === undefined || !isSearch(query)) return undefined
  const { events, scanned, skipped } = part
  const rest = { next: undefined, last: undefined, skip: 0, complete: false, filteredLocally: true, transient: false }
  return { ok: true, events, scanned, skipped, ...rest }
}

function failureOf (stop: Stop, part: PagePart | undefined): Failure {
  if (stop === 'bytes') return { ok: false, kind: 'page-too-large' }
  if (stop === 'row-limit') return { ok: false, kind: 'unfinished', retryAfterMs: UNFINISHED_RETRY_MS }
  // A row that is too large stays so: a further request cannot go past it.
  const isOwn = part === undefined || stop.kind === 'budget' || stop.kind === 'share' || isFinal(stop)
  return isOwn ? stop : { ok: false, kind: 'unfinished', retryAfterMs: stop.retryAfterMs ?? UNFINISHED_RETRY_MS }
}

/** Whether a further request cannot go on: the credential is refused, or the page is too large. */
function isFinal ({ kind }: Failure): boolean {
  return ['unauthorized', 'forbidden', 'page-too-large', 'too-large'].includes(kind)
}
