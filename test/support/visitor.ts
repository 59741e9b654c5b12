import { connect } from 'node:net'

/** How a visitor listens: plain or compressed messages of a WebSocket, or Server-Sent Events. */
export type VisitorKind = 'plain' | 'deflate' | 'sse'

/** Takes what a stream gives and looks at none of it: hundreds of them cost next to nothing. */
export interface Visitor {
  /** Resolves with the bytes that it took when its connection is gone. */
  readonly gone: Promise<number>
  leave (): void
}

export const KINDS = ['plain', 'deflate', 'sse'] as const

const PONG = Buffer.from([0x8a, 0x80, 0, 0, 0, 0]) // Masked, as a client's frames are, and not asked for.
const PONG_EVERY_MS = 5000
const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
]
const HEADERS: Record<VisitorKind, readonly string[]> = {
  plain: UPGRADE,
  deflate: [...UPGRADE, 'Sec-WebSocket-Extensions: permessage-deflate'],
  sse: ['Accept: text/event-stream']
}

/** Opens a stream of the service at an address. */
export function visit (url: string, kind: VisitorKind, query: string): Visitor {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port) })
  const pings = kind === 'sse' ? undefined : setInterval(() => socket.write(PONG), PONG_EVERY_MS)
  const gone = new Promise<number>((resolve) => {
    socket.on('close', () => {
      clearInterval(pings)
      resolve(socket.bytesRead)
    })
  })
  socket.on('error', () => socket.destroy()).resume()
  socket.write([`GET /api/v1/audit/stream${query} HTTP/1.1`, 'Host: 127.0.0.1', ...HEADERS[kind], '', ''].join('\r\n'))
  return { gone, leave: () => { socket.destroy() } }
}
