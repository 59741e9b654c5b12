import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Encode } from '../archive/content-encoding.ts'
import type { CacheResult, RequestContext } from '../archive/response-cache.ts'
import type { ResponseMemory } from '../archive/response-memory.ts'
import type { AbsenceResponse } from '../archive/stored-response.ts'
import { formatInstant } from '../audit/instant.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import { sendFailure, sendProblem } from './problem-reply.ts'
import type { ResponseHeaders } from './response-headers.ts'
import { createCachedSender, wantsNoCache, type ContentResult } from './send-cached.ts'

export interface ResultSenderOptions {
  readonly encode: Encode
  readonly responseHeaders: ResponseHeaders
  readonly memory: Pick<ResponseMemory, 'hold'>
  /** Whether Kubiya is called with the caller's own credential, so that its refusal is the caller's 401 or 403. */
  readonly isPassthrough: boolean
}

type Outcome = CacheResult | Failure

/** Sends what the archive returned. Returns a promise only if it waits for something. */
export type SendResult = (
  request: FastifyRequest,
  reply: FastifyReply,
  outcome: Outcome | Promise<Outcome>
) => Promise<void> | undefined

/** What the archive must know of a request. */
export function requestContextOf (request: FastifyRequest, requester: () => Requester): RequestContext {
  return { noCache: wantsNoCache(request.headers), requester }
}

/** Creates the function that sends a page, an event, its absence, or a failure. */
export function createResultSender (
  { encode, isPassthrough, memory, responseHeaders }: ResultSenderOptions
): SendResult {
  const sendCached = createCachedSender({ encode, responseHeaders })
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
    const sending = sendCached(request, reply, result)
    const { destroyed, writableLength } = request.raw.socket
    if (destroyed || (sending === undefined && writableLength === 0)) return sending
    const { response } = result
    reply.raw.on('close', memory.hold(response, response.identity.body.length))
    return sending
  }
}

function hasContent (result: CacheResult): result is ContentResult {
  return result.response.status === 200
}

function sendAbsence (reply: FastifyReply, { complete, scanned, window }: AbsenceResponse): FastifyReply {
  const [start, end] = [window.start ?? 0n, window.end ?? window.start ?? 0n].map(formatInstant)
  const extent = complete ? 'all of them' : 'not all of them'
  const detail = `No such event: ${scanned} events from ${start} to ${end} were looked at, ${extent}.`
  return sendProblem(reply, 'not-found', detail, {
    window: { start_time: start ?? '', end_time: end ?? '' },
    scanned,
    complete
  })
}
