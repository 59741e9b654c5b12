import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Clock } from '../../clock.ts'
import { CLIENT_MESSAGE, FLOODED, type CloseReason } from './close-codes.ts'
import { messagesDeflatedAlone, messagesDeflatedTogether, plainMessages } from './websocket-encoding.ts'
import type { Transport } from './transport.ts'
import type { PreparedBatch, WireFormat } from './prepared-batch.ts'

/** The WebSocket subprotocol. A client may also offer none. */
export const SUBPROTOCOL = 'kubiya-audit.v1'
/** The largest message that is read from a client. The protocol has no client messages. */
export const MAX_CLIENT_MESSAGE_BYTES = 4096
/** The most fragments of one client message. */
export const MAX_CLIENT_FRAGMENTS = 16

/** The negotiated compression: none, each message alone, or with the messages before it as context. */
export type DeflateMode = 'none' | 'alone' | 'together'

export interface WebSocketOptions {
  readonly socket: WebSocket
  /** The TCP or TLS connection of the WebSocket. */
  readonly connection: Socket
  readonly backlogBytes: number
  /** Which messages the client accepts besides plain ones. */
  readonly deflate: DeflateMode
  readonly clock: Clock
  readonly onGone: (code: number) => void
}

const CHECKS_PER_PING = 2
const MOST_UNANSWERED = 3
// `ws` closes the connection without a close code after some hundred pings that wait for their pong.
const MOST_CONTROLS_BETWEEN_CHECKS = 50
const MOST_RECEIVED_BYTES = 65_536 // Between two checks.
const UNANSWERED_CLOSE_TIMEOUT_MS = 2000
const REFUSED_CLOSE_TIMEOUT_MS = 1000
const CLOSE_TIMEOUT_MS = 8000 // Until then the connection stays open, and the hub no longer counts it.
const CONTEXT_RECIPIENTS = 8 // Compression with context costs anew for each batch, so it needs some recipients.
const NO_BYTES = Buffer.alloc(0)

/** The transport of each socket. All sockets share the same few listeners, which saves memory. */
const transports = new WeakMap<WebSocket, WebSocketTransport>()

/**
 * The WebSocket of one subscriber: one text message for each frame, one write for each batch. The encoded bytes are
 * shared by all subscribers and written directly to the connection. Only control frames go through `ws`: it writes them
 * at once, because it never has a message to compress. Listeners are attached synchronously, so that no event is
 * missed.
 *
 * Every second check sends a ping. After three unanswered pings the client counts as gone.
 */
export function createWebSocketTransport (options: WebSocketOptions): Transport {
  const { socket } = options
  const transport = new WebSocketTransport(options)
  transports.set(socket, transport)
  socket.on('message', refuse).on('ping', countControl).on('pong', notePong).on('error', terminate)
  return transport
}

/**
 * Chooses the compression from the extensions that a handshake offers (`Sec-WebSocket-Extensions`, RFC 7692 §7.1).
 * Plain messages are always allowed. They are used if the client requests a smaller window.
 */
export function negotiateDeflate (offered: string | undefined): DeflateMode {
  if (
    offered === undefined || !offered.includes('permessage-deflate') || offered.includes('server_max_window_bits')
  ) { return 'none' }
  return offered.includes('server_no_context_takeover') ? 'alone' : 'together'
}

/** A class, because a closure for each method of many thousand subscribers would cost memory. */
class WebSocketTransport implements Transport {
  readonly socket: WebSocket
  private readonly connection: Socket
  private readonly mostBacklogBytes: number
  private readonly deflate: DeflateMode
  readonly clock: Clock
  readonly onGone: (code: number) => void
  private checks = 0
  private received: number
  unanswered = 0
  controls = 0

  constructor ({ backlogBytes, clock, connection, deflate, onGone, socket }: WebSocketOptions) {
    this.socket = socket
    this.connection = connection
    this.mostBacklogBytes = backlogBytes
    this.deflate = deflate
    this.clock = clock
    this.onGone = onGone
    this.received = connection.bytesRead
    socket.on('close', onGone)
  }

  /** A getter, so that no instance stores it. */
  get kind (): 'websocket' {
    return 'websocket'
  }

  send (prepared: PreparedBatch): void {
    // Nothing may follow a close frame (RFC 6455 §5.5.1).
    if (this.socket.readyState !== this.socket.OPEN) return
    this.connection.write(prepared.encoded(this.formatFor(prepared)))
  }

  /**
   * A batch for one subscriber is not worth compressing. For few recipients, each frame is compressed once for all
   * filters that it matches.
   */
  private formatFor ({ recipients }: PreparedBatch): WireFormat {
    if (this.deflate === 'none' || recipients === 0) return plainMessages
    return this.deflate === 'together' && recipients >= CONTEXT_RECIPIENTS
      ? messagesDeflatedTogether
      : messagesDeflatedAlone
  }

  writableBytes (): number {
    return this.mostBacklogBytes - this.connection.writableLength
  }

  backlogBytes (): number {
    return this.connection.writableLength
  }

  flushedBytes (): number {
    return this.connection.bytesWritten - this.connection.writableLength
  }

  onFlushed (resume: () => void): void {
    this.connection.write(NO_BYTES, (error) => { if (error === undefined || error === null) resume() })
  }

  keepAlive (): boolean {
    this.controls = 0
    const before = this.received
    this.received = this.connection.bytesRead
    if (this.received - before > MOST_RECEIVED_BYTES) endFlood(this.socket)
    if (this.checks++ % CHECKS_PER_PING !== 0) return true
    if (this.unanswered === MOST_UNANSWERED) return false
    this.unanswered++
    this.socket.ping()
    return true
  }

  end ({ closeCode, reason }: CloseReason): void {
    this.socket.close(closeCode, reason)
    // The client is probably gone and will not answer the close frame. If it is there, the flushed bytes still arrive.
    if (this.unanswered === MOST_UNANSWERED) {
      this.clock.setTimer(() => {
        if (this.backlogBytes() === 0) this.socket.terminate()
      }, UNANSWERED_CLOSE_TIMEOUT_MS)
    }
    terminateAfter(this, CLOSE_TIMEOUT_MS) // A client may never read or answer the close frame.
  }
}

function refuse (this: WebSocket): void {
  const transport = transports.get(this)
  if (transport !== undefined && this.readyState === this.OPEN) {
    this.close(CLIENT_MESSAGE.closeCode, CLIENT_MESSAGE.reason)
    terminateAfter(transport, REFUSED_CLOSE_TIMEOUT_MS)
  }
  countControl.call(this)
}

function countControl (this: WebSocket): void {
  const transport = transports.get(this)
  if (transport !== undefined && ++transport.controls > MOST_CONTROLS_BETWEEN_CHECKS) endFlood(this)
}

/** Sends the close code and stops reading: whatever the client still sends would cost as much as the flood so far. */
function endFlood (socket: WebSocket): void {
  const transport = transports.get(socket)
  if (transport !== undefined && socket.readyState === socket.OPEN) {
    socket.close(FLOODED.closeCode, FLOODED.reason)
    transport.onGone(FLOODED.closeCode) // The client's close frame will not be read.
    terminateAfter(transport, REFUSED_CLOSE_TIMEOUT_MS)
  }
  socket.pause()
}

function terminateAfter ({ clock, socket }: WebSocketTransport, waitMs: number): void {
  socket.once('close', clock.setTimer(() => socket.terminate(), waitMs))
}

function notePong (this: WebSocket): void {
  const transport = transports.get(this)
  if (transport !== undefined) transport.unanswered = 0
  countControl.call(this)
}

/** After a protocol error, for which `ws` has sent the close code. */
function terminate (this: WebSocket): void {
  this.terminate()
}
