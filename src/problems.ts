import { Type, type Static } from '@sinclair/typebox'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { FailureKind } from './audit/source.ts'

const KINDS = {
  'invalid-parameter': { status: 400, title: 'Invalid parameter' },
  'invalid-time': { status: 400, title: 'Invalid time' },
  'invalid-cursor': { status: 400, title: 'Invalid cursor' },
  'invalid-request': { status: 400, title: 'Malformed request' },
  unauthorized: { status: 401, title: 'Authentication required' },
  forbidden: { status: 403, title: 'Forbidden' },
  'not-found': { status: 404, title: 'Not found' },
  'not-acceptable': { status: 406, title: 'Only WebSocket and text/event-stream are served here' },
  'request-timeout': { status: 408, title: 'Request timeout' },
  'payload-too-large': { status: 413, title: 'Request body too large' },
  'unsupported-media-type': { status: 415, title: 'Unsupported media type' },
  'header-too-large': { status: 431, title: 'Request headers too large' },
  'rate-limited': { status: 429, title: 'Rate limit exceeded' },
  internal: { status: 500, title: 'Internal error' },
  'upstream-unauthorized': { status: 502, title: 'Kubiya refused this service\'s credential' },
  'upstream-invalid': { status: 502, title: 'Invalid answer from Kubiya' },
  'upstream-unavailable': { status: 502, title: 'Kubiya is unavailable' },
  'upstream-throttled': { status: 503, title: 'Request budget for Kubiya exhausted' },
  'credential-unchecked': { status: 503, title: 'Credentials cannot be verified' },
  overloaded: { status: 503, title: 'Service overloaded' },
  'upstream-timeout': { status: 504, title: 'Kubiya timed out' }
} as const

export type ProblemCode = keyof typeof KINDS

/** An error answer: RFC 9457, for every 4xx and 5xx. */
export const Problem = Type.Object({
  type: Type.String({
    description: 'Identifies the kind of problem: a URN that ends in the code.',
    examples: ['urn:kubiya-audit-bff:problem:invalid-parameter']
  }),
  title: Type.String({ description: 'The kind of problem in words.', examples: ['Invalid parameter'] }),
  status: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status.', examples: [400] }),
  detail: Type.String({ description: 'What happened this time.', examples: ['page: must be >= 1'] }),
  code: Type.String({ description: 'The kind of problem, for programs.', examples: ['invalid-parameter'] }),
  request_id: Type.String({ description: 'Find this request in the logs by it.', examples: ['req-4f1c2a'] }),
  errors: Type.Optional(Type.Array(
    Type.Object({
      parameter: Type.String({ description: 'Which parameter.', examples: ['page'] }),
      message: Type.String({ description: 'What is wrong with it.', examples: ['must be >= 1'] })
    }),
    { description: "Everything that is wrong with the request's parameters." }
  )),
  retry_after: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds to wait, as in the header `Retry-After`.' })
  ),
  window: Type.Optional(Type.Object({
    start_time: Type.String(),
    end_time: Type.String()
  }, { description: 'Of a describe that found nothing: the interval that was looked through.' })),
  scanned: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Of a describe that found nothing: how many events were looked at.' })
  ),
  complete: Type.Optional(
    Type.Boolean({ description: 'Of a describe that found nothing: whether that was every event of the interval.' })
  )
}, { $id: 'Problem', description: 'An error (RFC 9457).' })
export type Problem = Static<typeof Problem>

export type ProblemParts = Partial<Pick<Problem, 'errors' | 'retry_after' | 'window' | 'scanned' | 'complete'>>

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Answers with a problem. Nothing of it is kept by anyone. */
export function sendProblem (
  reply: FastifyReply,
  code: ProblemCode,
  detail: string,
  parts: ProblemParts = {}
): FastifyReply {
  const problem = problemOf(code, detail, reply.request.id, parts)
  if (parts.retry_after !== undefined) reply.header('retry-after', parts.retry_after)
  return reply.code(problem.status).type(PROBLEM_TYPE).header('cache-control', 'no-store').send(JSON.stringify(problem))
}

/** The body of a problem. */
export function problemOf (code: ProblemCode, detail: string, requestId: string, parts: ProblemParts = {}): Problem {
  const { status, title } = KINDS[code]
  return { type: `urn:kubiya-audit-bff:problem:${code}`, title, status, detail, code, request_id: requestId, ...parts }
}

const FAILURES: Record<FailureKind, { code: ProblemCode, detail: string }> = {
  unauthorized: { code: 'upstream-unauthorized', detail: 'Kubiya refused the credential that this service uses.' },
  forbidden: {
    code: 'upstream-unauthorized',
    detail: 'Kubiya does not allow this with the credential that this service uses.'
  },
  throttled: { code: 'upstream-throttled', detail: "Kubiya's rate limit is reached, and no cached answer exists." },
  budget: {
    code: 'upstream-throttled',
    detail: "This service's request budget for Kubiya is spent, and no cached answer exists."
  },
  share: { code: 'rate-limited', detail: "This caller's share of requests to Kubiya is spent for this minute." },
  timeout: { code: 'upstream-timeout', detail: 'Kubiya sent no complete answer within the deadline.' },
  unavailable: { code: 'upstream-unavailable', detail: 'Kubiya failed or refused the connection.' },
  invalid: { code: 'upstream-invalid', detail: 'Kubiya sent an answer that is not its audit protocol.' },
  'too-large': {
    code: 'upstream-invalid',
    detail: "Kubiya's answer was larger than this service accepts; ask for fewer rows."
  },
  overloaded: { code: 'overloaded', detail: 'Too many answers are in progress or unread.' }
}
const DEFAULT_RETRY_AFTER_MS = 5000
const MOST_FAULTS = 50
const LONGEST_NAME = 100

const OWN_FAILURES: Partial<typeof FAILURES> = {
  unauthorized: { code: 'unauthorized', detail: 'Kubiya does not accept the credential.' },
  forbidden: { code: 'forbidden', detail: 'Kubiya does not allow this with the credential.' }
}

/**
 * Answers with what the upstream's failure means to a caller; no word of the upstream's own. `isOwn`: Kubiya was asked
 * with the caller's own credential.
 */
export function sendFailure (
  reply: FastifyReply,
  failure: { kind: FailureKind, retryAfterMs?: number },
  isOwn = false
): FastifyReply {
  const { code, detail } = (isOwn ? OWN_FAILURES[failure.kind] : undefined) ?? meaningOf(failure.kind)
  const waits = [429, 503].includes(KINDS[code].status)
  return sendProblem(
    reply,
    code,
    detail,
    waits ? { retry_after: Math.ceil((failure.retryAfterMs ?? DEFAULT_RETRY_AFTER_MS) / 1000) } : {}
  )
}

/** What the upstream's failure is to a caller. */
export function meaningOf (kind: FailureKind): { code: ProblemCode, detail: string } {
  return FAILURES[kind]
}

/** The app's error handler: what Fastify refuses becomes a typed problem, anything unforeseen a bare 500. */
export function handleError (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error.validation !== undefined) {
    const errors = error.validation.map(({ instancePath, message = 'is not valid', params, keyword }) => ({
      parameter: keyword === 'additionalProperties' ? String(params.additionalProperty) : instancePath.slice(1),
      message: keyword === 'additionalProperties'
        ? 'is not a parameter of this route'
        : describeRule(keyword, message, params)
    }))
    return sendFaults(reply, 'invalid-parameter', errors)
  }
  const status = error.statusCode ?? 500
  if (status === 413) return sendProblem(reply, 'payload-too-large', 'The request is larger than this service accepts.')
  if (status === 415) return sendProblem(reply, 'unsupported-media-type', 'This route takes no body.')
  if (status >= 400 && status < 500) return sendProblem(reply, 'invalid-request', 'The request could not be read.')
  request.log.error({ err: error, request_id: request.id }, 'unforeseen error')
  return sendProblem(reply, 'internal', 'The error is in the logs under the request id.')
}

/**
 * Answers with all that is wrong with the parameters: at most fifty faults are named, and how many more there are. A
 * request of some kilobytes must not get an answer of hundreds.
 */
export function sendFaults (
  reply: FastifyReply,
  code: ProblemCode,
  faults: Array<{ parameter: string, message: string }>
): FastifyReply {
  const errors = faults.slice(0, MOST_FAULTS).map(({ message, parameter }) => ({
    parameter: shortened(parameter),
    message
  }))
  const texts = errors.map(({ message, parameter }) => `${parameter}: ${message}`)
  if (faults.length > MOST_FAULTS) texts.push(`and ${faults.length - MOST_FAULTS} more`)
  return sendProblem(reply, code, texts.join('; '), { errors })
}

/** A name that a caller made up, cut where it is long. */
function shortened (name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME)}…`
}

function describeRule (keyword: string, message: string, params: Record<string, unknown>): string {
  return keyword === 'enum' ? `must be one of ${String(params.allowedValues)}` : message
}
