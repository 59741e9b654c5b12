import type { Frame, Loss, WebSocketConstructor } from './contract.ts'

export interface ConnectionOptions {
  readonly address: string
  readonly WebSocket: WebSocketConstructor
  /** Frames of all types, those that came after this was written too. */
  readonly onFrame: (frame: Frame) => void
  /** Something came that is no frame. */
  readonly onNonsense: () => void
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

/** One WebSocket, from the attempt to open it until it is lost. A network can lose a connection without a word to either side. */
export function openConnection ({ address, onFrame, onLost, onNonsense, WebSocket }: ConnectionOptions): Connection {
  const socket = new WebSocket(address, SUBPROTOCOL)
  let isOpen = false
  let isOver = false
  let silenceMs = HELLO_MS
  let silence = setTimeout(loseSilent, silenceMs)

  socket.addEventListener('open', () => { isOpen = true })
  socket.addEventListener('message', ({ data }) => { if (!isOver) read(data) })
  // Not every WebSocket that could not be opened says `close` as well; one that was open always does, and with its code.
  socket.addEventListener('error', () => { if (!isOpen) lose({ reason: 'failed' }) })
  socket.addEventListener('close', ({ code }) => lose({ reason: isOpen ? 'closed' : 'failed', code }))
  return { close }

  function read (data: unknown): void {
    const frame = parse(data)
    if (frame === undefined) return onNonsense()
    if (frame.type === 'hello') silenceMs = frame.heartbeat_seconds * 1000 * SILENT_HEARTBEATS
    clearTimeout(silence)
    silence = setTimeout(loseSilent, silenceMs)
    onFrame(frame)
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
    socket.close()
  }
}

function parse (data: unknown): Frame | undefined {
  try {
    const frame: unknown = JSON.parse(String(data))
    return typeof frame === 'object' && frame !== null ? frame as Frame : undefined
  } catch {
    return undefined
  }
}
