import type { AuditEvent } from '../audit/event.ts'
import { firstDuplicateId, identifyAs, type ComputedId } from '../audit/event-id.ts'
import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import { bisecting } from '../scan/bisection.ts'
import type { ScanRequest } from '../scan/scan-step.ts'
import { scan } from '../scan/scanner.ts'
import type { TimeRange } from '../audit/time-range.ts'

/** The result of a search for one event. */
export interface Lookup {
  readonly ok: true
  readonly event: AuditEvent | undefined
  /** The interval that was searched. */
  readonly window: TimeRange
  /** Events that were read. */
  readonly scanned: number
  /** Whether every event of the interval was read. */
  readonly complete: boolean
}

/** A computed id that contains an instant. */
type DatedId = ComputedId & { readonly instant: Instant }

const FULL_PAGE_ROWS = 1000
const SMALL_PAGE_ROWS = 50
const MAX_READS = 2
const FEW_PAGES = 3
const SCANNED_SPAN = 7n * 86_400n * NANOS_PER_SECOND

/**
 * Finds the event with a computed id, whatever its age. The id contains the instant, so one or two narrow reads are
 * enough. Exact duplicates are counted across both answers, because they may be split between two pages.
 */
export async function findByComputedId (
  source: AuditSource,
  id: string,
  { digest, instant, ordinal }: DatedId,
  purpose: Purpose
): Promise<Lookup | Failure> {
  const window = { start: instant, end: instant }
  let scanned = 0
  let pageSize = FULL_PAGE_ROWS
  const first = firstDuplicateId({ digest, instant })
  let duplicates: AuditEvent[] = []
  let page = 1
  for (let reads = 1; reads <= MAX_READS; reads++) {
    const answer = await source.read({ filter: {}, window, direction: 'asc', page, pageSize }, purpose)
    if (!answer.ok && answer.kind === 'too-large' && reads < MAX_READS) {
      pageSize = SMALL_PAGE_ROWS
      continue
    }
    if (!answer.ok) return answer
    scanned += answer.rows
    duplicates = duplicates.concat(answer.events.filter(({ id }) => id === first || id.startsWith(`${first}.`)))
    const found = duplicates[ordinal - 1]
    if (found !== undefined || answer.end === true) {
      return { ok: true, event: found && identifyAs(found.item, id), window, scanned, complete: true }
    }
    pageSize = Math.min(pageSize, answer.rows) // Kubiya may cap the page size. Page 2 must begin where page 1 ended.
    page++
  }
  return { ok: true, event: undefined, window, scanned, complete: false }
}

export interface ScanOptions {
  readonly now: Instant
  /** The most events that are read. */
  readonly scanLimit: number
  /** Whether the caller may read more than a few pages. Called again before each further page. */
  readonly mayGoOn: () => boolean
  readonly purpose: Purpose
}

/**
 * Searches the last seven days for an id, newest first, within the scan limit. Anyone can invent an id, so the search
 * must not cost many requests.
 */
export async function findByScan (source: AuditSource, id: string, options: ScanOptions): Promise<Lookup | Failure> {
  const { mayGoOn, now, purpose, scanLimit } = options
  const window = { start: floorToSecond(now) - SCANNED_SPAN }
  let scanned = 0
  let pages = 0
  const request: ScanRequest = { filter: {}, window, direction: 'desc', pageSize: FULL_PAGE_ROWS, scanLimit, purpose }
  for await (const step of scan(bisecting(source), request)) {
    if (!step.ok) return step
    scanned += step.scanned
    const event = step.rows.find((row) => row.event.id === id)?.event
    const isOver = event !== undefined || step.end || scanned >= scanLimit || (++pages >= FEW_PAGES && !mayGoOn())
    if (isOver) return { ok: true, event, window: { ...window, end: now }, scanned, complete: step.end }
  }
  throw new Error('the scan ended without a last step')
}
