import type { Duplex } from 'node:stream'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { NO_ROUTE, measureRequests } from './http/request-metrics.ts'
import { trustIn, trustedPeerIn } from './access/client-address.ts'
import { api } from './http/api.ts'
import { compress, createEncoder } from './archive/content-encoding.ts'
import { createResponseMemory, type ResponseMemoryOptions } from './archive/response-memory.ts'
import { systemClock } from './clock.ts'
import { answerClientError } from './http/client-error.ts'
import { SECURITY_HEADERS, createResponseHeaders } from './http/response-headers.ts'
import { createConnections, type ConnectionsOptions } from './http/connections.ts'
import { createAccessControl } from './tenants/access-control.ts'
import { createMetrics, type Readings } from './telemetry/prometheus.ts'
import { createMetricsServer } from './http/metrics-server.ts'
import { handleError, sendProblem } from './problems.ts'
import { endIfFramingIsUnsure, hostFault } from './http/request-checks.ts'
import { createRequestIds } from './http/request-ids.ts'
import { createRequestLog, createRequestLoggers } from './http/request-log.ts'
import { docsRoutes, type DocsOptions } from './http/routes/docs.ts'
import { emptyBody } from './http/empty-body.ts'
import { createHostCheck } from './http/host-check.ts'
import { metricsRoutes } from './http/routes/metrics.ts'
import { createPathPrefix } from './http/path-prefix.ts'
import { healthRoutes } from './http/routes/health.ts'
import { startSandbox } from './sandbox/sandbox.ts'
import { schemaCompilers } from './http/lazy-validators.ts'
import { createPools, createTenant, type TenantUsage, type Upstream } from './tenants/tenant.ts'
import { usesSandbox, type Settings } from './settings.ts'
import { silentTracer } from './tracer.ts'
import type { Tracing } from './telemetry/opentelemetry.ts'
import { createHandshakes, closeSockets, upgrades } from './http/websocket-upgrade.ts'

export const version: string = packageJson.version

const SPANS = ['minute', 'day'] as const
const API_PREFIX = '/api/v1/audit'
const STREAM_PATH = `${API_PREFIX}/stream`
const LONGEST_PATH_PARAMETER = 1800 // An id's 200 code units, of up to nine characters each when percent-encoded.
const BODY_LIMIT_BYTES = 1024
const MOST_HEADERS = 100
const LOOK_AT_CONNECTIONS_MS = 1000
const LAST_ANSWERS_MS = 5000
const MB = 1024 * 1024
const ANSWERS = { maxBytes: 128 * MB, maxAnswerBytes: 16 * MB, maxWaitMs: 5000 }

export interface AppOptions {
  /** Sees the routes that are registered after it. */
  readonly docs?: FastifyPluginAsync<DocsOptions>
  /** Where requests, calls and polls are told of as spans; it is not ended here. */
  readonly tracing?: Tracing | undefined
  /** Bounds of the memory of answers, where they are not the usual ones. */
  readonly answers?: Partial<ResponseMemoryOptions>
  /** How long a caller may leave an answer unread, and how often that is looked at; for tests. */
  readonly patience?: Pick<ConnectionsOptions, 'lookMs' | 'stallMs'>
}

export interface App {
  readonly server: FastifyInstance
  /** Listens where the settings say; gives the addresses. */
  listen (): Promise<{ readonly url: string, readonly metricsUrl: string }>
  /** What the service asks: Kubiya, or the embedded stand-in. */
  readonly upstream: { readonly url: string, readonly sandbox: boolean }
}

/**
 * Builds the service from its settings: everything wired, nothing listening. Closing the server ends all of it in
 * order.
 */
export async function buildApp (
  settings: Settings,
  pino: Logger,
  { answers, docs = docsRoutes, patience, tracing }: AppOptions = {}
): Promise<App> {
  const logger: FastifyBaseLogger = pino
  const sandbox = usesSandbox(settings) ? await startSandbox({ history: 'day' }) : undefined
  const upstream: Upstream = sandbox === undefined
    ? { baseUrl: settings.KUBIYA_BASE_URL, authorization: `UserKey ${settings.KUBIYA_API_KEY ?? ''}`, isBudgeted: true }
    : { baseUrl: sandbox.url, authorization: `UserKey ${sandbox.apiKey}`, isBudgeted: false }
  const metrics = createMetrics({ version, sandbox: sandbox !== undefined, read })
  const { instruments } = metrics
  const tracer = tracing ?? silentTracer
  const memory = createResponseMemory({ ...ANSWERS, clock: systemClock, ...answers })
  const pools = createPools(settings)
  const open = (each: Upstream) =>
    createTenant({ settings, pools, upstream: each, logger, memory, instruments, tracer, version })
  const accessControl = await createAccessControl({ settings, upstream, logger, instruments, tracer, version, open })
  const { authenticator, hosts, limits, origins, tenants, tickets } = accessControl
  const marks = sandbox === undefined ? {} : { 'x-kubiya-sandbox': 'true' }
  const everywhere = { ...SECURITY_HEADERS, ...marks }
  const responseHeaders = createResponseHeaders({
    everywhere,
    vary: [
      'accept-encoding',
      ...settings.AUTH_MODE === 'none' ? [] : ['authorization'],
      ...origins.list.length === 0 ? [] : ['origin']
    ].join(', '),
    isCrossOrigin: origins.list.length > 0,
    limits: ({ caller }) => caller === undefined ? [] : limits.headers(caller.key)
  })
  const handshakes = createHandshakes()
  const connections = createConnections({
    ...patience,
    onUpgrade: handshakes.pass,
    onConnect: (socket) => refuse(new Error('CONNECT'), socket)
  })
  // Other modes want a credential, which a page under another name has not.
  const isRefused = settings.AUTH_MODE === 'none' ? createHostCheck(hosts) : () => false
  const prefixOf = createPathPrefix(settings.BASE_PATH, trustedPeerIn(settings.TRUST_PROXY))
  let draining = false

  const server = fastify({
    loggerInstance: logger,
    childLoggerFactory: createRequestLoggers(logger),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    requestIdHeader: false,
    genReqId: createRequestIds(),
    trustProxy: trustIn(settings.TRUST_PROXY),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: settings.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: settings.KEEP_ALIVE_MS,
    http: {
      IncomingMessage: connections.Message,
      headersTimeout: Math.min(settings.HEADERS_TIMEOUT_MS, settings.REQUEST_TIMEOUT_MS),
      connectionsCheckingInterval: LOOK_AT_CONNECTIONS_MS,
      requireHostHeader: false
    },
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH_PARAMETER },
    schemaController: { compilersFactory: schemaCompilers },
    // The schemas are our own: checking them against JSON Schema's own schema would cost the first request 20 ms.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true, validateSchema: false } },
    frameworkErrors: (error, request, reply) => {
      responseHeaders.apply(request, reply) // No hook runs for what the router itself refuses.
      if (!isRefused(request, reply)) handleError(error, request, reply)
      instruments.requestCompleted(NO_ROUTE, reply.statusCode, reply.elapsedTime)
    },
    clientErrorHandler: refuse
  })
  connections.follow(server.server)
  server.server.maxHeadersCount = MOST_HEADERS + 1 // One more than may be, to see that there are more.

  tracing?.instrument(server)
  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'No such route.'))
  // Callbacks, since every request comes through these: with a promise for each they cost more than an answer from the
  // cache.
  server.decorateReply('cacheStatus', undefined)
  server.addHook('onRequest', (request, reply, done) => {
    const { rawHeaders } = request.raw
    const fault = hostFault(request.raw) // RFC 9112 §3.2; Node would say so with no word.
    endIfFramingIsUnsure(request.raw, reply.raw)
    if (rawHeaders.length > 2 * MOST_HEADERS) {
      sendProblem(reply, 'header-too-large', `More than ${MOST_HEADERS} headers are not read.`)
    } else if (fault !== undefined) sendProblem(reply, 'invalid-request', fault)
    else done()
  })
  server.addHook('onSend', (request, reply, _payload, done) => {
    responseHeaders.apply(request, reply)
    done()
  })
  server.addHook('onResponse', createRequestLog(pino, tracing?.idsOf))
  measureRequests(server, { instruments, streamPath: STREAM_PATH })

  await server.register(upgrades, {
    path: STREAM_PATH,
    handshakes,
    headers: { 'x-content-type-options': 'nosniff', ...marks },
    isDeflateAgreed: settings.STREAM_COMPRESSION,
    refuse
  })
  // Behind the upgrades, which part from the socket of one that is refused.
  if (settings.AUTH_MODE === 'none') {
    server.addHook('onRequest', (request, reply, done) => {
      if (!isRefused(request, reply)) done()
    })
  }
  await server.register(emptyBody)
  await server.register(docs, { mode: settings.AUTH_MODE, limits })
  await server.register(api, {
    prefix: API_PREFIX,
    settings,
    accessControl,
    responseHeaders,
    encode: createEncoder(compress, (error) => logger.error({ err: error }, 'unforeseen error')),
    memory,
    prefixOf,
    onStreamBegan: (request, status) => tracing?.streamStarted(request, status)
  })
  await server.register(healthRoutes, {
    health: tenants.health,
    isDraining: () => draining,
    sandbox: sandbox !== undefined
  })

  const metricsServer = settings.METRICS_PORT === undefined
    ? undefined
    : await createMetricsServer(metrics, settings, logger)
  if (metricsServer === undefined) await server.register(metricsRoutes, { metrics })

  server.addHook('onListen', async () => tenants.start()) // Whoever asks in the meantime is answered first.
  server.addHook('preClose', async () => {
    draining = true
    tickets.close()
    await tenants.drain()
    await closeSockets(server.websocketServer.clients)
    setTimeout(connections.destroyAll, LAST_ANSWERS_MS).unref() // A caller may have stopped reading.
  })
  server.addHook('onClose', async () => {
    authenticator.close()
    await tenants.close()
    await sandbox?.close()
    await metricsServer?.close()
  })
  return { server, listen, upstream: { url: upstream.baseUrl, sandbox: sandbox !== undefined } }

  async function listen (): Promise<{ url: string, metricsUrl: string }> {
    const metricsUrl = await metricsServer?.listen({ host: settings.HOST, port: settings.METRICS_PORT ?? 0 })
    const url = await server.listen({ host: settings.HOST, port: settings.PORT })
    return { url, metricsUrl: `${metricsUrl ?? url}/metrics` }
  }

  function read (): Readings {
    const health = tenants.health()
    const usage = tenants.usage()
    const sum = (value: (each: TenantUsage) => number) => usage.reduce((total, each) => total + value(each), 0)
    const levels = usage.flatMap(({ budget }) => budget)
    return {
      health,
      latenessMs: health.latenessMs ?? settings.LATENESS_MS,
      tenants: usage.length,
      cache: {
        entries: sum(({ cache }) => cache.entries),
        bytes: sum(({ cache }) => cache.bytes),
        capacityBytes: settings.CACHE_MAX_BYTES
      },
      budget: SPANS.flatMap((span) =>
        levels.filter((stock) => stock.span === span).sort((a, b) => a.left - b.left).slice(0, 1)
      ),
      subscribersCapacity: settings.MAX_SUBSCRIBERS
    }
  }

  /** What the router never sees: no HTTP, or no WebSocket's handshake. */
  function refuse (error: Error & { code?: string }, socket: Duplex): void {
    if (error.code !== 'ECONNRESET' && connections.endAfterAnswer(socket)) return // An answer comes first.
    logger.info({ code: error.code }, 'malformed HTTP request')
    const status = answerClientError(socket, error, everywhere)
    if (status !== undefined) instruments.requestCompleted(NO_ROUTE, status, 0)
  }
}
