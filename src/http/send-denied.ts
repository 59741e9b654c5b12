import type { FastifyReply } from 'fastify'
import type { Denied } from '../access/caller.ts'
import { sendProblem } from '../problems.ts'

/** Answers with why a request goes no further. */
export function sendRefusal (reply: FastifyReply, { code, detail, retryAfterMs }: Denied): FastifyReply {
  return sendProblem(
    reply,
    code,
    detail,
    retryAfterMs === undefined ? {} : { retry_after: Math.max(1, Math.ceil(retryAfterMs / 1000)) }
  )
}
