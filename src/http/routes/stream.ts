import type { ServerResponse } from 'node:http'
import type {} from '@fastify/websocket' // Adds `wsHandler` to a route's options.
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../../clock.ts'
import type { StreamCursor } from '../../audit/cursor.ts'
import type { Slot } from '../../access/stream-slots.ts'
import type { Hub, StreamRequest } from '../../live/fanout/hub.ts'
import type { Transport } from '../../live/transport/transport.ts'
import { SSE_HEADERS, createSseTransport } from '../../live/transport/sse.ts'
import { createWebSocketTransport, negotiateDeflate } from '../../live/transport/websocket.ts'
import { sendFaults, sendProblem } from '../problem-reply.ts'
import { admitsEventStream } from '../accept-event-stream.ts'
import { problemAnswers } from '../response-schemas.ts'
import { checkNumbers } from '../parameters.ts'
import { StreamHeaders, StreamQuery, readStreamRequest } from '../stream-parameters.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The stream that is about to begin, with its slot. */
    admittedStream: AdmittedStream | undefined
  }
}

export interface StreamRoutesOptions {
  /** The live feed of the caller's tenant. */
  readonly targetOf: (request: FastifyRequest) => StreamTarget
  /** Takes a slot for one more stream of this caller. */
  readonly takeSlot: (request: FastifyRequest) => StreamSlot | 'none' | 'none-of-its-own'
  /** The limits and the expiry of the caller's streams. */
  readonly termsOf: (request: FastifyRequest) => Pick<StreamRequest, 'requester' | 'expiresAtMs'>
  /** Adds the headers of every answer. */
  readonly introduce: (request: FastifyRequest, reply: FastifyReply) => void
  /** Called when a stream has begun. */
  readonly onBegan: (request: FastifyRequest, status: number) => void
  readonly backlogBytes: number
  readonly clock: Clock
  /** Whether a client that offers `permessage-deflate` gets it. */
  readonly isDeflateAgreed: boolean
}

type StreamSlot = Slot<ReturnType<Hub['subscribe']>>

export interface StreamTarget {
  readonly hub: Hub
  isForged (cursor: StreamCursor): boolean
  /** Kubiya's clock, milliseconds since 1970: the base of relative times. */
  clock (): number
}

/** A valid stream request that has its slot, until the stream begins. */
interface AdmittedStream {
  readonly stream: StreamRequest
  readonly hub: Hub
  readonly slot: StreamSlot
  /** Releases the slot when the connection is lost before the stream begins. */
  readonly giveUp: () => void
  readonly response: ServerResponse
}

const FULL_RETRY_SECONDS = 10
const SWITCHING_PROTOCOLS = 101
const OK = 200
const SSE_TYPE = 'text/event-stream'

/**
 * Live events over a WebSocket or Server-Sent Events. Every fault is answered as a problem before either begins.
 */
export const streamRoutes: FastifyPluginAsyncTypebox<StreamRoutesOptions> = async (
  app,
  { backlogBytes, clock, introduce, isDeflateAgreed, onBegan, targetOf, takeSlot, termsOf }
) => {
  app.decorateRequest('admittedStream', undefined)

  app.route({
    method: 'GET',
    url: '/stream',
    exposeHeadRoute: false,
    schema: {
      operationId: 'streamEvents',
      summary: 'Follow audit events live',
      description:
        'A WebSocket (subprotocol `kubiya-audit.v1`, or none) of JSON text messages, or Server-Sent Events with ' +
          'the same JSON as `data`: `hello`, then `event`, `gap`, `status`, `heartbeat`, and `end` as the last. ' +
          'Clients send control frames only.',
      tags: ['events'],
      querystring: StreamQuery,
      headers: StreamHeaders,
      response: {
        101: { description: 'Switching to the WebSocket protocol.', type: 'null' },
        200: {
          description: "Server-Sent Events: `event` is the frame's type, `id` its cursor, `data` the frame.",
          content: { [SSE_TYPE]: { schema: { type: 'string' } } }
        },
        ...problemAnswers
      }
    },
    preValidation: checkNumbers,
    preHandler: async (request, reply) => {
      const { clock: upstreamClock, hub, isForged } = targetOf(request)
      const read = readStreamRequest(request.query, request.headers['last-event-id'], upstreamClock(), isForged)
      if (!read.ok) return sendFaults(reply, read.code, read.errors)
      // After a disconnect, no `close` event would release the slot.
      if (request.raw.socket.destroyed || reply.raw.destroyed) return reply.hijack()
      const slot = hub.isClosed() ? 'none' : takeSlot(request)
      if (slot === 'none-of-its-own') {
        return sendProblem(reply, 'rate-limited', 'This caller has the maximum number of live streams.', {
          retry_after: FULL_RETRY_SECONDS
        })
      }
      if (slot === 'none') {
        return sendProblem(reply, 'overloaded', 'This service has the maximum number of live streams.', {
          retry_after: FULL_RETRY_SECONDS
        })
      }
      // This check comes last: a page that asks why its WebSocket was refused does not accept a stream.
      if (!request.ws && !admitsEventStream(request.headers.accept)) {
        slot.release()
        return sendProblem(reply, 'not-acceptable', `Send \`Accept: ${SSE_TYPE}\`, or upgrade to a WebSocket.`)
      }
      const giveUp = () => slot.release()
      request.raw.socket.once('close', giveUp)
      request.admittedStream = {
        stream: { ...read.stream, ...termsOf(request) },
        hub,
        slot,
        giveUp,
        response: reply.raw
      }
    },
    handler: async (request, reply) => {
      introduce(request, reply)
      reply.headers(SSE_HEADERS).hijack()
      for (const [name, value] of Object.entries(reply.getHeaders())) {
        if (value !== undefined) reply.raw.setHeader(name, value) // Headers of the hooks too.
      }
      request.raw.resume() // An unread body would hide the client's disconnect.
      begin(request, (onGone) => createSseTransport({ response: reply.raw, backlogBytes, clock, onGone }))
      return reply
    },
    wsHandler: (socket, request) => {
      const connection = request.raw.socket
      // These listeners would keep request, reply and response in memory for the life of the stream.
      socket.removeAllListeners('error')
      request.admittedStream?.response.detachSocket(connection)
      const deflate = isDeflateAgreed ? negotiateDeflate(request.headers['sec-websocket-extensions']) : 'none'
      begin(request, (onGone) => createWebSocketTransport({ socket, connection, backlogBytes, deflate, clock, onGone }))
    }
  })

  function begin (request: FastifyRequest, openTransport: (onGone: (code?: number) => void) => Transport): void {
    if (request.admittedStream === undefined) throw new Error('stream began without a slot')
    const { giveUp, hub, slot, stream } = request.admittedStream
    request.admittedStream = undefined // The request may live on; it must not keep the stream's parts.
    request.raw.socket.removeListener('close', giveUp)
    request.log.info({ request_id: request.id, subscribers: hub.size() + 1 }, 'stream began')
    const watch = createWatch(request.id, hub, slot)
    watch.subscription = hub.subscribe(stream, openTransport(watch.gone))
    slot.occupy(watch.subscription)
    onBegan(request, request.ws ? SWITCHING_PROTOCOLS : OK)
  }

  /** Reports the end of a stream. It keeps the request's id only, because the stream outlives the request. */
  function createWatch (requestId: string, hub: Hub, slot: StreamSlot) {
    const startedMs = clock.monotonicMs()
    const watch = { subscription: undefined as ReturnType<Hub['subscribe']> | undefined, gone }
    let isOver = false
    return watch

    function gone (code?: number): void {
      if (isOver) return
      isOver = true
      watch.subscription?.disconnected(code)
      slot.release()
      app.log.info({
        request_id: requestId,
        code,
        ms: Math.round(clock.monotonicMs() - startedMs),
        subscribers: hub.size()
      }, 'stream ended')
    }
  }
}
