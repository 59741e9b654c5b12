import { EARLIEST, NANOS_PER_SECOND, floorToSecond, maxInstant, type Instant } from '../audit/instant.ts'
import type { Answer, AuditSource, Failure, FailureKind, Purpose, SourceQuery } from '../audit/source.ts'
import { pageCovering, type PageAnswer, type PageSpan, type RowQuery, type SkippedRows } from './page-run.ts'
import type { SkippedRange } from './skipped-range.ts'

export interface BisectionOptions {
  /** Whether a row that fails alone is skipped. Otherwise its failure is the answer. */
  readonly skipsRows?: boolean
  /** Rows that earlier scans skipped. They may occur again, and then need less proof. */
  readonly known?: () => readonly SkippedRange[]
}

/** An `AuditSource` that answers with a smaller page when a page fails. */
export interface BisectingSource extends AuditSource {
  read (query: RowQuery, purpose: Purpose): Promise<PageAnswer | Failure>
  /** Whether the last answer is a smaller page than requested. */
  isReduced (): boolean
}

/**
 * What is known about the requested page. `failures`: how often a single row failed although the upstream answered the
 * control query.
 */
export type BisectionState =
  | { readonly tag: 'normal' }
  | { readonly tag: 'retrying' }
  | { readonly tag: 'probing' | 'narrowing', readonly failures: number }

/** A page that failed. */
export interface FailedPage {
  readonly kind: FailureKind
  /** Requested rows. */
  readonly rows: number
  /** Whether an earlier scan skipped a row in the rest of the window. */
  readonly isKnown: boolean
  /** Whether the page is part of a page that failed. */
  readonly isPart: boolean
}

export interface Transition {
  readonly state: BisectionState
  /** The next action: return the failure, read again, read half of the page, or skip the row. */
  readonly move: 'report' | 'read' | 'halve' | 'skip'
}

const ABOUT_THE_ANSWER: ReadonlySet<FailureKind> = new Set(['invalid', 'unavailable', 'timeout', 'too-large'])
const FAILURES_BEFORE_SKIPPING = 3
const LONG_BEFORE = 366n * 86_400n * NANOS_PER_SECOND
const NORMAL: BisectionState = { tag: 'normal' }
const HALVE: Transition = { state: NORMAL, move: 'halve' }
const SKIP: Transition = { state: NORMAL, move: 'skip' }

/**
 * Finds the row that cannot be read (over the byte limit, or an element that breaks the upstream), and distinguishes it
 * from an outage. The upstream answers the control query if it answers at all.
 *
 * | state     | what happened                     | next state | move                                  |
 * | --------- | --------------------------------- | ---------- | ------------------------------------- |
 * | any       | the page was answered             | normal     |                                       |
 * | any       | 401, 403, 429, no budget          | same       | report                                |
 * | any page  | too large                         | normal     | halve; skip a single row              |
 * | normal    | the page failed                   | retrying   | report                                |
 * | normal    | the page failed, a row is suspect | probing    | read the control query at once        |
 * | retrying  | the page failed again             | probing    | report                                |
 * | probing   | the control query failed          | probing    | report: an outage                     |
 * | probing   | the control query was answered    | narrowing  | read the page again                   |
 * | narrowing | a page of several rows failed     | normal     | halve                                 |
 * | narrowing | a single row failed               | probing    | report; read at once if it is suspect |
 * | narrowing | a single row failed often enough  | normal     | skip                                  |
 *
 * So an outage costs one request for each try. A page that is too large needs no proof, because it stays too large. A
 * row that was skipped before needs one failure instead of three.
 */
export function nextState (state: BisectionState, failed: FailedPage | undefined): Transition {
  if (state.tag === 'probing') return afterControl(state.failures, failed)
  if (failed === undefined) return { state: NORMAL, move: 'read' }
  if (!ABOUT_THE_ANSWER.has(failed.kind)) return { state, move: 'report' }
  if (failed.kind === 'too-large') return failed.rows > 1 ? HALVE : SKIP
  return afterPage(state, failed)
}

function afterPage (state: BisectionState, failed: FailedPage): Transition {
  const isSuspect = failed.isKnown || failed.isPart
  if (state.tag === 'normal' && !isSuspect) return { state: { tag: 'retrying' }, move: 'report' }
  if (state.tag === 'narrowing' && failed.rows > 1) return HALVE
  const failures = state.tag === 'narrowing' ? state.failures + 1 : 0
  if (failures >= (failed.isKnown ? 1 : FAILURES_BEFORE_SKIPPING)) return SKIP
  return { state: { tag: 'probing', failures }, move: isSuspect ? 'read' : 'report' }
}

/** An answer that is too large also proves that the upstream answers. */
function afterControl (failures: number, failed: FailedPage | undefined): Transition {
  return failed === undefined || failed.kind === 'too-large'
    ? { state: { tag: 'narrowing', failures }, move: 'read' }
    : { state: { tag: 'probing', failures }, move: 'report' }
}

/**
 * Decorates a source: a page that fails is read in smaller pages, until the row that cannot be read is found. After
 * that row, the pages grow with every answer. A failure is returned when the caller should wait; the same query then
 * continues where it stopped. The page size outlasts a scan, so that a page that was too large is not requested again.
 */
export function bisecting (source: AuditSource, options: BisectionOptions = {}): BisectingSource {
  const { known = () => [], skipsRows = false } = options
  let state: BisectionState = NORMAL
  let unanswered: RowQuery | undefined
  let skipped: SkippedRows | undefined // Since this query began.
  let largest = Infinity // Rows to request at most.
  let suspects = 0 // Rows ahead that were part of a page that failed.
  let isReduced = false
  const seen = new Set<string>() // Ids of rows, from the last answer before that page on.
  let last: Answer | undefined
  let following: Array<Pick<SkippedRange, 'to'>> = [] // The first instant after each row that this scan skipped.

  return {
    quirks: source.quirks,
    reportQuirk: source.reportQuirk,
    find: source.find,
    read,
    isReduced: () => isReduced
  }

  async function read (query: RowQuery, purpose: Purpose): Promise<PageAnswer | Failure> {
    if (unanswered !== undefined && !isSame(unanswered, query)) abandon()
    unanswered = query
    while (true) {
      const span = spanOf(query)
      const isControl = state.tag === 'probing'
      const answer = await source.read(isControl ? controlQuery(query) : pageQuery(query, span), purpose)
      if (answer.ok && !isControl) return answered(query, span, answer)
      const move = answer.ok ? moveOn() : moveOn(failedPage(query, span, answer))
      if (!answer.ok && move === 'report') return answer
    }
  }

  /** Another scan begins before this query was answered. */
  function abandon (): void {
    state = NORMAL
    skipped = undefined
  }

  function moveOn (failed?: FailedPage): Transition['move'] {
    const isFinal = failed !== undefined && !skipsRows && (failed.kind !== 'too-large' || failed.rows === 1)
    if (isFinal) return 'report'
    const transition = nextState(state, failed)
    state = transition.state
    if (failed !== undefined && transition.move === 'halve') halve(failed.rows)
    if (failed !== undefined && transition.move === 'skip') skip(failed.kind)
    return transition.move
  }

  function failedPage ({ window }: RowQuery, { size }: PageSpan, { kind }: Failure): FailedPage {
    const isAhead = ({ to }: Pick<SkippedRange, 'to'>) =>
      to === undefined || window.start === undefined || floorToSecond(to) >= floorToSecond(window.start)
    return { kind, rows: size, isKnown: known().some(isAhead) || following.some(isAhead), isPart: suspects > 0 }
  }

  /** The page of the query, or a smaller page with its row, or with the first row after the skipped ones. */
  function spanOf (query: RowQuery): PageSpan {
    const start = (query.page - 1) * query.pageSize
    if (skipped === undefined && query.pageSize <= largest) return { page: query.page, size: query.pageSize, start }
    const row = (query.row ?? start) + (skipped?.rows ?? 0)
    return pageCovering(row, Math.min(largest, query.pageSize), skipped === undefined ? start : row)
  }

  function answered (query: RowQuery, span: PageSpan, answer: Answer): PageAnswer {
    state = NORMAL
    unanswered = undefined
    isReduced = span.size < query.pageSize
    const before = skipped
    if (before !== undefined) following.push({ to: query.direction === 'asc' ? firstInstant(answer) : undefined })
    skipped = undefined
    passed(suspects > 0 ? newRows(answer) : 0)
    last = answer
    if (answer.end === true) {
      suspects = 0
      following = []
      last = undefined
      seen.clear()
    }
    if (before !== undefined) return { ...answer, span, skipped: before }
    return isReduced ? { ...answer, span } : answer
  }

  /** Counts new rows only, because pages overlap. */
  function newRows ({ events }: Answer): number {
    const before = seen.size
    for (const { id } of events) seen.add(id)
    return seen.size - before
  }

  function halve (rows: number): void {
    if (suspects === 0 && last !== undefined) newRows(last)
    suspects = rows
    largest = Math.floor(rows / 2)
  }

  function skip (kind: FailureKind): void {
    skipped = { rows: (skipped?.rows ?? 0) + 1, reason: kind === 'too-large' ? 'too-large' : 'upstream-outage' }
    source.reportQuirk('sends-unreadable-events', 1)
    passed(1)
  }

  /** Pages grow after all suspects were read. Until then they keep their size: smaller pages would be too slow. */
  function passed (rows: number): void {
    suspects = Math.max(0, suspects - rows)
    if (suspects > 0) return
    largest *= 2
    seen.clear()
  }
}

function pageQuery ({ direction, filter, window }: RowQuery, { page, size }: PageSpan): SourceQuery {
  return { filter, window, direction, page, pageSize: size }
}

/** A cheap query, for one second a year before. The upstream answers it if it answers at all. */
function controlQuery ({ direction, filter, window }: RowQuery): SourceQuery {
  const start = maxInstant(EARLIEST, (window.start ?? window.end ?? 0n) - LONG_BEFORE)
  return { filter, window: { start, end: start }, direction, page: 1, pageSize: 1 }
}

function isSame (a: RowQuery, b: RowQuery): boolean {
  return a.window.start === b.window.start && a.window.end === b.window.end && a.direction === b.direction &&
    a.page === b.page && a.row === b.row
}

function firstInstant ({ events }: Answer): Instant | undefined {
  return events.find(({ instant }) => instant !== undefined)?.instant
}
