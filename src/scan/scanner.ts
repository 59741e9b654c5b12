import { EARLIEST, LATEST, NANOS_PER_SECOND, ceilToSecond, floorToSecond } from '../audit/instant.ts'
import { withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { Direction, Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { coarser, granularityOf, type Granularity } from './granularity.ts'
import { scanByPageNumber } from './page-number-scan.ts'
import { createPageRun, type PagedSource } from './page-run.ts'
import { createStepBuilder, isOutside, type ScanRequest, type ScanStep } from './scan-step.ts'

/**
 * Reads a window of the upstream log in order, one answer a step. It is a keyset scan: the next query begins,
 * inclusively, at the second of the last row. So events that arrive meanwhile shift nothing, and exact duplicates at a
 * page's border stand in one answer. Page numbers serve only inside a second that is longer than a page. An upstream
 * that ignores the sort or the bounds is read by page number instead.
 *
 * Order: by sort key within a step, and from step to step as far as `reached` says. Loss: none, unless the upstream
 * removes rows or splits exact duplicates over more than a page. Duplication: none within a scan. A scan may be
 * continued after a failure: it asks the same query again.
 */
export async function * scan (
  source: PagedSource,
  request: ScanRequest
): AsyncGenerator<ScanStep | Failure, void, void> {
  const { direction, filter, purpose, window } = request
  const run = createPageRun(request.pageSize)
  const toStep = createStepBuilder(source, request)
  let bound = window // What is left of the window.
  let granularity: Granularity = source.quirks.has('sorts-by-second') ? 'second' : 'instant'
  // Rows of one second do not show it: an upstream may send the newest first, whatever is asked.
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
    if (!isAsAsked(rows)) {
      return yield * scanByPageNumber(source, request, { bound, run, granularity, shown: { span, answer } })
    }
    const fresh = run.take(span, answer, rows)
    if (fresh === undefined) continue
    const order = { direction, granularity, isOrderShown: isOrderShown || direction === 'desc' }
    yield await toStep({ answer, rows, fresh, bound, previous, end: run.isOver(), ...order })
    if (run.isOver()) return
    // A short answer may be all that the upstream gives of this query, or a page that it caps: the next page tells.
    if (answer.end !== undefined) moveBound(rows)
  }

  /** Whether the answer is sorted, and within the bounds. Reports what it is not. */
  function isAsAsked (rows: KeyedEvent[]): boolean {
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
   * Goes on from the second of the last row. Not before rows of two seconds have shown that the upstream sorts as
   * asked: otherwise the bound could cut off rows that were not sent yet.
   */
  function moveBound (rows: KeyedEvent[]): void {
    const last = rows.at(-1)?.event.instant
    if (last === undefined || !isOrderShown) return
    // Of a second that is not sorted, the rest may still come.
    const rest = direction === 'asc'
      ? { ...bound, start: last }
      : { ...bound, end: granularity === 'second' ? floorToSecond(last) + NANOS_PER_SECOND : last }
    if (!isNarrower(rest, bound, direction)) return
    bound = rest
    run.restart((instant) => !isOutside(instant, rest))
  }
}

/** Whether a range is narrower than another in whole seconds, as the upstream is asked. */
function isNarrower (range: TimeRange, other: TimeRange, direction: Direction): boolean {
  return direction === 'asc'
    ? floorToSecond(range.start ?? EARLIEST) > floorToSecond(other.start ?? EARLIEST)
    : ceilToSecond(range.end ?? LATEST) < ceilToSecond(other.end ?? LATEST)
}

function isOverSeconds (rows: KeyedEvent[]): boolean {
  const [first, last] = [rows[0]?.key.instant, rows.at(-1)?.key.instant]
  return first !== undefined && last !== undefined && floorToSecond(first) !== floorToSecond(last)
}
