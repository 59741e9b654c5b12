import type { ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Answer, Change } from './response.ts'
import { cannedAnswer, truncatedAnswer } from './canned-responses.ts'
import type { Fault, FaultQueue } from './faults.ts'
import type { Asked, Ledger } from './request-log.ts'
import { isWireFault, misbehave } from './network-faults.ts'

type Compose = (asked: Asked, change: Change | undefined) => Answer

/** Creates the handler that sends answers, changed by the fault of the request. */
export function createServing (ledger: Ledger, faults: FaultQueue, upstreamNow: () => number) {
  return async function serve (request: FastifyRequest, reply: FastifyReply, compose: Compose): Promise<FastifyReply> {
    const asked = ledger.enter(request.raw, reply.raw)
    reply.raw.setHeader('date', new Date(upstreamNow()).toUTCString())
    const fault = faults.take(asked)
    if (fault !== undefined && isWireFault(fault)) {
      reply.hijack()
      misbehave(fault, reply.raw)
      asked.status = reply.raw.headersSent ? reply.raw.statusCode : 0
      return reply
    }
    if (fault?.kind === 'delay') await pause(fault.delayMs, reply.raw)
    if (fault?.kind === 'held') await fault.until
    const answer = bent(fault, asked, compose)
    asked.status = answer.status
    return reply.code(answer.status).headers(answer.headers).send(answer.body)
  }
}

function bent (fault: Fault | undefined, asked: Asked, compose: Compose): Answer {
  const canned = fault === undefined ? undefined : cannedAnswer(fault)
  if (canned !== undefined) return canned
  const answer = compose(asked, fault?.kind === 'mutate' ? fault.change : undefined)
  return fault?.kind === 'truncated' ? truncatedAnswer(answer) : answer
}

async function pause (delayMs: number, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  // The delay ends when the client disconnects.
  await wait(delayMs, undefined, { ref: false, signal: gone.signal }).catch(() => undefined)
}
