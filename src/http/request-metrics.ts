import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Instruments } from '../instruments.ts'

export interface RequestMetricsOptions {
  readonly instruments: Pick<Instruments, 'requestCompleted'>
  /** Where streams begin. How long one lasts is no answer's duration. */
  readonly streamPath: string
}

/** What no route answers. */
export const NO_ROUTE = 'none'

/**
 * Counts the answers of all routes that are registered afterwards. Each knows its pattern from then on: asking a
 * request for it costs more than to count.
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
