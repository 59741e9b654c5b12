import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import { CLIENT_MESSAGE, FLOOD } from './endings.ts'
import type { Outlet } from './outlet.ts'

/** The WebSocket subprotocol; none is fine too. */
export const SUBPROTOCOL = 'kubiya-audit.v1'
/** Largest message that is read from a client; the protocol has none at all in that direction. */
export const MAX_CLIENT_MESSAGE_BYTES = 4096
/** Most fragments of one message, for the same reason. */
export const MAX_CLIENT_FRAGMENTS = 16

const LOOKS_BETWEEN_PINGS = 2
const MOST_UNANSWERED = 3
const MOST_PINGS_BETWEEN_LOOKS = 50 // Beyond some hundred that wait for their pong, ws cuts the connection without a word.
const FAREWELL_MS = 2000

/**
 * A listener's WebSocket, with the connection that it runs over: one text message a frame, as few writes as can be. What
 * listens to it is attached synchronously, so that nothing is missed. It is pinged at every second look; three pings in a row
 * without an answer mean that nobody is there.
 */
export function createWebSocketOutlet (socket: WebSocket, connection: Socket, backlogBytes: number, onGone: (code: number) => void): Outlet {
  let onProgress = () => {}
  let looks = 0
  let unanswered = 0
  let pings = 0
  socket.on('message', () => socket.close(CLIENT_MESSAGE.closeCode, CLIENT_MESSAGE.reason))
  socket.on('ping', () => { if (++pings > MOST_PINGS_BETWEEN_LOOKS) socket.close(FLOOD.closeCode, FLOOD.reason) })
  socket.on('pong', () => { unanswered = 0 })
  socket.on('error', () => socket.terminate()) // A protocol error: ws has sent the close code for it.
  socket.on('close', onGone)

  return {
    send (frames) {
      const last = frames.length - 1
      connection.cork()
      frames.forEach(({ json }, index) => socket.send(json, index === last ? flushed : undefined))
      connection.uncork()
    },
    room: () => backlogBytes - socket.bufferedAmount,
    unsent: () => socket.bufferedAmount,
    onProgress: (resume) => { onProgress = resume },
    keepAlive () {
      pings = 0
      if (looks++ % LOOKS_BETWEEN_PINGS !== 0) return true
      if (unanswered === MOST_UNANSWERED) return false
      unanswered++
      socket.ping()
      return true
    },
    end ({ closeCode, reason }) {
      socket.close(closeCode, reason)
      // Nobody is there who would answer. What the kernel has taken still arrives if somebody is.
      if (unanswered === MOST_UNANSWERED) setTimeout(() => { if (socket.bufferedAmount === 0) socket.terminate() }, FAREWELL_MS).unref()
    }
  }

  function flushed (error?: Error | null): void {
    if (error === undefined || error === null) onProgress()
  }
}
