import type { AuditEvent } from '../audit/event.ts'
import { firstDuplicateId, identifyAs, type ComputedId } from '../audit/event-id.ts'
import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import { bisecting } from '../scan/bisection.ts'
import type { ScanRequest } from '../scan/scan-step.ts'
import { scan } from '../scan/scanner.ts'
import type { TimeRange } from '../audit/time-range.ts'

/** What looking for one event came to. */
export interface Lookup {
  readonly ok: true
  readonly event: AuditEvent | undefined
  /** The interval that was looked through … */
  readonly window: TimeRange
  /** … how many events were looked at … */
  readonly scanned: number
  /** … and whether that was every event of the interval. */
  readonly complete: boolean
}

/** A computed id that carries an instant. */
type DatedId = ComputedId & { readonly instant: Instant }

const LARGEST = 1000
const SMALL = 50
const MOST_CALLS = 2
const FEW_PAGES = 3
const SCANNED_SPAN = 7n * 86_400n * NANOS_PER_SECOND

/**
 * Finds a computed id of any age: it carries its instant, so one narrow question, at most two, is enough. Exact
 * duplicates are counted across both answers, since one may stand at the end of a page and the other at the start of
 * the next.
 */
export async function findByComputedId (
  source: AuditSource,
  id: string,
  { digest, instant, ordinal }: DatedId,
  purpose: Purpose
): Promise<Lookup | Failure> {
  const window = { start: instant, end: instant }
  let scanned = 0
  let pageSize = LARGEST
  const first = firstDuplicateId({ digest, instant })
  let twins: AuditEvent[] = []
  let page = 1
  for (let calls = 1; calls <= MOST_CALLS; calls++) {
    const answer = await source.read({ filter: {}, window, direction: 'asc', page, pageSize }, purpose)
    if (!answer.ok && answer.kind === 'too-large' && calls < MOST_CALLS) {
      pageSize = SMALL
      continue
    }
    if (!answer.ok) return answer
    scanned += answer.rows
    twins = twins.concat(answer.events.filter((each) => each.id === first || each.id.startsWith(`${first}.`)))
    const found = twins[ordinal - 1]
    if (found !== undefined || answer.end === true) {
      return { ok: true, event: found && identifyAs(found.item, id), window, scanned, complete: true }
    }
    pageSize = Math.min(pageSize, answer.rows) // What is honoured: the second page begins where the first one ended.
    page++
  }
  return { ok: true, event: undefined, window, scanned, complete: false }
}

export interface ScanOptions {
  readonly now: Instant
  /** Most events that are looked at. */
  readonly scanLimit: number
  /** Whether the caller may go beyond a few pages; asked again before each further one. */
  readonly mayGoOn: () => boolean
  readonly purpose: Purpose
}

/**
 * Looks for an id through the last seven days, newest first, within the scan limit. An id is made up easily, so it
 * costs little.
 */
export async function findByScan (source: AuditSource, id: string, options: ScanOptions): Promise<Lookup | Failure> {
  const { mayGoOn, now, purpose, scanLimit } = options
  const window = { start: floorToSecond(now) - SCANNED_SPAN }
  let scanned = 0
  let pages = 0
  const request: ScanRequest = { filter: {}, window, direction: 'desc', pageSize: LARGEST, scanLimit, purpose }
  for await (const step of scan(bisecting(source), request)) {
    if (!step.ok) return step
    scanned += step.scanned
    const event = step.rows.find((row) => row.event.id === id)?.event
    const isOver = event !== undefined || step.end || scanned >= scanLimit || (++pages >= FEW_PAGES && !mayGoOn())
    if (isOver) return { ok: true, event, window: { ...window, end: now }, scanned, complete: step.end }
  }
  throw new Error('the scan ended without a last step')
}
