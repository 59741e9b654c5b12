import type { WebSocket } from 'ws'
import { CLIENT_MESSAGE } from './endings.ts'
import type { Outlet } from './outlet.ts'

/** The WebSocket subprotocol; none is fine too. */
export const SUBPROTOCOL = 'kubiya-audit.v1'
/** Largest message that is read from a client; the protocol has none at all in that direction. */
export const MAX_CLIENT_MESSAGE_BYTES = 4096

/** A listener's WebSocket: one text message a frame. The listeners are attached synchronously, so that nothing is missed. */
export function createWebSocketOutlet (socket: WebSocket, backlogBytes: number, onGone: (code: number) => void): Outlet {
  let resume = () => {}
  let wasFull = false
  socket.on('message', () => socket.close(CLIENT_MESSAGE.closeCode, CLIENT_MESSAGE.reason))
  socket.on('error', () => socket.terminate()) // A protocol error: ws has sent the close code for it.
  socket.on('close', onGone)

  return {
    send (frames) {
      const last = frames.length - 1
      frames.forEach(({ json }, index) => socket.send(json, index === last ? flushed : undefined))
      wasFull ||= isFull()
    },
    isFull,
    onDrain: (listener) => { resume = listener },
    end: ({ closeCode, reason }) => socket.close(closeCode, reason)
  }

  function isFull (): boolean {
    return socket.bufferedAmount >= backlogBytes
  }

  function flushed (error?: Error | null): void {
    if (!wasFull || isFull() || (error !== undefined && error !== null)) return
    wasFull = false
    resume()
  }
}
