import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Denied } from '../access/caller.ts'
import type { Failure } from '../audit/source.ts'
import { KUBIYA_ERROR_TYPE, kubiyaErrorOf } from './kubiya-error.ts'
import {
  PROBLEM_TYPE,
  meaningOf,
  problemOf,
  statusOf,
  type Problem,
  type ProblemCode,
  type ProblemParts
} from '../problems.ts'

// The SDK sleeps through `Retry-After` three times without a message (docs/kubiya-api.md §3.3).
const LONGEST_KUBIYA_RETRY_SECONDS = 2
const DEFAULT_RETRY_AFTER_MS = 5000
const MAX_FAULTS = 50
const MAX_NAME_CHARACTERS = 100

/** Sends a problem, in Kubiya's form on Kubiya's own paths. No cache may store it. */
export function sendProblem (
  reply: FastifyReply,
  code: ProblemCode,
  detail: string,
  parts: ProblemParts = {}
): FastifyReply {
  const problem = problemOf(code, detail, reply.request.id, parts)
  if (reply.server.hasKubiyaErrors?.(reply.request) === true) return sendKubiyaError(reply, code, problem)
  if (parts.retry_after !== undefined) reply.header('retry-after', parts.retry_after)
  return reply.code(problem.status).type(PROBLEM_TYPE).header('cache-control', 'no-store').send(JSON.stringify(problem))
}

function sendKubiyaError (reply: FastifyReply, code: ProblemCode, problem: Problem): FastifyReply {
  const { retry_after: seconds, status } = problem
  const { credential, headers: { authorization } } = reply.request
  // A refused host is no matter of a credential: nobody has read one then.
  const hasCredential = code === 'forbidden' ? typeof credential === 'object' : authorization !== undefined
  if (seconds !== undefined) reply.header('retry-after', Math.min(seconds, LONGEST_KUBIYA_RETRY_SECONDS))
  const error = kubiyaErrorOf(code, problem, hasCredential)
  return reply.code(status).type(KUBIYA_ERROR_TYPE).header('cache-control', 'no-store').send(JSON.stringify(error))
}

/** Sends the reason why access was denied. */
export function sendDenied (reply: FastifyReply, { code, detail, retryAfterMs }: Denied): FastifyReply {
  return sendProblem(
    reply,
    code,
    detail,
    retryAfterMs === undefined ? {} : { retry_after: Math.max(1, Math.ceil(retryAfterMs / 1000)) }
  )
}

/**
 * Sends what an upstream failure means to the caller. `isOwn`: the request to Kubiya carried the caller's own
 * credential.
 */
export function sendFailure (
  reply: FastifyReply,
  { kind, retryAfterMs = DEFAULT_RETRY_AFTER_MS }: Pick<Failure, 'kind' | 'retryAfterMs'>,
  isOwn = false
): FastifyReply {
  const { code, detail } = meaningOf(kind, isOwn)
  const parts = [429, 503].includes(statusOf(code)) ? { retry_after: Math.ceil(retryAfterMs / 1000) } : {}
  return sendProblem(reply, code, detail, parts)
}

/**
 * Sends all invalid parameters. The answer names at most fifty of them and counts the rest: a request of some kilobytes
 * must not cause an answer of hundreds.
 */
export function sendFaults (
  reply: FastifyReply,
  code: ProblemCode,
  faults: Array<{ parameter: string, message: string }>
): FastifyReply {
  const errors = faults.slice(0, MAX_FAULTS).map(({ message, parameter }) => ({
    parameter: shortened(parameter),
    message
  }))
  const texts = errors.map(({ message, parameter }) => `${parameter}: ${message}`)
  if (faults.length > MAX_FAULTS) texts.push(`and ${faults.length - MAX_FAULTS} more`)
  return sendProblem(reply, code, texts.join('; '), { errors })
}

/** The error handler: an error of Fastify becomes its problem, any other error becomes a 500 without details. */
export function handleError (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.validation !== undefined) return sendFaults(reply, 'invalid-parameter', error.validation.map(faultOf))
  const status = error.statusCode ?? 500
  if (status === 413) return sendProblem(reply, 'payload-too-large', 'The request is larger than this service accepts.')
  if (status === 415) return sendProblem(reply, 'unsupported-media-type', 'This route accepts no request body.')
  if (status >= 400 && status < 500) return sendProblem(reply, 'invalid-request', 'The request is malformed.')
  request.log.error({ err: error, request_id: request.id }, 'unexpected error')
  return sendProblem(reply, 'internal', 'The error is in the logs under the request id.')
}

/** What is wrong with a parameter, by the validator. */
export function faultOf (
  { instancePath, keyword, message = 'is not valid', params }: NonNullable<FastifyError['validation']>[number]
): { parameter: string, message: string } {
  if (keyword === 'additionalProperties') {
    return { parameter: String(params.additionalProperty), message: 'is not a parameter of this route' }
  }
  return {
    parameter: instancePath.slice(1),
    message: keyword === 'enum' ? `must be one of ${String(params.allowedValues)}` : message
  }
}

/** Shortens a long name, which the caller chose. */
function shortened (name: string): string {
  return name.length <= MAX_NAME_CHARACTERS ? name : `${name.slice(0, MAX_NAME_CHARACTERS)}…`
}
