import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Clock } from '../../clock.ts'
import { CLIENT_MESSAGE, FLOODED, type CloseReason } from './close-codes.ts'
import { messagesDeflatedAlone, messagesDeflatedTogether, plainMessages } from './websocket-encoding.ts'
import type { Transport } from './transport.ts'
import type { PreparedBatch, WireFormat } from './prepared-batch.ts'

/** The WebSocket subprotocol; none is fine too. */
export const SUBPROTOCOL = 'kubiya-audit.v1'
/** Largest message that is read from a client; the protocol has none at all in that direction. */
export const MAX_CLIENT_MESSAGE_BYTES = 4096
/** Most fragments of one message, for the same reason. */
export const MAX_CLIENT_FRAGMENTS = 16

/** What was agreed on compression: none, each message by itself, or with those before it as context. */
export type DeflateMode = 'none' | 'alone' | 'together'

export interface WebSocketOptions {
  readonly socket: WebSocket
  /** The connection that it runs over. */
  readonly connection: Socket
  readonly backlogBytes: number
  /** Which messages it can be sent besides plain ones. */
  readonly deflate: DeflateMode
  readonly clock: Clock
  readonly onGone: (code: number) => void
}

const LOOKS_BETWEEN_PINGS = 2
const MOST_UNANSWERED = 3
// Beyond some hundred pings that wait for their pong, ws cuts the connection without a word.
const MOST_CONTROLS_BETWEEN_LOOKS = 50
const MOST_RECEIVED_BYTES = 65_536 // Between two looks.
const FAREWELL_MS = 2000
const CUT_OFF_MS = 1000
const LONGEST_FAREWELL_MS = 8000 // Until then it holds a place that the hub no longer counts.
const WORTH_A_CONTEXT = 8
const NO_BYTES = Buffer.alloc(0)

/** Which transport listens to which socket, so that what listens is the same few functions for all of them. */
const transports = new WeakMap<WebSocket, WebSocketTransport>()

/**
 * A subscriber's WebSocket: one text message a frame, one write a batch. The bytes go to the connection as they were
 * made for everyone; only control frames are left to `ws`, which writes at once as long as it is given no message to
 * compress. What listens to it is attached synchronously, so that nothing is missed. It is pinged at every second look;
 * three pings in a row without an answer mean that nobody is there.
 */
export function createWebSocketTransport (options: WebSocketOptions): Transport {
  const { socket } = options
  const transport = new WebSocketTransport(options)
  transports.set(socket, transport)
  socket.on('message', refuse).on('ping', countControl).on('pong', notePong).on('error', terminate)
  return transport
}

/**
 * What comes of the extensions that a handshake offers (`Sec-WebSocket-Extensions`, RFC 7692 §7.1) where this service
 * grants them. Plain messages are right in any case, and so they are where a smaller window is asked for.
 */
export function negotiateDeflate (offered: string | undefined): DeflateMode {
  if (
    offered === undefined || !offered.includes('permessage-deflate') || offered.includes('server_max_window_bits')
  ) { return 'none' }
  return offered.includes('server_no_context_takeover') ? 'alone' : 'together'
}

/** A class, not a closure for each method and subscriber: there are many thousands. */
class WebSocketTransport implements Transport {
  readonly socket: WebSocket
  private readonly connection: Socket
  private readonly mostBacklogBytes: number
  private readonly deflate: DeflateMode
  readonly clock: Clock
  readonly onGone: (code: number) => void
  private looks = 0
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

  /** On the class, so that none of the many holds it. */
  get kind (): 'websocket' {
    return 'websocket'
  }

  send (prepared: PreparedBatch): void {
    // Behind a close frame nothing may follow (RFC 6455 §5.5.1).
    if (this.socket.readyState !== this.socket.OPEN) return
    this.connection.write(prepared.encoded(this.formatFor(prepared)))
  }

  /**
   * What is one listener's own is not worth compressing; what goes to few is compressed once for all filters that it
   * matches.
   */
  private formatFor ({ recipients }: PreparedBatch): WireFormat {
    if (this.deflate === 'none' || recipients === 0) return plainMessages
    return this.deflate === 'together' && recipients >= WORTH_A_CONTEXT
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
    if (this.looks++ % LOOKS_BETWEEN_PINGS !== 0) return true
    if (this.unanswered === MOST_UNANSWERED) return false
    this.unanswered++
    this.socket.ping()
    return true
  }

  end ({ closeCode, reason }: CloseReason): void {
    this.socket.close(closeCode, reason)
    // Nobody is there who would answer. What the kernel has taken still arrives if somebody is.
    if (this.unanswered === MOST_UNANSWERED) {
      this.clock.setTimer(() => {
        if (this.backlogBytes() === 0) this.socket.terminate()
      }, FAREWELL_MS)
    }
    terminateAfter(this, LONGEST_FAREWELL_MS) // A client may never answer the close frame, or not read it.
  }
}

function refuse (this: WebSocket): void {
  const transport = transports.get(this)
  if (transport !== undefined && this.readyState === this.OPEN) {
    this.close(CLIENT_MESSAGE.closeCode, CLIENT_MESSAGE.reason)
    terminateAfter(transport, CUT_OFF_MS)
  }
  countControl.call(this)
}

function countControl (this: WebSocket): void {
  const transport = transports.get(this)
  if (transport !== undefined && ++transport.controls > MOST_CONTROLS_BETWEEN_LOOKS) endFlood(this)
}

/** Says why and reads no more: what a client goes on sending costs as much as what it sent. */
function endFlood (socket: WebSocket): void {
  const transport = transports.get(socket)
  if (transport !== undefined && socket.readyState === socket.OPEN) {
    socket.close(FLOODED.closeCode, FLOODED.reason)
    transport.onGone(FLOODED.closeCode) // The client's close frame will not be read.
    terminateAfter(transport, CUT_OFF_MS)
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

/** A protocol error: ws has sent the close code for it. */
function terminate (this: WebSocket): void {
  this.terminate()
}
