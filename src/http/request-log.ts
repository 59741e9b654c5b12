import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { pathOf } from '../telemetry/request-path.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** How the cache came to the answer; a head that is sent in one piece cannot be asked for it. */
    cacheStatus: string | undefined
  }
}

/**
 * Makes the hook that writes one line a request, with the ids of its trace where there are any; never its query, which
 * may hold what somebody searched for. What is in the line is known, so that no time goes into looking for names to
 * redact.
 */
export function createRequestLog (
  logger: FastifyBaseLogger & Pick<Logger, 'isLevelEnabled'>, idsOf?: (request: FastifyRequest) => object
) {
  // Whether they are wanted is asked of the logger, whose level can change.
  const lines = logger.child({}, { redact: [], level: 'trace' })

  return function logRequest (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const { id, log, method, url } = request
    // A route with a level of its own has another logger, and wants fewer lines.
    if (log === logger && logger.isLevelEnabled('info')) {
      const { cacheStatus: cache, elapsedTime, statusCode: status } = reply
      const line = { request_id: id, method, path: pathOf(url), status, ms: Math.round(elapsedTime), cache }
      lines.info(idsOf === undefined ? line : { ...line, ...idsOf(request) }, 'request')
    }
    done()
  }
}

/**
 * Gives requests the service's own logger, or one with their route's level: a child for each request would cost as much
 * as a good part of the answer, and most write nothing by it. Who writes names the request.
 */
export function createRequestLoggers (
  logger: FastifyBaseLogger
): (parent: FastifyBaseLogger, bindings: object, options: { level?: string }) => FastifyBaseLogger {
  const byLevel = new Map<string, FastifyBaseLogger>()

  return (_parent, _bindings, { level }) => {
    if (level === undefined) return logger
    const known = byLevel.get(level) ?? logger.child({}, { level })
    byLevel.set(level, known)
    return known
  }
}
