import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import WebSocket, { WebSocketServer } from 'ws'

interface Owner { teardown (action: () => unknown): void }

/** A service that says what it is told to, for what the real one says seldom, or will only say in years to come. */
export interface Fake {
  readonly url: string
  /** What was asked for, one query a connection. */
  readonly asked: URLSearchParams[]
}

/** Each connection is handed to the next of the scripts, the last of them to all that follow. */
export async function startFake (t: Owner, ...scripts: Array<(socket: WebSocket) => void>): Promise<Fake> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  const asked: URLSearchParams[] = []
  server.on('connection', (socket, { url = '' }) => {
    const script = scripts[Math.min(asked.length, scripts.length - 1)]
    asked.push(new URL(url, 'http://localhost').searchParams)
    script?.(socket)
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

export const say = (socket: WebSocket, ...frames: object[]) =>
  frames.forEach((frame) => socket.send(JSON.stringify(frame)))
export const hello = (cursor: string) => ({ type: 'hello', cursor, resumed: true, heartbeat_seconds: 20 })
export const event = (id: string, cursor: string) => ({ type: 'event', cursor, event: { id } })
