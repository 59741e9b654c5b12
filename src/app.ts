import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import type { Logger } from 'pino'
import packageJson from '../package.json' with { type: 'json' }
import { compress, createEncoder } from './archive/content-encoding.ts'
import { createResponseMemory, type ResponseMemoryOptions } from './archive/response-memory.ts'
import { systemClock, type Clock } from './clock.ts'
import { api } from './http/api.ts'
import { createMetricsServer } from './http/metrics-server.ts'
import { consoleRoutes } from './http/routes/console.ts'
import { docsRoutes, type DocsOptions } from './http/routes/docs.ts'
import { healthRoutes } from './http/routes/health.ts'
import { metricsRoutes } from './http/routes/metrics.ts'
import { createServer, type ServerOptions } from './http/server.ts'
import { startSandbox, type Sandbox } from './sandbox/sandbox.ts'
import type { Settings } from './settings.ts'
import { usesSandbox } from './settings/read-settings.ts'
import type { Tracing } from './telemetry/opentelemetry.ts'
import { createMetrics } from './telemetry/prometheus.ts'
import { createAccessControl } from './tenants/access-control.ts'
import { createPools, createTenant } from './tenants/tenant.ts'
import type { Upstream } from './tenants/upstream.ts'
import { silentTracer } from './tracer.ts'

export const version: string = packageJson.version

const API_PREFIX = '/api/v1'
const STREAM_PATH = `${API_PREFIX}/audit/stream`
const EXPORT_PATH = `${API_PREFIX}/audit/export`
const MB = 1024 * 1024
const ANSWERS = { maxBytes: 128 * MB, maxAnswerBytes: 16 * MB, maxWaitMs: 5000 }

export interface AppOptions {
  readonly clock?: Clock
  /** Receives the routes that are registered after it. */
  readonly docs?: FastifyPluginAsync<DocsOptions>
  /** Exports requests, calls and polls as spans. Its owner ends it. */
  readonly tracing?: Tracing | undefined
  /** Bounds of the memory of answers, where they differ from the defaults. */
  readonly answers?: Partial<ResponseMemoryOptions>
  /** For tests: how long a caller may leave an answer unread, and how often that is checked. */
  readonly patience?: ServerOptions['patience']
}

export interface App {
  readonly server: FastifyInstance
  /** Listens where the settings say. Returns the URLs. */
  listen (): Promise<{ readonly url: string, readonly metricsUrl: string }>
  /** The upstream: Kubiya, or the embedded sandbox. */
  readonly upstream: { readonly url: string, readonly sandbox: boolean }
}

/** Wires the service from its settings. Nothing listens yet. Closing the server ends all parts in their order. */
export async function buildApp (settings: Settings, logger: Logger, options: AppOptions = {}): Promise<App> {
  const { clock = systemClock, docs = docsRoutes, tracing } = options
  const sandbox = usesSandbox(settings) ? await startSandbox({ history: 'day' }) : undefined
  const upstream = upstreamOf(settings, sandbox)
  const metrics = createMetrics({
    version,
    sandbox: sandbox !== undefined,
    clock,
    health: () => tenants.health(),
    usage: () => tenants.usage(),
    latenessMs: settings.LATENESS_MS,
    cacheCapacityBytes: settings.CACHE_MAX_BYTES,
    subscribersCapacity: settings.MAX_SUBSCRIBERS
  })
  const memory = createResponseMemory({ ...ANSWERS, clock, ...options.answers })
  const pools = createPools(settings)
  const shared = { settings, logger, clock, instruments: metrics.instruments, tracer: tracing ?? silentTracer, version }
  const accessControl = await createAccessControl({
    ...shared,
    upstream,
    open: (each) => createTenant({ ...shared, pools, memory, upstream: each })
  })
  const { tenants } = accessControl
  const { endConnections, responseHeaders, server } = await createServer({
    ...shared,
    accessControl,
    tracing,
    headers: sandbox === undefined ? {} : { 'x-kubiya-sandbox': 'true' },
    streamPath: STREAM_PATH,
    longPaths: [STREAM_PATH, EXPORT_PATH],
    patience: options.patience
  })
  const metricsServer = settings.METRICS_PORT === undefined
    ? undefined
    : await createMetricsServer(metrics, settings, logger)
  let isDraining = false
  await registerRoutes()
  server.addHook('onListen', async () => tenants.start()) // The port opens before the first poll ends.
  server.addHook('preClose', drain)
  server.addHook('onClose', close)
  return { server, listen, upstream: { url: upstream.baseUrl, sandbox: sandbox !== undefined } }

  async function registerRoutes (): Promise<void> {
    await server.register(docs, {
      mode: settings.AUTH_MODE,
      isCompatible: settings.COMPATIBLE_API,
      limits: accessControl.limits
    })
    if (settings.CONSOLE) await server.register(consoleRoutes, { limits: accessControl.limits })
    await server.register(api, {
      prefix: API_PREFIX,
      settings,
      clock,
      accessControl,
      responseHeaders,
      encode: createEncoder(compress, (err) => logger.error({ err }, 'unexpected error')),
      memory,
      instruments: metrics.instruments,
      patience: options.patience,
      onStreamBegan: (request, status) => tracing?.streamStarted(request, status)
    })
    await server.register(healthRoutes, {
      health: tenants.health,
      isDraining: () => isDraining,
      sandbox: sandbox !== undefined
    })
    if (metricsServer === undefined) await server.register(metricsRoutes, { metrics })
  }

  async function drain (): Promise<void> {
    isDraining = true
    accessControl.tickets.close()
    accessControl.exportTickets.close()
    await tenants.drain()
    await endConnections()
  }

  async function close (): Promise<void> {
    accessControl.authenticator.close()
    await tenants.close()
    await sandbox?.close()
    await metricsServer?.close()
  }

  async function listen (): Promise<{ url: string, metricsUrl: string }> {
    const metricsUrl = await metricsServer?.listen({ host: settings.HOST, port: settings.METRICS_PORT ?? 0 })
    const url = await server.listen({ host: settings.HOST, port: settings.PORT })
    return { url, metricsUrl: `${metricsUrl ?? url}/metrics` }
  }
}

function upstreamOf (settings: Settings, sandbox: Sandbox | undefined): Upstream {
  return sandbox === undefined
    ? { baseUrl: settings.KUBIYA_BASE_URL, authorization: `UserKey ${settings.KUBIYA_API_KEY ?? ''}`, isBudgeted: true }
    : { baseUrl: sandbox.url, authorization: `UserKey ${sandbox.apiKey}`, isBudgeted: false }
}
