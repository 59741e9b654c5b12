import type { AuditEvent } from '../audit/event.ts'
import { compileFilter, type AuditFilter } from '../audit/filter.ts'
import { foldAhead } from '../audit/folded-text.ts'
import { coarser, granularityOf, reachedBy, type Granularity } from './granularity.ts'
import {
  EARLIEST,
  NANOS_PER_SECOND,
  ceilToSecond,
  minInstant,
  floorToSecond,
  maxInstant,
  type Instant
} from '../audit/instant.ts'
import { createBisection } from './bisection.ts'
import { compareKeyedEvents, withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { Answer, AuditSource, Direction, Failure, Purpose, SourceQuery } from '../audit/source.ts'
import { advance, hasSlipped, meet, newStretch, reread, stepOver, withPrevious } from './page-run.ts'
import { tileAt } from './page-covering.ts'
import { isWithin, type TimeRange } from '../audit/time-range.ts'

export interface ScanRequest {
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  /** Most rows to ask for. */
  readonly pageSize: number
  /** Rows to ask for at first, where more turned out to be too many. */
  readonly firstSize?: number
  readonly purpose: Purpose
  /**
   * What was passed by before and may be met again. With this set, a row that cannot be read is passed by; without, the
   * scan stops at it.
   */
  readonly skippedRanges?: readonly SkippedRange[]
}

/** Where a row, or several in a row, could not be read: between these neighbours. */
export interface SkippedRange {
  readonly from: Instant
  /** `undefined`: nothing came behind it yet. */
  readonly to: Instant | undefined
  readonly rows: number
  readonly reason: 'too-large' | 'upstream-outage'
}

/** What one upstream answer added to a scan. */
export interface ScanStep {
  readonly ok: true
  /** Accepted events that the scan had not met before, in the walk's order. */
  readonly rows: KeyedEvent[]
  /** Events met for the first time, accepted or not. */
  readonly scanned: number
  /** Events that the upstream should not have sent: outside the filter or the window. */
  readonly rejected: number
  /** All events strictly before this instant (going down: behind it) were met; `undefined`: nothing is certain yet. */
  readonly reached: Instant | undefined
  /** The window was read to its end: all of it was met. */
  readonly end: boolean
  /** What was passed by on the way to this answer. */
  readonly skipped: SkippedRange | undefined
  readonly upstreamMs: number | undefined
  /** How many rows are asked for by now. */
  readonly size: number
  /** Whether that is fewer than wanted, because more turned out to be too many. */
  readonly isReduced: boolean
}

const MOST_BARREN_ANSWERS = 8
const LONG_BEFORE = 366n * 86_400n * NANOS_PER_SECOND

/**
 * Reads a window of the upstream log in order, one answer a step. It scans on by instant: the next question begins,
 * inclusively, at the second of the last row, so that events which arrive meanwhile shift nothing and exact duplicates
 * at a border are seen together. Page numbers serve only inside a second that is longer than a page, overlapping by up
 * to a quarter. An upstream that does not sort, or ignores the bounds, is read by page numbers to the end and sorted
 * here.
 *
 * Order: by place within a step, and from step to step as far as `reached` says. Loss: none, unless the upstream
 * removes rows or splits exact duplicates over more than a page. Duplication: none within a scan. After a failure it
 * can be gone on with: it asks the same question again, so that a long scan through a shaky upstream gets to its end.
 * With `passages` it also gets past a row that can never be read, and says so.
 */
export async function * scan (
  source: AuditSource,
  request: ScanRequest
): AsyncGenerator<ScanStep | Failure, void, void> {
  const { filter, skippedRanges, purpose, window } = request
  const accepts = compileFilter(filter)
  let { direction } = request
  let bound = window // What is left of the window.
  let isNumbered = false // The bounds are of no use, or the order: on by page numbers alone.
  let grain: Granularity = source.quirks.has('sorts-by-second') ? 'second' : 'instant'
  let longest = 0 // The longest answer so far: a page size that the upstream honours.
  let isCapped = false // Whether the last answer was shorter than asked for and yet perhaps not the end.
  let stretch = newStretch()
  let second: Instant | undefined // That of the rows so far …
  let isShown = false // … which show which way they are sorted only once there is another.
  let passed: SkippedRange | undefined
  const known = [...skippedRanges ?? []]
  const bisection = createBisection({ wanted: request.pageSize, first: request.firstSize ?? request.pageSize })

  while (true) {
    const { leastStart, offset } = stretch
    const tile = tileAt(
      offset,
      offset === 0 ? bisection.size() : Math.max(1, Math.min(longest, bisection.size())),
      leastStart
    )
    const isProbe = bisection.isProbing()
    const answer = await source.read(
      isProbe
        ? harmless()
        : { filter, window: isNumbered ? window : bound, direction, page: tile.page, pageSize: tile.size },
      purpose
    )
    if (!answer.ok) {
      if (known.some(isAhead)) bisection.suspect()
      // Without a way past only pages that are too large are asked for again, in smaller ones.
      const stops = skippedRanges === undefined && (answer.kind !== 'too-large' || tile.size === 1)
      const detour = stops ? { waits: true, isPast: false } : bisection.failed(answer.kind, tile.size)
      if (detour.isPast) pass(answer.kind === 'too-large' ? 'too-large' : 'upstream-outage')
      if (detour.waits) yield answer // Whoever goes on after a failure asks the same question again.
      continue
    }
    if (isProbe) {
      bisection.probed()
      continue
    }
    longest = Math.max(longest, answer.rows)

    const rows = withSortKeys(answer.events, direction, bound.end ?? bound.start)
    grain = coarser(grain, granularityOf(withPrevious(stretch, rows), direction))
    if (!isNumbered && !isOrderly(rows)) {
      isNumbered = true
      if (direction === 'asc') {
        // Newest first comes to an end by itself even where the lower bound is ignored; oldest first would read it all.
        direction = 'desc'
        grain = 'none'
        stretch = newStretch(stretch.met)
        continue
      }
    }
    for (const { key } of rows) isShown ||= floorToSecond(key.instant) !== (second ??= floorToSecond(key.instant))
    if (hasSlipped(stretch, rows)) {
      stretch = reread(stretch)
      continue
    }

    const fresh = meet(stretch, rows)
    if (filter.text !== undefined) for (const { event } of fresh) await foldAhead(event.item)
    bisection.succeeded(fresh.length)
    stretch = advance(stretch, tile, answer.rows, rows, fresh.length, Math.min(longest, bisection.size()))
    const end = answer.rows === 0 || answer.end === true || stretch.barren >= MOST_BARREN_ANSWERS ||
      (isNumbered && isPast(rows))
    yield step(answer, rows, fresh, end)
    if (passed !== undefined) known.push(told(passed, rows))
    passed = undefined
    if (end) return
    if (isCapped && fresh.length > 0) bisection.cap(longest) // It was not the end: the upstream has a smaller page.
    isCapped = answer.end === undefined

    const last = rows.at(-1)?.event.instant
    if (last === undefined || isNumbered || isCapped || !isFurther(last) || !isShown) continue
    bound = direction === 'asc' ? { ...bound, start: last } : { ...bound, end: endAt(last) }
    stretch = newStretch([...stretch.met].filter(([, instant]) => instant === undefined || !isOutside(instant, bound)))
  }

  /** Gives up the row that is asked for; it lies behind the last one read, or at the start. */
  function pass (reason: SkippedRange['reason']): void {
    const start = bound.start === undefined ? EARLIEST : floorToSecond(bound.start)
    const from = passed?.from ?? (direction === 'asc' && !isNumbered ? stretch.last?.key.instant : undefined) ?? start
    passed = { from, to: undefined, rows: (passed?.rows ?? 0) + 1, reason }
    stretch = stepOver(stretch)
    source.reportQuirk('sends-unreadable-events', 1)
  }

  /** With the neighbour behind it, where the order tells which that is. */
  function told (skippedRange: SkippedRange, rows: KeyedEvent[]): SkippedRange {
    const to = direction === 'asc' && !isNumbered ? rows[0]?.key.instant : undefined
    if (grain !== 'second') return { ...skippedRange, to }
    return {
      ...skippedRange,
      from: floorToSecond(skippedRange.from),
      to: to === undefined ? undefined : floorToSecond(to) + NANOS_PER_SECOND - 1n
    }
  }

  /** Where events stand that hold too much to be read: between their neighbours. */
  function unreadableAt ({ unreadable = [] }: Answer, rows: KeyedEvent[]): SkippedRange | undefined {
    const [first] = unreadable
    const last = unreadable.at(-1)
    if (first === undefined || last === undefined) return undefined
    source.reportQuirk('sends-unreadable-events', unreadable.length)
    const [before, behind] = [rows[first - 1]?.key.instant, rows[last]?.key.instant]
    const [from, to] = direction === 'asc'
      ? [before ?? bound.start, behind ?? bound.end]
      : [behind ?? bound.start, before ?? bound.end]
    return { from: from ?? EARLIEST, to, rows: unreadable.length, reason: 'too-large' }
  }

  /** Whether what was passed by before lies in what is still to be read. */
  function isAhead ({ to }: SkippedRange): boolean {
    return to === undefined || bound.start === undefined || to >= floorToSecond(bound.start)
  }

  /** A question that Kubiya answers if it answers at all: for a second long before. */
  function harmless (): SourceQuery {
    const start = maxInstant(EARLIEST, (bound.start ?? bound.end ?? 0n) - LONG_BEFORE)
    return { filter, window: { start, end: start }, direction: request.direction, page: 1, pageSize: 1 }
  }

  /** Whether the answer is in some order and within what was asked for; notes what it is not. */
  function isOrderly (rows: KeyedEvent[]): boolean {
    if (grain === 'second') source.reportQuirk('sorts-by-second')
    if (grain === 'none') source.reportQuirk('ignores-sort')
    const isBounded = rows.every(({ event }) => event.instant === undefined || !isOutside(event.instant, bound))
    if (!isBounded) source.reportQuirk('ignores-bounds')
    return grain !== 'none' && isBounded
  }

  /** Whether all further rows of an upstream that sorts would be outside what is left of the window. */
  function isPast (rows: KeyedEvent[]): boolean {
    const last = rows.at(-1)?.key.instant
    if (last === undefined || granularityOf(rows, direction) === 'none') return false
    return direction === 'asc'
      ? bound.end !== undefined && last > ceilToSecond(bound.end)
      : bound.start !== undefined && last < floorToSecond(bound.start)
  }

  /** Whether the bound can be moved to this instant and would be another one in whole seconds. */
  function isFurther (last: Instant): boolean {
    if (direction === 'asc') return bound.start === undefined || floorToSecond(last) > floorToSecond(bound.start)
    return bound.end === undefined || ceilToSecond(endAt(last)) < ceilToSecond(bound.end)
  }

  /** Where to end so that all is asked for that may still come: of an unsorted second, the rest of it. */
  function endAt (last: Instant): Instant {
    return grain === 'second' ? floorToSecond(last) + NANOS_PER_SECOND : last
  }

  function step (answer: Answer, rows: KeyedEvent[], fresh: KeyedEvent[], end: boolean): ScanStep {
    const last = rows.findLast(({ event }) => event.instant !== undefined)?.key.instant
    const wanted = fresh.filter(({ event }) => accepts(event.item) && isInside(event, window))
    if (fresh.some(({ event }) => !accepts(event.item)) && isJudgedUpstream(filter)) {
      source.reportQuirk('ignores-filter')
    }
    return {
      ok: true,
      // What lies outside what was left of the window, but in it, was given before the bounds turned out to be ignored.
      rows: wanted
        .filter(({ event }) =>
          isInside(event, bound) && (event.instant === undefined || isWithin(event.instant, window))
        )
        .sort(compareKeyedEvents(request.direction)),
      scanned: fresh.length,
      rejected: fresh.length - wanted.length,
      reached: last === undefined ? undefined : reachedBy(last, grain, request.direction),
      end,
      skipped: joined(passed && told(passed, rows), unreadableAt(answer, rows)),
      upstreamMs: answer.upstreamMs,
      size: bisection.size(),
      isReduced: bisection.isReduced()
    }
  }
}

/** What was passed by on the way to an answer and in it, as one. */
function joined (a: SkippedRange | undefined, b: SkippedRange | undefined): SkippedRange | undefined {
  if (a === undefined || b === undefined) return a ?? b
  const to = a.to === undefined || b.to === undefined ? undefined : maxInstant(a.to, b.to)
  return { from: minInstant(a.from, b.from), to, rows: a.rows + b.rows, reason: a.reason }
}

function isInside ({ instant }: AuditEvent, window: TimeRange): boolean {
  return instant === undefined || !isOutside(instant, window)
}

/** Whether an instant lies outside even the whole seconds that are asked for. */
function isOutside (instant: Instant, { start, end }: TimeRange): boolean {
  return (start !== undefined && instant < floorToSecond(start)) || (end !== undefined && instant > ceilToSecond(end))
}

/** Whether every part of the filter is one that the upstream is asked to judge. */
function isJudgedUpstream ({ session_id: session, status, text }: AuditFilter): boolean {
  return session === undefined && status === undefined && text === undefined
}
