import { weightOf, type AuditEvent } from '../audit/event.ts'
import { compileFilter } from '../audit/filter.ts'
import { floorToSecond } from '../audit/instant.ts'
import { compareKeyedEvents, withSortKeys, type KeyedEvent } from '../audit/sort-key.ts'
import type { Answer, AuditSource, Failure, Purpose } from '../audit/source.ts'
import { isWithin } from '../audit/time-range.ts'
import { granularityOf } from '../scan/granularity.ts'
import { overlapStart, pageCovering, type PageSpan } from '../scan/page-run.ts'
import { withinBytes, type AnswerSize, type Page, type PageRequest } from './page-query.ts'

/** What reading by page number came to. */
export type OffsetPageResult =
  | { readonly kind: 'page', readonly page: Page }
  | { readonly kind: 'failed', readonly failure: Failure }
  /** Page numbers cannot be trusted: rows out of order, rows that had to be rejected, too many of one instant. */
  | { readonly kind: 'unsuitable' }

/** The upstream answers with fewer rows than asked for, so page numbers mean other rows. */
interface PageSizeCapped {
  readonly kind: 'page-size-capped'
  readonly size: number
}

/** Consecutive rows; the first is row `start` of the window, from 0. */
interface Rows {
  readonly kind: 'rows'
  readonly start: number
  readonly rows: KeyedEvent[]
  readonly isLast: boolean
}

type NoRows = Exclude<OffsetPageResult, { kind: 'page' }> | PageSizeCapped

// Where one instant goes on over more answers, counting from the first row is cheaper.
const MOST_ANSWERS = 12
const OVERLAP_SHARE = 0.25
const UNSUITABLE = { kind: 'unsuitable' } as const

/**
 * Reads the rows (page − 1) · page_size … by number, without the rows before. Instants that the page's borders cut are
 * read whole, so that numbered pages and `next` give one order.
 */
export async function readOffsetPage (
  source: AuditSource,
  request: PageRequest,
  upstreamSize: number,
  purpose: Purpose,
  answerSize: AnswerSize
): Promise<OffsetPageResult> {
  if (source.quirks.has('sorts-by-second') || source.quirks.has('ignores-sort')) return UNSUITABLE
  if (!beginsAtWholeSecond(request)) return UNSUITABLE
  let size = upstreamSize
  while (true) {
    const result = await readWith(source, request, size, purpose, answerSize)
    if (result.kind !== 'page-size-capped') return result
    size = result.size
  }
}

/** Bounds go to Kubiya as whole seconds, rounded outward. It would also count the rows between the two bounds. */
function beginsAtWholeSecond ({ direction, window }: PageRequest): boolean {
  const bound = direction === 'asc' ? window.start : window.end
  return bound === undefined || bound === floorToSecond(bound)
}

/** The same with upstream pages of up to `size` rows. */
async function readWith (
  source: AuditSource,
  request: PageRequest,
  size: number,
  purpose: Purpose,
  answerSize: AnswerSize
): Promise<OffsetPageResult | PageSizeCapped> {
  const { direction, filter, pageSize, window } = request
  const accepts = compileFilter(filter)
  const first = request.firstRow ?? (request.page - 1) * pageSize
  const end = first + pageSize
  let isSizeHonoured = false

  let found = await read(pageCovering(first - 1, size))
  for (let answers = 1; answers < MOST_ANSWERS; answers++) {
    if (found.kind !== 'rows') return found
    const { start, rows, isLast }: Rows = found
    answerSize.onHeld(rows.reduce((sum, { event }) => sum + weightOf(event), 0))
    const cutsFirst = start > 0 && isOneInstant(rows.slice(0, first - start + 1)) && rows.length > first - start
    const cutsLast = !isLast && isOneInstant(rows.slice(end - 1 - start))
    if (!cutsFirst && !cutsLast) return { kind: 'page', page: pageOf(found) }
    found = cutsFirst ? await readFurtherBack(start) : await readOn(start, rows)
  }
  return UNSUITABLE

  /** All rows are read anew: exact duplicates are numbered together only if they stand in one answer. */
  async function readFurtherBack (start: number): Promise<Rows | NoRows> {
    return read(pageCovering(Math.max(0, start - Math.ceil(size / 2)), size))
  }

  async function readOn (start: number, rows: KeyedEvent[]): Promise<Rows | NoRows> {
    const border = start + overlapStart(rows, Math.floor(size * OVERLAP_SHARE))
    const more = await read(pageCovering(border, size))
    if (more.kind !== 'rows') return more
    return { ...more, start, rows: [...rows.slice(0, border - start), ...more.rows.slice(border - more.start)] }
  }

  async function read (span: PageSpan): Promise<Rows | NoRows> {
    const answer = await readSpan(span)
    if (!answer.ok) return answer.kind === 'too-large' ? UNSUITABLE : { kind: 'failed', failure: answer }
    const isShort = answer.rows < span.size
    const capped = isShort && !isSizeHonoured ? await checkPageSize(span, answer) : undefined
    if (capped !== undefined) return capped
    const rows = withSortKeys(answer.events, direction, window.end ?? window.start)
    const isSound = answer.rows === rows.length && rows.every(({ event }) => isAccepted(event)) &&
      granularityOf(rows, direction) === 'instant'
    return isSound ? { kind: 'rows', start: span.start, rows, isLast: isShort } : UNSUITABLE
  }

  function readSpan ({ page, size: rows }: PageSpan): Promise<Answer | Failure> {
    return source.read({ filter, window, direction, page, pageSize: rows }, purpose)
  }

  /** A short answer is the end, or the upstream caps the page size: the first page of the full size shows which. */
  async function checkPageSize (span: PageSpan, answer: Answer): Promise<NoRows | undefined> {
    const isFirst = span.start === 0 && span.size === size
    const firstPage = isFirst ? answer : await readSpan({ page: 1, size, start: 0 })
    if (!firstPage.ok) return { kind: 'failed', failure: firstPage }
    if (firstPage.rows > 0 && firstPage.rows < size) return { kind: 'page-size-capped', size: firstPage.rows }
    isSizeHonoured = true
    return undefined
  }

  function isAccepted (event: AuditEvent): boolean {
    return accepts(event.item) && (event.instant === undefined || isWithin(event.instant, window))
  }

  function pageOf ({ start, rows, isLast }: Rows): Page {
    const all = rows.sort(compareKeyedEvents(direction)).slice(first - start, end - start)
    const inPage = withinBytes(all, answerSize.maxBytes)
    const events = [...new Map(inPage.map(({ event }) => [event.id, event])).values()]
    const hasMore = inPage.length > 0 && (!isLast || rows.length > end - start || inPage.length < all.length)
    return {
      ok: true,
      events,
      next: hasMore ? inPage.at(-1)?.key : undefined,
      last: inPage.at(-1)?.key,
      skip: 0,
      scanned: rows.length,
      complete: true,
      filteredLocally: false,
      transient: false,
      skipped: []
    }
  }
}

/** Whether nothing shows where an instant ends: too few rows, or all of one. */
function isOneInstant (rows: KeyedEvent[]): boolean {
  return rows.every(({ key }) => key.instant === rows[0]?.key.instant)
}
