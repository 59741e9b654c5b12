import { compileFilter } from '../audit/filter.ts'
import { foldAhead } from '../audit/folded-text.ts'
import { formatInstant, type Instant } from '../audit/instant.ts'
import { narrate } from '../audit/narrative.ts'
import { metered, withReservation, type Requester } from '../audit/requester.ts'
import type { CreateSessionCounter, SessionCounter } from '../audit/session.ts'
import type { KeyedEvent } from '../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../audit/source.ts'
import { bisecting } from '../scan/bisection.ts'
import { scan } from '../scan/scanner.ts'
import type { ScanStep } from '../scan/scan-step.ts'
import { representationOf } from './content-encoding.ts'
import { nextConversationCursor, renderConversation, type SessionSummary } from './conversation-body.ts'
import type { ConversationQuery } from './conversation-query.ts'
import { LARGEST, createPageBuilder, remaining } from './keyset-page.ts'
import { linkHeader } from './page-body.ts'
import type { AnswerSize, Page, PageRequest } from './page-query.ts'
import { SCAN_PAGE_SIZE, type PageResponseContext } from './page-response.ts'
import type { Produced } from './response-cache.ts'
import type { ResponseReservation } from './response-memory.ts'
import type { SessionSummaries } from './session-summaries.ts'
import { MUST_REVALIDATE } from './stored-response.ts'

export interface ConversationResponseContext extends PageResponseContext {
  readonly createSessionCounter: CreateSessionCounter
  /** The most events that the figures of one session are counted over. */
  readonly sessionScanLimit: number
  readonly summaries: SessionSummaries
}

interface ConversationRequest extends PageRequest {
  readonly query: ConversationQuery
  /** Counts all events of the session. `undefined`: its figures are known, so only the page is read. */
  readonly counter: SessionCounter | undefined
  readonly scanLimit: number
  readonly purpose: Purpose
  readonly size: AnswerSize
}

interface ConversationReading {
  readonly ok: true
  readonly page: Page
  readonly scanned: number
  /** All events before it were counted. `undefined`: all events were. */
  readonly end: Instant | undefined
  readonly isComplete: boolean
  /** What ended the reading early. */
  readonly failure: Failure | undefined
}

type Stop = Failure | 'end' | 'page' | 'scan-limit'

const ABSENCE_FRESH_MS = 30_000

/** Reads one page of a session and the figures of all its events, and makes the complete response. */
export async function produceConversation (
  context: ConversationResponseContext,
  query: ConversationQuery,
  room: ResponseReservation,
  requester: Requester,
  signal: AbortSignal
): Promise<Produced | Failure> {
  const { clock, createSessionCounter, log, memory, openTtlMs, scanLimit, sessionScanLimit, source, summaries } = context
  const [asOf, position] = [context.now(), log.position()] // Before Kubiya is called.
  const known = summaries.get(query)
  const counter = known === undefined ? createSessionCounter(query.id, sessionScanLimit + LARGEST) : undefined
  const reading = await withReservation(requester, SCAN_PAGE_SIZE, (reservation) =>
    readConversation(metered(source, reservation), {
      ...requestOf(query),
      query,
      counter,
      scanLimit: counter === undefined ? scanLimit : sessionScanLimit,
      purpose: { kind: 'caller', key: requester.key, signal },
      // An entry holds the text of its event twice.
      size: { maxBytes: memory.maxAnswerBytes / 2, onHeld: room.resize }
    }))
  if (!reading.ok) return reading
  const readMs = clock.monotonicMs()
  const validity = { readMs, freshMs: openTtlMs, logPosition: position }
  const { failure, isComplete, page, scanned } = reading
  const session = known?.session ?? await counter?.count(asOf)
  if (session === undefined) {
    if (failure !== undefined) return failure
    const absence = { status: 404 as const, subject: 'session' as const, window: {}, scanned, complete: isComplete }
    return { ok: true, response: { ...validity, ...absence, freshMs: ABSENCE_FRESH_MS }, keep: true }
  }
  const summary = known ?? { session, coverage: coverageOf(reading, asOf) }
  if (known === undefined && failure === undefined) summaries.keep(query.id, { summary, position, readMs })
  return { ok: true, response: { ...await contentOf(query, page, summary), ...validity }, keep: failure === undefined }
}

async function contentOf (query: ConversationQuery, page: Page, summary: SessionSummary) {
  const cursor = nextConversationCursor(query, page)
  const { body, etag } = await renderConversation(query, page, summary, cursor)
  const link = linkHeader(cursor === undefined ? undefined : `cursor=${cursor}`)
  const headers = ['etag', etag, 'cache-control', MUST_REVALIDATE, ...link]
  return { status: 200 as const, etag, headers, identity: representationOf(body) }
}

function coverageOf ({ end, isComplete, scanned }: ConversationReading, asOf: Instant): SessionSummary['coverage'] {
  const read = formatInstant(asOf)
  return {
    complete: isComplete,
    scanned,
    start_time: null,
    end_time: end === undefined ? read : formatInstant(end),
    as_of: read
  }
}

function requestOf ({ after, filter, page, pageSize, skip }: ConversationQuery): PageRequest {
  return {
    filter,
    window: {},
    direction: 'asc',
    page,
    pageSize,
    ...after !== undefined && { after },
    ...skip !== undefined && { skip }
  }
}

/** Reads the session oldest first: all of it where its events are counted, otherwise from the page's start. */
async function readConversation (
  source: AuditSource,
  request: ConversationRequest
): Promise<ConversationReading | Failure> {
  const { counter, purpose, query, scanLimit, size } = request
  const builder = createPageBuilder(request, size.maxBytes)
  const select = createEntrySelector(query)
  const window = counter === undefined ? remaining(request) : request.window
  const filter = { session_id: query.id }
  let page: Page | undefined
  let scanned = 0
  let reached: Instant | undefined
  const range = { filter, window, direction: 'asc' as const, pageSize: LARGEST, scanLimit, purpose }
  for await (const step of scan(bisecting(source), range)) {
    if (!step.ok) return ended(step)
    scanned += step.scanned
    reached = step.reached
    for (const { event, key } of step.rows) counter?.add(event, key.instant)
    if (page === undefined) {
      builder.add(await select(step))
      size.onHeld(builder.bytes())
      page = builder.full()
    }
    if (step.end) return ended('end')
    if (page !== undefined && counter === undefined) return ended('page')
    if (scanned >= scanLimit && (page ?? builder.part('final')) !== undefined) return ended('scan-limit')
  }
  throw new Error('the scan ended without a last step')

  function ended (stop: Stop): ConversationReading | Failure {
    if (typeof stop !== 'string') return failed(stop)
    const shown = page ?? builder.part('final')
    if (shown === undefined) throw new Error('a page has no certain row') // The last step makes a page full.
    const isComplete = stop === 'end'
    return { ok: true, page: shown, scanned, end: isComplete ? undefined : reached, isComplete, failure: undefined }
  }

  /** What was read before a failure, where it is worth an answer. */
  function failed (failure: Failure): ConversationReading | Failure {
    const isShortage = failure.kind === 'budget' || failure.kind === 'share'
    const isRefused = failure.kind === 'unauthorized' || failure.kind === 'forbidden'
    const shown = page ?? (isShortage ? builder.part('transient') : undefined)
    if (shown === undefined || isRefused) return failure
    return { ok: true, page: shown, scanned, end: reached, isComplete: false, failure }
  }
}

/** Creates a function that keeps the rows of a step that the page shows. */
function createEntrySelector ({ filter, kind }: ConversationQuery): (step: ScanStep) => Promise<ScanStep> {
  const accepts = compileFilter(filter)
  const isShown = ({ event: { item } }: KeyedEvent) =>
    accepts(item) && (kind === undefined || narrate(item).kind === kind)
  return async (step) => {
    if (filter.text !== undefined) for (const { event } of step.rows) await foldAhead(event.item)
    const rows = step.rows.filter(isShown)
    return { ...step, rows, rejected: step.rejected + step.rows.length - rows.length }
  }
}
