import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const REQUEST_ID_BYTES = 6

/**
 * The id of a request: the caller's, or a new one. New ids have a random prefix for the process and a counter, which is
 * cheaper than a random id for each request.
 */
export function createRequestIds (): (request: IncomingMessage) => string {
  const prefix = randomBytes(REQUEST_ID_BYTES).toString('hex')
  let count = 0
  return ({ headers }) => {
    const own = headers['x-request-id']
    return typeof own === 'string' && SANE_REQUEST_ID.test(own) ? own : `${prefix}-${(++count).toString(36)}`
  }
}
