import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { pathOf } from '../telemetry/request-path.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** The `Cache-Status` of the answer. A head that is written in one piece cannot be read back. */
    cacheStatus: string | undefined
  }
}

/**
 * Creates the hook that logs one line per request, with the ids of its trace. The line never has the query, which may
 * hold what someone searched for. All its fields are known, so it needs no redaction.
 */
export function createRequestLog (
  logger: FastifyBaseLogger & Pick<Logger, 'isLevelEnabled'>, idsOf?: (request: FastifyRequest) => object
) {
  // The hook checks the level of `logger`, which can change at run time.
  const lines = logger.child({}, { redact: [], level: 'trace' })

  return function logRequest (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const { id, log, method, url } = request
    // A route with a log level of its own has another logger, and no request lines.
    if (log === logger && logger.isLevelEnabled('info')) {
      const { cacheStatus: cache, elapsedTime, statusCode: status } = reply
      const line = { request_id: id, method, path: pathOf(url), status, ms: Math.round(elapsedTime), cache }
      lines.info(idsOf === undefined ? line : { ...line, ...idsOf(request) }, 'request')
    }
    done()
  }
}

/**
 * Requests use the service's logger, or one logger for each log level of a route. A child logger for each request would
 * cost a good part of an answer, and most requests log nothing with it. Log calls name the request id themselves.
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
