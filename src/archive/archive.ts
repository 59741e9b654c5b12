import { metered, type Requester, type Reservation } from '../audit/requester.ts'
import { encodeCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import { compileFilter, isJudgedHere } from '../audit/filter.ts'
import { parseComputedId } from '../audit/event-id.ts'
import { floorToSecond, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, CallerPurpose, Failure } from '../audit/source.ts'
import { isPathSafe } from '../audit/upstream-id.ts'
import { isFinal, isWithin, type TimeRange } from '../audit/time-range.ts'
import type { ResponseMemory, ResponseReservation } from './response-memory.ts'
import { linkTo, nextCursor, renderPage, renderEvent } from './page-body.ts'
import type { ContentCoding } from './content-encoding.ts'
import { findByComputedId, findByScan, type Lookup } from './find-event.ts'
import { createInvalidation, type LogView } from './invalidation.ts'
import { readPage } from './keyset-page.ts'
import { endIsRelative, eventCacheKey, hasAbsoluteRange, pageCacheKey, rangeOf, type PageQuery } from './page-query.ts'
import type { StoredResponse, CacheResult, ResponseCache, CacheRequest } from './response-cache.ts'

export interface ArchiveOptions {
  readonly source: AuditSource
  readonly cache: ResponseCache
  readonly memory: ResponseMemory
  readonly log: LogView
  /** Whose view this is: part of every key. */
  readonly tenant: string
  readonly scanLimit: number
  /** Whether so much of the request budget is left that a caller may go on looking for what may not be there. */
  readonly hasPlenty: (key: Requester['key']) => boolean
  readonly latenessMs: number
  readonly openTtlMs: number
  readonly closedTtlMs: number
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
  /** The same by the clock that is behind, where ours and the upstream's differ. */
  readonly earliestClock: () => number
  /** Monotonic clock, milliseconds: the cache's. */
  readonly nowMs: () => number
}

/** The past: what was, read from Kubiya through the cache. */
export interface Archive {
  /** A page of a list or search, at once where it is in the cache. Asking with the same object again costs least. */
  page (question: PageQuery, noCache: boolean, requester: Requester): CacheResult | Promise<CacheResult | Failure>
  /** One event; an entry with `missing` when there is none. */
  describe (id: string, noCache: boolean, requester: Requester): CacheResult | Promise<CacheResult | Failure>
  /** The body of what was served in a coding, at once if it was made before; `undefined` where it cannot be made. */
  encoded (entry: StoredResponse, coding: ContentCoding): Buffer | Promise<Buffer | undefined>
}

const MISSING_FRESH_MS = 30_000
const CHANGING = 'private, no-cache'
const OVERLOADED_RETRY_MS = 5000
const SCANNED_AT_ONCE = 1000 // Events of the largest page that Kubiya is asked for.

type Produced = Awaited<ReturnType<CacheRequest['produce']>>

/** Wires the past of one tenant: questions to the cache, and what the cache has not to the source. */
export function createArchive (options: ArchiveOptions): Archive {
  const {
    source,
    cache,
    memory,
    log,
    tenant,
    scanLimit,
    hasPlenty,
    latenessMs,
    openTtlMs,
    closedTtlMs,
    clock,
    earliestClock,
    nowMs
  } = options
  const requests = new WeakMap<PageQuery, CacheRequest>()
  const hasNews = createInvalidation(log)
  return { page, describe, encoded: cache.encoded }

  function page (
    question: PageQuery,
    noCache: boolean,
    requester: Requester
  ): CacheResult | Promise<CacheResult | Failure> {
    const known = requests.get(question)
    if (known !== undefined) return cache.serve(known, noCache, requester)
    const request = requestOf(question)
    requests.set(question, request)
    return cache.serve(request, noCache, requester)
  }

  function requestOf (question: PageQuery): CacheRequest {
    const fits = compileFilter(question.filter)
    const interest = {
      isSteady: !endIsRelative(question),
      matches () {
        const window = rangeOf(question, now(), earliest())
        return ({ instant, item }: AuditEvent) => fits(item) && (instant === undefined || isWithin(instant, window))
      }
    }
    return {
      key: pageCacheKey(tenant, question),
      produce: (requester, signal) =>
        withRoom(roomOf(question), (room) => producePage(question, room, requester, signal)),
      isInvalidated: (entry) => hasNews(entry, interest)
    }
  }

  /** Makes an answer once there is memory for it. */
  async function withRoom (
    events: number,
    produce: (room: ResponseReservation) => Promise<Produced>
  ): Promise<Produced> {
    const room = await memory.reserve(events)
    return room === undefined
      ? { ok: false, kind: 'overloaded', retryAfterMs: OVERLOADED_RETRY_MS }
      : produce(room).finally(room.release)
  }

  async function producePage (
    question: PageQuery,
    room: ResponseReservation,
    requester: Requester,
    signal: AbortSignal
  ): Promise<Produced> {
    const asked = now()
    const window = rangeOf(question, asked, earliest())
    const position = log.position() // Before Kubiya is asked, so that what comes meanwhile is on neither side missed.
    const size = { maxBytes: memory.maxAnswerBytes, onHeld: room.resize }
    const ahead = question.operation === 'search' || isJudgedHere(question.filter) ? SCANNED_AT_ONCE : 0
    const page = await reserved(requester, Math.max(ahead, question.pageSize), (reservation) =>
      readPage(metered(source, reservation), { ...question, window }, scanLimit, purposeOf(requester, signal), size))
    if (!page.ok) return page

    const next = nextCursor(question, window, page)
    const isOpen = question.page === 1 && question.after === undefined &&
      (window.end === undefined || window.end >= floorToSecond(asked))
    const liveCursor = isOpen ? position : undefined
    const isClosed = hasAbsoluteRange(question) && isFinal(newestInstant(question, window), earliest(), latenessMs)
    const readMs = nowMs()
    const { body, etag } = await renderPage(question, window, page, next, liveCursor)
    const entry = {
      body,
      etag,
      readMs,
      freshMs: isClosed ? closedTtlMs : openTtlMs,
      ...!isClosed && { logPosition: position },
      headers: {
        etag,
        'cache-control': isClosed ? storable(closedTtlMs) : CHANGING,
        ...linkTo(next),
        ...liveCursor !== undefined && { 'x-live-cursor': encodeCursor(liveCursor) }
      }
    }
    return { ok: true, entry, keep: !page.transient }
  }

  function describe (id: string, noCache: boolean, requester: Requester): CacheResult | Promise<CacheResult | Failure> {
    return cache.serve({
      key: eventCacheKey(tenant, id),
      produce: (first, signal) => withRoom(SCANNED_AT_ONCE, () => produceEvent(id, first, signal)),
      isInvalidated: (entry) => hasNews(entry, { isSteady: true, matches: () => (event) => event.id === id })
    }, noCache, requester)
  }

  async function produceEvent (id: string, requester: Requester, signal: AbortSignal): Promise<Produced> {
    const position = log.position()
    const finding = await findEvent(id, requester, purposeOf(requester, signal))
    if (!finding.ok) return finding
    const { event, ...missing } = finding
    if (event === undefined) {
      const entry = {
        body: Buffer.alloc(0),
        missing,
        etag: '',
        readMs: nowMs(),
        freshMs: MISSING_FRESH_MS,
        logPosition: position,
        headers: {}
      }
      return { ok: true, entry, keep: true }
    }
    const { body, etag } = await renderEvent(event.json)
    const headers = { etag, 'cache-control': storable(closedTtlMs) }
    return { ok: true, entry: { body, etag, readMs: nowMs(), freshMs: closedTtlMs, headers }, keep: true }
  }

  async function findEvent (id: string, requester: Requester, purpose: CallerPurpose): Promise<Lookup | Failure> {
    const computed = parseComputedId(id)
    const instant = computed?.instant
    if (computed !== undefined && instant !== undefined) {
      return reserved(
        requester,
        1,
        (reservation) => findByComputedId(metered(source, reservation), id, { ...computed, instant }, purpose)
      )
    }
    if (computed === undefined) {
      const found = isPathSafe(id)
        ? await reserved(requester, 1, (reservation) => metered(source, reservation).find(id, purpose))
        : { ok: true as const, event: log.find(id) }
      if (!found.ok) return found
      if (found.event !== undefined) return { ok: true, event: found.event, window: {}, scanned: 1, complete: true }
    }
    const options = { now: now(), scanLimit, mayGoOn: () => hasPlenty(requester.key), purpose }
    return reserved(requester, SCANNED_AT_ONCE, (reservation) => findByScan(metered(source, reservation), id, options))
  }

  function now (): Instant {
    return instantFromMs(clock())
  }

  function earliest (): Instant {
    return instantFromMs(Math.min(clock(), earliestClock()))
  }
}

/** How many events are held at once to answer a question. */
function roomOf ({ filter, page, pageSize }: PageQuery): number {
  return Math.max(pageSize * Math.min(page, 2), isJudgedHere(filter) ? SCANNED_AT_ONCE : 0)
}

/** Takes events ahead for as long as something is read, whichever way that ends. */
async function reserved<T> (
  requester: Requester,
  events: number,
  read: (reservation: Reservation) => Promise<T | Failure>
): Promise<T | Failure> {
  const reservation = requester.reserve(events)
  if (!reservation.ok) return reservation
  try {
    return await read(reservation)
  } finally {
    reservation.end()
  }
}

function purposeOf ({ key }: Requester, signal: AbortSignal): CallerPurpose {
  return { kind: 'caller', key, signal }
}

/** The latest instant that this page, or any later one, can show. */
function newestInstant (question: PageQuery, window: TimeRange): Instant | undefined {
  return question.direction === 'desc' && question.after !== undefined ? question.after.instant : window.end
}

/** `Cache-Control` of what may be kept by the caller for as long as it is fresh here. */
function storable (freshMs: number): string {
  return `private, max-age=${Math.floor(freshMs / 1000)}`
}
