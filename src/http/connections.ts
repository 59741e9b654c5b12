import { IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { repeat, type Clock } from '../clock.ts'

export interface ConnectionsOptions {
  /** Handles an upgrade request that has the connection for itself. */
  readonly onUpgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Answers a `CONNECT`, which no route can serve. */
  readonly onConnect: (socket: Duplex) => void
  readonly clock: Clock
  /** How long a caller may read nothing of the bytes that wait in its socket, milliseconds. */
  readonly stallMs?: number
  /** The interval between two checks of all connections, milliseconds. */
  readonly checkMs?: number
}

/** One request at a time on each connection, and an end for connections whose answer nobody reads. */
export interface Connections {
  /** The server's `IncomingMessage` class. */
  readonly Message: typeof IncomingMessage
  /** Watches all new connections of a server. */
  follow (server: Server): void
  /** Ends a connection after its current answer. False: no answer is in progress. */
  endAfterAnswer (socket: Duplex): boolean
  /** Makes each answer in progress the last one of its connection. */
  endAfterAnswers (): void
  /** Destroys all connections. */
  destroyAll (): void
  /** Open connections. */
  size (): number
}

interface Connection {
  /** The answer to the last request. */
  response: ServerResponse | undefined
  /** The connection no longer carries HTTP. Its new owner ends it. */
  isUpgraded: boolean
  isEnding: boolean
  /** Unread bytes at the last check, and since when their number is the same. */
  unreadBytes: number
  stalledMs: number
}

const STALL_MS = 30_000
const CHECK_MS = 5000
const FAREWELL_MS = 1000
const STREAM_CHECK_MS = 200
const MAX_DISCARDED_BYTES = 1024 * 1024

/**
 * Node answers pipelined requests one after the other, but starts all of them at once. An answer that waits behind
 * another one never learns that its connection was lost. So the parser stops at a request that arrives during an
 * answer: none of its handlers runs, and the connection ends after that answer. Clients that pipeline repeat such
 * requests (RFC 9112 §9.3.2). A client that has read an answer is never cut: an answer is in progress until the system
 * has its last byte.
 */
export function createConnections (options: ConnectionsOptions): Connections {
  const { checkMs = CHECK_MS, clock, onConnect, onUpgrade, stallMs = STALL_MS } = options
  const open = new Map<Duplex, Connection>()

  /** Node asks a message whether it is an upgrade before it looks for a handler. An upgrade stops the parser. */
  class Message extends IncomingMessage {
    private declare asksForUpgrade: boolean
    private declare answer: boolean | undefined

    get upgrade (): boolean {
      this.answer ??= isBusy(this.socket) || (this.asksForUpgrade && isWebSocket(this))
      return this.answer
    }

    set upgrade (asks: boolean | null) {
      this.asksForUpgrade = asks === true
      this.answer = undefined
    }
  }

  return { Message, follow, endAfterAnswer, endAfterAnswers, destroyAll, size: () => open.size }

  function follow (server: Server): void {
    server.on('close', repeat(clock, destroyStalled, checkMs))
    server.on('connection', (socket) => {
      open.set(socket, {
        response: undefined,
        isUpgraded: false,
        isEnding: false,
        unreadBytes: 0,
        stalledMs: clock.monotonicMs()
      })
      socket.once('close', () => open.delete(socket))
      // Node removes its own listener when it hands a socket over. A `close` follows every error.
      socket.on('error', ignore)
    })
    server.prependListener('request', remember)
    // Node would answer an unknown expectation itself and report it to nobody.
    server.on('checkExpectation', (request, response) => {
      remember(request, response)
      response.writeHead(417, { connection: 'close' }).end()
    })
    server.on('upgrade', handOver)
    server.on('connect', (request, socket) => { if (!endAfterAnswer(request.socket)) onConnect(socket) })
  }

  function remember (request: IncomingMessage, response: ServerResponse): void {
    const connection = open.get(request.socket)
    if (connection !== undefined) connection.response = response
  }

  /** Node detaches an answer from its socket when the last byte is sent. */
  function isBusy (socket: Duplex): boolean {
    const connection = open.get(socket)
    return connection !== undefined && (connection.isEnding || isAttached(connection.response))
  }

  function handOver (request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (endAfterAnswer(request.socket)) return
    const connection = open.get(request.socket)
    if (connection !== undefined) connection.isUpgraded = true
    try {
      onUpgrade(request, socket, head)
    } catch (error) {
      socket.destroy() // Nobody else owns it.
      throw error
    }
  }

  function endAfterAnswer (socket: Duplex): boolean {
    const connection = open.get(socket)
    if (connection === undefined || !isBusy(socket)) return false
    const { isEnding, response } = connection
    connection.isEnding = true
    if (!isEnding && response !== undefined) endAfter(response, socket as Socket, clock)
    return true
  }

  function endAfterAnswers (): void {
    for (const { response } of open.values()) {
      if (response !== undefined && !response.headersSent) response.shouldKeepAlive = false
    }
  }

  function destroyAll (): void {
    for (const socket of open.keys()) socket.destroy()
  }

  function destroyStalled (): void {
    for (const [socket, connection] of open) if (isStalled(socket as Socket, connection)) socket.destroy()
  }

  /** Streams and other upgraded connections have their own rule for slow readers. */
  function isStalled (socket: Socket, connection: Connection): boolean {
    const unreadBytes = connection.isUpgraded || isOpenEnded(connection.response) ? 0 : unreadBytesOf(socket)
    if (unreadBytes === 0 || unreadBytes !== connection.unreadBytes) connection.stalledMs = clock.monotonicMs()
    connection.unreadBytes = unreadBytes
    return clock.monotonicMs() - connection.stalledMs >= stallMs
  }
}

function ignore (): void {}

/** A client offers any other protocol, but does not need it (RFC 9110 §7.8). */
function isWebSocket ({ headers, method }: IncomingMessage): boolean {
  return method === 'CONNECT' || headers.upgrade?.trim().toLowerCase() === 'websocket'
}

function isAttached (response: ServerResponse | undefined): boolean {
  return response !== undefined && response.socket !== null
}

/** Whether the answer is a stream, whose end is unknown. */
function isOpenEnded (response: ServerResponse | undefined): boolean {
  return response !== undefined && response.headersSent && !response.writableEnded
}

/**
 * Ends a connection after an answer. Further bytes are read and dropped: a socket that is closed with unread bytes
 * loses the end of the answer.
 */
function endAfter (response: ServerResponse, socket: Socket, clock: Clock): void {
  socket.on('error', () => socket.destroy())
  if (isOpenEnded(response)) {
    socket.destroy()
    return
  }
  let discardedBytes = 0
  // The answer may still become a stream.
  const stop = repeat(clock, () => { if (isOpenEnded(response)) socket.destroy() }, STREAM_CHECK_MS)
  socket.once('close', stop)
  if (!response.headersSent) response.shouldKeepAlive = false
  socket.on('data', (bytes: Buffer) => {
    discardedBytes += bytes.length
    if (discardedBytes > MAX_DISCARDED_BYTES) socket.destroy()
  })
  socket.once('end', () => destroySoon(socket, clock))
  socket.destroySoon = () => endGently(socket, clock) // Node's own does not wait for the client.
  response.once('finish', () => endGently(socket, clock))
}

/** Ends this half of the connection, and gives the client a moment to end the other half. */
function endGently (socket: Socket, clock: Clock): void {
  socket.end()
  destroySoon(socket, clock)
}

function destroySoon (socket: Socket, clock: Clock): void {
  if (socket.destroyed) return
  socket.once('close', clock.setTimer(() => socket.destroy(), FAREWELL_MS))
}

/**
 * Bytes that the system has not accepted yet. `writableLength` counts a write of megabytes as a whole until it ends.
 * Only the handle knows its progress; Node's own socket timeout reads it there too.
 */
export function unreadBytesOf (socket: Socket): number {
  if (socket.writableLength === 0) return 0
  const { _handle: handle } = socket as Socket & { _handle?: { readonly writeQueueSize?: number } | null }
  return socket.writableLength + (handle?.writeQueueSize ?? 0)
}
