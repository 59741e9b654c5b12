import type { FastifyRequest } from 'fastify'

export interface LinkPrefixOptions {
  /** The path under which a proxy offers the service, if it is always the same. */
  readonly basePath: string | undefined
  /** Whether an address is that of a trusted proxy. */
  readonly isProxy: (address: string | undefined) => boolean
}

const LONGEST_PREFIX = 200
const PREFIX = /^(?:\/[A-Za-z0-9._~-]+)+$/

/**
 * Creates the function that tells under which path a proxy offers the service: `BASE_PATH`, or the `X-Forwarded-Prefix`
 * of a trusted proxy. Only a plain path is accepted, because the prefix goes into links.
 */
export function createLinkPrefix ({ basePath, isProxy }: LinkPrefixOptions): (request: FastifyRequest) => string {
  return ({ raw: { headers, socket } }) => {
    if (basePath !== undefined) return basePath
    const prefix = headers['x-forwarded-prefix']
    const isPath = typeof prefix === 'string' && prefix.length <= LONGEST_PREFIX && PREFIX.test(prefix)
    return isPath && isProxy(socket.remoteAddress) ? prefix : ''
  }
}
