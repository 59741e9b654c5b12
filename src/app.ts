import type { Duplex } from 'node:stream'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import packageJson from '../package.json' with { type: 'json' }
import { api } from './api.ts'
import { refuseSocket } from './bare-socket.ts'
import { createBearing } from './bearing.ts'
import { createEntrance } from './entrance.ts'
import { handleError, sendProblem } from './problems.ts'
import { createRequestIds } from './request-ids.ts'
import { createRequestLog, createRequestLoggers } from './request-log.ts'
import { docsRoutes } from './routes/docs.ts'
import { probeRoutes } from './routes/probes.ts'
import { startSandbox } from './sandbox/sandbox.ts'
import { schemaCompilers } from './schemas.ts'
import { createScope, type Upstream } from './scope.ts'
import { SECURITY_HEADERS } from './security-headers.ts'
import { usesSandbox, type Settings } from './settings.ts'
import { partFrom, upgrades } from './upgrades.ts'

export const version: string = packageJson.version

const API_PREFIX = '/api/v1/audit'
const STREAM_PATH = `${API_PREFIX}/stream`
const LONGEST_PATH_PARAMETER = 512
const BODY_LIMIT_BYTES = 1024
const MOST_HEADERS = 100
const LOOK_AT_CONNECTIONS_MS = 1000
const LAST_ANSWERS_MS = 5000

export interface App {
  readonly server: FastifyInstance
  /** What the service asks: Kubiya, or the embedded stand-in. */
  readonly upstream: { readonly url: string, readonly sandbox: boolean }
}

/**
 * Builds the service from its settings: everything wired, nothing listening. Closing the server ends all of it in order.
 * `docs` sees the routes that are registered after it.
 */
export async function buildApp (settings: Settings, logger: FastifyBaseLogger, docs: FastifyPluginAsync = docsRoutes): Promise<App> {
  const sandbox = usesSandbox(settings) ? await startSandbox({ history: 'day' }) : undefined
  const upstream: Upstream = sandbox === undefined
    ? { baseUrl: settings.KUBIYA_BASE_URL, authorization: `UserKey ${settings.KUBIYA_API_KEY ?? ''}`, isBudgeted: true }
    : { baseUrl: sandbox.url, authorization: `UserKey ${sandbox.apiKey}`, isBudgeted: false }
  const entrance = await createEntrance(settings, upstream, logger, (each) => createScope(settings, each, logger, version))
  const { gate, limits, origins, scopes, tickets } = entrance
  const marks = sandbox === undefined ? {} : { 'x-kubiya-sandbox': 'true' }
  const everywhere = { ...SECURITY_HEADERS, ...marks }
  const bearing = createBearing({
    everywhere,
    vary: ['accept-encoding', ...settings.AUTH_MODE === 'none' ? [] : ['authorization'], ...origins.list.length === 0 ? [] : ['origin']].join(', '),
    isCrossOrigin: origins.list.length > 0,
    limits: ({ caller }) => caller === undefined ? [] : limits.headers(caller.key)
  })
  let draining = false

  const server = fastify({
    loggerInstance: logger,
    childLoggerFactory: createRequestLoggers(logger),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    requestIdHeader: false,
    genReqId: createRequestIds(),
    trustProxy: trustOf(settings.TRUST_PROXY),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: settings.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: settings.KEEP_ALIVE_MS,
    http: { headersTimeout: Math.min(settings.HEADERS_TIMEOUT_MS, settings.REQUEST_TIMEOUT_MS), connectionsCheckingInterval: LOOK_AT_CONNECTIONS_MS, requireHostHeader: false },
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH_PARAMETER },
    schemaController: { compilersFactory: schemaCompilers },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true } },
    frameworkErrors: (error, request, reply) => {
      bearing.introduce(request, reply) // No hook runs for what the router itself refuses.
      handleError(error, request, reply)
    },
    clientErrorHandler: refuse
  })
  server.server.maxHeadersCount = MOST_HEADERS + 1 // One more than may be, to see that there are more.

  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'There is no such route.'))
  // Callbacks, since every request comes through these: with a promise for each they cost more than an answer from the shelf.
  server.decorateReply('cacheStatus', undefined)
  server.addHook('onRequest', (request, reply, done) => {
    const { headers, httpVersionMinor, rawHeaders } = request.raw
    if (rawHeaders.length > 2 * MOST_HEADERS) sendProblem(reply, 'header-too-large', `More than ${MOST_HEADERS} headers are not read.`)
    else if (headers.host === undefined && httpVersionMinor === 1) sendProblem(reply, 'invalid-request', 'There is no `Host`.') // RFC 9112 §3.2; Node would say so with no word.
    else done()
  })
  server.addHook('onSend', (request, reply, _payload, done) => {
    bearing.introduce(request, reply)
    done()
  })
  server.addHook('onResponse', createRequestLog(logger))

  await server.register(upgrades, { path: STREAM_PATH, headers: { 'x-content-type-options': 'nosniff', ...marks }, isDeflateAgreed: settings.STREAM_COMPRESSION, refuse })
  await server.register(docs)
  await server.register(api, { prefix: API_PREFIX, settings, entrance, bearing })
  await server.register(probeRoutes, {
    health: scopes.health,
    isDraining: () => draining,
    subscribers: scopes.subscribers,
    sandbox: sandbox !== undefined,
    version
  })

  server.addHook('onListen', async () => scopes.start()) // Whoever asks in the meantime is answered first.
  server.addHook('preClose', async () => {
    draining = true
    tickets.close()
    await scopes.drain()
    await partFrom(server.websocketServer.clients)
    setTimeout(() => server.server.closeAllConnections(), LAST_ANSWERS_MS).unref() // A caller may have stopped reading.
  })
  server.addHook('onClose', async () => {
    gate.close()
    await scopes.close()
    await sandbox?.close()
  })
  return { server, upstream: { url: upstream.baseUrl, sandbox: sandbox !== undefined } }

  /** What the router never sees: no HTTP, or no WebSocket's handshake. */
  function refuse (error: Error & { code?: string }, socket: Duplex): void {
    logger.info({ code: error.code }, 'not a request that can be read')
    refuseSocket(socket, error, everywhere)
  }
}

/** The setting as Fastify takes it: everyone, nobody, a number of proxies, or a list of them. */
function trustOf (text: string): boolean | string | ((address: string, hop: number) => boolean) {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^\d+$/.test(text) ? (_, hop) => hop < Number(text) : text
}
