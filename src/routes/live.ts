import type { IncomingMessage } from 'node:http'
import type {} from '@fastify/websocket' // Adds `wsHandler` to a route's options.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { Cursor } from '../audit/cursor.ts'
import type { Hub, StreamRequest } from '../live/hub.ts'
import { createWebSocketOutlet } from '../live/websocket.ts'
import { sendFaults, sendProblem } from '../problems.ts'
import { problemAnswers } from './answers.ts'
import { StreamQuery, readStreamRequest } from './parameters.ts'

export interface LiveRoutesOptions {
  readonly hub: Hub
  readonly isMadeUp: (cursor: Cursor) => boolean
  readonly backlogBytes: number
  /** Milliseconds since 1970, for relative times. */
  readonly clock: () => number
}

const FULL_RETRY_SECONDS = 10

/** The present over a WebSocket. Whatever is wrong is answered as a problem before the upgrade. */
export const liveRoutes: FastifyPluginAsyncTypebox<LiveRoutesOptions> = async (app, { backlogBytes, clock, hub, isMadeUp }) => {
  const asked = new WeakMap<IncomingMessage, StreamRequest>()

  app.route({
    method: 'GET',
    url: '/stream',
    exposeHeadRoute: false,
    schema: {
      operationId: 'streamEvents',
      summary: 'Follow audit events live',
      description: 'A WebSocket (subprotocol `kubiya-audit.v1`, or none) of JSON text messages: `hello`, then `event`, `gap`, `status`, `heartbeat`, and `end` as the last. Clients send control frames only.',
      tags: ['events'],
      querystring: StreamQuery,
      response: { 101: { description: 'Switching to the WebSocket protocol.', type: 'null' }, ...problemAnswers }
    },
    preHandler: async (request, reply) => {
      const read = readStreamRequest(request.query, clock(), isMadeUp)
      if (!read.ok) return sendFaults(reply, read.code, read.errors)
      if (hub.isFull()) return sendProblem(reply, 'overloaded', 'There are as many live streams as this service takes.', { retry_after: FULL_RETRY_SECONDS })
      asked.set(request.raw, read.stream)
    },
    handler: async (_request, reply) => sendProblem(reply, 'not-acceptable', 'Ask for an upgrade to a WebSocket; Server-Sent Events are not offered yet.'),
    wsHandler: (socket, request) => {
      const startedMs = performance.now()
      let drop = () => {}
      const outlet = createWebSocketOutlet(socket, backlogBytes, (code) => {
        request.log.info({ code, ms: Math.round(performance.now() - startedMs), subscribers: hub.size() }, 'stream ended')
        drop()
      })
      const stream = asked.get(request.raw)
      if (stream === undefined) throw new Error('a stream was upgraded that was not read')
      request.log.info({ subscribers: hub.size() + 1 }, 'stream began')
      drop = hub.subscribe(stream, outlet)
    }
  })
}
