import { Type, type Static } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Problem, ProblemCode } from '../problems.ts'
import { pathOf } from '../telemetry/request-log.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether errors of a request have Kubiya's form. The router's own errors have no decorated request. */
    hasKubiyaErrors?: (request: FastifyRequest) => boolean
  }
}

/** The path below which Kubiya's own routes are. */
export const KUBIYA_PREFIX = '/api/v1/auditing'

export const KUBIYA_ERROR_TYPE = 'application/json; charset=utf-8'

const CODES = {
  'invalid-parameter': 'INVALID_PARAMETER',
  'invalid-time': 'INVALID_PARAMETER',
  'invalid-cursor': 'INVALID_PARAMETER',
  'invalid-request': 'INVALID_PARAMETER',
  unauthorized: 'AUTH_REQUIRED',
  forbidden: 'FORBIDDEN',
  'not-found': 'NOT_FOUND',
  'not-acceptable': 'INVALID_PARAMETER',
  'request-timeout': 'INVALID_PARAMETER',
  'payload-too-large': 'INVALID_PARAMETER',
  'unsupported-media-type': 'INVALID_PARAMETER',
  'header-too-large': 'INVALID_PARAMETER',
  'rate-limited': 'RATE_LIMITED',
  internal: 'INTERNAL',
  'upstream-unauthorized': 'UPSTREAM_UNAUTHORIZED',
  'upstream-invalid': 'UPSTREAM_INVALID',
  'upstream-unavailable': 'UPSTREAM_UNAVAILABLE',
  'upstream-throttled': 'OVERLOADED',
  'credential-unchecked': 'OVERLOADED',
  overloaded: 'OVERLOADED',
  'upstream-timeout': 'UPSTREAM_TIMEOUT'
} as const satisfies Record<ProblemCode, string>

// The credential is wrong and not missing; or it may not do this.
const WITH_CREDENTIAL: Partial<Record<ProblemCode, 'INVALID_API_KEY' | 'INSUFFICIENT_SCOPE'>> = {
  unauthorized: 'INVALID_API_KEY',
  forbidden: 'INSUFFICIENT_SCOPE'
}

type ErrorCode = typeof CODES[ProblemCode] | 'INVALID_API_KEY' | 'INSUFFICIENT_SCOPE'

/** The body of an error on Kubiya's own routes, in the form that Kubiya documents (docs/kubiya-api.md §2.6). */
export const KubiyaError = Type.Object({
  error: Type.String({ description: 'The kind of error, in words.', examples: ['Invalid parameter'] }),
  details: Type.String({ description: 'What happened in this request.', examples: ['filter.x: is not a known key'] }),
  errorCode: Type.Unsafe<ErrorCode>({
    type: 'string',
    enum: [...new Set([...Object.values(CODES), 'INVALID_API_KEY', 'INSUFFICIENT_SCOPE'])],
    description: 'The kind of error, for programs.'
  }),
  status: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status.', examples: [400] }),
  retryAfter: Type.Optional(
    Type.Integer({ minimum: 0, description: 'Seconds to wait. The header `Retry-After` is at most 2.' })
  ),
  request_id: Type.String({ description: "The request's id in the logs.", examples: ['req-4f1c2a'] })
}, { $id: 'KubiyaError', description: "An error in Kubiya's form." })
export type KubiyaError = Static<typeof KubiyaError>

/** Whether a request is for one of Kubiya's own paths, routed or not. */
export function isKubiyaRequest ({ routeOptions, url }: Pick<FastifyRequest, 'routeOptions' | 'url'>): boolean {
  const path = routeOptions.url ?? pathOf(url).replace(/^https?:\/\/[^/]*/i, '')
  return path === KUBIYA_PREFIX || path.startsWith(`${KUBIYA_PREFIX}/`)
}

/** A problem in Kubiya's form. `hasCredential`: the error concerns a credential that the request presented. */
export function kubiyaErrorOf (
  code: ProblemCode,
  { detail, request_id: requestId, retry_after: retryAfter, status, title }: Problem,
  hasCredential: boolean
): KubiyaError {
  return {
    error: title,
    details: detail,
    errorCode: (hasCredential ? WITH_CREDENTIAL[code] : undefined) ?? CODES[code],
    status,
    ...retryAfter !== undefined && { retryAfter },
    request_id: requestId
  }
}
