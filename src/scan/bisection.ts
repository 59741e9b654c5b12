import { EARLIEST, NANOS_PER_SECOND, floorToSecond, maxInstant, type Instant } from '../audit/instant.ts'
import type { Answer, AuditSource, Failure, FailureKind, Purpose, SourceQuery } from '../audit/source.ts'
import { pageCovering, type PageAnswer, type PageSpan, type RowQuery, type SkippedRows } from './page-run.ts'
import type { SkippedRange } from './skipped-range.ts'

export interface BisectionOptions {
  /** Whether a row that fails alone is skipped. Otherwise its failure is the answer. */
  readonly skipsRows?: boolean
  /** What was skipped in earlier scans and may be met again: it needs less proof. */
  readonly known?: () => readonly SkippedRange[]
}

/** An `AuditSource` that answers with a smaller page where a page fails. */
export interface BisectingSource extends AuditSource {
  read (query: RowQuery, purpose: Purpose): Promise<PageAnswer | Failure>
  /** Whether the last answer is a smaller page than it was asked for. */
  isReduced (): boolean
}

/**
 * What is known of the page that is asked for. `failures`: how often one row failed alone although the upstream
 * answered the control query.
 */
export type BisectionState =
  | { readonly tag: 'normal' }
  | { readonly tag: 'retrying' }
  | { readonly tag: 'probing' | 'narrowing', readonly failures: number }

/** A page that failed. */
export interface FailedPage {
  readonly kind: FailureKind
  /** Rows that were asked for. */
  readonly rows: number
  /** Whether a row that lies ahead was skipped before. */
  readonly isKnown: boolean
  /** Whether the page is part of one that failed. */
  readonly isPart: boolean
}

export interface Transition {
  readonly state: BisectionState
  /** What follows: pass the failure on, read again, read half of the page, skip the row. */
  readonly move: 'report' | 'read' | 'halve' | 'skip'
}

const ABOUT_THE_ANSWER: ReadonlySet<FailureKind> = new Set(['invalid', 'unavailable', 'timeout', 'too-large'])
const FAILURES_BEFORE_SKIPPING = 3
const LONG_BEFORE = 366n * 86_400n * NANOS_PER_SECOND
const NORMAL: BisectionState = { tag: 'normal' }
const HALVE: Transition = { state: NORMAL, move: 'halve' }
const SKIP: Transition = { state: NORMAL, move: 'skip' }

/**
 * Finds the one row that cannot be read (over the byte cap, a poison element) without taking an outage for it. The
 * control query is one that the upstream answers if it answers at all.
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
 * So an outage costs one request a try. A page that is too large needs no proof: it gets no smaller. A row that was
 * skipped before needs one failure instead of three.
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

/** An answer that is too large is an answer, too. */
function afterControl (failures: number, failed: FailedPage | undefined): Transition {
  return failed === undefined || failed.kind === 'too-large'
    ? { state: { tag: 'narrowing', failures }, move: 'read' }
    : { state: { tag: 'probing', failures }, move: 'report' }
}

/**
 * Decorates a source: a page that fails is read in smaller pages, which close in on the row that cannot be read. With
 * every answer behind it pages grow again. A failure is passed on where the caller should wait; the same query then
 * goes on where it stopped. The size of pages outlasts a scan, so that what is too large is not asked for again.
 */
export function bisecting (source: AuditSource, options: BisectionOptions = {}): BisectingSource {
  const { known = () => [], skipsRows = false } = options
  let state: BisectionState = NORMAL
  let unanswered: RowQuery | undefined
  let skipped: SkippedRows | undefined // On the way to the answer of this query.
  let largest = Infinity // Rows to ask for.
  let suspects = 0 // Rows ahead that were part of a page that failed.
  let isReduced = false
  const seen = new Set<string>() // Ids of rows since the answer before that page.
  let last: Answer | undefined
  let behind: Array<Pick<SkippedRange, 'to'>> = [] // What came behind the rows that this scan skipped.

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

  /** Another scan begins although this query was not answered. */
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
    return { kind, rows: size, isKnown: known().some(isAhead) || behind.some(isAhead), isPart: suspects > 0 }
  }

  /** The page of the query, or a smaller one that holds its row, or the row behind those that were skipped. */
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
    if (before !== undefined) behind.push({ to: query.direction === 'asc' ? firstInstant(answer) : undefined })
    skipped = undefined
    passed(suspects > 0 ? newRows(answer) : 0)
    last = answer
    if (answer.end === true) {
      suspects = 0
      behind = []
      last = undefined
      seen.clear()
    }
    if (before !== undefined) return { ...answer, span, skipped: before }
    return isReduced ? { ...answer, span } : answer
  }

  /** Pages overlap, so only rows that are new bring it further. */
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

  /** Pages grow once all suspects were read. They never shrink on the way: a small page of known rows would crawl. */
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

/** A query that the upstream answers if it answers at all: for one second, a year before. */
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
