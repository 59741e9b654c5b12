import type { Duplex } from 'node:stream'
import fastify, {
  LogController,
  type FastifyInstance
} from 'fastify'
import type { Logger } from 'pino'
import { trustIn } from '../access/client-address.ts'
import type { Clock } from '../clock.ts'
import type { Instruments } from '../instruments.ts'
import type { Settings } from '../settings.ts'
import type { AccessControl } from '../tenants/access-control.ts'
import type { Tracing } from '../telemetry/opentelemetry.ts'
import { NO_ROUTE, logRequests } from '../telemetry/request-log.ts'
import { answerClientError } from './client-error.ts'
import { createConnections, type Connections, type ConnectionsOptions } from './connections.ts'
import { isKubiyaRequest } from './kubiya-error.ts'
import { handleError, sendProblem } from './problem-reply.ts'
import { checkRequests, createHostCheck, createRequestIds, keepQueryAsText, parseQuery } from './request-checks.ts'
import { SECURITY_HEADERS, createResponseHeaders, type ResponseHeaders } from './response-headers.ts'
import { schemaCompilers } from './response-schemas.ts'
import { closeSockets, createHandshakes, upgrades } from './websocket-upgrade.ts'

export interface ServerOptions {
  readonly settings: Settings
  readonly logger: Logger
  readonly clock: Clock
  readonly accessControl: Pick<AccessControl, 'hosts' | 'limits' | 'origins'>
  readonly instruments: Instruments
  readonly tracing: Tracing | undefined
  /** Headers of every answer, besides the security headers. */
  readonly headers: Readonly<Record<string, string>>
  /** The route with streams. */
  readonly streamPath: string
  /** The routes with streams and exports. How long these take is not how long an answer takes. */
  readonly longPaths: readonly string[]
  /** How long a caller may leave an answer unread, and how often that is checked. */
  readonly patience?: Pick<ConnectionsOptions, 'checkMs' | 'stallMs'> | undefined
}

/** A server that has everything but its routes. */
export interface HttpServer {
  readonly server: FastifyInstance
  readonly responseHeaders: ResponseHeaders
  /** Waits for the close handshakes of all WebSockets, and destroys what is still unread after five seconds. */
  endConnections (): Promise<void>
}

const MAX_PATH_PARAMETER = 1800 // An id has 200 code units, each up to nine characters when percent-encoded.
const BODY_LIMIT_BYTES = 1024
const CONNECTION_CHECK_MS = 1000
const LAST_ANSWERS_MS = 5000

/** Builds the Fastify server: limits, hooks, error handling, upgrades. It listens nowhere yet. */
export async function createServer (options: ServerOptions): Promise<HttpServer> {
  const { accessControl, clock, instruments, logger, settings, streamPath, tracing } = options
  const headers = { ...SECURITY_HEADERS, ...options.headers }
  const responseHeaders = createResponseHeaders({
    everywhere: headers,
    vary: varyOf(settings, accessControl),
    isCrossOrigin: accessControl.origins.list.length > 0,
    limits: accessControl.limits
  })
  const handshakes = createHandshakes()
  const connections = createConnections({
    ...options.patience,
    clock,
    onUpgrade: handshakes.pass,
    onConnect: (socket) => refuse(new Error('CONNECT'), socket)
  })
  // With credentials, a page under another name is harmless: it has no credential.
  const isForeignHost = settings.AUTH_MODE === 'none' ? createHostCheck(accessControl.hosts) : () => false

  const server = fastify({
    ...fastifyOptions(settings, connections),
    frameworkErrors (error, request, reply) {
      responseHeaders.apply(request, reply) // No hook runs for a request that the router refuses.
      if (!isForeignHost(request, reply)) handleError(error, request, reply)
      instruments.requestCompleted(NO_ROUTE, reply.statusCode, reply.elapsedTime)
    },
    clientErrorHandler: refuse
  })
  // As an option, it would have a child for each request: see `checkRequests`. main.ts logs the addresses.
  server.log = logger.child({}, { level: logger.isLevelEnabled('warn') ? 'warn' : logger.level })
  connections.follow(server.server)
  tracing?.instrument(server)
  addHooks(server, options, responseHeaders)
  await server.register(upgrades, {
    handshakes,
    headers: { 'x-content-type-options': 'nosniff', ...options.headers },
    isDeflateAgreed: settings.STREAM_COMPRESSION,
    refuse
  })
  // After the upgrades, whose hook closes the socket of a refused upgrade.
  checkRequests(server, { isForeignHost, logger, streamPath })
  return { server, responseHeaders, endConnections }

  /** Answers what the router never sees: bytes that are no HTTP request, or no WebSocket handshake. */
  function refuse (error: Error & { code?: string }, socket: Duplex): void {
    if (error.code !== 'ECONNRESET' && connections.endAfterAnswer(socket)) return // The answer in progress goes first.
    logger.info({ code: error.code }, 'malformed HTTP request')
    const status = answerClientError(socket, error, headers, clock)
    if (status !== undefined) instruments.requestCompleted(NO_ROUTE, status, 0)
  }

  async function endConnections (): Promise<void> {
    connections.endAfterAnswers() // Kept alive, each would delay the end by `LAST_ANSWERS_MS`.
    await closeSockets(server.websocketServer.clients, clock)
    // A caller may have stopped reading its answer.
    server.server.once('close', clock.setTimer(connections.destroyAll, LAST_ANSWERS_MS))
  }
}

/** What an answer depends on besides its URL (RFC 9110 §12.5.5). */
function varyOf ({ AUTH_MODE: mode }: Settings, { origins }: ServerOptions['accessControl']): string {
  return [
    'accept-encoding',
    ...mode === 'none' ? [] : ['authorization'],
    ...origins.list.length === 0 ? [] : ['origin']
  ].join(', ')
}

function fastifyOptions (settings: Settings, { Message }: Connections) {
  return {
    logController: new LogController({ disableRequestLogging: true }),
    requestIdHeader: false,
    genReqId: createRequestIds(),
    trustProxy: trustIn(settings.TRUST_PROXY),
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: settings.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: settings.KEEP_ALIVE_MS,
    http: {
      IncomingMessage: Message,
      headersTimeout: Math.min(settings.HEADERS_TIMEOUT_MS, settings.REQUEST_TIMEOUT_MS),
      connectionsCheckingInterval: CONNECTION_CHECK_MS,
      requireHostHeader: false
    },
    return503OnClosing: false,
    routerOptions: { maxParamLength: MAX_PATH_PARAMETER, querystringParser: keepQueryAsText },
    schemaController: { compilersFactory: schemaCompilers },
    // The schemas are this service's own. A check against the schema of JSON Schema would cost a start some 20 ms.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true, validateSchema: false } }
  } as const
}

function addHooks (server: FastifyInstance, options: ServerOptions, responseHeaders: ResponseHeaders): void {
  const { settings, tracing } = options
  server.decorate('hasKubiyaErrors', settings.COMPATIBLE_API ? isKubiyaRequest : () => false)
  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'No such route.'))
  server.addHook('preValidation', parseQuery)
  server.addHook('onSend', (request, reply, _payload, done) => {
    responseHeaders.apply(request, reply)
    done()
  })
  logRequests(server, { ...options, idsOf: tracing?.idsOf })
}
