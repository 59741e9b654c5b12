import type { FastifyRequest } from 'fastify'

const LONGEST_PREFIX = 200
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/

/**
 * The path under which a proxy offers the service: `BASE_PATH`, or the `X-Forwarded-Prefix` of a trusted proxy. Only a
 * plain path is accepted, because the prefix goes into links.
 */
export function createPathPrefix (
  basePath: string | undefined,
  isProxy: (address: string | undefined) => boolean
): (request: FastifyRequest) => string {
  if (basePath !== undefined) return () => basePath
  return ({ raw: { headers, socket } }) => {
    const prefix = headers['x-forwarded-prefix']
    const isPath = typeof prefix === 'string' && prefix.length <= LONGEST_PREFIX && PREFIX.test(prefix)
    return isPath && isProxy(socket.remoteAddress) ? prefix : ''
  }
}
