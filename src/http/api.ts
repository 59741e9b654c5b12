import cors from '@fastify/cors'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Encode } from '../archive/content-encoding.ts'
import type { Clock } from '../clock.ts'
import type { ResponseMemory } from '../archive/response-memory.ts'
import { shedLoad } from './load-shedding.ts'
import { createRequester } from './requester.ts'
import type { ResponseHeaders } from './response-headers.ts'
import type { AccessControl } from '../tenants/access-control.ts'
import { authenticate, callerOf, decorate, tenantOf } from './authenticate.ts'
import { eventRoutes } from './routes/events.ts'
import { streamRoutes } from './routes/stream.ts'
import { ticketRoutes } from './routes/tickets.ts'
import type { Settings } from '../settings.ts'

export interface ApiOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly accessControl: AccessControl
  readonly responseHeaders: ResponseHeaders
  readonly encode: Encode
  readonly memory: ResponseMemory
  /** The path under which a proxy offers the service to this request. */
  readonly prefixOf: (request: FastifyRequest) => string
  /** Called for each stream that begins, with its status. */
  readonly onStreamBegan: (request: FastifyRequest, status: number) => void
}

const PREFLIGHT_SECONDS = 600
// Headers that this service reads, and headers that clients and tracing agents add by themselves. None of these grants
// anything.
const ACCEPTED = [
  'authorization',
  'cache-control',
  'content-type',
  'if-none-match',
  'last-event-id',
  'pragma',
  'x-request-id',
  'x-requested-with',
  'baggage',
  'traceparent',
  'tracestate',
  'sentry-trace',
  'x-datadog-origin',
  'x-datadog-parent-id',
  'x-datadog-sampling-priority',
  'x-datadog-trace-id'
]
const READABLE = [
  'age',
  'cache-status',
  'etag',
  'link',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'retry-after',
  'x-live-cursor',
  'x-request-id'
]

/** The routes that need a caller. The cheapest checks come first: load, origin, credential, limits. */
export const api: FastifyPluginAsync<ApiOptions> = async (
  app,
  { accessControl, clock, encode, memory, onStreamBegan, prefixOf, responseHeaders, settings }
) => {
  const { authenticator, hosts, limits, origins, tenants, slots, tickets } = accessControl
  if (settings.MAX_LOOP_DELAY_MS > 0) shedLoad(app, settings.MAX_LOOP_DELAY_MS, clock)
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
  const authentication = {
    authenticator,
    hosts,
    limits,
    origins,
    tickets,
    tenantOf: tenants.acquire,
    challenge: accessControl.challenge
  }

  await app.register(async (past) => {
    await past.register(authenticate, { ...authentication, isLive: false })
    await past.register(eventRoutes, {
      archiveOf: (request) => tenantOf(request).archive,
      clockOf: (request) => tenantOf(request).clock(),
      encode,
      responseHeaders,
      memory,
      prefixOf,
      isPassthrough: settings.AUTH_MODE === 'passthrough',
      requesterOf: (request) => createRequester(callerOf(request).key, limits, request.raw.socket)
    })
  })

  await app.register(async (present) => {
    await present.register(authenticate, { ...authentication, isLive: true })
    await present.register(streamRoutes, {
      targetOf: tenantOf,
      takeSlot: (request) => slots.take(callerOf(request).key),
      termsOf (request) {
        const { expiresAtMs, key } = callerOf(request)
        return { expiresAtMs, requester: createRequester(key, limits) }
      },
      introduce: responseHeaders.apply,
      onBegan: onStreamBegan,
      backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES,
      clock,
      isDeflateAgreed: settings.STREAM_COMPRESSION
    })
    await present.register(ticketRoutes, { tickets })
  })
}
