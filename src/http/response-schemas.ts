import { Type } from '@sinclair/typebox'

const ProblemRef = Type.Unsafe({ $ref: 'Problem#' })

function problemAnswer (description: string) {
  return { description, content: { 'application/problem+json': { schema: ProblemRef } } }
}

/** The error answers of every API route, for the documents. */
export const problemAnswers = {
  '4xx': problemAnswer(
    'The request is invalid, denied, or finds nothing: `invalid-…`, `unauthorized`, `rate-limited`, `not-found`.'
  ),
  '5xx': problemAnswer('Kubiya or this service cannot answer now: `upstream-…`, `overloaded`, `internal`.')
}

/** The answer to a conditional request, for the documents. */
export const notModifiedAnswer = {
  description: 'Not modified: `If-None-Match` names the current `ETag`. The headers are those of a 200.',
  type: 'null'
}

const header = (description: string, schema: object = { type: 'string' }) => ({ description, ...schema })

/** A cached JSON answer with its caching headers, for the documents. The cached bytes are sent unchanged. */
export function cachedAnswer (schemaId: string, description: string) {
  return {
    description,
    headers: {
      etag: header('Weak validator of the items. Send it as `If-None-Match` to get a 304 while they are unchanged.'),
      'cache-control': header('`private, no-cache` while the answer can change, `private, max-age=…` once it cannot.'),
      age: header('Seconds since the answer was read from Kubiya.', { type: 'integer' }),
      'cache-status': header('RFC 9211: how the cache handled the request. A negative `ttl` marks a stale answer.'),
      link: header(
        '`rel="next"` with the next page of a list or search, relative to the request. Absent when it would be too ' +
          'long.'
      ),
      vary: header('`accept-encoding`: larger answers are encoded with the preferred one of `br` and `gzip`.'),
      'content-encoding': header('`br` or `gzip`, when the body is compressed.'),
      'x-request-id': header('The request\'s id, as in the logs.')
    },
    content: { 'application/json': { schema: Type.Unsafe({ $ref: `${schemaId}#` }) } }
  }
}

/**
 * Fastify's compilers of route schemas. Requests are validated as Fastify does it. Answers are sent as they are: their
 * schemas serve the documents only, so nothing is compiled from them.
 */
export const schemaCompilers = { buildSerializer: () => () => JSON.stringify }
