import type { Dispatcher } from 'undici'
import { LRUCache } from 'lru-cache'
import type {
  Answer,
  AuditSource,
  CallerPurpose,
  Failure,
  Found,
  Quirk,
  Purpose,
  SourceQuery
} from '../audit/source.ts'
import { isPathSafe } from '../audit/upstream-id.ts'
import type { Clock } from '../clock.ts'
import type { Span, Tracer } from '../tracer.ts'
import { createHttpAgent, type HttpAgent } from './http-agent.ts'
import { discardBody, readBody } from './read-body.ts'
import type { UpstreamLimit, RequestBudget } from './request-budget.ts'
import { failureOfError, failureOfStatus, isWorthAnotherTry, parseRetryAfter } from './failure.ts'
import { createListParser, type ParsedList } from './list-parser.ts'
import { listParameters, listUrl, type SessionFilterKey } from './list-request.ts'
import { readUpstreamLimit } from './upstream-limit.ts'
import { createFairQueue, type Turn } from './fair-queue.ts'
import { readEvent } from './response.ts'

export interface KubiyaOptions {
  readonly baseUrl: string
  /** The value of `Authorization`. It is sent to `baseUrl` and shown nowhere. */
  readonly authorization: string
  readonly organizationId?: string
  readonly userAgent: string
  readonly sessionFilter: SessionFilterKey
  /** For one call, all its tries included. */
  readonly timeoutMs: number
  /** Of one answer, inflated. */
  readonly maxBytes: number
  readonly budget: RequestBudget
  readonly clock: Clock
  /** What requests go out with, where clients share it; whoever made it ends it. */
  readonly agent?: HttpAgent
  readonly tracer: Tracer
  /** Told of each request that went out, by what became of it. */
  readonly onRequest?: (purpose: Purpose['kind'], outcome: 'ok' | Failure['kind'], durationMs: number) => void
  /** Told of each answer that was a list: the credential is accepted. A status alone says less. */
  readonly onListing?: () => void
  /** Told once of each quirk in which the upstream departs from what it is asked. */
  readonly onQuirk?: (quirk: Quirk) => void
  /** Told of rows that are left out, each time that they are met. */
  readonly onSkipped?: (quirk: Quirk, rows: number) => void
}

export interface KubiyaClient extends AuditSource {
  close (): Promise<void>
}

interface Reply {
  readonly ok: true
  readonly status: number
  readonly text: string
  readonly upstreamMs: number | undefined
  readonly upstreamLimit?: UpstreamLimit | undefined
}

const MOST_TRIES = 3
const FIRST_DELAY_MS = 150
const TIMER_SLACK_MS = 20 // A timer may go off a moment before the wall clock, which the budget goes by, is there.
const POLLER_CONNECTIONS = 1 // One poll is in flight at a time; it waits for nobody's call.
const CALLER_CONNECTIONS = 16
const WAIT_SHARE = 0.5 // Of a call's deadline: what is left serves the request itself.
const LONGEST_CONNECT_MS = 5000
const SESSIONS_REMEMBERED = 1000
const MOST_ROWS = 10_000 // Or twice as many as were asked for: an answer of more is not the protocol.
const NO_ROWS: ParsedList = { events: [], rows: 0, noEvents: 0, unreadable: [] }
const SAYS_NOTHING = new Set([404, 405, 501])

/**
 * Kubiya's audit API as an `AuditSource`. One deadline covers waiting, connecting, headers and body; redirects are not
 * followed, so the key goes nowhere else. Callers' calls are tried up to three times (connection lost, 429, 5xx; full
 * jitter, `Retry-After` obeyed where the deadline allows); the poller has its own cadence and is tried once.
 */
export function createKubiyaClient (options: KubiyaOptions): KubiyaClient {
  const { budget, clock, maxBytes, onRequest, timeoutMs } = options
  const { monotonicMs, now } = clock
  const url = listUrl(options.baseUrl)
  const connect = { timeout: Math.min(timeoutMs, LONGEST_CONNECT_MS) }
  const agents = {
    poller: options.agent ?? createHttpAgent({ connections: POLLER_CONNECTIONS, connect }),
    caller: options.agent ?? createHttpAgent({ connections: CALLER_CONNECTIONS, connect })
  }
  const fairQueue = createFairQueue({ budget, places: CALLER_CONNECTIONS, clock: now, setTimer: clock.setTimer })
  const headers = {
    authorization: options.authorization,
    accept: 'application/json',
    'accept-encoding': 'gzip',
    'content-type': 'application/json',
    'user-agent': options.userAgent,
    ...options.organizationId !== undefined && { 'x-organization-id': options.organizationId }
  }
  // Which spelling found a session's events; docs/kubiya-api.md §1.7.
  const spellings = new LRUCache<string, SessionFilterKey>({ max: SESSIONS_REMEMBERED })
  const quirks = new Set<Quirk>()
  const readAsked = createListParser({ remembers: false })
  // One poll is in flight at a time, and it repeats most of the one before.
  const readPolled = createListParser({ remembers: true })
  let longestAnswer = 0

  return { read, find, reportQuirk, quirks, close }

  async function close (): Promise<void> {
    fairQueue.close()
    if (options.agent === undefined) await Promise.all([agents.poller.destroy(), agents.caller.destroy()])
  }

  function reportQuirk (quirk: Quirk, skipped = 0): void {
    if (skipped > 0) options.onSkipped?.(quirk, skipped)
    if (quirks.has(quirk)) return
    quirks.add(quirk)
    options.onQuirk?.(quirk)
  }

  async function read (query: SourceQuery, purpose: Purpose): Promise<Answer | Failure> {
    const session = query.filter.session_id
    if (session === undefined || options.sessionFilter === 'local') return readAs(options.sessionFilter, query, purpose)
    const known = spellings.get(session)
    const answer = await readAs(known ?? options.sessionFilter, query, purpose)
    if (known !== undefined || !answer.ok) return answer
    if (answer.rows > 0) spellings.set(session, options.sessionFilter)
    if (answer.rows > 0 || query.page > 1) return answer
    const other = options.sessionFilter === 'session_id' ? 'extra.session_id' : 'session_id'
    const second = await readAs(other, query, purpose)
    if (second.ok && second.rows > 0) spellings.set(session, other)
    return !second.ok && second.kind === 'invalid' ? answer : second // A spelling that is refused says nothing.
  }

  async function readAs (spelling: SessionFilterKey, query: SourceQuery, purpose: Purpose): Promise<Answer | Failure> {
    const target = new URL(url)
    target.search = listParameters(query, spelling).toString()
    const reply = await call(target, purpose)
    if (!reply.ok) return reply
    const mostRows = Math.max(MOST_ROWS, 2 * query.pageSize)
    const listing = reply.status === 204
      ? NO_ROWS
      : await (purpose.kind === 'poller' ? readPolled : readAsked)(reply.text, mostRows)
    if (listing === undefined) return { ok: false, kind: 'invalid' }
    if (listing === 'too-large') return { ok: false, kind: 'too-large' }
    budget.applyUpstreamLimit(reply.upstreamLimit, now())
    const { events, noEvents, rows, unreadable } = listing
    longestAnswer = Math.max(longestAnswer, rows)
    options.onListing?.()
    if (noEvents > 0) reportQuirk('sends-what-is-no-event', noEvents)
    return { ok: true, events, rows, unreadable, end: isEnd(rows, query.pageSize), upstreamMs: reply.upstreamMs }
  }

  function isEnd (rows: number, pageSize: number): boolean | undefined {
    if (rows === 0) return true
    if (rows >= pageSize) return false
    return rows < longestAnswer ? true : undefined
  }

  async function find (id: string, purpose: CallerPurpose): Promise<Found | Failure> {
    if (!isPathSafe(id)) return { ok: true, event: undefined }
    const target = new URL(url)
    target.pathname += `/${encodeURIComponent(id)}`
    const reply = await call(target, purpose, SAYS_NOTHING)
    if (!reply.ok) return reply
    if (SAYS_NOTHING.has(reply.status) || reply.status === 204) return { ok: true, event: undefined }
    const event = readEvent(reply.text, id)
    if (event === undefined) return { ok: false, kind: 'invalid' }
    return { ok: true, event: event === 'none' ? undefined : event }
  }

  /** One call: as many requests as it takes, within one deadline. */
  async function call (target: URL, purpose: Purpose, accepted: Set<number> = new Set()): Promise<Reply | Failure> {
    const deadlineMs = monotonicMs() + timeoutMs
    let failure: Failure | undefined
    for (let tries = 1; ; tries++) {
      const turn = await turnOf(purpose, deadlineMs)
      if (!turn.ok) return turn
      const reply = await request(target, purpose, Math.max(1, deadlineMs - monotonicMs()), accepted).finally(
        turn.leave
      )
      if (reply.ok || purpose.kind === 'poller') return reply
      // A try cut off by what the others had left of the deadline says less than the one before it.
      if (reply.kind === 'timeout' && failure !== undefined) return failure
      failure = reply
      if (tries === MOST_TRIES || !isWorthAnotherTry(reply)) return reply
      const toldMs = reply.retryAfterMs === undefined ? 0 : reply.retryAfterMs + TIMER_SLACK_MS
      const delayMs = Math.max(toldMs, Math.random() * FIRST_DELAY_MS * 2 ** tries)
      if (monotonicMs() + delayMs >= deadlineMs) return reply
      await new Promise<void>((resolve) => clock.setTimer(resolve, delayMs))
    }
  }

  /** The poller goes or does not; callers wait for their turn. */
  async function turnOf (purpose: Purpose, deadlineMs: number): Promise<Turn | Failure> {
    const leftMs = Math.max(0, deadlineMs - monotonicMs())
    if (purpose.kind === 'caller') return fairQueue.enter(purpose, Math.min(timeoutMs * WAIT_SHARE, leftMs))
    const waitMs = budget.take(purpose, now())
    return waitMs > 0 ? { ok: false, kind: 'budget', retryAfterMs: waitMs } : { ok: true, leave: () => {} }
  }

  /** One request, as a span of its own. */
  async function request (
    target: URL,
    purpose: Purpose,
    withinMs: number,
    accepted: Set<number>
  ): Promise<Reply | Failure> {
    const attributes = {
      'http.request.method': 'GET',
      'server.address': target.hostname,
      'url.path': target.pathname,
      purpose: purpose.kind
    }
    return options.tracer.span({ name: 'GET Kubiya', kind: 'client', attributes }, async (span) => {
      const startedMs = monotonicMs()
      const reply = await send(
        target,
        agents[purpose.kind],
        AbortSignal.timeout(Math.ceil(withinMs)),
        accepted,
        span.headers
      )
      onRequest?.(purpose.kind, reply.ok ? 'ok' : reply.kind, monotonicMs() - startedMs)
      if (reply.ok) span.note({ 'http.response.status_code': reply.status })
      else span.fail(reply.kind)
      return reply
    })
  }

  async function send (
    target: URL,
    dispatcher: HttpAgent,
    signal: AbortSignal,
    accepted: Set<number>,
    context: Span['headers']
  ): Promise<Reply | Failure> {
    try {
      const response = await dispatcher.request({
        origin: target.origin,
        path: target.pathname + target.search,
        method: 'GET',
        headers: { ...headers, ...context },
        signal
      })
      if (response.statusCode !== 200 && response.statusCode !== 204) {
        discardBody(response.body)
        if (accepted.has(response.statusCode)) {
          return { ok: true, status: response.statusCode, text: '', upstreamMs: undefined }
        }
        return toFailure(response)
      }
      const body = await readBody(response.body, oneHeader(response.headers['content-encoding']), maxBytes)
      if (body === 'too-large') return { ok: false, kind: 'too-large' }
      if (body === 'unknown-encoding') return { ok: false, kind: 'invalid' }
      const upstreamLimit = readUpstreamLimit(response.headers, now())
      return {
        ok: true,
        status: response.statusCode,
        text: body.text,
        upstreamMs: dateOf(response.headers),
        upstreamLimit
      }
    } catch (error) {
      return signal.aborted ? { ok: false, kind: 'timeout' } : failureOfError(error)
    }
  }

  function toFailure ({ headers: received, statusCode }: Dispatcher.ResponseData): Failure {
    const retryAfterMs = parseRetryAfter(received['retry-after'], now())
    // Told to wait, nobody asks again before that: neither the poller nor another caller.
    if (statusCode === 429 && retryAfterMs !== undefined) budget.pauseUntil(now() + retryAfterMs)
    return failureOfStatus(statusCode, retryAfterMs)
  }
}

function oneHeader (value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function dateOf (headers: Dispatcher.ResponseData['headers']): number | undefined {
  const ms = Date.parse(oneHeader(headers.date) ?? '')
  return Number.isNaN(ms) ? undefined : ms
}
