import type { Frame, Loss, WebSocketConstructor } from './types.ts'
import { readFrame } from './frame.ts'

export interface ConnectionOptions {
  readonly address: string
  readonly WebSocket: WebSocketConstructor
  /** Called for each frame, also of an unknown type. `size` is the length of its text. */
  readonly onFrame: (frame: Frame, size: number) => void
  /** Called for a message that is not a frame. */
  readonly onInvalidFrame: () => void
  /** Called when the connection has lasted for 30 s after its first frame. */
  readonly onLasting: () => void
  /** Called once, and not after `close`. */
  readonly onLost: (loss: Loss) => void
}

export interface Connection {
  /** Closes the connection. No callback follows. */
  close (): void
}

const SUBPROTOCOL = 'kubiya-audit.v1'
const HELLO_MS = 15_000
const SILENT_HEARTBEATS = 2.5
const LASTING_MS = 30_000

/**
 * One WebSocket, from the attempt to open it until it is lost. A network can lose a connection without an error on
 * either side, so silence counts as a loss.
 */
export function openConnection (options: ConnectionOptions): Connection {
  const { address, onFrame, onLasting, onLost, onInvalidFrame, WebSocket } = options
  const socket = new WebSocket(address, SUBPROTOCOL)
  let isOpen = false
  let isOver = false
  let isGreeted = false
  let silenceMs = HELLO_MS
  let heardMs = performance.now()
  let silence = setTimeout(listen, silenceMs)
  let lasting: ReturnType<typeof setTimeout> | undefined

  socket.addEventListener('open', () => { isOpen = true })
  socket.addEventListener('message', ({ data }) => { if (!isOver) read(data) })
  // Some WebSockets that cannot be opened emit `error` without `close`. One that was open always emits `close`.
  socket.addEventListener('error', () => { if (!isOpen) lose({ reason: 'failed' }) })
  socket.addEventListener('close', ({ code }) => lose({ reason: isOpen ? 'closed' : 'failed', code }))
  return { close }

  function read (data: unknown): void {
    const frame = readFrame(data)
    // PROTOCOL.md: `hello` is the first frame, and occurs once.
    if (frame === undefined || (frame.type === 'hello') === isGreeted) return onInvalidFrame()
    isGreeted = true
    lasting ??= setTimeout(onLasting, LASTING_MS)
    heardMs = performance.now()
    if (frame.type === 'hello') {
      silenceMs = frame.heartbeat_seconds * 1000 * SILENT_HEARTBEATS
      listen()
    }
    onFrame(frame, String(data).length)
  }

  /** A timer for each frame would cost a browser more than to read the frame. So one timer looks back. */
  function listen (): void {
    const leftMs = heardMs + silenceMs - performance.now()
    if (leftMs <= 0) return lose({ reason: 'silent' })
    clearTimeout(silence)
    silence = setTimeout(listen, leftMs)
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
