import { weightOf, type AuditEvent } from '../audit/event.ts'
import { isJudgedHere, type AuditFilter } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import { compareKeyedEvents, isBefore, isAfter, type SortKey, type KeyedEvent } from '../audit/sort-key.ts'
import type { AuditSource, Direction, Failure, Purpose } from '../audit/source.ts'
import { scan, type SkippedRange, type ScanStep } from '../scan/scanner.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { readNumbered } from './offset-page.ts'

export interface PageRequest {
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  readonly page: number
  readonly pageSize: number
  /** Where the page begins; counted from the first row by `page` otherwise. */
  readonly after?: SortKey
  /** Matches behind `after` that belong to pages before this one. */
  readonly skip?: number
}

export interface Page {
  readonly ok: true
  readonly events: AuditEvent[]
  /** Where the next page begins; `undefined` when there is none. */
  readonly next: SortKey | undefined
  /** Matches behind `next` that still belong to pages before this one, which the scan did not get to. */
  readonly skip: number
  readonly scanned: number
  /**
   * Whether the page is full or the window at its end: not cut off by the scan limit, the request budget or the
   * caller's share.
   */
  readonly complete: boolean
  /** Whether rows were judged here and not by Kubiya alone, so that pages count matches. */
  readonly filteredLocally: boolean
  /** Cut off by a shortage that will pass, so that the answer is not worth keeping. */
  readonly transient: boolean
  /** Where rows could not be read. */
  readonly skipped: readonly SkippedRange[]
}

// Asking for somewhat more than is wanted lets one answer hold the end of the last instant too, mostly.
const UPSTREAM_SIZES = [100, 250, 500, 1000]
const LARGEST = 1000

/** How large an answer may become. */
export interface AnswerSize {
  /** Bytes of events at which an answer ends early; the first event is given however large it is. */
  readonly maxBytes: number
  /** Told how many bytes of events are held while the answer is made. */
  readonly onHeld: (eventBytes: number) => void
}

const ANY_SIZE: AnswerSize = { maxBytes: Infinity, onHeld: () => {} }

/** Reads one page. One deeper than the first is asked for by number where Kubiya alone judges its rows. */
export async function readPage (
  source: AuditSource,
  request: PageRequest,
  scanLimit: number,
  purpose: Purpose,
  size: AnswerSize = ANY_SIZE
): Promise<Page | Failure> {
  if (request.page > 1 && request.after === undefined && !isJudgedHere(request.filter)) {
    const page = await readNumbered(source, request, upstreamSize(request.pageSize), purpose, size)
    if (page !== 'unsuitable') return page
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
  const gathering = startGathering(request, size.maxBytes)
  const pageSize = isJudgedHere(filter) ? LARGEST : upstreamSize(gathering.wanted)
  for await (const step of scan(source, { filter, window: remaining(request), direction, pageSize, purpose })) {
    // What was scanned before the budget, or the caller's share, ended is worth an answer that goes on from there.
    if (!step.ok) return step.kind === 'budget' || step.kind === 'share' ? gathering.cutOff('passing') ?? step : step
    gathering.add(step)
    size.onHeld(gathering.bytes())
    const page = gathering.full() ?? (gathering.scanned() >= scanLimit ? gathering.cutOff('final') : undefined)
    if (page !== undefined) return page
  }
  throw new Error('a walk ended without saying so')
}

function startGathering (request: PageRequest, maxBytes: number) {
  const { after, direction, pageSize, skip = 0 } = request
  const skipped = after === undefined ? (request.page - 1) * pageSize : skip
  const wanted = skipped + pageSize
  const rows: KeyedEvent[] = []
  let bytes = 0
  let scanned = 0
  let filteredLocally = isJudgedHere(request.filter)
  let end = false
  const unread = new Map<string, SkippedRange>()
  let frontier: Instant | undefined // All rows before it are in hand.

  return { wanted, add, full, cutOff, bytes: () => bytes, scanned: () => filteredLocally ? scanned : 0 }

  function add (step: ScanStep): void {
    scanned += step.scanned
    filteredLocally ||= step.rejected > 0
    end = step.end
    frontier = step.reached
    // Pages overlap: it is met again.
    if (step.skipped !== undefined) unread.set(`${step.skipped.from}/${step.skipped.to}`, step.skipped)
    for (const row of step.rows) {
      if (after !== undefined && !isAfter(row.key, after, direction)) continue
      rows.push(row)
      bytes += weightOf(row.event)
    }
    rows.sort(compareKeyedEvents(direction))
  }

  function full (): Page | undefined {
    const certain = end ? rows : certainRows()
    const given = withinBytes(certain.slice(skipped, wanted), maxBytes)
    const isCut = given.length < Math.min(certain.length, wanted) - skipped
    if (!end && certain.length < wanted && !isCut) return undefined
    const hasMore = isCut || !end || rows.length > wanted
    const next = hasMore ? given.at(-1)?.key : undefined
    return {
      ok: true,
      events: events(given),
      next,
      skip: 0,
      scanned,
      complete: true,
      filteredLocally,
      transient: false,
      skipped: [...unread.values()]
    }
  }

  /** The page as far as it came, if it came any further than where it began. */
  function cutOff (reason: 'passing' | 'final'): Page | undefined {
    if (!filteredLocally || frontier === undefined) return undefined
    if (after !== undefined && !isBefore(after.instant, frontier, direction)) return undefined
    const certain = certainRows()
    const given = certain.slice(skipped, wanted)
    const skip = Math.max(0, skipped - certain.length)
    const next = { instant: frontier, id: '' }
    return {
      ok: true,
      events: events(given),
      next,
      skip,
      scanned,
      complete: false,
      filteredLocally,
      transient: reason === 'passing',
      skipped: [...unread.values()]
    }
  }

  function certainRows (): KeyedEvent[] {
    const reached = frontier
    return reached === undefined ? [] : rows.filter(({ key }) => isBefore(key.instant, reached, direction))
  }
}

/** The first rows, as many as one answer holds; at least one, however large. */
export function withinBytes (rows: KeyedEvent[], maxBytes: number): KeyedEvent[] {
  let bytes = 0
  const end = rows.findIndex(({ event }, index) => (bytes += event.json.length) > maxBytes && index > 0)
  return end < 0 ? rows : rows.slice(0, end)
}

/** The part of the window that is not given yet. */
function remaining ({ after, direction, window }: PageRequest): TimeRange {
  if (after === undefined) return window
  return direction === 'asc' ? { ...window, start: after.instant } : { ...window, end: after.instant }
}

function upstreamSize (wanted: number): number {
  return UPSTREAM_SIZES.find((size) => size > wanted) ?? LARGEST
}

function events (rows: KeyedEvent[]): AuditEvent[] {
  return rows.map(({ event }) => event)
}
