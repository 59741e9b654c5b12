import type { AuditEvent } from '../audit/event.ts'
import { compileFilter, isJudgedHere, type AuditFilter } from '../audit/filter.ts'
import { foldAhead } from '../audit/folded-text.ts'
import { ceilToSecond, floorToSecond, type Instant } from '../audit/instant.ts'
import { compareKeyedEvents, type KeyedEvent } from '../audit/sort-key.ts'
import type { Direction, Purpose } from '../audit/source.ts'
import { isWithin, type TimeRange } from '../audit/time-range.ts'
import { reachedBy } from './granularity.ts'
import type { PagedSource } from './page-run.ts'
import { skippedRangeOf, type SkippedContext, type SkippedRange } from './skipped-range.ts'

export interface ScanRequest {
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  /** The most rows to request at a time. */
  readonly pageSize: number
  /**
   * The most rows to read from an upstream that does not sort, because all of them are held and sorted here. A longer
   * range fails as `invalid`.
   */
  readonly scanLimit: number
  readonly purpose: Purpose
}

/** What one upstream answer added to a scan. */
export interface ScanStep {
  readonly ok: true
  /** Accepted events that are new to the scan, in the direction of the scan. */
  readonly rows: KeyedEvent[]
  /** Events that are new to the scan, accepted or not. */
  readonly scanned: number
  /** Events that the upstream should not have sent: outside the filter or the window. */
  readonly rejected: number
  /**
   * All events strictly before this instant (in descending order: strictly after it) were read. `undefined`: nothing is
   * certain yet.
   */
  readonly reached: Instant | undefined
  /** Whether the whole window was read. */
  readonly end: boolean
  /** Rows that could not be read, before this answer or in it. */
  readonly skipped: SkippedRange | undefined
  /** The upstream's clock at the answer, milliseconds since 1970. `undefined`: the answer had no `Date`. */
  readonly upstreamMs: number | undefined
}

export interface ReadPage extends SkippedContext {
  /** The rows of the answer that are new to the scan. */
  readonly fresh: KeyedEvent[]
  /** Whether the rows so far show that the upstream sorts as requested. */
  readonly isOrderShown: boolean
  readonly end: boolean
}

/** Creates the steps of one scan. Reports an answer that ignores the filter, or that has events that cannot be read. */
export function createStepBuilder (
  source: PagedSource,
  { direction, filter, window }: ScanRequest
): (page: ReadPage) => Promise<ScanStep> {
  const accepts = compileFilter(filter)

  return async function toStep (page: ReadPage): Promise<ScanStep> {
    const { answer, end, fresh } = page
    if (filter.text !== undefined) for (const { event } of fresh) await foldAhead(event.item)
    const matches = fresh.filter(({ event }) => accepts(event.item))
    if (matches.length < fresh.length && isJudgedUpstream(filter)) source.reportQuirk('ignores-filter')
    if (answer.unreadable !== undefined && answer.unreadable.length > 0) {
      source.reportQuirk('sends-unreadable-events', answer.unreadable.length)
    }
    const accepted = matches.filter(({ event }) => isAround(event, window))
    return {
      ok: true,
      // An upstream that ignores the bounds may repeat rows before `bound`. An earlier step returned them.
      rows: accepted
        .filter(({ event }) => isAround(event, page.bound) && isInside(event, window))
        .sort(compareKeyedEvents(direction)),
      scanned: fresh.length,
      rejected: fresh.length - accepted.length,
      reached: reachedIn(page, direction),
      end,
      skipped: skippedRangeOf(page),
      upstreamMs: answer.upstreamMs
    }
  }
}

function reachedIn ({ granularity, isOrderShown, rows }: ReadPage, direction: Direction): Instant | undefined {
  if (!isOrderShown) return undefined
  const last = rows.findLast(({ event }) => event.instant !== undefined)?.key.instant
  return last === undefined ? undefined : reachedBy(last, granularity, direction)
}

/** Whether an instant is outside the range after both bounds are rounded outward to whole seconds, as in the query. */
export function isOutside (instant: Instant, { start, end }: TimeRange): boolean {
  return (start !== undefined && instant < floorToSecond(start)) || (end !== undefined && instant > ceilToSecond(end))
}

function isAround ({ instant }: AuditEvent, range: TimeRange): boolean {
  return instant === undefined || !isOutside(instant, range)
}

function isInside ({ instant }: AuditEvent, range: TimeRange): boolean {
  return instant === undefined || isWithin(instant, range)
}

/** Whether the upstream evaluates every part of the filter. */
function isJudgedUpstream (filter: AuditFilter): boolean {
  return filter.session_id === undefined && !isJudgedHere(filter)
}
