import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyReply {
    /** How the shelf came to the answer, for the log; no header that is set can be asked for once the head is sent. */
    cacheStatus: string | undefined
  }
}

type Write = FastifyBaseLogger['info']

/**
 * Makes the loggers of requests, with the id on each line. Each becomes a real one, with its redaction, when the first line
 * is written: that costs more than an answer from the shelf, and most requests write none.
 */
export function createRequestLoggers (level: string): (logger: FastifyBaseLogger, bindings: Record<string, unknown>, options?: { level?: string }) => FastifyBaseLogger {
  return (logger, bindings, options = {}) => {
    let made: FastifyBaseLogger | undefined
    const own = () => (made ??= logger.child(bindings, options))
    const writer = (name: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'): Write => (...args: unknown[]) => (own()[name] as (...args: unknown[]) => void)(...args)
    return {
      level: options.level ?? level,
      fatal: writer('fatal'),
      error: writer('error'),
      warn: writer('warn'),
      info: writer('info'),
      debug: writer('debug'),
      trace: writer('trace'),
      silent: () => {},
      child: (...args: Parameters<FastifyBaseLogger['child']>) => own().child(...args)
    }
  }
}

/**
 * Makes the hook that writes one line a request; never its query, which may hold what somebody searched for. Nothing in it
 * is named by what is redacted, so it does without, which is most of what a line costs.
 */
export function createRequestLog (logger: FastifyBaseLogger) {
  const lines = logger.child({}, { redact: [] })
  const { level } = logger

  return function logRequest (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const { id, method, url } = request
    const isQuiet = request.log.level !== level // Of a route that has a level of its own.
    if (!isQuiet) lines.info({ request_id: id, method, path: pathOf(url), status: reply.statusCode, ms: Math.round(reply.elapsedTime), cache: reply.cacheStatus }, 'request')
    done()
  }
}

function pathOf (url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
