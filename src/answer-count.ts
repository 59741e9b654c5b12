import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Meters } from './meters.ts'

export interface AnswerCountOptions {
  readonly meters: Pick<Meters, 'answered'>
  /** Where streams begin. How long one lasts is no answer's duration. */
  readonly streamPath: string
}

/** What no route answers. */
export const NO_ROUTE = 'none'

/** Counts the answers of all routes that are registered afterwards. Each knows its pattern from then on: asking a request for it costs more than to count. */
export function countAnswers (server: FastifyInstance, { meters, streamPath }: AnswerCountOptions): void {
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
      if (!isStream(reply)) meters.answered(route, reply.statusCode, reply.elapsedTime)
      done()
    }
  }
}
