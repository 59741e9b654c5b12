import type { AuditEvent } from '../audit/event.ts'
import { firstDuplicateId, identifyAs, parseComputedId, type ComputedId } from '../audit/event-id.ts'
import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { RecentEvents } from '../audit/recent-events.ts'
import type { AuditSource, CallerPurpose, Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { isPathSafe } from '../audit/upstream-id.ts'
import type { Clock } from '../clock.ts'
import { bisecting } from '../scan/bisection.ts'
import type { ScanRequest } from '../scan/scan-step.ts'
import { scan } from '../scan/scanner.ts'
import { representationOf } from './content-encoding.ts'
import { renderEvent } from './page-body.ts'
import { SCAN_PAGE_SIZE } from './page-response.ts'
import type { Produced } from './response-cache.ts'
import { cacheableFor, MUST_REVALIDATE, type LogView } from './stored-response.ts'

export interface EventResponseContext {
  readonly source: AuditSource
  readonly log: LogView
  /** Answers a query out of the log, if the log is complete for it. */
  readonly recent: RecentEvents
  readonly clock: Pick<Clock, 'monotonicMs'>
  /** Now by Kubiya's clock. */
  readonly now: () => Instant
  readonly scanLimit: number
  /** Whether enough of the request budget is left to scan on for an event that may not exist. */
  readonly hasPlenty: (key: Requester['key']) => boolean
  readonly openTtlMs: number
  readonly closedTtlMs: number
}

/** The result of a search for one event. */
interface Lookup {
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

const ABSENCE_FRESH_MS = 30_000
const SMALL_PAGE_SIZE = 50
const MAX_READS = 2
const FEW_PAGES = 3
const SCANNED_SPAN = 7n * 86_400n * NANOS_PER_SECOND

/** Finds one event, and makes the complete response: the event, or its absence. */
export async function produceEvent (
  context: EventResponseContext,
  id: string,
  requester: Requester,
  signal: AbortSignal
): Promise<Produced | Failure> {
  const { clock, closedTtlMs, log } = context
  const position = log.position() // Before Kubiya is called: the event may enter the log meanwhile.
  const lookup = await findEvent(context, id, requester, { kind: 'caller', key: requester.key, signal })
  if (!lookup.ok) return lookup
  const { complete, event, scanned, window } = lookup
  const readMs = clock.monotonicMs()
  if (event === undefined) {
    const validity = { readMs, freshMs: ABSENCE_FRESH_MS, logPosition: position }
    return { ok: true, response: { status: 404, window, scanned, complete, ...validity }, keep: true }
  }
  const { body, etag } = await renderEvent(event.json)
  const headers = ['etag', etag, 'cache-control', cacheableFor(closedTtlMs)]
  const validity = { readMs, freshMs: closedTtlMs }
  return {
    ok: true,
    response: { status: 200, etag, headers, identity: representationOf(body), ...validity },
    keep: true
  }
}

/** Makes the response of an event that the log holds. `undefined`: Kubiya has to be asked. */
export async function produceEventFromLog (
  { openTtlMs, recent }: EventResponseContext,
  id: string
): Promise<Produced | Failure | undefined> {
  const answer = await recent({ id })
  if (answer === undefined || !answer.ok) return answer
  const [row] = answer.rows
  if (row === undefined) return undefined
  const { body, etag } = await renderEvent(row.event.json)
  const headers = ['etag', etag, 'cache-control', MUST_REVALIDATE]
  const validity = { readMs: answer.readMs, freshMs: openTtlMs, heldIn: 'log' as const }
  return {
    ok: true,
    response: { status: 200, etag, headers, identity: representationOf(body), ...validity },
    keep: true
  }
}

async function findEvent (
  context: EventResponseContext,
  id: string,
  requester: Requester,
  purpose: CallerPurpose
): Promise<Lookup | Failure> {
  const { log, source } = context
  const computed = parseComputedId(id)
  const instant = computed?.instant
  if (computed !== undefined && instant !== undefined) {
    return withReservation(requester, 1, (reservation) =>
      findByComputedId(metered(source, reservation), id, { ...computed, instant }, purpose))
  }
  if (computed === undefined) {
    // An id that could change the path of the request is looked up in the log instead.
    const found = isPathSafe(id)
      ? await withReservation(requester, 1, (reservation) => metered(source, reservation).find(id, purpose))
      : { ok: true as const, event: log.find(id) }
    if (!found.ok) return found
    if (found.event !== undefined) return { ok: true, event: found.event, window: {}, scanned: 1, complete: true }
  }
  return withReservation(requester, SCAN_PAGE_SIZE, (reservation) =>
    findByScan(metered(source, reservation), id, context, purpose))
}

/**
 * Finds the event with a computed id, whatever its age. The id contains the instant, so one or two narrow reads are
 * enough. Exact duplicates are counted across both answers, because they may be split between two pages.
 */
async function findByComputedId (
  source: AuditSource,
  id: string,
  { digest, instant, ordinal }: DatedId,
  purpose: CallerPurpose
): Promise<Lookup | Failure> {
  const window = { start: instant, end: instant }
  const first = firstDuplicateId({ digest, instant })
  let duplicates: AuditEvent[] = []
  let scanned = 0
  let pageSize = SCAN_PAGE_SIZE
  let page = 1
  for (let reads = 1; reads <= MAX_READS; reads++) {
    const answer = await source.read({ filter: {}, window, direction: 'asc', page, pageSize }, purpose)
    if (!answer.ok && answer.kind === 'too-large' && reads < MAX_READS) {
      pageSize = SMALL_PAGE_SIZE
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

/**
 * Searches the last seven days for an id, newest first, within the scan limit. Anyone can invent an id, so the search
 * reads more than a few pages only while plenty of the request budget is left.
 */
async function findByScan (
  source: AuditSource,
  id: string,
  context: EventResponseContext,
  purpose: CallerPurpose
): Promise<Lookup | Failure> {
  const { hasPlenty, scanLimit } = context
  const now = context.now()
  const window = { start: floorToSecond(now) - SCANNED_SPAN }
  let scanned = 0
  let pages = 0
  const request: ScanRequest = { filter: {}, window, direction: 'desc', pageSize: SCAN_PAGE_SIZE, scanLimit, purpose }
  for await (const step of scan(bisecting(source), request)) {
    if (!step.ok) return step
    scanned += step.scanned
    const event = step.rows.find((row) => row.event.id === id)?.event
    const isOver = event !== undefined || step.end || scanned >= scanLimit
    if (isOver || (++pages >= FEW_PAGES && !hasPlenty(purpose.key))) {
      return { ok: true, event, window: { ...window, end: now }, scanned, complete: step.end }
    }
  }
  throw new Error('the scan ended without a last step')
}
