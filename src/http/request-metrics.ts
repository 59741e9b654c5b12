import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Instruments } from '../instruments.ts'

export interface RequestMetricsOptions {
  readonly instruments: Pick<Instruments, 'requestCompleted'>
  /** The route with streams. The duration of a stream is not that of an answer. */
  readonly streamPath: string
}

/** The label of answers without a route. */
export const NO_ROUTE = 'none'

/**
 * Counts the answers of all routes that are registered afterwards. Each route has a hook that knows its pattern:
 * reading the pattern from a request would cost more than the count.
 */
export function measureRequests (server: FastifyInstance, { instruments, streamPath }: RequestMetricsOptions): void {
  server.addHook('onRoute', (route) => {
    route.onResponse = [counting(route.url), ...[route.onResponse ?? []].flat()]
  })
  const countElsewhere = counting(NO_ROUTE)
  server.addHook('onResponse', (request, reply, done) => {
    if (request.is404) countElsewhere(request, reply, done)
    else done()
  })

  function counting (route: string) {
    const isStream = ({ statusCode }: FastifyReply) => route === streamPath && statusCode < 300

    return (_request: FastifyRequest, reply: FastifyReply, done: () => void) => {
      if (!isStream(reply)) instruments.requestCompleted(route, reply.statusCode, reply.elapsedTime)
      done()
    }
  }
}
