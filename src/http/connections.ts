import { IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export interface ConnectionsOptions {
  /** Answers a request that asks for an upgrade and has the connection for itself. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Answers a `CONNECT`, which no route can. */
  readonly onConnect: (socket: Duplex) => void
  /** How long a caller may take nothing of the bytes that wait in its socket. */
  readonly stallMs?: number
  /** Time between two looks at all connections. */
  readonly lookMs?: number
  /** Monotonic clock, milliseconds. */
  readonly nowMs?: () => number
}

/** One request at a time on each connection, and an end to those whose answer nobody reads. */
export interface Connections {
  /** What the server makes of each request: pass it as its `IncomingMessage`. */
  readonly Message: typeof IncomingMessage
  /** Watches all connections of a server from now on. */
  follow (server: Server): void
  /** Ends a connection once its answer under way has gone out; false where there is none. */
  endAfterAnswer (socket: Duplex): boolean
  /** Cuts every connection off. */
  destroyAll (): void
  /** How many there are. */
  size (): number
}

interface Connection {
  /** The answer to the request that was read last. */
  response: ServerResponse | undefined
  /** No longer HTTP: whoever took it over ends it. */
  isUpgraded: boolean
  isEnding: boolean
  /** Bytes that waited at the last look, and since when the number is the same. */
  unread: number
  stalledMs: number
}

const STALL_MS = 30_000
const LOOK_MS = 5000
const FAREWELL_MS = 1000
const LOOK_FOR_STREAM_MS = 200
const MOST_DISCARDED_BYTES = 1024 * 1024

/**
 * Node answers pipelined requests one after the other, but begins all of them at once. An answer that waits for another
 * one is never told that its connection has gone. So the parser stops at a request that comes while an answer is under
 * way: none of its handlers runs, and the connection ends after that answer. Clients that pipeline repeat such requests
 * (RFC 9112 §9.3.2); a client that has read an answer is never cut, since an answer is under way until its last byte is
 * with the system.
 */
export function createConnections (options: ConnectionsOptions): Connections {
  const { lookMs = LOOK_MS, nowMs = () => performance.now(), onConnect, onUpgrade, stallMs = STALL_MS } = options
  const open = new Map<Duplex, Connection>()

  /**
   * Node asks a message whether it is an upgrade before it asks who would serve it, and stops parsing where it is one.
   */
  class Message extends IncomingMessage {
    private asksForUpgrade = false
    private answer: boolean | undefined

    get upgrade (): boolean {
      this.answer ??= isBusy(this.socket) || (this.asksForUpgrade && isForUs(this))
      return this.answer
    }

    set upgrade (asks: boolean | null) {
      this.asksForUpgrade = asks === true
    }
  }

  return { Message, follow, endAfterAnswer, destroyAll, size: () => open.size }

  function follow (server: Server): void {
    const timer = setInterval(look, lookMs).unref()
    server.on('close', () => clearInterval(timer))
    server.on('connection', (socket) => {
      open.set(socket, { response: undefined, isUpgraded: false, isEnding: false, unread: 0, stalledMs: nowMs() })
      socket.once('close', () => open.delete(socket))
      socket.on('error', ignore) // Node takes its own listener away when it hands a socket over; `close` follows every error.
    })
    server.prependListener('request', note)
    server.on('checkExpectation', (request, response) => { // Node would answer it, but tell nobody.
      note(request, response)
      response.writeHead(417, { connection: 'close' }).end()
    })
    server.on('upgrade', takeOver)
    server.on('connect', (request, socket) => { if (!endAfterAnswer(request.socket)) onConnect(socket) })
  }

  function note (request: IncomingMessage, response: ServerResponse): void {
    const connection = open.get(request.socket)
    if (connection !== undefined) connection.response = response
  }

  /** Node detaches an answer from its socket when the last byte has gone. */
  function isBusy (socket: Duplex): boolean {
    const connection = open.get(socket)
    return connection !== undefined && (connection.isEnding || isAttached(connection.response))
  }

  function takeOver (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (endAfterAnswer(request.socket)) return
    const connection = open.get(request.socket)
    if (connection !== undefined) connection.isUpgraded = true
    try {
      onUpgrade(request, socket, head)
    } catch (error) {
      socket.destroy() // Nobody else would.
      throw error
    }
  }

  function endAfterAnswer (socket: Duplex): boolean {
    const connection = open.get(socket)
    if (connection === undefined || !isBusy(socket)) return false
    const { isEnding, response } = connection
    connection.isEnding = true
    if (!isEnding && response !== undefined) endAfter(response, socket as Socket)
    return true
  }

  function destroyAll (): void {
    for (const socket of open.keys()) socket.destroy()
  }

  function look (): void {
    for (const [socket, connection] of open) if (isStalled(socket as Socket, connection)) socket.destroy()
  }

  /** Streams and what else was taken over have their own rules for slow readers. */
  function isStalled (socket: Socket, connection: Connection): boolean {
    const unread = connection.isUpgraded || isOpenEnded(connection.response) ? 0 : unreadBytes(socket)
    if (unread === 0 || unread !== connection.unread) connection.stalledMs = nowMs()
    connection.unread = unread
    return nowMs() - connection.stalledMs >= stallMs
  }
}

function ignore (): void {}

/** Any other protocol is one that the client offers, not one that it needs (RFC 9110 §7.8). */
function isForUs ({ headers, method }: IncomingMessage): boolean {
  return method === 'CONNECT' || headers.upgrade?.trim().toLowerCase() === 'websocket'
}

function isAttached (response: ServerResponse | undefined): boolean {
  return response !== undefined && response.socket !== null
}

/** A stream: nobody knows when it ends. */
function isOpenEnded (response: ServerResponse | undefined): boolean {
  return response !== undefined && response.headersSent && !response.writableEnded
}

/**
 * Ends a connection behind an answer. What else comes is read, for a socket that is closed with unread bytes takes the
 * answer's end with it.
 */
function endAfter (response: ServerResponse, socket: Socket): void {
  socket.on('error', () => socket.destroy())
  if (isOpenEnded(response)) {
    socket.destroy()
    return
  }
  let discarded = 0
  const timer = setInterval(() => {
    if (isOpenEnded(response)) socket.destroy()
  }, LOOK_FOR_STREAM_MS).unref() // It may become one.
  socket.once('close', () => clearInterval(timer))
  if (!response.headersSent) response.shouldKeepAlive = false
  socket.on('data', (bytes: Buffer) => {
    discarded += bytes.length
    if (discarded > MOST_DISCARDED_BYTES) socket.destroy()
  })
  socket.once('end', () => destroySoon(socket))
  socket.destroySoon = () => partFrom(socket) // Node's own would not wait for the client.
  response.once('finish', () => partFrom(socket))
}

/** Says that no more will come, and gives the client a moment to do the same. */
function partFrom (socket: Socket): void {
  socket.end()
  destroySoon(socket)
}

function destroySoon (socket: Socket): void {
  setTimeout(() => socket.destroy(), FAREWELL_MS).unref()
}

/**
 * Bytes that the system has not taken yet. One write of megabytes counts as a whole in `writableLength` until it has
 * ended; only the handle knows how far it is, as Node's own socket timeout does.
 */
function unreadBytes (socket: Socket): number {
  if (socket.writableLength === 0) return 0
  const { _handle: handle } = socket as Socket & { _handle?: { readonly writeQueueSize?: number } | null }
  return socket.writableLength + (handle?.writeQueueSize ?? 0)
}
