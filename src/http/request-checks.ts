import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Readable } from 'node:stream'
import { parse } from 'fast-querystring'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { hostRefusal, readHost, type Host, type Hosts } from '../access/hosts.ts'
import { repeat, type Clock } from '../clock.ts'
import { sendDenied, sendProblem } from './problem-reply.ts'

/** Answers a request for a foreign host. Returns whether it has answered. */
export type HostCheck = (request: FastifyRequest, reply: FastifyReply) => boolean

export interface RequestChecksOptions {
  readonly isForeignHost: HostCheck
  readonly logger: FastifyBaseLogger
  /** The only route with upgrades. */
  readonly streamPath: string
}

type Query = Record<string, unknown>

const QUERY_TEXT = Symbol('query string')
const SLASH = 47
const HOST = 'host'
const ABSOLUTE = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i
const WEB = /^https?:\/\/([^/?#]*)/i
const MAX_HEADERS = 100
// Orchestrators request the probes under any name, and probes reveal no data.
const PROBES = ['/livez', '/readyz']
const ABOUT_BODIES = ['content-type', 'content-length', 'transfer-encoding']
const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const REQUEST_ID_BYTES = 6
const NEVER_READ = ['GET', 'HEAD', 'OPTIONS']

const RESOLUTION_MS = 10
const SAMPLE_MS = 1000
const RETRY_SECONDS = 5
const NANOS_PER_MS = 1e6

/**
 * Checks every request before anything else looks at it: its framing, its number of headers, its host, its upgrade. One
 * hook with a callback: a hook for each check, or a promise, would cost every cache hit.
 */
export function checkRequests (
  server: FastifyInstance,
  { isForeignHost, logger, streamPath }: RequestChecksOptions
): void {
  server.server.maxHeadersCount = MAX_HEADERS + 1 // Node drops all headers beyond this number.
  server.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    // All requests share one logger, and log calls name the request id. Fastify's child loggers cost 5 µs of a hit.
    request.log = logger
    reply.log = logger
    endIfFramingIsUnsure(raw, reply.raw)
    const fault = hostFault(raw) // RFC 9112 §3.2. Node would answer without a body.
    if (raw.rawHeaders.length > 2 * MAX_HEADERS) {
      sendProblem(reply, 'header-too-large', `The request has more than ${MAX_HEADERS} headers.`)
    } else if (fault !== undefined) sendProblem(reply, 'invalid-request', fault)
    else if (request.ws && !request.is404 && request.routeOptions.url !== streamPath) {
      sendProblem(reply, 'invalid-request', 'This route supports no upgrade; send the request without `Upgrade`.')
    } else if (!isForeignHost(request, reply)) done()
  })
  server.addHook('preParsing', (request, _reply, payload, done) => {
    if (NEVER_READ.includes(request.method)) done(null, payload)
    else forgetEmptyBody(request.headers, payload).then(() => done(null, payload), done)
  })
}

/**
 * The requested host: an absolute request target takes precedence over `Host` (RFC 9112 §3.2.2). Proxy headers do not
 * matter here.
 */
export function hostOf ({ raw: { headers, url = '' } }: FastifyRequest): Host | undefined {
  const authority = url.charCodeAt(0) === SLASH ? undefined : WEB.exec(url)?.[1]
  return readHost(authority ?? headers.host)
}

/**
 * Returns a check that denies requests for a foreign host. Probes always pass. Nearly all requests name the same host,
 * so the check remembers the last field that was admitted: to parse it again costs 1 µs.
 */
export function createHostCheck (hosts: Hosts): HostCheck {
  let admitted: string | undefined

  return (request, reply) => {
    const { headers, url = '' } = request.raw
    const isInField = headers.host !== undefined && url.charCodeAt(0) === SLASH
    if (isInField && headers.host === admitted) return false
    const host = hostOf(request)
    if (hosts.admits(host)) {
      if (isInField) admitted = headers.host
      return false
    }
    if (PROBES.includes(request.routeOptions.url ?? '')) return false
    sendDenied(reply, hostRefusal(host))
    return true
  }
}

/**
 * The id of a request: the caller's, or a new one. New ids have a random prefix for the process and a counter, which is
 * cheaper than a random id for each request.
 */
export function createRequestIds (): (request: IncomingMessage) => string {
  const prefix = randomBytes(REQUEST_ID_BYTES).toString('hex')
  let count = 0
  return ({ headers }) => {
    const own = headers['x-request-id']
    return typeof own === 'string' && SANE_REQUEST_ID.test(own) ? own : `${prefix}-${(++count).toString(36)}`
  }
}

/**
 * For Fastify's router: leaves the query as text until a hook needs it. A hit needs only the URL. To parse a query costs
 * 0.8 µs, and a hit some 60 µs.
 */
export function keepQueryAsText (text: string): Query {
  return { [QUERY_TEXT]: text }
}

/** A hook: parses the query before it is validated. */
export function parseQuery (request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  queryOf(request)
  done()
}

/** The parsed query of a request. */
export function queryOf (request: FastifyRequest): Query {
  const query = request.query as Query & { readonly [QUERY_TEXT]?: string }
  if (query[QUERY_TEXT] === undefined) return query
  const parsed: Query = parse(query[QUERY_TEXT])
  request.query = parsed
  return parsed
}

/**
 * Answers 503 while the event loop lags: its mean delay over the last second exceeds `maxDelayMs`, and a timer is late
 * now. The second condition matters because one long turn, such as a start on a slow machine, dominates the mean of its
 * second.
 */
export function shedLoad (app: FastifyInstance, maxDelayMs: number, clock: Clock): void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  let isLagging = false
  delay.enable()
  const stop = repeat(clock, sample, SAMPLE_MS)
  app.addHook('onClose', async () => {
    stop()
    delay.disable()
  })
  app.addHook('onRequest', (_request, reply, done) => {
    if (isLagging) shedIfLate(reply, done)
    else done()
  })

  function sample (): void {
    isLagging = delay.mean / NANOS_PER_MS - RESOLUTION_MS > maxDelayMs
    delay.reset()
  }

  function shedIfLate (reply: FastifyReply, done: () => void): void {
    const startedMs = clock.monotonicMs()
    clock.setTimer(() => {
      if (clock.monotonicMs() - startedMs < maxDelayMs / 2) done()
      else sendProblem(reply, 'overloaded', 'The service is overloaded; retry later.', { retry_after: RETRY_SECONDS })
    }, 0)
  }
}

/** The fault in a request's target or `Host`, or `undefined`. Node would use the first of several `Host` headers. */
function hostFault ({ headers, httpVersionMinor, rawHeaders, url = '' }: IncomingMessage): string | undefined {
  if (headers.host === undefined) return httpVersionMinor === 1 ? 'Missing `Host` header.' : undefined
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]
    if (name?.length === HOST.length && name.toLowerCase() === HOST) hosts++
  }
  if (hosts > 1) return 'More than one `Host` header.'
  if (url.charCodeAt(0) === SLASH) return undefined
  const [, authority] = ABSOLUTE.exec(url) ?? []
  const isOther = authority !== undefined && authority.toLowerCase() !== headers.host.trim().toLowerCase()
  return isOther ? 'The request target and `Host` name different authorities.' : undefined
}

/**
 * An HTTP/1.0 intermediary may not know chunked bodies, so the end of such a body is unsure. The connection closes
 * after the answer (RFC 9112 §6.1).
 */
function endIfFramingIsUnsure ({ headers, httpVersionMinor }: IncomingMessage, response: ServerResponse): void {
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false
}

/**
 * Treats an empty body as no body, whatever its content type: there is nothing to misread. A body with bytes is
 * unchanged.
 */
async function forgetEmptyBody (headers: IncomingHttpHeaders, body: Readable): Promise<void> {
  const isEmpty = headers['transfer-encoding'] === undefined
    ? Number(headers['content-length'] ?? 0) === 0
    : await endsAtOnce(body)
  if (isEmpty) for (const name of ABOUT_BODIES) delete headers[name]
}

/** Whether a body is empty. A chunk that was read for the check is put back. */
async function endsAtOnce (body: Readable): Promise<boolean> {
  for (;;) {
    const chunk: unknown = body.read()
    if (chunk !== null) {
      body.unshift(chunk)
      return false
    }
    if (body.readableEnded || body.destroyed) return body.readableEnded
    await Promise.race([once(body, 'readable'), once(body, 'end')])
  }
}
