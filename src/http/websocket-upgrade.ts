import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { MAX_CLIENT_FRAGMENTS, MAX_CLIENT_MESSAGE_BYTES, SUBPROTOCOL } from '../live/transport/websocket.ts'
import { sendProblem } from '../problems.ts'

export interface UpgradesOptions {
  /** The one route that can be upgraded. */
  readonly path: string
  /** Sent with every 101. */
  readonly headers: Record<string, string>
  /** Whether a client that offers `permessage-deflate` is granted it. */
  readonly isDeflateAgreed: boolean
  /** Answers a handshake that is none. */
  readonly refuse: (error: Error, socket: Duplex) => void
  /** Where upgrades come from that have their connection for themselves; all upgrades of the server without it. */
  readonly handshakes?: Handshakes
}

/** Hands upgrades on to whoever serves them. */
export interface Handshakes {
  /** Only ever emits `upgrade`; it listens nowhere. */
  readonly source: ReturnType<typeof createServer>
  pass (request: IncomingMessage, socket: Duplex, head: Buffer): void
}

export function createHandshakes (): Handshakes {
  const source = createServer()
  return { source, pass: (request, socket, head) => { source.emit('upgrade', request, socket, head) } }
}

const FAREWELL_MS = 1000

/** Lets one route be upgraded to a WebSocket; every other upgrade is answered with a problem. */
const plugin: FastifyPluginAsync<UpgradesOptions> = async (server, options) => {
  const { handshakes, headers, isDeflateAgreed, path, refuse } = options
  const { routing } = server
  server.routing = (request, response) => { // The plugin would only log what is thrown here.
    try {
      routing(request, response)
    } catch (error) {
      request.socket.destroy()
      throw error
    }
  }
  await server.register(websocket, {
    options: {
      ...handshakes !== undefined && { server: handshakes.source },
      maxPayload: MAX_CLIENT_MESSAGE_BYTES,
      maxFragments: MAX_CLIENT_FRAGMENTS,
      perMessageDeflate: isDeflateAgreed && { clientNoContextTakeover: true }, // Clients send no messages.
      handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL
    },
    preClose: async () => {}, // Whoever closes the server says goodbye first; the plugin would close without a word.
    errorHandler: (error, socket, request) => {
      request.log.error({ err: error, request_id: request.id }, 'unforeseen error in a stream')
      socket.terminate()
    }
  })
  // Every request comes through these: with a promise each they would cost more than an answer from the cache.
  server.addHook('onRequest', (request, reply, done) => {
    if (!request.ws || isWanted(request) || request.is404) done()
    else sendProblem(reply, 'invalid-request', 'This route supports no upgrade; send the request without `Upgrade`.')
  })
  server.addHook('onSend', (request, reply, _payload, done) => {
    if (request.ws) reply.header('connection', 'close') // The socket of a refused upgrade carries no further request.
    done()
  })
  server.websocketServer.on('headers', (lines) => {
    lines.push(...Object.entries(headers).map(([name, value]) => `${name}: ${value}`))
  })
  server.websocketServer.on('wsClientError', refuse)

  function isWanted (request: FastifyRequest): boolean {
    return request.routeOptions.url === path
  }
}

export const upgrades = fastifyPlugin(plugin, { name: 'upgrades' })

/** Gives clients a moment to answer the close frame; a dead one must not hold up the end. */
export async function closeSockets (clients: Set<WebSocket>): Promise<void> {
  const all = Promise.all([...clients].map((client) => new Promise((resolve) => { client.once('close', resolve) })))
  const timer = setTimeout(() => { for (const client of clients) client.terminate() }, FAREWELL_MS)
  await all
  clearTimeout(timer)
}
