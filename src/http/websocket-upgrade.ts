import { createServer, type IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import websocket from '@fastify/websocket'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import { MAX_CLIENT_FRAGMENTS, MAX_CLIENT_MESSAGE_BYTES, SUBPROTOCOL } from '../live/transport/websocket.ts'

export interface UpgradesOptions {
  /** Sent with every 101. */
  readonly headers: Record<string, string>
  /** Whether a client that offers `permessage-deflate` gets it. */
  readonly isDeflateAgreed: boolean
  /** Answers an invalid handshake. */
  readonly refuse: (error: Error, socket: Duplex) => void
  /** The source of upgrades that have their connection for themselves. Default: all upgrades of the server. */
  readonly handshakes?: Handshakes
}

/** Passes upgrade requests on to the WebSocket server. */
export interface Handshakes {
  /** Emits `upgrade` only. It never listens on a port. */
  readonly source: ReturnType<typeof createServer>
  pass (request: IncomingMessage, socket: Duplex, head: Buffer): void
}

export function createHandshakes (): Handshakes {
  const source = createServer()
  return { source, pass: (request, socket, head) => { source.emit('upgrade', request, socket, head) } }
}

const FAREWELL_MS = 1000

/** Accepts WebSockets on the routes that have a `wsHandler`. */
const plugin: FastifyPluginAsync<UpgradesOptions> = async (server, options) => {
  const { handshakes, headers, isDeflateAgreed, refuse } = options
  destroyOnThrow(server)
  await server.register(websocket, {
    options: {
      ...handshakes !== undefined && { server: handshakes.source },
      maxPayload: MAX_CLIENT_MESSAGE_BYTES,
      maxFragments: MAX_CLIENT_FRAGMENTS,
      perMessageDeflate: isDeflateAgreed && { clientNoContextTakeover: true }, // Clients send no messages.
      handleProtocols: (offered) => offered.has(SUBPROTOCOL) && SUBPROTOCOL
    },
    preClose: async () => {}, // The service ends its streams itself. The plugin would close them without a code.
    errorHandler: (error, socket, request) => {
      request.log.error({ err: error, request_id: request.id }, 'unexpected error in a stream')
      socket.terminate()
    }
  })
  server.addHook('onSend', (request, reply, _payload, done) => {
    if (request.ws) reply.header('connection', 'close') // The socket of a refused upgrade carries no further request.
    done()
  })
  server.websocketServer.on('headers', (lines) => {
    lines.push(...Object.entries(headers).map(([name, value]) => `${name}: ${value}`))
  })
  server.websocketServer.on('wsClientError', refuse)
}

export const upgrades = fastifyPlugin(plugin, { name: 'upgrades' })

/** @fastify/websocket logs an error of the router and leaves the socket open. */
function destroyOnThrow (server: FastifyInstance): void {
  const { routing } = server
  server.routing = (request, response) => {
    try {
      routing(request, response)
    } catch (error) {
      request.socket.destroy()
      throw error
    }
  }
}

/** Waits until clients have answered the close frame. A dead client delays the shutdown by one second at most. */
export async function closeSockets (clients: Set<WebSocket>, clock: Pick<Clock, 'setTimer'>): Promise<void> {
  const all = Promise.all([...clients].map((client) => new Promise((resolve) => { client.once('close', resolve) })))
  const cancelTimer = clock.setTimer(() => { for (const client of clients) client.terminate() }, FAREWELL_MS)
  await all
  cancelTimer()
}
