import { weightOf } from '../audit/event.ts'
import { isJudgedHere } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import { compareKeyedEvents, isAfter, isBefore, type KeyedEvent } from '../audit/sort-key.ts'
import type { AuditSource, Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { Clock } from '../clock.ts'
import { bisecting } from '../scan/bisection.ts'
import type { ScanStep } from '../scan/scan-step.ts'
import { scan } from '../scan/scanner.ts'
import { createPatience } from './patience.ts'
import { startOf, type ExportEnd, type ExportRequest, type ExportStep } from './export-request.ts'
import { createSkippedRanges } from './skipped-ranges.ts'

export interface ExportReaderOptions {
  readonly requester: Requester
  /** Aborted: the export ends, and so does its request to Kubiya. */
  readonly signal: AbortSignal
  /** The most events that are read for one export, whatever matches. */
  readonly readLimit: number
  /** The most rows to read from an upstream that does not sort. */
  readonly scanLimit: number
  readonly clock: Pick<Clock, 'setTimer'>
}

const PAGE_SIZES = [100, 250, 500, 1000]
const LARGEST_PAGE = 1000
// Rows of one instant, or of an upstream that does not sort, are held until their order is certain.
const MOST_HELD_BYTES = 32 * 1024 * 1024
const ENDED: Failure = { ok: false, kind: 'unavailable' }
const TOO_LARGE: Failure = { ok: false, kind: 'too-large' }

/** Reads an export: its events in order, each once, and then its end. The next page is read ahead. */
export function readExport (
  source: AuditSource,
  request: ExportRequest,
  options: ExportReaderOptions
): AsyncGenerator<ExportStep, void, void> {
  return oneAhead(readSteps(source, request, options))
}

async function * readSteps (
  source: AuditSource,
  request: ExportRequest,
  options: ExportReaderOptions
): AsyncGenerator<ExportStep, void, void> {
  const { clock, readLimit, requester, scanLimit, signal } = options
  const { direction, filter } = request
  const rows = createOrderedRows(request)
  const patience = createPatience(clock, signal)
  const purpose = { kind: 'caller', key: requester.key, signal, isBulk: true } as const
  const pages = bisecting(charged(source, requester, signal), { skipsRows: true })
  const range = { filter, window: remaining(request), direction, pageSize: pageSizeOf(request), scanLimit, purpose }

  for await (const step of scan(pages, range)) {
    if (signal.aborted) return yield rows.end('stopped')
    if (!step.ok) {
      if (!await patience.outlasts(step)) return yield rows.end(step.kind, step)
      continue
    }
    patience.answered()
    const events = rows.add(step)
    if (events.length > 0) {
      patience.progressed()
      yield { kind: 'events', events }
    }
    const reason = rows.isCut() || (!step.end && rows.scanned() >= readLimit) ? 'limit' : step.end ? 'end' : undefined
    if (reason !== undefined) return yield rows.end(reason)
    if (rows.heldBytes() > MOST_HELD_BYTES) return yield rows.end('too-large', TOO_LARGE)
  }
}

/** Collects the rows of a scan, and releases them once no earlier row can follow. */
function createOrderedRows (request: ExportRequest) {
  const { after, direction, filter, limit, window } = request
  const start = startOf(request)
  const skipped = createSkippedRanges()
  let position = start
  let held: KeyedEvent[] = []
  let exported = 0
  let scanned = 0
  let isCut = false

  return {
    add,
    end,
    /** Whether the most events were exported, and more may follow. */
    isCut: () => isCut,
    scanned: () => scanned,
    heldBytes: () => held.reduce((sum, { event }) => sum + weightOf(event), 0)
  }

  /** Adds a step, and returns the events whose order is certain. */
  function add (step: ScanStep) {
    scanned += step.scanned
    if (step.skipped !== undefined) skipped.add(step.skipped)
    held.push(...step.rows.filter(({ key }) => after === undefined || isAfter(key, after, direction)))
    held.sort(compareKeyedEvents(direction))
    const certain = step.end ? held.length : countBefore(step.reached)
    const count = Math.min(certain, limit - exported)
    const ready = held.slice(0, count)
    held = held.slice(count)
    exported += count
    isCut = exported === limit && !(step.end && held.length === 0)
    const last = ready.at(-1)
    if (last !== undefined) position = last.key
    // Behind the last event, so that a search which matches little goes on where it was.
    if (!isCut && step.reached !== undefined && isBefore(position.instant, step.reached, direction) && isBounded()) {
      position = { instant: step.reached, id: '' }
    }
    return ready.map(({ event }) => event)
  }

  /** Whether a window that ends at the next held row has all of them: Kubiya may place an undated event behind it. */
  function isBounded (): boolean {
    return direction === 'asc' || held.every(({ event }) => event.instant !== undefined)
  }

  function countBefore (reached: Instant | undefined): number {
    if (reached === undefined) return 0
    const count = held.findIndex(({ key }) => !isBefore(key.instant, reached, direction))
    return count < 0 ? held.length : count
  }

  function end (reason: ExportEnd['reason'], failure?: Failure): ExportEnd {
    const hasSkipped = request.hasSkipped === true || skipped.list().length > 0
    const isFruitless = failure !== undefined && position === start
    return {
      kind: 'end',
      complete: reason === 'end' && !hasSkipped,
      next: reason === 'end' ? undefined : { kind: 'export', filter, window, direction, after: position, hasSkipped },
      reason,
      skipped: skipped.list(),
      ...isFruitless && { failure }
    }
  }
}

/** Charges each page to the caller before it is read. After the end of the export, nothing is read. */
function charged (source: AuditSource, requester: Requester, signal: AbortSignal): AuditSource {
  return {
    quirks: source.quirks,
    reportQuirk: source.reportQuirk,
    find: source.find,
    read: async (query, purpose) => signal.aborted
      ? ENDED
      : withReservation(requester, query.pageSize, (reservation) => metered(source, reservation).read(query, purpose))
  }
}

/**
 * The rest of the window; the whole one, where Kubiya's place of an undated event may be outside the rest. An undated
 * event has the instant of the dated one before it in time, or of the first one. Its place is between the two next to it.
 */
function remaining ({ after, direction, window }: ExportRequest): TimeRange {
  if (after === undefined || (direction === 'asc' ? after.id.startsWith('\0') : after.id.includes('\0'))) return window
  return direction === 'asc' ? { ...window, start: after.instant } : { ...window, end: after.instant }
}

/** A page somewhat larger than a small export mostly holds the end of its last instant too. */
function pageSizeOf ({ filter, limit }: ExportRequest): number {
  return isJudgedHere(filter) ? LARGEST_PAGE : PAGE_SIZES.find((size) => size > limit) ?? LARGEST_PAGE
}

/** Reads one step ahead while the consumer handles the step before it. */
async function * oneAhead<Step> (steps: AsyncGenerator<Step, void, void>): AsyncGenerator<Step, void, void> {
  let next = begin()
  try {
    for (let step = await next; step.done !== true; step = await next) {
      next = begin()
      yield step.value
    }
  } finally {
    await steps.return()
  }

  function begin () {
    const result = steps.next()
    result.catch(() => {}) // The consumer sees the error when it asks for the step.
    return result
  }
}
