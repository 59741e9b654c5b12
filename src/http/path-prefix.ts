import type { FastifyRequest } from 'fastify'

const LONGEST_PREFIX = 200
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/

/**
 * Under which path a proxy offers the service: what the setting says, or else what a trusted proxy says for the
 * request. Anything that is no plain path is passed over, since it goes into links.
 */
export function createPathPrefix (
  basePath: string | undefined,
  isProxy: (address: string | undefined) => boolean
): (request: FastifyRequest) => string {
  if (basePath !== undefined) return () => basePath
  return ({ raw: { headers, socket } }) => {
    const said = headers['x-forwarded-prefix']
    const isPath = typeof said === 'string' && said.length <= LONGEST_PREFIX && PREFIX.test(said)
    return isPath && isProxy(socket.remoteAddress) ? said : ''
  }
}
