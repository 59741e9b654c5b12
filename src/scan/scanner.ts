import { EARLIEST, LATEST, NANOS_PER_SECOND, ceilToSecond, floorToSecond } from '../audit/instant.ts'
import { withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { Direction, Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { coarser, granularityOf, type Granularity } from './granularity.ts'
import { scanByPageNumber } from './page-number-scan.ts'
import { createPageRun, type PagedSource } from './page-run.ts'
import { createStepBuilder, isOutside, type ScanRequest, type ScanStep } from './scan-step.ts'

/**
 * Reads a window of the upstream log in order, one answer for each step. It is a keyset scan: the next query begins,
 * inclusively, at the second of the last row. So new events shift nothing, and exact duplicates at the end of a page
 * are in one answer. Page numbers are used only within a second that is longer than a page. An upstream that ignores
 * the sort or the bounds is read by page number instead.
 *
 * - Order: by sort key within a step, and from step to step as far as `reached` says.
 * - Loss: none, unless the upstream removes rows or splits exact duplicates over more than a page.
 * - Duplication: none within a scan.
 *
 * A scan may be continued after a failure: it sends the same query again.
 */
export async function * scan (
  source: PagedSource,
  request: ScanRequest
): AsyncGenerator<ScanStep | Failure, void, void> {
  const { direction, filter, purpose, window } = request
  const run = createPageRun(request.pageSize)
  const toStep = createStepBuilder(source, request)
  let bound = window // The rest of the window.
  let granularity: Granularity = source.quirks.has('sorts-by-second') ? 'second' : 'instant'
  // Rows of one second do not show the order: an upstream may always send the newest first.
  let isOrderShown = false

  if (source.quirks.has('ignores-sort')) return yield * scanByPageNumber(source, request, { bound, run, granularity })
  while (true) {
    const span = run.next()
    const query = { filter, window: bound, direction, page: span.page, pageSize: span.size, row: run.row() }
    const answer = await source.read(query, purpose)
    if (!answer.ok) {
      yield answer
      continue
    }
    const rows = withSortKeys(answer.events, direction, bound.end ?? bound.start)
    const previous = run.last()
    if (!isAsRequested(rows)) {
      return yield * scanByPageNumber(source, request, { bound, run, granularity, shown: { span, answer } })
    }
    const fresh = run.take(span, answer, rows)
    if (fresh === undefined) continue
    const order = { direction, granularity, isOrderShown: isOrderShown || direction === 'desc' }
    yield await toStep({ answer, rows, fresh, bound, previous, end: run.isOver(), ...order })
    if (run.isOver()) return
    // A short answer may be the end of this query, or a page that the upstream caps. The next page shows which.
    if (answer.end !== undefined) moveBound(rows)
  }

  /** Whether the answer is sorted and within the bounds. Reports what is wrong. */
  function isAsRequested (rows: KeyedEvent[]): boolean {
    const ordered = run.withPrevious(rows)
    granularity = coarser(granularity, granularityOf(ordered, direction))
    isOrderShown ||= isOverSeconds(ordered)
    if (granularity === 'second') source.reportQuirk('sorts-by-second')
    if (granularity === 'none') source.reportQuirk('ignores-sort')
    const isBounded = rows.every(({ event }) => event.instant === undefined || !isOutside(event.instant, bound))
    if (!isBounded) source.reportQuirk('ignores-bounds')
    return granularity !== 'none' && isBounded
  }

  /**
   * Continues from the second of the last row. Rows of two seconds must show first that the upstream sorts as
   * requested: otherwise the bound could cut off rows that were not sent yet.
   */
  function moveBound (rows: KeyedEvent[]): void {
    const last = rows.at(-1)?.event.instant
    if (last === undefined || !isOrderShown) return
    // The upstream does not sort within the second, so the rest of it may still follow.
    const rest = direction === 'asc'
      ? { ...bound, start: last }
      : { ...bound, end: granularity === 'second' ? floorToSecond(last) + NANOS_PER_SECOND : last }
    if (!isNarrower(rest, bound, direction)) return
    bound = rest
    run.restart((instant) => !isOutside(instant, rest))
  }
}

/** Whether a range is narrower than another in whole seconds, as in queries to the upstream. */
function isNarrower (range: TimeRange, other: TimeRange, direction: Direction): boolean {
  return direction === 'asc'
    ? floorToSecond(range.start ?? EARLIEST) > floorToSecond(other.start ?? EARLIEST)
    : ceilToSecond(range.end ?? LATEST) < ceilToSecond(other.end ?? LATEST)
}

function isOverSeconds (rows: KeyedEvent[]): boolean {
  const [first, last] = [rows[0]?.key.instant, rows.at(-1)?.key.instant]
  return first !== undefined && last !== undefined && floorToSecond(first) !== floorToSecond(last)
}
