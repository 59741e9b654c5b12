import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** Sends bytes as they are, and gives what came until the other side closed, or until `enough`. */
export async function exchange (
  url: string,
  text: string | Buffer,
  enough: (heard: string) => boolean = () => false
): Promise<string> {
  const socket = dial(url)
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
    if (enough(heard)) socket.destroy()
  })
  const closed = once(socket, 'close')
  socket.write(text)
  await closed
  return heard
}

/** A bare connection to a service. Its errors are silent: `close` follows. */
export function dial (url: string): Socket {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  return socket
}

/** The head of a request, line by line. */
export function head (path: string, headers: Record<string, string> = {}, method = 'GET'): string {
  const lines = Object.entries({ host: 'localhost', connection: 'close', ...headers }).map(([name, value]) =>
    `${name}: ${value}\r\n`
  )
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

export function statusOf (answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
}

/** What makes a request an upgrade to a WebSocket. */
export function handshake (headers: Record<string, string> = {}): Record<string, string> {
  return {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    ...headers
  }
}
