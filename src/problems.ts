import { Type, type Static } from '@sinclair/typebox'
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

/** The body of every 4xx and 5xx answer (RFC 9457). */
export const Problem = Type.Object({
  type: Type.String({
    description: 'URN of the kind of problem. It ends in the code.',
    examples: ['urn:kubiya-audit-bff:problem:invalid-parameter']
  }),
  title: Type.String({ description: 'The kind of problem, in words.', examples: ['Invalid parameter'] }),
  status: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status.', examples: [400] }),
  detail: Type.String({ description: 'What happened in this request.', examples: ['page: must be >= 1'] }),
  code: Type.String({ description: 'The kind of problem, for programs.', examples: ['invalid-parameter'] }),
  request_id: Type.String({ description: "The request's id in the logs.", examples: ['req-4f1c2a'] }),
  errors: Type.Optional(Type.Array(
    Type.Object({
      parameter: Type.String({ description: 'Name of the parameter.', examples: ['page'] }),
      message: Type.String({ description: 'What is wrong with its value.', examples: ['must be >= 1'] })
    }),
    { description: 'All invalid parameters of the request.' }
  )),
  retry_after: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds to wait, as in the header `Retry-After`.' })
  ),
  window: Type.Optional(Type.Object({
    start_time: Type.String(),
    end_time: Type.String()
  }, { description: 'Of a describe that found nothing: the interval that was searched.' })),
  scanned: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Of a describe that found nothing: the number of events that were read.' })
  ),
  complete: Type.Optional(
    Type.Boolean({ description: 'Of a describe that found nothing: whether that was every event of the interval.' })
  )
}, { $id: 'Problem', description: 'An error (RFC 9457).' })
export type Problem = Static<typeof Problem>

export type ProblemParts = Partial<Pick<Problem, 'errors' | 'retry_after' | 'window' | 'scanned' | 'complete'>>

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** What an upstream failure means to a caller. The text never contains words of the upstream. */
export interface FailureMeaning {
  readonly code: ProblemCode
  readonly detail: string
}

const FAILURES: Record<FailureKind, FailureMeaning> = {
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
  unfinished: {
    code: 'overloaded',
    detail: 'The page is not complete yet. The same request continues from what has been read.'
  },
  'page-too-large': { code: 'overloaded', detail: 'The page is larger than one answer may be; ask for fewer rows.' },
  overloaded: { code: 'overloaded', detail: 'Too many answers are in progress or unread.' }
}

// With the caller's own credential, the refusal concerns the caller and not this service.
const OWN_FAILURES: Partial<typeof FAILURES> = {
  unauthorized: { code: 'unauthorized', detail: 'Kubiya does not accept the credential.' },
  forbidden: { code: 'forbidden', detail: 'Kubiya does not allow this with the credential.' }
}

/** The body of a problem. */
export function problemOf (code: ProblemCode, detail: string, requestId: string, parts: ProblemParts = {}): Problem {
  const { status, title } = KINDS[code]
  return { type: `urn:kubiya-audit-bff:problem:${code}`, title, status, detail, code, request_id: requestId, ...parts }
}

/** The HTTP status of a problem. */
export function statusOf (code: ProblemCode): number {
  return KINDS[code].status
}

/** What an upstream failure means to a caller. `isOwn`: the request to Kubiya carried the caller's own credential. */
export function meaningOf (kind: FailureKind, isOwn = false): FailureMeaning {
  return (isOwn ? OWN_FAILURES[kind] : undefined) ?? FAILURES[kind]
}
