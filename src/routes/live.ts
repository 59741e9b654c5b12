import type { IncomingMessage, ServerResponse } from 'node:http'
import accepts from '@fastify/accepts'
import type {} from '@fastify/websocket' // Adds `wsHandler` to a route's options.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StreamCursor } from '../audit/cursor.ts'
import type { Hub, StreamRequest } from '../live/hub.ts'
import type { Outlet } from '../live/outlet.ts'
import { SSE_HEADERS, createSseOutlet } from '../live/sse.ts'
import { createWebSocketOutlet, deflateFor } from '../live/websocket.ts'
import { sendFaults, sendProblem } from '../problems.ts'
import { problemAnswers } from './answers.ts'
import { StreamHeaders, StreamQuery, readStreamRequest } from './parameters.ts'

export interface LiveRoutesOptions {
  readonly hub: Hub
  /** Adds what every answer bears. */
  readonly introduce: (request: FastifyRequest, reply: FastifyReply) => void
  readonly isMadeUp: (cursor: StreamCursor) => boolean
  readonly backlogBytes: number
  /** Whether a client that offers `permessage-deflate` is granted it. */
  readonly isDeflateAgreed: boolean
  /** Milliseconds since 1970, for relative times. */
  readonly clock: () => number
}

const FULL_RETRY_SECONDS = 10
const SSE_TYPE = 'text/event-stream'

/** The present over a WebSocket or Server-Sent Events. Whatever is wrong is answered as a problem before either begins. */
export const liveRoutes: FastifyPluginAsyncTypebox<LiveRoutesOptions> = async (app, { backlogBytes, clock, hub, introduce, isDeflateAgreed, isMadeUp }) => {
  const asked = new WeakMap<IncomingMessage, { readonly stream: StreamRequest, readonly response: ServerResponse }>()
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
      asked.set(request.raw, { stream: read.stream, response: reply.raw })
    },
    handler: async (request, reply) => {
      if (request.accepts().type([SSE_TYPE]) === false) return sendProblem(reply, 'not-acceptable', `Accept ${SSE_TYPE}, or ask for an upgrade to a WebSocket.`)
      introduce(request, reply)
      reply.headers(SSE_HEADERS).hijack()
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value) // What the hooks have set goes out too.
      }
      begin(request, (onGone) => createSseOutlet(reply.raw, backlogBytes, onGone))
      return reply
    },
    wsHandler: (socket, request) => {
      const connection = request.raw.socket
      // What would keep request, reply and response in memory for as long as the stream lives.
      socket.removeAllListeners('error')
      asked.get(request.raw)?.response.detachSocket(connection)
      const deflate = isDeflateAgreed ? deflateFor(request.headers['sec-websocket-extensions']) : 'none'
      begin(request, (onGone) => createWebSocketOutlet({ socket, connection, backlogBytes, deflate, onGone }))
    }
  })

  function begin (request: FastifyRequest, openOutlet: (onGone: (code?: number) => void) => Outlet): void {
    const stream = asked.get(request.raw)?.stream
    if (stream === undefined) throw new Error('a stream has begun that was not read')
    request.log.info({ request_id: request.id, subscribers: hub.size() + 1 }, 'stream began')
    const watch = createWatch(request.id)
    watch.subscription = hub.subscribe(stream, openOutlet(watch.gone))
  }

  /** Notes the end of a stream. It outlives the request and must not hold it: of all that only the id is kept. */
  function createWatch (requestId: string) {
    const startedMs = performance.now()
    const watch = { subscription: undefined as ReturnType<Hub['subscribe']> | undefined, gone }
    return watch

    function gone (code?: number): void {
      watch.subscription?.drop()
      app.log.info({ request_id: requestId, code, ms: Math.round(performance.now() - startedMs), subscribers: hub.size() }, 'stream ended')
    }
  }
}
