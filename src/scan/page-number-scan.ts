import { floorToSecond } from '../audit/instant.ts'
import { withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { coarser, granularityOf, type Granularity } from './granularity.ts'
import type { PageAnswer, PageRun, PageSpan, PagedSource } from './page-run.ts'
import { createStepBuilder, type ScanRequest, type ScanStep } from './scan-step.ts'

/** Where the scan by sort key stopped. */
export interface HandOver {
  readonly run: PageRun
  /** The rest of the window. */
  readonly bound: TimeRange
  readonly granularity: Granularity
  /** The answer that showed that the upstream ignores the sort or the bounds. */
  readonly shown?: { readonly span: PageSpan, readonly answer: PageAnswer }
}

const BEYOND_LIMIT: Failure = { ok: false, kind: 'invalid' }

/**
 * Reads a window from an upstream that ignores the sort or the bounds: by page number, newest first, to the end. If the
 * bounds are ignored, oldest first would read the whole log. Nothing is certain before the end, unless the rows have
 * the requested order.
 *
 * At most `scanLimit` unsorted rows are read. Beyond that the scan fails; if it is continued, it begins again.
 */
export async function * scanByPageNumber (
  source: PagedSource,
  request: ScanRequest,
  { bound, run, ...start }: HandOver
): AsyncGenerator<ScanStep | Failure, void, void> {
  const { filter, purpose, window } = request
  const isReversed = request.direction === 'asc'
  const toStep = createStepBuilder(source, request)
  let granularity = isReversed ? 'none' : start.granularity
  let shown = isReversed ? undefined : start.shown
  if (isReversed) run.restart(() => true)

  while (true) {
    if (isBeyondLimit()) {
      yield BEYOND_LIMIT
      run.restart(() => true)
    }
    const { answer, span } = shown ?? await readPage(run.next())
    shown = undefined
    if (!answer.ok) {
      yield answer
      continue
    }
    const rows = withSortKeys(answer.events, 'desc', window.end ?? window.start)
    granularity = coarser(granularity, granularityOf(run.withPrevious(rows), 'desc'))
    const previous = run.last()
    const fresh = run.take(span, answer, rows)
    if (fresh === undefined) continue
    const end = run.isOver() || isBehind(rows, bound)
    const order = { direction: 'desc', granularity, isOrderShown: true } as const
    yield await toStep({ answer, rows, fresh, bound, previous, end, ...order })
    if (end) return
  }

  async function readPage (span: PageSpan) {
    const query = { filter, window, direction: 'desc', page: span.page, pageSize: span.size, row: run.row() } as const
    return { span, answer: await source.read(query, purpose) }
  }

  function isBeyondLimit (): boolean {
    return granularity === 'none' && source.quirks.has('ignores-sort') && run.rowsRead() > request.scanLimit
  }
}

/** Whether these rows are sorted and end before the range. Then all further rows are before it, too. */
function isBehind (rows: KeyedEvent[], { start }: TimeRange): boolean {
  const last = rows.at(-1)?.key.instant
  if (last === undefined || start === undefined || granularityOf(rows, 'desc') === 'none') return false
  return last < floorToSecond(start)
}
