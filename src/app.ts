import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyPluginAsync, type FastifyReply, type FastifyRequest } from 'fastify'
import packageJson from '../package.json' with { type: 'json' }
import { refuseSocket } from './bare-socket.ts'
import { isMadeUp } from './live/opening.ts'
import { handleError, sendProblem } from './problems.ts'
import { archiveRoutes } from './routes/archive.ts'
import { docsRoutes } from './routes/docs.ts'
import { liveRoutes } from './routes/live.ts'
import { createRequestLog, createRequestLoggers } from './request-log.ts'
import { probeRoutes } from './routes/probes.ts'
import { startSandbox } from './sandbox/sandbox.ts'
import { schemaCompilers } from './schemas.ts'
import { createScope, type Upstream } from './scope.ts'
import { usesSandbox, type Settings } from './settings.ts'
import { partFrom, upgrades } from './upgrades.ts'

export const version: string = packageJson.version

const API_PREFIX = '/api/v1/audit'
const STREAM_PATH = `${API_PREFIX}/stream`
const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const REQUEST_ID_BYTES = 6
const LONGEST_PATH_PARAMETER = 512
const BODY_LIMIT_BYTES = 1024
const REQUEST_TIMEOUT_MS = 30_000
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
  const scope = createScope(settings, upstream, logger, version)
  const everywhere = { 'x-content-type-options': 'nosniff', ...sandbox !== undefined && { 'x-kubiya-sandbox': 'true' } }
  const constant = Object.entries(everywhere).flat()
  let draining = false

  const server = fastify({
    loggerInstance: logger,
    childLoggerFactory: createRequestLoggers(logger),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    requestIdHeader: false,
    genReqId: createRequestIds(),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH_PARAMETER },
    schemaController: { compilersFactory: schemaCompilers },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true } },
    frameworkErrors: (error, request, reply) => {
      introduce(request, reply) // No hook runs for what the router itself refuses.
      handleError(error, request, reply)
    },
    clientErrorHandler: refuse
  })

  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'There is no such route.'))
  // Callbacks, since every request comes through these: with a promise for each they cost more than an answer from the shelf.
  server.decorateReply('cacheStatus', undefined)
  server.addHook('onSend', (request, reply, _payload, done) => {
    introduce(request, reply)
    done()
  })
  server.addHook('onResponse', createRequestLog(logger))

  await server.register(upgrades, { path: STREAM_PATH, headers: everywhere, isDeflateAgreed: settings.STREAM_COMPRESSION, refuse })
  await server.register(docs)
  await server.register(archiveRoutes, { prefix: API_PREFIX, archive: scope.archive, borne, clock: scope.clock })
  await server.register(liveRoutes, {
    prefix: API_PREFIX,
    hub: scope.hub,
    introduce,
    isMadeUp: (cursor) => isMadeUp(cursor, scope.log),
    clock: scope.clock,
    backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES,
    isDeflateAgreed: settings.STREAM_COMPRESSION
  })
  await server.register(probeRoutes, {
    health: scope.health,
    isDraining: () => draining,
    subscribers: scope.hub.size,
    sandbox: sandbox !== undefined,
    version
  })

  server.addHook('onListen', async () => scope.start()) // Whoever asks in the meantime is answered first.
  server.addHook('preClose', async () => {
    draining = true
    await scope.drain()
    await partFrom(server.websocketServer.clients)
    setTimeout(() => server.server.closeAllConnections(), LAST_ANSWERS_MS).unref() // A caller may have stopped reading.
  })
  server.addHook('onClose', async () => {
    await scope.close()
    await sandbox?.close()
  })
  return { server, upstream: { url: upstream.baseUrl, sandbox: sandbox !== undefined } }

  /** What every answer bears, whoever makes it. */
  function introduce (request: FastifyRequest, reply: FastifyReply): void {
    reply.headers(everywhere).header('x-request-id', request.id)
  }

  /** The same, names and values in turn, for who sends a head of his own. */
  function borne (request: FastifyRequest): string[] {
    return [...constant, 'x-request-id', request.id]
  }

  /** What the router never sees: no HTTP, or no WebSocket's handshake. */
  function refuse (error: Error & { code?: string }, socket: Duplex): void {
    logger.info({ code: error.code }, 'not a request that can be read')
    refuseSocket(socket, error, everywhere)
  }
}

/** The id that a caller gave, or one of this process: unlike any other's, and counted, which is cheaper than chance for each. */
function createRequestIds (): (request: IncomingMessage) => string {
  const prefix = randomBytes(REQUEST_ID_BYTES).toString('hex')
  let count = 0
  return ({ headers }) => {
    const given = headers['x-request-id']
    return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : `${prefix}-${(++count).toString(36)}`
  }
}
