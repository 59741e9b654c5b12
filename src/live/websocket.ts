import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { CLIENT_MESSAGE, FLOOD, type Ending } from './endings.ts'
import { messagesDeflatedAlone, messagesDeflatedTogether, plainMessages } from './messages.ts'
import type { Outlet } from './outlet.ts'
import type { Parcel, WireFormat } from './parcel.ts'

/** The WebSocket subprotocol; none is fine too. */
export const SUBPROTOCOL = 'kubiya-audit.v1'
/** Largest message that is read from a client; the protocol has none at all in that direction. */
export const MAX_CLIENT_MESSAGE_BYTES = 4096
/** Most fragments of one message, for the same reason. */
export const MAX_CLIENT_FRAGMENTS = 16

/** What was agreed on compression: none, each message by itself, or with those before it as context. */
export type Deflate = 'none' | 'alone' | 'together'

export interface WebSocketOptions {
  readonly socket: WebSocket
  /** The connection that it runs over. */
  readonly connection: Socket
  readonly backlogBytes: number
  /** Which messages it can be sent besides plain ones. */
  readonly deflate: Deflate
  readonly onGone: (code: number) => void
}

const LOOKS_BETWEEN_PINGS = 2
const MOST_UNANSWERED = 3
const MOST_CONTROLS_BETWEEN_LOOKS = 50 // Beyond some hundred that wait for their pong, ws cuts the connection without a word.
const MOST_BYTES_BETWEEN_LOOKS = 65_536
const FAREWELL_MS = 2000
const WORTH_A_CONTEXT = 8
const NO_BYTES = Buffer.alloc(0)

/** Which outlet listens to which socket, so that what listens is the same few functions for all of them. */
const outlets = new WeakMap<WebSocket, WebSocketOutlet>()

/**
 * A listener's WebSocket: one text message a frame, one write a parcel. The bytes go to the connection as they were made
 * for everyone; only control frames are left to `ws`, which writes at once as long as it is given no message to compress.
 * What listens to it is attached synchronously, so that nothing is missed. It is pinged at every second look; three pings
 * in a row without an answer mean that nobody is there.
 */
export function createWebSocketOutlet (options: WebSocketOptions): Outlet {
  const { socket } = options
  const outlet = new WebSocketOutlet(options)
  outlets.set(socket, outlet)
  socket.on('message', refuse).on('ping', countControl).on('pong', notePong).on('error', terminate)
  return outlet
}

/**
 * What comes of the extensions that a handshake offers (`Sec-WebSocket-Extensions`, RFC 7692 §7.1) where this service
 * grants them. Plain messages are right in any case, and so they are where a smaller window is asked for.
 */
export function deflateFor (offered: string | undefined): Deflate {
  if (offered === undefined || !offered.includes('permessage-deflate') || offered.includes('server_max_window_bits')) return 'none'
  return offered.includes('server_no_context_takeover') ? 'alone' : 'together'
}

/** A class, not a closure for each method and listener: there are many thousands. */
class WebSocketOutlet implements Outlet {
  private readonly socket: WebSocket
  private readonly connection: Socket
  private readonly backlogBytes: number
  private readonly deflate: Deflate
  private looks = 0
  unanswered = 0
  private controls = 0
  private readBytes = 0 // When it was last looked at.

  constructor ({ backlogBytes, connection, deflate, onGone, socket }: WebSocketOptions) {
    this.socket = socket
    this.connection = connection
    this.backlogBytes = backlogBytes
    this.deflate = deflate
    socket.on('close', onGone)
  }

  /** On the class, so that none of the many holds it. */
  get kind (): 'websocket' {
    return 'websocket'
  }

  send (parcel: Parcel): void {
    if (this.socket.readyState !== this.socket.OPEN) return // Behind a close frame nothing may follow (RFC 6455 §5.5.1).
    this.connection.write(parcel.encodedAs(this.formatFor(parcel)))
  }

  /** What is one listener's own is not worth compressing; what goes to few is compressed once for all filters that it matches. */
  private formatFor ({ reach }: Parcel): WireFormat {
    if (this.deflate === 'none' || reach === 0) return plainMessages
    return this.deflate === 'together' && reach >= WORTH_A_CONTEXT ? messagesDeflatedTogether : messagesDeflatedAlone
  }

  room (): number {
    return this.backlogBytes - this.connection.writableLength
  }

  unsent (): number {
    return this.connection.writableLength
  }

  taken (): number {
    return this.connection.bytesWritten - this.connection.writableLength
  }

  afterwards (resume: () => void): void {
    this.connection.write(NO_BYTES, (error) => { if (error === undefined || error === null) resume() })
  }

  keepAlive (): boolean {
    this.controls = 0
    if (this.connection.bytesRead - this.readBytes > MOST_BYTES_BETWEEN_LOOKS) this.expel(FLOOD)
    this.readBytes = this.connection.bytesRead
    if (this.looks++ % LOOKS_BETWEEN_PINGS !== 0) return true
    if (this.unanswered === MOST_UNANSWERED) return false
    this.unanswered++
    this.socket.ping()
    return true
  }

  countControl (): void {
    if (++this.controls > MOST_CONTROLS_BETWEEN_LOOKS) this.expel(FLOOD)
  }

  /** Closes on a client that breaks the rules. Nothing more is read of it, and it is gone soon whether or not it answers. */
  expel ({ closeCode, reason }: Pick<Ending, 'closeCode'> & { readonly reason: string }): void {
    if (this.socket.readyState !== this.socket.OPEN) return
    this.socket.close(closeCode, reason)
    this.connection.pause()
    setTimeout(() => this.socket.terminate(), FAREWELL_MS).unref()
  }

  end ({ closeCode, reason }: Ending): void {
    this.socket.close(closeCode, reason)
    // Nobody is there who would answer. What the kernel has taken still arrives if somebody is.
    if (this.unanswered === MOST_UNANSWERED) setTimeout(() => { if (this.unsent() === 0) this.socket.terminate() }, FAREWELL_MS).unref()
  }
}

function refuse (this: WebSocket): void {
  outlets.get(this)?.expel(CLIENT_MESSAGE)
}

function countControl (this: WebSocket): void {
  outlets.get(this)?.countControl()
}

/** Nobody is asked for more pongs than pings were sent: those that come unasked count as well. */
function notePong (this: WebSocket): void {
  const outlet = outlets.get(this)
  if (outlet === undefined) return
  outlet.unanswered = 0
  outlet.countControl()
}

/** A protocol error: ws has sent the close code for it. */
function terminate (this: WebSocket): void {
  this.terminate()
}
