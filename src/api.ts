import cors from '@fastify/cors'
import underPressure from '@fastify/under-pressure'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { AnswerMemory } from './archive/answer-memory.ts'
import { createAsker } from './asker.ts'
import type { Bearing } from './bearing.ts'
import type { Entrance } from './entrance.ts'
import { sendProblem } from './problems.ts'
import { admission, callerOf, decorate, scopeOf } from './routes/admission.ts'
import { archiveRoutes } from './routes/archive.ts'
import { liveRoutes } from './routes/live.ts'
import { ticketRoutes } from './routes/tickets.ts'
import type { Settings } from './settings.ts'

export interface ApiOptions {
  readonly settings: Settings
  readonly entrance: Entrance
  readonly bearing: Bearing
  readonly memory: AnswerMemory
  /** Under which path a proxy offers the service to a request. */
  readonly prefixOf: (request: FastifyRequest) => string
  /** Told of each stream that begins, with its status. */
  readonly onStreamBegan: (request: FastifyRequest, status: number) => void
}

const SHED_RETRY_SECONDS = 5
const PREFLIGHT_SECONDS = 600
// Besides what this service reads: what clients add by themselves, and tracing agents to follow a request. None of it grants anything.
const ACCEPTED = [
  'authorization', 'cache-control', 'content-type', 'if-none-match', 'last-event-id', 'pragma', 'x-request-id', 'x-requested-with',
  'baggage', 'traceparent', 'tracestate', 'sentry-trace',
  'x-datadog-origin', 'x-datadog-parent-id', 'x-datadog-sampling-priority', 'x-datadog-trace-id'
]
const READABLE = ['age', 'cache-status', 'etag', 'link', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after', 'x-live-cursor', 'x-request-id']

/** All that wants a caller. First what costs least to say: too busy, not for this page, not for this caller. */
export const api: FastifyPluginAsync<ApiOptions> = async (app, { bearing, entrance, memory, onStreamBegan, prefixOf, settings }) => {
  const { gate, hosts, limits, origins, scopes, seats, tickets } = entrance
  if (settings.MAX_LOOP_DELAY_MS > 0) {
    await app.register(underPressure, {
      maxEventLoopDelay: settings.MAX_LOOP_DELAY_MS,
      pressureHandler: async (_request, reply) => {
        // One long turn, as a start has them on a slow machine, is the mean of its second: whether it still lags counts.
        if (await turnMs() < settings.MAX_LOOP_DELAY_MS / 2) return
        sendProblem(reply, 'overloaded', 'This service cannot keep up.', { retry_after: SHED_RETRY_SECONDS })
        await new Promise<void>(() => {}) // It is answered: nothing follows.
      }
    })
  }
  if (origins.list.length > 0) {
    await app.register(cors, {
      origin: [...origins.list],
      methods: ['GET', 'HEAD', 'POST'],
      allowedHeaders: ACCEPTED,
      exposedHeaders: READABLE,
      maxAge: PREFLIGHT_SECONDS,
      strictPreflight: false
    })
  }
  decorate(app)
  const door = { gate, hosts, limits, origins, tickets, scopeOf: scopes.enter, challenge: entrance.challenge }

  await app.register(async (past) => {
    await past.register(admission, { ...door, isLive: false })
    await past.register(archiveRoutes, {
      archiveOf: (request) => scopeOf(request).archive,
      clockOf: (request) => scopeOf(request).clock(),
      bearing,
      memory,
      prefixOf,
      isPassthrough: settings.AUTH_MODE === 'passthrough',
      takeBytes: (request, bytes) => limits.takeBytes(callerOf(request).key, bytes),
      askerOf: (request) => createAsker(callerOf(request).key, limits, request.raw.socket)
    })
  })

  await app.register(async (present) => {
    await present.register(admission, { ...door, isLive: true })
    await present.register(liveRoutes, {
      presentOf: scopeOf,
      takeSeat: (request) => seats.take(callerOf(request).key),
      termsOf (request) {
        const { expiresAtMs, key } = callerOf(request)
        return { expiresAtMs, asker: createAsker(key, limits) }
      },
      introduce: bearing.introduce,
      onBegan: onStreamBegan,
      backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES,
      isDeflateAgreed: settings.STREAM_COMPRESSION
    })
    await present.register(ticketRoutes, { tickets })
  })
}

/** How long the event loop takes to come round. */
async function turnMs (): Promise<number> {
  const startedMs = performance.now()
  await new Promise((resolve) => { setTimeout(resolve) })
  return performance.now() - startedMs
}
