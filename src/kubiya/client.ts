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
import type { Tracer } from '../tracer.ts'
import { createFairQueue } from './fair-queue.ts'
import type { HttpAgent } from './http-agent.ts'
import { CALLER_CONNECTIONS, createHttpCall, type HttpCallOptions } from './http-call.ts'
import { createListParser, type ParsedList } from './list-parser.ts'
import { createSessionFilter, listParameters, listUrl, type SessionFilterKey } from './list-request.ts'
import type { RequestBudget } from './request-budget.ts'
import { readEvent } from './response.ts'

export interface KubiyaOptions {
  readonly baseUrl: string
  /** The value of `Authorization`. It is sent to `baseUrl` only, and never shown. */
  readonly authorization: string
  readonly organizationId?: string
  readonly userAgent: string
  readonly sessionFilter: SessionFilterKey
  /** The deadline of one call, all its tries included. */
  readonly timeoutMs: number
  /** The largest body, after decompression. */
  readonly maxBytes: number
  readonly budget: RequestBudget
  readonly clock: Clock
  /** Agent that several clients share. Its owner closes it. */
  readonly agent?: HttpAgent
  readonly tracer: Tracer
  /** Called after each request, with its outcome. */
  readonly onRequest?: HttpCallOptions['onRequest']
  /** Called after each list answer: the credential is accepted. A status alone is no proof. */
  readonly onList?: () => void
  /** Called once for each quirk that the upstream shows. */
  readonly onQuirk?: (quirk: Quirk) => void
  /** Called for rows that are left out, each time that they occur. */
  readonly onSkipped?: (quirk: Quirk, rows: number) => void
}

export interface KubiyaClient extends AuditSource {
  close (): Promise<void>
}

const MAX_ROWS = 10_000 // Or twice the requested page size. A longer answer is not the protocol.
const EMPTY: ParsedList = { events: [], rows: 0, noEvents: 0, unreadable: [] }
const NOT_FOUND = new Set([404, 405, 501])

/** Kubiya's audit API as an `AuditSource`. */
export function createKubiyaClient (options: KubiyaOptions): KubiyaClient {
  const { budget, clock } = options
  const url = listUrl(options.baseUrl)
  const fairQueue = createFairQueue({ budget, connections: CALLER_CONNECTIONS, clock })
  const { call, close: closeConnections } = createHttpCall({ ...options, fairQueue, headers: requestHeaders(options) })
  const readBySession = createSessionFilter(options.sessionFilter)
  const quirks = new Set<Quirk>()
  const parseList = createListParser({ remembers: false, clock })
  // One poll is in flight at a time, and it repeats most rows of the poll before.
  const parsePolledList = createListParser({ remembers: true, clock })
  let longestAnswer = 0

  return { read, find, reportQuirk, quirks, close }

  async function close (): Promise<void> {
    fairQueue.close()
    await closeConnections()
  }

  function reportQuirk (quirk: Quirk, skipped = 0): void {
    if (skipped > 0) options.onSkipped?.(quirk, skipped)
    if (quirks.has(quirk)) return
    quirks.add(quirk)
    options.onQuirk?.(quirk)
  }

  function read (query: SourceQuery, purpose: Purpose): Promise<Answer | Failure> {
    return readBySession(query, (sessionKey) => readList(sessionKey, query, purpose))
  }

  async function readList (
    sessionKey: SessionFilterKey,
    query: SourceQuery,
    purpose: Purpose
  ): Promise<Answer | Failure> {
    const target = new URL(url)
    target.search = listParameters(query, sessionKey).toString()
    const reply = await call(target, purpose)
    if (!reply.ok) return reply
    const maxRows = Math.max(MAX_ROWS, 2 * query.pageSize)
    const list = reply.status === 204
      ? EMPTY
      : await (purpose.kind === 'poller' ? parsePolledList : parseList)(reply.text, maxRows)
    if (list === undefined) return { ok: false, kind: 'invalid' }
    if (list === 'too-large') return { ok: false, kind: 'too-large' }
    budget.applyUpstreamLimit(reply.upstreamLimit, clock.now())
    const { events, noEvents, rows, unreadable } = list
    longestAnswer = Math.max(longestAnswer, rows)
    options.onList?.()
    if (noEvents > 0) reportQuirk('sends-what-is-no-event', noEvents)
    return { ok: true, events, rows, unreadable, end: isEnd(rows, query.pageSize), upstreamMs: reply.upstreamMs }
  }

  /** Whether this page is the last one. `undefined`: an upstream with a page cap may have more. */
  function isEnd (rows: number, pageSize: number): boolean | undefined {
    if (rows === 0) return true
    if (rows >= pageSize) return false
    return rows < longestAnswer ? true : undefined
  }

  async function find (id: string, purpose: CallerPurpose): Promise<Found | Failure> {
    if (!isPathSafe(id)) return { ok: true, event: undefined }
    const target = new URL(url)
    target.pathname += `/${encodeURIComponent(id)}`
    const reply = await call(target, purpose, NOT_FOUND)
    if (!reply.ok) return reply
    if (NOT_FOUND.has(reply.status) || reply.status === 204) return { ok: true, event: undefined }
    const event = readEvent(reply.text, id)
    if (event === undefined) return { ok: false, kind: 'invalid' }
    return { ok: true, event: event === 'none' ? undefined : event }
  }
}

function requestHeaders ({ authorization, organizationId, userAgent }: KubiyaOptions): Record<string, string> {
  return {
    authorization,
    accept: 'application/json',
    'accept-encoding': 'gzip',
    'content-type': 'application/json',
    'user-agent': userAgent,
    ...organizationId !== undefined && { 'x-organization-id': organizationId }
  }
}
