import type { IncomingMessage } from 'node:http'
import accepts from '@fastify/accepts'
import type {} from '@fastify/websocket' // Adds `wsHandler` to a route's options.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StreamCursor } from '../audit/cursor.ts'
import type { Hub, StreamRequest } from '../live/hub.ts'
import { SSE_HEADERS, createSseOutlet } from '../live/sse.ts'
import { createWebSocketOutlet } from '../live/websocket.ts'
import { sendFaults, sendProblem } from '../problems.ts'
import { problemAnswers } from './answers.ts'
import { StreamHeaders, StreamQuery, readStreamRequest } from './parameters.ts'

export interface LiveRoutesOptions {
  readonly hub: Hub
  /** Adds what every answer bears. */
  readonly introduce: (request: FastifyRequest, reply: FastifyReply) => void
  readonly isMadeUp: (cursor: StreamCursor) => boolean
  readonly backlogBytes: number
  /** Milliseconds since 1970, for relative times. */
  readonly clock: () => number
}

const FULL_RETRY_SECONDS = 10
const SSE_TYPE = 'text/event-stream'

/** The present over a WebSocket or Server-Sent Events. Whatever is wrong is answered as a problem before either begins. */
export const liveRoutes: FastifyPluginAsyncTypebox<LiveRoutesOptions> = async (app, { backlogBytes, clock, hub, introduce, isMadeUp }) => {
  const asked = new WeakMap<IncomingMessage, StreamRequest>()
  await app.register(accepts)

  app.route({
    method: 'GET',
    url: '/stream',
    exposeHeadRoute: false,
    schema: {
      operationId: 'streamEvents',
      summary: 'Follow audit events live',
      description: 'A WebSocket (subprotocol `kubiya-audit.v1`, or none) of JSON text messages, or Server-Sent Events with the same JSON as `data`: `hello`, then `event`, `gap`, `status`, `heartbeat`, and `end` as the last. Clients send control frames only.',
      tags: ['events'],
      querystring: StreamQuery,
      headers: StreamHeaders,
      response: {
        101: { description: 'Switching to the WebSocket protocol.', type: 'null' },
        200: { description: 'Server-Sent Events: `event` is the frame\'s type, `id` its cursor, `data` the frame.', content: { [SSE_TYPE]: { schema: { type: 'string' } } } },
        ...problemAnswers
      }
    },
    preHandler: async (request, reply) => {
      const read = readStreamRequest(request.query, request.headers['last-event-id'], clock(), isMadeUp)
      if (!read.ok) return sendFaults(reply, read.code, read.errors)
      if (hub.isFull()) return sendProblem(reply, 'overloaded', 'There are as many live streams as this service takes.', { retry_after: FULL_RETRY_SECONDS })
      asked.set(request.raw, read.stream)
    },
    handler: async (request, reply) => {
      if (request.accepts().type([SSE_TYPE]) === false) return sendProblem(reply, 'not-acceptable', `Accept ${SSE_TYPE}, or ask for an upgrade to a WebSocket.`)
      introduce(request, reply)
      reply.headers(SSE_HEADERS).hijack()
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value) // What the hooks have set goes out too.
      }
      const stream = watch(request)
      stream.begin(createSseOutlet(reply.raw, backlogBytes, () => stream.gone()))
      return reply
    },
    wsHandler: (socket, request) => {
      const stream = watch(request)
      stream.begin(createWebSocketOutlet(socket, request.raw.socket, backlogBytes, (code) => stream.gone(code)))
    }
  })

  /** A stream from its beginning to its end, with a line in the log for each. */
  function watch (request: FastifyRequest) {
    const startedMs = performance.now()
    let drop = () => {}
    return {
      begin (outlet: Parameters<Hub['subscribe']>[1]): void {
        const stream = asked.get(request.raw)
        if (stream === undefined) throw new Error('a stream has begun that was not read')
        request.log.info({ subscribers: hub.size() + 1 }, 'stream began')
        drop = hub.subscribe(stream, outlet)
      },
      gone (code?: number): void {
        drop()
        request.log.info({ code, ms: Math.round(performance.now() - startedMs), subscribers: hub.size() }, 'stream ended')
      }
    }
  }
}
