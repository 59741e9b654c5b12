import { weightOf } from '../audit/event.ts'
import { isJudgedHere } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import { compareKeyedEvents, isAfter, isBefore, type KeyedEvent, type SortKey } from '../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { bisecting } from '../scan/bisection.ts'
import type { ScanStep } from '../scan/scan-step.ts'
import { scan } from '../scan/scanner.ts'
import type { SkippedRange } from '../scan/skipped-range.ts'
import { readOffsetPage } from './offset-page.ts'
import { withinBytes, type AnswerSize, type Page, type PageRequest } from './page-query.ts'

// A page somewhat larger than the caller's mostly holds the end of its last instant too.
const UPSTREAM_SIZES = [100, 250, 500, 1000]
/** The largest page that Kubiya is asked for, in rows. */
export const LARGEST = 1000
const ANY_SIZE: AnswerSize = { maxBytes: Infinity, onHeld: () => {} }

/** Reads one page. One deeper than the first is read by number where Kubiya alone filters its rows. */
export async function readPage (
  source: AuditSource,
  request: PageRequest,
  scanLimit: number,
  purpose: Purpose,
  size: AnswerSize = ANY_SIZE
): Promise<Page | Failure> {
  if (request.page > 1 && request.after === undefined && !isJudgedHere(request.filter)) {
    const result = await readOffsetPage(source, request, upstreamSize(request.pageSize), purpose, size)
    if (result.kind === 'page') return result.page
    if (result.kind === 'failed') return result.failure
  }
  return scanPage(source, request, scanLimit, purpose, size)
}

/** Reads from the window's start, or from `after`, until the page is full and the order of its rows is certain. */
async function scanPage (
  source: AuditSource,
  request: PageRequest,
  scanLimit: number,
  purpose: Purpose,
  size: AnswerSize
): Promise<Page | Failure> {
  const { filter, direction } = request
  const builder = createPageBuilder(request, size.maxBytes)
  const pageSize = isJudgedHere(filter) ? LARGEST : upstreamSize(builder.lastRow)
  const window = remaining(request)
  const steps = scan(bisecting(source), { filter, window, direction, pageSize, scanLimit, purpose })
  for await (const step of steps) {
    // The budget or the caller's share is spent. The page ends here, and `next` continues from here.
    if (!step.ok) return step.kind === 'budget' || step.kind === 'share' ? builder.cutOff('transient') ?? step : step
    builder.add(step)
    size.onHeld(builder.bytes())
    const page = builder.full() ?? (builder.scanned() >= scanLimit ? builder.cutOff('final') : undefined)
    if (page !== undefined) return page
  }
  throw new Error('the scan ended without a last step')
}

/** Collects the rows of a scan until they make a page. */
export function createPageBuilder (request: PageRequest, maxBytes: number) {
  const { after, direction, pageSize, skip = 0 } = request
  const firstRow = after === undefined ? (request.page - 1) * pageSize : skip
  const lastRow = firstRow + pageSize
  const rows: KeyedEvent[] = []
  const unread = new Map<string, SkippedRange>()
  let bytes = 0
  let scanned = 0
  let filteredLocally = isJudgedHere(request.filter)
  let end = false
  let frontier: Instant | undefined // All rows before it were read.

  return {
    lastRow,
    add,
    full,
    cutOff,
    part,
    bytes: () => bytes,
    scanned: () => filteredLocally ? scanned : 0,
    /** All events that were read, matching or not. */
    read: () => scanned
  }

  function add (step: ScanStep): void {
    scanned += step.scanned
    filteredLocally ||= step.rejected > 0
    end = step.end
    frontier = step.reached
    // Pages overlap, so the same range may come again.
    if (step.skipped !== undefined) unread.set(`${step.skipped.from}/${step.skipped.to}`, step.skipped)
    for (const row of step.rows) {
      if (after !== undefined && !isAfter(row.key, after, direction)) continue
      rows.push(row)
      bytes += weightOf(row.event)
    }
    rows.sort(compareKeyedEvents(direction))
  }

  /** The page, once it is full or the window was read to its end. */
  function full (): Page | undefined {
    const certain = end ? rows : certainRows()
    const inPage = withinBytes(certain.slice(firstRow, lastRow), maxBytes)
    const isCut = inPage.length < Math.min(certain.length, lastRow) - firstRow
    if (!end && certain.length < lastRow && !isCut) return undefined
    const hasMore = isCut || !end || rows.length > lastRow
    return pageOf(inPage, { next: hasMore ? inPage.at(-1)?.key : undefined })
  }

  /** The page as far as the scan came, if it came any further than where it began. */
  function cutOff (reason: 'transient' | 'final'): Page | undefined {
    return filteredLocally ? part(reason) : undefined
  }

  /** As much of the page as is certain. `undefined`: no more than before. */
  function part (reason: 'transient' | 'final'): Page | undefined {
    if (frontier === undefined) return undefined
    if (after !== undefined && !isBefore(after.instant, frontier, direction)) return undefined
    const certain = certainRows()
    return pageOf(certain.slice(firstRow, lastRow), {
      next: { instant: frontier, id: '' },
      skip: Math.max(0, firstRow - certain.length),
      complete: false,
      transient: reason === 'transient'
    })
  }

  function pageOf (
    inPage: KeyedEvent[],
    { next, skip = 0, complete = true, transient = false }: { next: SortKey | undefined } & Partial<Page>
  ): Page {
    const events = inPage.map(({ event }) => event)
    const skipped = [...unread.values()]
    const last = inPage.at(-1)?.key
    return { ok: true, events, next, last, skip, scanned, complete, filteredLocally, transient, skipped }
  }

  function certainRows (): KeyedEvent[] {
    const reached = frontier
    return reached === undefined ? [] : rows.filter(({ key }) => isBefore(key.instant, reached, direction))
  }
}

/** The part of the window that earlier pages did not hold. */
export function remaining ({ after, direction, window }: PageRequest): TimeRange {
  if (after === undefined) return window
  return direction === 'asc' ? { ...window, start: after.instant } : { ...window, end: after.instant }
}

export function upstreamSize (rows: number): number {
  return UPSTREAM_SIZES.find((size) => size > rows) ?? LARGEST
}
