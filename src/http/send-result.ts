import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RateLimits } from '../access/rate-limits.ts'
import type { ContentCoding, Encode, Representation, ResponseForm } from '../archive/content-encoding.ts'
import type { CacheResult, CacheStatus, RequestContext } from '../archive/response-cache.ts'
import type { ResponseMemory } from '../archive/response-memory.ts'
import type { AbsenceResponse, StoredContent } from '../archive/stored-response.ts'
import { formatInstant } from '../audit/instant.ts'
import type { Failure } from '../audit/source.ts'
import { callerOf, createRequester } from './authenticate.ts'
import { matchesEtag, negotiateEncoding } from './content-negotiation.ts'
import { sendFailure, sendProblem } from './problem-reply.ts'
import type { ResponseHeaders } from './response-headers.ts'

export interface ResultSenderOptions {
  readonly encode: Encode
  readonly responseHeaders: Pick<ResponseHeaders, 'fixed' | 'varying'>
  readonly memory: Pick<ResponseMemory, 'hold'>
  /** Whether Kubiya is called with the caller's own credential, so that its refusal is the caller's 401 or 403. */
  readonly isPassthrough: boolean
}

type Outcome = CacheResult | Failure

/** A result of the cache that has a body. */
type ContentResult = CacheResult & { readonly response: StoredContent }

/** Sends what the archive returned. Returns a promise only if it waits for something. */
export type SendResult = (
  request: FastifyRequest,
  reply: FastifyReply,
  outcome: Outcome | Promise<Outcome>
) => Promise<void> | undefined

/** What the routes need whose answers are cached. */
export interface CachedRoutesOptions {
  readonly send: SendResult
  readonly limits: RateLimits
  /** The path under which a proxy offers the service. */
  readonly prefixOf: (request: FastifyRequest) => string
}

const MAX_REMEMBERED = 256
const LONGEST_REMEMBERED = 256
const MIN_ENCODED_BYTES = 1024 // A smaller body fits one packet.
const NO_CACHE = /(?:^|,)\s*no-cache\s*(?:,|$)/i
const UNCHECKED: CacheStatus = { kind: 'hit', detail: 'stale-if-error' }

/** What the archive must know of a request. */
export function requestContextOf (request: FastifyRequest, limits: RateLimits): RequestContext {
  const { 'cache-control': cacheControl } = request.headers
  return {
    noCache: cacheControl !== undefined && NO_CACHE.test(cacheControl), // RFC 9111 §5.2.1.4.
    requester: () => createRequester(callerOf(request).key, limits, request.raw.socket)
  }
}

/**
 * Creates the function that sends a page, an event, its absence, or a failure. A stored response is sent as 200, or as
 * 304 if the caller has it already. Node receives all its headers as one list, since setting them one by one costs more
 * than the rest of a hit. Hooks therefore add no header to it; what all responses have in common comes from
 * `responseHeaders`.
 */
export function createResultSender (
  { encode, isPassthrough, memory, responseHeaders }: ResultSenderOptions
): SendResult {
  const negotiate = createEncodingNegotiator()
  return send

  function send (
    request: FastifyRequest,
    reply: FastifyReply,
    outcome: Outcome | Promise<Outcome>
  ): Promise<void> | undefined {
    if (outcome instanceof Promise) return outcome.then((each) => send(request, reply, each))
    if (!outcome.ok) sendFailure(reply, outcome, isPassthrough)
    else if (hasContent(outcome)) return sendHeld(request, reply, outcome)
    else if (outcome.response.status === 404) sendAbsence(reply, outcome.response)
  }

  /** Sends a response. If the system does not take it at once, its memory counts until the reader has it. */
  function sendHeld (request: FastifyRequest, reply: FastifyReply, result: ContentResult): Promise<void> | undefined {
    const sending = sendContent(request, reply, result)
    const { destroyed, writableLength } = request.raw.socket
    if (destroyed || (sending === undefined && writableLength === 0)) return sending
    const { response } = result
    reply.raw.on('close', memory.hold(response, response.identity.body.length))
    return sending
  }

  /** Sends a stored response. Returns a promise only while an encoding is made. */
  function sendContent (
    request: FastifyRequest,
    reply: FastifyReply,
    result: ContentResult
  ): Promise<void> | undefined {
    const { response } = result
    const { 'accept-encoding': acceptEncoding, 'if-none-match': ifNoneMatch } = request.headers
    if (matchesEtag(ifNoneMatch, response.etag)) return write(request, reply, result, undefined)
    const { identity } = response
    const coding = identity.body.length < MIN_ENCODED_BYTES ? undefined : negotiate(acceptEncoding)
    const representation = coding === undefined ? identity : encode(response, coding)
    if (!(representation instanceof Promise)) return write(request, reply, result, representation)
    return representation.then((made) => write(request, reply, result, made))
  }

  /** Without a representation, writes a 304. */
  function write (
    request: FastifyRequest,
    reply: FastifyReply,
    { ageMs, cacheStatus, response }: ContentResult,
    representation: Representation | undefined
  ): undefined {
    // Kubiya could not confirm the credential. The caller gets only what it saw before: this is stale-if-error.
    const isUnchecked = request.caller?.isUnchecked === true && cacheStatus.kind === 'hit'
    const ttlSeconds = Math.floor((response.freshMs - ageMs) / 1000)
    reply.cacheStatus = formatCacheStatus(isUnchecked ? UNCHECKED : cacheStatus, ttlSeconds)
    const age = String(Math.max(0, Math.floor(ageMs / 1000)))
    const headers = headOf(response, representation ?? response.notModified)
      .concat('age', age, 'cache-status', reply.cacheStatus, responseHeaders.varying(request, reply))
    reply.hijack().raw.writeHead(representation === undefined ? 304 : 200, headers).end(representation?.body)
  }

  function headOf (response: StoredContent, form: ResponseForm): readonly string[] {
    form.head ??= [...response.headers, ...responseHeaders.fixed, ...form.headers]
    return form.head
  }
}

function hasContent (result: CacheResult): result is ContentResult {
  return result.response.status === 200
}

function sendAbsence (reply: FastifyReply, absence: AbsenceResponse): FastifyReply {
  const { complete, scanned, subject, window } = absence
  if (subject === 'session') {
    const extent = complete ? 'the whole log was' : 'not the whole log was'
    const detail = `No such session: ${scanned} events were read, and ${extent} searched.`
    return sendProblem(reply, 'not-found', detail, { scanned, complete })
  }
  const [start, end] = [window.start ?? 0n, window.end ?? window.start ?? 0n].map(formatInstant)
  const extent = complete ? 'all of them' : 'not all of them'
  const detail = `No such event: ${scanned} events from ${start} to ${end} were read, ${extent}.`
  return sendProblem(reply, 'not-found', detail, {
    window: { start_time: start ?? '', end_time: end ?? '' },
    scanned,
    complete
  })
}

/** `Cache-Status` (RFC 9211). A negative `ttl` means that the response was stale, and for how long. */
function formatCacheStatus (status: CacheStatus, ttlSeconds: number): string {
  const detail = status.detail === undefined ? '' : `; detail=${status.detail}`
  if (status.detail === 'log' || status.detail === 'memory') return `kubiya-audit-bff; hit${detail}`
  if (status.kind === 'hit') return `kubiya-audit-bff; hit; ttl=${ttlSeconds}${detail}`
  const ttl = status.detail === 'stale-if-error' ? `; ttl=${ttlSeconds}` : ''
  return `kubiya-audit-bff; fwd=${status.reason}${status.collapsed ? '; collapsed' : ''}${ttl}${detail}`
}

/** Creates a function that chooses codings and remembers its choices: that saves 5 µs of a hit of some 60. */
function createEncodingNegotiator (): (header: string | undefined) => ContentCoding | undefined {
  const choices = new Map<string, ContentCoding | undefined>()

  return (header) => {
    if (header === undefined) return undefined // Any coding is allowed, but such a client may support none.
    const remembered = choices.get(header)
    if (remembered !== undefined || choices.has(header)) return remembered
    const choice = negotiateEncoding(header)
    if (header.length > LONGEST_REMEMBERED) return choice
    if (choices.size >= MAX_REMEMBERED) choices.clear()
    choices.set(header, choice)
    return choice
  }
}
