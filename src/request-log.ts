import type { FastifyReply, FastifyRequest } from 'fastify'
import { symbols, type DestinationStream, type Logger } from 'pino'

declare module 'fastify' {
  interface FastifyReply {
    /** How the shelf came to the answer; a head that is sent in one piece cannot be asked for it. */
    cacheStatus: string | undefined
  }
}

const INFO = 30

/**
 * Makes the hook that writes one line a request; never its query, which may hold what somebody searched for. The line is
 * put together here, with the bindings of the logger and for its destination: by way of the logger, which looks into
 * objects of every shape for names to redact, it would cost half as much as all of an answer from the shelf.
 */
export function createRequestLog (logger: Logger) {
  const { destination, bindings } = insideOf(logger)
  const { level } = logger
  const isWritten = logger.isLevelEnabled('info')

  return function logRequest (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
    const isQuiet = request.log.level !== level // Of a route with a level of its own.
    if (isWritten && !isQuiet) destination.write(lineOf(request, reply))
    done()
  }

  function lineOf ({ id, method, url }: FastifyRequest, { cacheStatus, elapsedTime, statusCode }: FastifyReply): string {
    // Of these the path alone may hold what JSON has to escape.
    const request = `"request_id":"${id}","method":"${method}","path":${JSON.stringify(pathOf(url))}`
    const cache = cacheStatus === undefined ? '' : `,"cache":"${cacheStatus}"`
    return `{"level":${INFO},"time":${Date.now()}${bindings},${request},"status":${statusCode},"ms":${Math.round(elapsedTime)}${cache},"msg":"request"}\n`
  }
}

/** What pino lets those see who integrate it for speed: where its lines go, and what all of them begin with, `,"pid":…`. */
function insideOf (logger: Logger): { readonly destination: DestinationStream, readonly bindings: string } {
  const { [symbols.streamSym]: destination, [symbols.chindingsSym]: bindings } = logger as unknown as {
    [symbols.streamSym]: DestinationStream
    [symbols.chindingsSym]: string
  }
  return { destination, bindings }
}

function pathOf (url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
