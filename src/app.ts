import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import websocket from '@fastify/websocket'
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import packageJson from '../package.json' with { type: 'json' }
import { isMadeUp } from './live/opening.ts'
import { MAX_CLIENT_MESSAGE_BYTES, SUBPROTOCOL } from './live/websocket.ts'
import { PROBLEM_TYPE, handleError, sendProblem } from './problems.ts'
import { archiveRoutes } from './routes/archive.ts'
import { docsRoutes } from './routes/docs.ts'
import { liveRoutes } from './routes/live.ts'
import { probeRoutes } from './routes/probes.ts'
import { startSandbox } from './sandbox/sandbox.ts'
import { createScope, type Upstream } from './scope.ts'
import { usesSandbox, type Settings } from './settings.ts'

export const version: string = packageJson.version

const API_PREFIX = '/api/v1/audit'
const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/
const LONGEST_PATH_PARAMETER = 512
const BODY_LIMIT_BYTES = 1024
const REQUEST_TIMEOUT_MS = 30_000

export interface App {
  readonly server: FastifyInstance
  /** What the service asks: Kubiya, or the embedded stand-in. */
  readonly upstream: { readonly url: string, readonly sandbox: boolean }
}

/** Builds the service from its settings: everything wired, nothing listening. Closing the server ends all of it in order. */
export async function buildApp (settings: Settings, logger: FastifyBaseLogger): Promise<App> {
  const sandbox = usesSandbox(settings) ? await startSandbox({ history: 'day' }) : undefined
  const upstream: Upstream = sandbox === undefined
    ? { baseUrl: settings.KUBIYA_BASE_URL, authorization: `UserKey ${settings.KUBIYA_API_KEY ?? ''}`, isBudgeted: true }
    : { baseUrl: sandbox.url, authorization: `UserKey ${sandbox.apiKey}`, isBudgeted: false }
  const scope = createScope(settings, upstream, logger, version)
  let draining = false

  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    requestIdHeader: false,
    genReqId,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    return503OnClosing: false,
    routerOptions: { maxParamLength: LONGEST_PATH_PARAMETER },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, allErrors: true } },
    frameworkErrors: (error, request, reply) => {
      introduce(request, reply) // No hook runs for what the router itself refuses.
      handleError(error, request, reply)
    },
    clientErrorHandler: (error, socket) => {
      logger.info({ code: 'code' in error ? error.code : undefined }, 'not a request that can be read')
      refuseConnection(error, socket, sandbox !== undefined)
    }
  })

  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'There is no such route.'))
  server.addHook('onRequest', async (request, reply) => introduce(request, reply))
  server.addHook('onResponse', async (request, reply) => logRequest(request, reply))

  await server.register(websocket, {
    options: {
      maxPayload: MAX_CLIENT_MESSAGE_BYTES,
      perMessageDeflate: false,
      handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL
    },
    preClose: async () => {}, // The scope tells its subscribers why; the plugin would close them without a word.
    errorHandler: (error, socket, request) => {
      request.log.error({ err: error }, 'unforeseen error in a stream')
      socket.terminate()
    }
  })
  server.websocketServer.on('headers', (headers) => {
    if (sandbox !== undefined) headers.push('x-kubiya-sandbox: true')
  })
  await server.register(docsRoutes, { version })
  await server.register(archiveRoutes, { prefix: API_PREFIX, archive: scope.archive })
  await server.register(liveRoutes, {
    prefix: API_PREFIX,
    hub: scope.hub,
    isMadeUp: (cursor) => isMadeUp(cursor, scope.log),
    backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES
  })
  await server.register(probeRoutes, {
    health: scope.health,
    isDraining: () => draining,
    subscribers: scope.hub.size,
    sandbox: sandbox !== undefined,
    version
  })

  server.addHook('onReady', async () => scope.start())
  server.addHook('preClose', async () => {
    draining = true
    await scope.close()
  })
  server.addHook('onClose', async () => { await sandbox?.close() })
  return { server, upstream: { url: upstream.baseUrl, sandbox: sandbox !== undefined } }

  /** What every answer bears, whoever makes it. */
  function introduce (request: FastifyRequest, reply: FastifyReply): void {
    reply.header('x-request-id', request.id)
    reply.header('x-content-type-options', 'nosniff')
    if (sandbox !== undefined) reply.header('x-kubiya-sandbox', 'true')
  }
}

function genReqId (request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID()
}

/** One line a request; never its query, which may hold what somebody searched for. */
function logRequest (request: FastifyRequest, reply: FastifyReply): void {
  const { method, url } = request
  const path = url.split('?', 1)[0]
  request.log.info({ method, path, status: reply.statusCode, ms: Math.round(reply.elapsedTime), cache: reply.getHeader('cache-status') }, 'request')
}

/** Answers what is not HTTP, or too much of it, on the bare socket. */
function refuseConnection (error: Error & { code?: string }, socket: Socket, isSandbox: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const [status, title] = error.code === 'HPE_HEADER_OVERFLOW' ? [431, 'Request Header Fields Too Large'] : [400, 'Bad Request']
  const requestId = randomUUID()
  const body = JSON.stringify({ type: 'urn:kubiya-audit-bff:problem:invalid-request', title, status, detail: 'This is not a request that can be read.', code: 'invalid-request', request_id: requestId })
  const headers = {
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'x-request-id': requestId,
    ...isSandbox && { 'x-kubiya-sandbox': 'true' },
    connection: 'close'
  }
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${head}\r\n${body}`)
}
