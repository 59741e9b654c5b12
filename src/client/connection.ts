import type { Frame, Loss, WebSocketConstructor } from './types.ts'
import { readFrame } from './frame.ts'

export interface ConnectionOptions {
  readonly address: string
  readonly WebSocket: WebSocketConstructor
  /** Frames of all types, those that came after this was written too. `size` is the length of a frame's text. */
  readonly onFrame: (frame: Frame, size: number) => void
  /** Something came that is no frame. */
  readonly onNonsense: () => void
  /** The connection has lasted. One that is lost soon after its greeting does not come to this. */
  readonly onLasting: () => void
  /** Called once, and not after `close`. */
  readonly onLost: (loss: Loss) => void
}

export interface Connection {
  /** Nothing is called any more. */
  close (): void
}

const SUBPROTOCOL = 'kubiya-audit.v1'
const HELLO_MS = 15_000
const SILENT_HEARTBEATS = 2.5
const LASTING_MS = 30_000

/**
 * One WebSocket, from the attempt to open it until it is lost. A network can lose a connection without a word to either
 * side.
 */
export function openConnection (options: ConnectionOptions): Connection {
  const { address, onFrame, onLasting, onLost, onNonsense, WebSocket } = options
  const socket = new WebSocket(address, SUBPROTOCOL)
  let isOpen = false
  let isOver = false
  let isGreeted = false
  let silenceMs = HELLO_MS
  let silence = setTimeout(loseSilent, silenceMs)
  let lasting: ReturnType<typeof setTimeout> | undefined

  socket.addEventListener('open', () => { isOpen = true })
  socket.addEventListener('message', ({ data }) => { if (!isOver) read(data) })
  // Not every WebSocket that could not be opened says `close` as well; one that was open always does, and with its
  // code.
  socket.addEventListener('error', () => { if (!isOpen) lose({ reason: 'failed' }) })
  socket.addEventListener('close', ({ code }) => lose({ reason: isOpen ? 'closed' : 'failed', code }))
  return { close }

  function read (data: unknown): void {
    const frame = readFrame(data)
    if (frame === undefined || (frame.type === 'hello') === isGreeted) return onNonsense() // PROTOCOL.md: `hello` comes first, and once.
    isGreeted = true
    lasting ??= setTimeout(onLasting, LASTING_MS)
    if (frame.type === 'hello') silenceMs = frame.heartbeat_seconds * 1000 * SILENT_HEARTBEATS
    clearTimeout(silence)
    silence = setTimeout(loseSilent, silenceMs)
    onFrame(frame, String(data).length)
  }

  function loseSilent (): void {
    lose({ reason: 'silent' })
  }

  function lose (loss: Loss): void {
    if (isOver) return
    close()
    onLost(loss)
  }

  function close (): void {
    if (isOver) return
    isOver = true
    clearTimeout(silence)
    clearTimeout(lasting)
    socket.close()
  }
}
