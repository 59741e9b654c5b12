import { encodeCursor, type LogCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import { compileFilter } from '../audit/filter.ts'
import { parseComputedId } from '../audit/identity.ts'
import { floorToSecond, instantFromMs, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import { isSettled, isWithin, type TimeWindow } from '../audit/window.ts'
import { etagOf, nextUrl, writeAnswer } from './answer.ts'
import { findComputed, findScanning, type Finding } from './describe.ts'
import { readPage } from './page.ts'
import { eventKey, isAboutFixedTime, shelfKey, windowOf, type Question } from './question.ts'
import type { Entry, LogPosition, Served, Shelf } from './shelf.ts'

/** What the archive asks of the live log. */
export interface LogView {
  /** Where the log stands now. */
  position (): LogCursor
  /** Whether an event that matches has entered since; true where that cannot be told any more. */
  hasNew (since: LogPosition, matches: (event: AuditEvent) => boolean): boolean
}

export interface ArchiveOptions {
  readonly source: AuditSource
  readonly shelf: Shelf
  readonly log: LogView
  /** Whose view this is: part of every key. */
  readonly scope: string
  readonly scanLimit: number
  readonly latenessMs: number
  readonly openTtlMs: number
  readonly closedTtlMs: number
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Monotonic clock, milliseconds: the shelf's. */
  readonly nowMs: () => number
}

/** The past: what was, read from Kubiya through the shelf. */
export interface Archive {
  /** A page of a list or search. */
  page (question: Question, noCache: boolean): Promise<Served | Failure>
  /** One event; an entry with `missing` when there is none. */
  describe (id: string, noCache: boolean): Promise<Served | Failure>
}

const MISSING_FRESH_MS = 30_000

/** Wires the past of one scope: questions to the shelf, and what the shelf has not to the source. */
export function createArchive (options: ArchiveOptions): Archive {
  const { source, shelf, log, scope, scanLimit, latenessMs, openTtlMs, closedTtlMs, clock, nowMs } = options
  return { page, describe }

  function page (question: Question, noCache: boolean): Promise<Served | Failure> {
    const matches = compileFilter(question.filter)
    return shelf.serve({
      key: shelfKey(scope, question),
      noCache,
      produce: () => producePage(question),
      isOutdated: ({ logPosition }) => logPosition !== undefined && log.hasNew(logPosition, ({ instant, item }) =>
        matches(item) && (instant === undefined || isWithin(instant, windowOf(question, now()))))
    })
  }

  async function producePage (question: Question): Promise<{ ok: true, entry: Entry, keep: boolean } | Failure> {
    const asked = now()
    const window = windowOf(question, asked)
    const position = log.position() // Before Kubiya is asked, so that what comes meanwhile is on neither side missed.
    const page = await readPage(source, { ...question, window }, scanLimit)
    if (!page.ok) return page

    const next = nextUrl(question, window, page)
    const isOpen = question.page === 1 && question.after === undefined && (window.end === undefined || window.end >= floorToSecond(asked))
    const liveCursor = isOpen ? position : undefined
    const isClosed = isAboutFixedTime(question) && isSettled(newestInstant(question, window), asked, latenessMs)
    const entry = {
      body: writeAnswer(question, window, page, next, liveCursor),
      etag: etagOf(page.events.map(({ json }) => json)),
      readMs: nowMs(),
      freshMs: isClosed ? closedTtlMs : openTtlMs,
      storable: isClosed,
      ...!isClosed && { logPosition: position },
      headers: {
        ...next !== undefined && { link: `<${next}>; rel="next"` },
        ...liveCursor !== undefined && { 'x-live-cursor': encodeCursor(liveCursor) }
      }
    }
    return { ok: true, entry, keep: !page.passing }
  }

  function describe (id: string, noCache: boolean): Promise<Served | Failure> {
    return shelf.serve({
      key: eventKey(scope, id),
      noCache,
      produce: () => produceEvent(id),
      isOutdated: ({ missing, logPosition }) => missing !== undefined && logPosition !== undefined &&
        log.hasNew(logPosition, (event) => event.id === id)
    })
  }

  async function produceEvent (id: string): Promise<{ ok: true, entry: Entry, keep: boolean } | Failure> {
    const position = log.position()
    const finding = await findEvent(id)
    if (!finding.ok) return finding
    const { event, ...missing } = finding
    const entry = event === undefined
      ? { body: Buffer.alloc(0), missing, etag: '', readMs: nowMs(), freshMs: MISSING_FRESH_MS, storable: false, logPosition: position, headers: {} }
      : { body: Buffer.from(event.json), etag: etagOf([event.json]), readMs: nowMs(), freshMs: closedTtlMs, storable: true, headers: {} }
    return { ok: true, entry, keep: true }
  }

  async function findEvent (id: string): Promise<Finding | Failure> {
    const computed = parseComputedId(id)
    if (computed?.instant !== undefined) return findComputed(source, id, computed.instant)
    if (computed === undefined) {
      const found = await source.find(id)
      if (!found.ok) return found
      if (found.event !== undefined) return { ok: true, event: found.event, window: {}, scanned: 1, complete: true }
    }
    return findScanning(source, id, now(), scanLimit)
  }

  function now (): Instant {
    return instantFromMs(clock())
  }
}

/** The latest instant that this page, or any later one, can show. */
function newestInstant (question: Question, window: TimeWindow): Instant | undefined {
  return question.direction === 'desc' && question.after !== undefined ? question.after.instant : window.end
}
