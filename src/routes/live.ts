import type { IncomingMessage, ServerResponse } from 'node:http'
import type {} from '@fastify/websocket' // Adds `wsHandler` to a route's options.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StreamCursor } from '../audit/cursor.ts'
import type { Seat } from '../access/seats.ts'
import type { Hub, StreamRequest } from '../live/hub.ts'
import type { Outlet } from '../live/outlet.ts'
import { SSE_HEADERS, createSseOutlet } from '../live/sse.ts'
import { createWebSocketOutlet, deflateFor } from '../live/websocket.ts'
import { sendFaults, sendProblem } from '../problems.ts'
import { admitsEventStream } from './accept.ts'
import { problemAnswers } from './answers.ts'
import { checkNumbers } from './numbers.ts'
import { StreamHeaders, StreamQuery, readStreamRequest } from './parameters.ts'

export interface LiveRoutesOptions {
  /** The present as the caller may see it. */
  readonly presentOf: (request: FastifyRequest) => Present
  /** A place for one more stream of this caller. */
  readonly takeSeat: (request: FastifyRequest) => StreamSeat | 'none' | 'none-of-its-own'
  /** What else holds for the caller's streams. */
  readonly termsOf: (request: FastifyRequest) => Pick<StreamRequest, 'asker' | 'expiresAtMs'>
  /** Adds what every answer bears. */
  readonly introduce: (request: FastifyRequest, reply: FastifyReply) => void
  /** Told when a stream has begun. */
  readonly onBegan: (request: FastifyRequest, status: number) => void
  readonly backlogBytes: number
  /** Whether a client that offers `permessage-deflate` is granted it. */
  readonly isDeflateAgreed: boolean
}

type StreamSeat = Seat<ReturnType<Hub['subscribe']>>

export interface Present {
  readonly hub: Hub
  isMadeUp (cursor: StreamCursor): boolean
  /** Milliseconds since 1970, for relative times. */
  clock (): number
}

/** A stream that was read and has its place, until it begins. */
interface Asked {
  readonly stream: StreamRequest
  readonly hub: Hub
  readonly seat: StreamSeat
  /** Gives the place back when the connection is lost before the stream has begun. */
  readonly giveUp: () => void
  readonly response: ServerResponse
}

const FULL_RETRY_SECONDS = 10
const SWITCHING_PROTOCOLS = 101
const OK = 200
const SSE_TYPE = 'text/event-stream'

/** The present over a WebSocket or Server-Sent Events. Whatever is wrong is answered as a problem before either begins. */
export const liveRoutes: FastifyPluginAsyncTypebox<LiveRoutesOptions> = async (app, { backlogBytes, introduce, isDeflateAgreed, onBegan, presentOf, takeSeat, termsOf }) => {
  const asked = new WeakMap<IncomingMessage, Asked>()

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
    preValidation: checkNumbers,
    preHandler: async (request, reply) => {
      const { clock, hub, isMadeUp } = presentOf(request)
      const read = readStreamRequest(request.query, request.headers['last-event-id'], clock(), isMadeUp)
      if (!read.ok) return sendFaults(reply, read.code, read.errors)
      if (request.raw.socket.destroyed || reply.raw.destroyed) return reply.hijack() // No `close` would give its place back.
      const seat = hub.isClosed() ? 'none' : takeSeat(request)
      if (seat === 'none-of-its-own') return sendProblem(reply, 'rate-limited', 'There are as many live streams as one caller may have.', { retry_after: FULL_RETRY_SECONDS })
      if (seat === 'none') return sendProblem(reply, 'overloaded', 'There are as many live streams as this service takes.', { retry_after: FULL_RETRY_SECONDS })
      if (!request.ws && !admitsEventStream(request.headers.accept)) { // Last: whoever asks why a WebSocket was refused asks for no stream.
        seat.release()
        return sendProblem(reply, 'not-acceptable', `Accept ${SSE_TYPE}, or ask for an upgrade to a WebSocket.`)
      }
      const giveUp = () => seat.release()
      request.raw.socket.once('close', giveUp)
      asked.set(request.raw, { stream: { ...read.stream, ...termsOf(request) }, hub, seat, giveUp, response: reply.raw })
    },
    handler: async (request, reply) => {
      introduce(request, reply)
      reply.headers(SSE_HEADERS).hijack()
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value) // What the hooks have set goes out too.
      }
      request.raw.resume() // A body that nobody reads would hide that the listener has gone.
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
    const given = asked.get(request.raw)
    if (given === undefined) throw new Error('a stream has begun that was not read')
    const { giveUp, hub, seat, stream } = given
    request.raw.socket.removeListener('close', giveUp)
    request.log.info({ request_id: request.id, subscribers: hub.size() + 1 }, 'stream began')
    const watch = createWatch(request.id, hub, seat)
    watch.subscription = hub.subscribe(stream, openOutlet(watch.gone))
    seat.occupy(watch.subscription)
    onBegan(request, request.ws ? SWITCHING_PROTOCOLS : OK)
  }

  /** Notes the end of a stream. It outlives the request and must not hold it: of all that only the id is kept. */
  function createWatch (requestId: string, hub: Hub, seat: StreamSeat) {
    const startedMs = performance.now()
    const watch = { subscription: undefined as ReturnType<Hub['subscribe']> | undefined, gone }
    let isOver = false
    return watch

    function gone (code?: number): void {
      if (isOver) return
      isOver = true
      watch.subscription?.drop(code)
      seat.release()
      app.log.info({ request_id: requestId, code, ms: Math.round(performance.now() - startedMs), subscribers: hub.size() }, 'stream ended')
    }
  }
}
