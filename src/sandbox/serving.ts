import type { ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Answer, Change } from './response.ts'
import { cannedAnswer, truncatedAnswer } from './canned-responses.ts'
import type { Fault, FaultQueue } from './faults.ts'
import type { ReceivedRequest, RequestLog } from './request-log.ts'
import { isWireFault, misbehave } from './network-faults.ts'

type Compose = (received: ReceivedRequest, change: Change | undefined) => Answer

/** Creates the handler that sends answers, changed by the fault of the request. */
export function createServing (requestLog: RequestLog, faults: FaultQueue, upstreamNow: () => number) {
  return async function serve (request: FastifyRequest, reply: FastifyReply, compose: Compose): Promise<FastifyReply> {
    const received = requestLog.enter(request.raw, reply.raw)
    reply.raw.setHeader('date', new Date(upstreamNow()).toUTCString())
    const fault = faults.take(received)
    if (fault !== undefined && isWireFault(fault)) {
      reply.hijack()
      misbehave(fault, reply.raw)
      received.status = reply.raw.headersSent ? reply.raw.statusCode : 0
      return reply
    }
    if (fault?.kind === 'delay') await pause(fault.delayMs, reply.raw)
    if (fault?.kind === 'held') await fault.until
    const answer = respond(fault, received, compose)
    received.status = answer.status
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  }
}

function respond (fault: Fault | undefined, received: ReceivedRequest, compose: Compose): Answer {
  const canned = fault === undefined ? undefined : cannedAnswer(fault)
  if (canned !== undefined) return canned
  const answer = compose(received, fault?.kind === 'mutate' ? fault.change : undefined)
  return fault?.kind === 'truncated' ? truncatedAnswer(answer) : answer
}

async function pause (delayMs: number, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  // The delay ends when the client disconnects.
  await wait(delayMs, undefined, { ref: false, signal: gone.signal }).catch(() => undefined)
}
