import { metered, type Asker, type Reservation } from '../audit/asker.ts'
import { encodeCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import { compileFilter, isJudgedHere } from '../audit/filter.ts'
import { parseComputedId } from '../audit/identity.ts'
import { floorToSecond, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, CallerPurpose, Failure } from '../audit/source.ts'
import { isFitForPath } from '../audit/upstream-id.ts'
import { isSettled, isWithin, type TimeWindow } from '../audit/window.ts'
import type { AnswerMemory, AnswerRoom } from './answer-memory.ts'
import { linkTo, nextCursor, writeAnswer, writeEvent } from './answer.ts'
import type { Coding } from './coding.ts'
import { findComputed, findScanning, type Finding } from './describe.ts'
import { createNews, type LogView } from './news.ts'
import { readPage } from './page.ts'
import { endMoves, eventKey, isAboutFixedTime, shelfKey, windowOf, type Question } from './question.ts'
import type { Entry, Served, Shelf, ShelfRequest } from './shelf.ts'

export interface ArchiveOptions {
  readonly source: AuditSource
  readonly shelf: Shelf
  readonly memory: AnswerMemory
  readonly log: LogView
  /** Whose view this is: part of every key. */
  readonly scope: string
  readonly scanLimit: number
  /** Whether so much of the request budget is left that a caller may go on looking for what may not be there. */
  readonly hasPlenty: (key: Asker['key']) => boolean
  readonly latenessMs: number
  readonly openTtlMs: number
  readonly closedTtlMs: number
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
  /** The same by the clock that is behind, where ours and the upstream's differ. */
  readonly earliestClock: () => number
  /** Monotonic clock, milliseconds: the shelf's. */
  readonly nowMs: () => number
}

/** The past: what was, read from Kubiya through the shelf. */
export interface Archive {
  /** A page of a list or search, at once where it is on the shelf. Asking with the same object again costs least. */
  page (question: Question, noCache: boolean, asker: Asker): Served | Promise<Served | Failure>
  /** One event; an entry with `missing` when there is none. */
  describe (id: string, noCache: boolean, asker: Asker): Served | Promise<Served | Failure>
  /** The body of what was served in a coding, at once if it was made before; `undefined` where it cannot be made. */
  encoded (entry: Entry, coding: Coding): Buffer | Promise<Buffer | undefined>
}

const MISSING_FRESH_MS = 30_000
const CHANGING = 'private, no-cache'
const OVERLOADED_RETRY_MS = 5000
const SCANNED_AT_ONCE = 1000 // Events of the largest page that Kubiya is asked for.

type Produced = Awaited<ReturnType<ShelfRequest['produce']>>

/** Wires the past of one scope: questions to the shelf, and what the shelf has not to the source. */
export function createArchive (options: ArchiveOptions): Archive {
  const { source, shelf, memory, log, scope, scanLimit, hasPlenty, latenessMs, openTtlMs, closedTtlMs, clock, earliestClock, nowMs } = options
  const requests = new WeakMap<Question, ShelfRequest>()
  const hasNews = createNews(log)
  return { page, describe, encoded: shelf.encoded }

  function page (question: Question, noCache: boolean, asker: Asker): Served | Promise<Served | Failure> {
    const known = requests.get(question)
    if (known !== undefined) return shelf.serve(known, noCache, asker)
    const request = requestOf(question)
    requests.set(question, request)
    return shelf.serve(request, noCache, asker)
  }

  function requestOf (question: Question): ShelfRequest {
    const fits = compileFilter(question.filter)
    const interest = {
      isSteady: !endMoves(question),
      matches () {
        const window = windowOf(question, now(), earliest())
        return ({ instant, item }: AuditEvent) => fits(item) && (instant === undefined || isWithin(instant, window))
      }
    }
    return { key: shelfKey(scope, question), produce: (asker, signal) => withRoom(roomOf(question), (room) => producePage(question, room, asker, signal)), isOutdated: (entry) => hasNews(entry, interest) }
  }

  /** Makes an answer once there is memory for it. */
  async function withRoom (events: number, produce: (room: AnswerRoom) => Promise<Produced>): Promise<Produced> {
    const room = await memory.reserve(events)
    return room === undefined ? { ok: false, kind: 'overloaded', retryAfterMs: OVERLOADED_RETRY_MS } : produce(room).finally(room.release)
  }

  async function producePage (question: Question, room: AnswerRoom, asker: Asker, signal: AbortSignal): Promise<Produced> {
    const asked = now()
    const window = windowOf(question, asked, earliest())
    const position = log.position() // Before Kubiya is asked, so that what comes meanwhile is on neither side missed.
    const size = { maxBytes: memory.maxAnswerBytes, onHeld: room.resize }
    const ahead = question.operation === 'search' || isJudgedHere(question.filter) ? SCANNED_AT_ONCE : 0
    const page = await reserved(asker, Math.max(ahead, question.pageSize), (reservation) =>
      readPage(metered(source, reservation), { ...question, window }, scanLimit, purposeOf(asker, signal), size))
    if (!page.ok) return page

    const next = nextCursor(question, window, page)
    const isOpen = question.page === 1 && question.after === undefined && (window.end === undefined || window.end >= floorToSecond(asked))
    const liveCursor = isOpen ? position : undefined
    const isClosed = isAboutFixedTime(question) && isSettled(newestInstant(question, window), earliest(), latenessMs)
    const readMs = nowMs()
    const { body, etag } = await writeAnswer(question, window, page, next, liveCursor)
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
    return { ok: true, entry, keep: !page.passing }
  }

  function describe (id: string, noCache: boolean, asker: Asker): Served | Promise<Served | Failure> {
    return shelf.serve({
      key: eventKey(scope, id),
      produce: (first, signal) => withRoom(SCANNED_AT_ONCE, () => produceEvent(id, first, signal)),
      isOutdated: (entry) => hasNews(entry, { isSteady: true, matches: () => (event) => event.id === id })
    }, noCache, asker)
  }

  async function produceEvent (id: string, asker: Asker, signal: AbortSignal): Promise<Produced> {
    const position = log.position()
    const finding = await findEvent(id, asker, purposeOf(asker, signal))
    if (!finding.ok) return finding
    const { event, ...missing } = finding
    if (event === undefined) {
      const entry = { body: Buffer.alloc(0), missing, etag: '', readMs: nowMs(), freshMs: MISSING_FRESH_MS, logPosition: position, headers: {} }
      return { ok: true, entry, keep: true }
    }
    const { body, etag } = await writeEvent(event.json)
    const headers = { etag, 'cache-control': storable(closedTtlMs) }
    return { ok: true, entry: { body, etag, readMs: nowMs(), freshMs: closedTtlMs, headers }, keep: true }
  }

  async function findEvent (id: string, asker: Asker, purpose: CallerPurpose): Promise<Finding | Failure> {
    const computed = parseComputedId(id)
    const instant = computed?.instant
    if (computed !== undefined && instant !== undefined) {
      return reserved(asker, 1, (reservation) => findComputed(metered(source, reservation), id, { ...computed, instant }, purpose))
    }
    if (computed === undefined) {
      const found = isFitForPath(id)
        ? await reserved(asker, 1, (reservation) => metered(source, reservation).find(id, purpose))
        : { ok: true as const, event: log.find(id) }
      if (!found.ok) return found
      if (found.event !== undefined) return { ok: true, event: found.event, window: {}, scanned: 1, complete: true }
    }
    const options = { now: now(), scanLimit, mayGoOn: () => hasPlenty(asker.key), purpose }
    return reserved(asker, SCANNED_AT_ONCE, (reservation) => findScanning(metered(source, reservation), id, options))
  }

  function now (): Instant {
    return instantFromMs(clock())
  }

  function earliest (): Instant {
    return instantFromMs(Math.min(clock(), earliestClock()))
  }
}

/** How many events are held at once to answer a question. */
function roomOf ({ filter, page, pageSize }: Question): number {
  return Math.max(pageSize * Math.min(page, 2), isJudgedHere(filter) ? SCANNED_AT_ONCE : 0)
}

/** Takes events ahead for as long as something is read, whichever way that ends. */
async function reserved<T> (asker: Asker, events: number, read: (reservation: Reservation) => Promise<T | Failure>): Promise<T | Failure> {
  const reservation = asker.reserve(events)
  if (!reservation.ok) return reservation
  try {
    return await read(reservation)
  } finally {
    reservation.end()
  }
}

function purposeOf ({ key }: Asker, signal: AbortSignal): CallerPurpose {
  return { kind: 'caller', key, signal }
}

/** The latest instant that this page, or any later one, can show. */
function newestInstant (question: Question, window: TimeWindow): Instant | undefined {
  return question.direction === 'desc' && question.after !== undefined ? question.after.instant : window.end
}

/** `Cache-Control` of what may be kept by the caller for as long as it is fresh here. */
function storable (freshMs: number): string {
  return `private, max-age=${Math.floor(freshMs / 1000)}`
}
