import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const REQUEST_ID_BYTES = 6

/**
 * The id that a caller gave, or one of this process: unlike any other's, and counted, which is cheaper than chance for
 * each.
 */
export function createRequestIds (): (request: IncomingMessage) => string {
  const prefix = randomBytes(REQUEST_ID_BYTES).toString('hex')
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : `${prefix}-${(++count).toString(36)}`
  }
}
