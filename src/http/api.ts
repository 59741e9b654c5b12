import cors from '@fastify/cors'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import { trustedPeerIn } from '../access/client-address.ts'
import type { Origins } from '../access/origins.ts'
import type { Encode } from '../archive/content-encoding.ts'
import type { Clock } from '../clock.ts'
import type { ResponseMemory } from '../archive/response-memory.ts'
import type { Instruments } from '../instruments.ts'
import type { AccessControl } from '../tenants/access-control.ts'
import {
  authenticate,
  callerOf,
  createRequester,
  decorate,
  presentedCredential,
  tenantOf,
  type AuthenticateOptions
} from './authenticate.ts'
import { createLinkPrefix } from './link-prefix.ts'
import { shedLoad } from './request-checks.ts'
import type { ResponseHeaders } from './response-headers.ts'
import { countRoutes } from './routes/counts.ts'
import { exportRoutes } from './routes/export.ts'
import { eventRoutes } from './routes/events.ts'
import { kubiyaItemRoutes } from './routes/kubiya-items.ts'
import { sessionRoutes } from './routes/sessions.ts'
import { streamRoutes } from './routes/stream.ts'
import { ticketRoutes } from './routes/tickets.ts'
import type { ExportSenderOptions } from './send-export.ts'
import { createResultSender } from './send-result.ts'
import type { Settings } from '../settings.ts'

export interface ApiOptions {
  readonly settings: Settings
  readonly clock: Clock
  readonly accessControl: AccessControl
  readonly responseHeaders: ResponseHeaders
  readonly encode: Encode
  readonly memory: ResponseMemory
  readonly instruments: Instruments
  /** How long a caller may leave an export unread, and how often that is checked. */
  readonly patience?: Pick<ExportSenderOptions, 'checkMs' | 'stallMs'> | undefined
  /** Called for each stream that begins, with its status. */
  readonly onStreamBegan: (request: FastifyRequest, status: number) => void
}

const [AUDIT, AUDITING] = ['/audit', '/auditing']
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
  'content-disposition',
  'etag',
  'link',
  'ratelimit-limit',
  'ratelimit-remaining',
  'ratelimit-reset',
  'retry-after',
  'x-live-cursor',
  'x-request-id',
  'x-scan-complete'
]

/** The routes that need a caller. The cheapest checks come first: load, origin, credential, limits. */
export const api: FastifyPluginAsync<ApiOptions> = async (app, options) => {
  const { accessControl, clock, encode, memory, onStreamBegan, responseHeaders, settings } = options
  const { authenticator, hosts, limits, origins, tenants, slots, tickets } = accessControl
  if (settings.MAX_LOOP_DELAY_MS > 0) shedLoad(app, settings.MAX_LOOP_DELAY_MS, clock)
  if (origins.list.length > 0) await shareWith(origins, app)
  decorate(app)
  const authentication = {
    authenticator,
    hosts,
    limits,
    origins,
    tickets,
    tenantOf: tenants.acquire,
    credentialOf: presentedCredential,
    challenge: accessControl.challenge
  }
  const past = {
    limits,
    send: createResultSender({ encode, isPassthrough: settings.AUTH_MODE === 'passthrough', memory, responseHeaders })
  }

  await app.register(async (lists) => {
    await lists.register(authenticate, { ...authentication, isLive: false })
    const isProxy = trustedPeerIn(settings.TRUST_PROXY)
    const prefixOf = createLinkPrefix({ basePath: settings.BASE_PATH, isProxy })
    await lists.register(eventRoutes, { ...past, prefixOf })
    await lists.register(sessionRoutes, { ...past, prefixOf })
    await lists.register(countRoutes, { ...past, prefixOf })
  }, { prefix: AUDIT })

  await registerExports(app, options, authentication)

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
  }, { prefix: AUDIT })

  if (!settings.COMPATIBLE_API) return
  await app.register(async (items) => {
    const kubiyaCredentialOf = createKubiyaCredentialReader(settings.AUTH_MODE)
    await items.register(authenticate, { ...authentication, credentialOf: kubiyaCredentialOf, isLive: false })
    await items.register(kubiyaItemRoutes, past)
  }, { prefix: AUDITING })
}

async function registerExports (
  app: FastifyInstance,
  { accessControl, clock, instruments, patience, responseHeaders, settings }: ApiOptions,
  authentication: Omit<AuthenticateOptions, 'isLive'>
): Promise<void> {
  const { exportSlots, exportTickets, limits } = accessControl
  await app.register(async (exports) => {
    await exports.register(authenticate, { ...authentication, exportTickets, isLive: false })
    await exports.register(exportRoutes, {
      ...patience,
      exportLimit: settings.EXPORT_LIMIT,
      slots: exportSlots,
      tickets: exportTickets,
      limits,
      responseHeaders,
      instruments,
      isPassthrough: settings.AUTH_MODE === 'passthrough',
      clock
    })
  }, { prefix: AUDIT })
}

/** Lets pages of other origins read the answers (CORS). */
async function shareWith (origins: Origins, app: FastifyInstance): Promise<void> {
  await app.register(cors, {
    origin: [...origins.list],
    methods: ['GET', 'HEAD', 'POST'],
    allowedHeaders: ACCEPTED,
    exposedHeaders: READABLE,
    maxAge: PREFLIGHT_SECONDS,
    strictPreflight: false
  })
}

/**
 * Kubiya's programs always send `UserKey`, whatever this service requires. In mode `none` nobody looks at it. In the
 * modes `token` and `jwt` it means the same as `Bearer`.
 */
function createKubiyaCredentialReader (mode: Settings['AUTH_MODE']): AuthenticateOptions['credentialOf'] {
  switch (mode) {
    case 'none': return () => 'none'
    case 'passthrough': return presentedCredential
    default: return (request) => asBearer(presentedCredential(request))
  }
}

function asBearer (credential: ReturnType<typeof presentedCredential>): ReturnType<typeof presentedCredential> {
  return typeof credential === 'object' ? { ...credential, scheme: 'Bearer' } : credential
}
