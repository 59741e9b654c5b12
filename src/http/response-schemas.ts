import { Type } from '@sinclair/typebox'

const ProblemRef = Type.Unsafe({ $ref: 'Problem#' })

function problemAnswer (description: string) {
  return { description, content: { 'application/problem+json': { schema: ProblemRef } } }
}

/** The error answers that every route of the API can give, for the documents. */
export const problemAnswers = {
  '4xx': problemAnswer(
    'The request cannot be answered as it is: `invalid-parameter`, `invalid-time`, `invalid-cursor`, `not-found`.'
  ),
  '5xx': problemAnswer('Kubiya, or this service, cannot answer now: `upstream-…`, `overloaded`, `internal`.')
}

/** The answer to a conditional request, for the documents. */
export const notModifiedAnswer = {
  description: 'The caller has it already: `If-None-Match` names the current `ETag`. The headers are those of a 200.',
  type: 'null'
}

const header = (description: string, schema: object = { type: 'string' }) => ({ description, ...schema })

/** A prepared JSON answer with its caching headers, for the documents: the bytes are sent as they are. */
export function cachedAnswer (schemaId: string, description: string) {
  return {
    description,
    headers: {
      etag: header('Weak validator over the items; send it as `If-None-Match` to get 304 while they are the same.'),
      'cache-control': header('`private, no-cache` while the answer can change, `private, max-age=…` once it cannot.'),
      age: header('Seconds since Kubiya was asked.', { type: 'integer' }),
      'cache-status': header('RFC 9211: how this service came to the answer. A negative `ttl` marks a stale one.'),
      link: header(
        '`rel="next"` with the next page of a list or search, relative to the question; left out where it would be ' +
          'long.'
      ),
      vary: header('`accept-encoding`: answers of some size come in the coding that is liked best of `br` and `gzip`.'),
      'content-encoding': header('`br` or `gzip`, where the body is compressed.'),
      'x-request-id': header('The request\'s id, as in the logs.')
    },
    content: { 'application/json': { schema: Type.Unsafe({ $ref: `${schemaId}#` }) } }
  }
}
