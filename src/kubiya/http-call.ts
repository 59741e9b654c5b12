import type { Dispatcher } from 'undici'
import type { Failure, Purpose } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { Span, Tracer } from '../tracer.ts'
import type { FairQueue, Turn } from './fair-queue.ts'
import { failureOfError, failureOfStatus, isWorthAnotherTry, parseRetryAfter } from './failure.ts'
import { createHttpAgent, discardBody, readBody, type HttpAgent } from './http-agent.ts'
import { readUpstreamLimit, type RequestBudget, type UpstreamLimit } from './request-budget.ts'

export interface HttpCallOptions {
  /** Sent with every request, `authorization` included. */
  readonly headers: Readonly<Record<string, string>>
  /** The deadline of one call, all its tries included. */
  readonly timeoutMs: number
  /** The largest body, after decompression. */
  readonly maxBytes: number
  readonly budget: RequestBudget
  readonly fairQueue: FairQueue
  readonly clock: Clock
  readonly tracer: Tracer
  /** Agent that several clients share. Its owner closes it. */
  readonly agent?: HttpAgent | undefined
  /** Called after each request, with its outcome. */
  readonly onRequest?: ((purpose: Purpose['kind'], outcome: 'ok' | Failure['kind'], durationMs: number) => void) |
    undefined
}

/** An answer with status 200 or 204, or with one that the call accepts. */
export interface Reply {
  readonly ok: true
  readonly status: number
  readonly text: string
  /** The upstream's clock (`Date`), milliseconds since 1970. */
  readonly upstreamMs: number | undefined
  readonly upstreamLimit?: UpstreamLimit | undefined
}

/** Calls to the upstream: each is one request, or several tries within one deadline. */
export interface HttpCall {
  /** `accepted`: further statuses that are an answer and not a failure. Their body is not read. */
  call (target: URL, purpose: Purpose, accepted?: ReadonlySet<number>): Promise<Reply | Failure>
  /** Aborts the requests in progress. */
  close (): Promise<void>
}

const MAX_TRIES = 3
const FIRST_DELAY_MS = 150
const TIMER_SLACK_MS = 20 // A timer may fire a moment before the wall clock, which the budget uses, gets there.
const POLLER_CONNECTIONS = 1 // One poll is in flight at a time. It never waits behind a caller's request.
export const CALLER_CONNECTIONS = 16
const QUEUE_SHARE = 0.5 // Of a call's deadline: the rest is left for the request itself.
const MAX_CONNECT_MS = 5000
const NONE: ReadonlySet<number> = new Set()

/**
 * One deadline covers waiting, connecting, headers and body. Redirects are not followed, so the key is sent nowhere
 * else. A caller's call has up to three tries: it is repeated after a lost connection, a 429 or a 5xx. The waits have
 * full jitter, and follow `Retry-After` where the deadline allows it. The poller has its own interval and therefore one
 * try.
 */
export function createHttpCall (options: HttpCallOptions): HttpCall {
  const { budget, clock, fairQueue, headers, maxBytes, timeoutMs } = options
  const { monotonicMs, now } = clock
  const connect = { timeout: Math.min(timeoutMs, MAX_CONNECT_MS) }
  const agents = {
    poller: options.agent ?? createHttpAgent({ connections: POLLER_CONNECTIONS, connect }),
    caller: options.agent ?? createHttpAgent({ connections: CALLER_CONNECTIONS, connect })
  }
  return { call, close }

  async function close (): Promise<void> {
    if (options.agent === undefined) await Promise.all([agents.poller.destroy(), agents.caller.destroy()])
  }

  async function call (target: URL, purpose: Purpose, accepted = NONE): Promise<Reply | Failure> {
    const deadlineMs = monotonicMs() + timeoutMs
    let failure: Failure | undefined
    for (let tries = 1; ; tries++) {
      const turn = await turnOf(purpose, deadlineMs)
      if (!turn.ok) return turn
      const reply = await request(target, purpose, Math.max(1, deadlineMs - monotonicMs()), accepted).finally(
        turn.leave
      )
      if (reply.ok || purpose.kind === 'poller') return reply
      // A try that the deadline cut short says less than the failure before it.
      if (reply.kind === 'timeout' && failure !== undefined) return failure
      failure = reply
      if (tries === MAX_TRIES || !isWorthAnotherTry(reply)) return reply
      const delayMs = Math.max(
        reply.retryAfterMs === undefined ? 0 : reply.retryAfterMs + TIMER_SLACK_MS,
        Math.random() * FIRST_DELAY_MS * 2 ** tries
      )
      if (monotonicMs() + delayMs >= deadlineMs) return reply
      await new Promise<void>((resolve) => clock.setTimer(resolve, delayMs))
    }
  }

  /** The poller never waits: it gets its turn or a failure. Callers queue. */
  async function turnOf (purpose: Purpose, deadlineMs: number): Promise<Turn | Failure> {
    const leftMs = Math.max(0, deadlineMs - monotonicMs())
    if (purpose.kind === 'caller') return fairQueue.enter(purpose, Math.min(timeoutMs * QUEUE_SHARE, leftMs))
    const waitMs = budget.take(purpose, now())
    return waitMs > 0 ? { ok: false, kind: 'budget', retryAfterMs: waitMs } : { ok: true, leave: () => {} }
  }

  /** One request, as a span of its own. */
  function request (
    target: URL,
    purpose: Purpose,
    withinMs: number,
    accepted: ReadonlySet<number>
  ): Promise<Reply | Failure> {
    const attributes = {
      'http.request.method': 'GET',
      'server.address': target.hostname,
      'url.path': target.pathname,
      purpose: purpose.kind
    }
    return options.tracer.span({ name: 'GET Kubiya', kind: 'client', attributes }, async (span) => {
      const startedMs = monotonicMs()
      const abort = new AbortController()
      const stop = () => { abort.abort() }
      const cancelTimer = clock.setTimer(stop, Math.ceil(withinMs))
      // The answer to a list may still serve others. Nobody else waits for a page of bulk work.
      const gone = purpose.kind === 'caller' && purpose.isBulk === true ? purpose.signal : undefined
      gone?.addEventListener('abort', stop, { once: true })
      const reply = await send(target, agents[purpose.kind], abort.signal, accepted, span.headers).finally(cancelTimer)
      gone?.removeEventListener('abort', stop)
      if (gone?.aborted === true) return reply // Its outcome says nothing about Kubiya.
      options.onRequest?.(purpose.kind, reply.ok ? 'ok' : reply.kind, monotonicMs() - startedMs)
      if (reply.ok) span.note({ 'http.response.status_code': reply.status })
      else span.fail(reply.kind)
      return reply
    })
  }

  async function send (
    target: URL,
    agent: HttpAgent,
    signal: AbortSignal,
    accepted: ReadonlySet<number>,
    traceHeaders: Span['headers']
  ): Promise<Reply | Failure> {
    try {
      const response = await agent.request({
        origin: target.origin,
        path: target.pathname + target.search,
        method: 'GET',
        headers: { ...headers, ...traceHeaders },
        signal
      })
      return await read(response, accepted)
    } catch (error) {
      return signal.aborted ? { ok: false, kind: 'timeout' } : failureOfError(error)
    }
  }

  async function read (response: Dispatcher.ResponseData, accepted: ReadonlySet<number>): Promise<Reply | Failure> {
    const { body, headers: received, statusCode: status } = response
    if (status !== 200 && status !== 204) {
      discardBody(body)
      return accepted.has(status) ? { ok: true, status, text: '', upstreamMs: undefined } : toFailure(response)
    }
    const content = await readBody(body, oneHeader(received['content-encoding']), maxBytes)
    if (content === 'too-large') return { ok: false, kind: 'too-large' }
    if (content === 'unknown-encoding') return { ok: false, kind: 'invalid' }
    const upstreamLimit = readUpstreamLimit(received, now())
    return { ok: true, status, text: content.text, upstreamMs: dateOf(received), upstreamLimit }
  }

  function toFailure ({ headers: received, statusCode }: Dispatcher.ResponseData): Failure {
    const retryAfterMs = parseRetryAfter(received['retry-after'], now())
    // `Retry-After` applies to this service as a whole: to the poller and to every caller.
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
