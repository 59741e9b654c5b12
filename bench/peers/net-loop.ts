import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { answer } from '../commands.ts'
import { createBatches, createTicker } from '../ticker.ts'

// The floor: one prebuilt buffer for all events of a batch, written to plain sockets.

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const sockets = new Set<Socket>()
const server = createServer((_request, response) => response.end())
server.on('upgrade', (request, connection) => {
  const socket = connection as Socket
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key'] ?? ''}${GUID}`).digest('base64')
  socket.write(
    [
      'HTTP/1.1 101 Switching Protocols',
      'Connection: Upgrade',
      'Upgrade: websocket',
      `Sec-WebSocket-Accept: ${accept}`,
      '',
      ''
    ].join('\r\n')
  )
  socket.on('error', () => {}).on('close', () => sockets.delete(socket)).resume()
  sockets.add(socket)
})

function message (text: string): Buffer {
  const payload = Buffer.from(text)
  const header = Buffer.from([0x81, 126, 0, 0])
  header.writeUInt16BE(payload.length, 2)
  return Buffer.concat([header, payload])
}

const batch = createBatches()

function send (texts: string[]): void {
  const bytes = Buffer.concat(texts.map(message))
  for (const socket of sockets) socket.write(bytes)
}

answer({
  listen: async (port: number) => new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) }),
  tick: createTicker(send, batch),
  /** So many at once; gives the monotonic time at which it began, nanoseconds. */
  make (count: number) {
    const at = process.hrtime.bigint()
    send(batch(count))
    return String(at)
  }
})
