import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket, { WebSocketServer } from 'ws'
import { isAuditStreamError, openAuditStream, type WebSocketConstructor } from '../../src/client/client.ts'
import type { Chance } from '../oracle/chance.ts'
import { bytes, damaged, noise } from './material.ts'

export interface ForgedFramesReport {
  /** What the module threw that is no `AuditStreamError`. */
  readonly faults: readonly unknown[]
  /** How often the module connected. */
  readonly connections: number
}

const FRAMES = [
  '{"type":"hello","cursor":"1.a.b","resumed":true,"heartbeat_seconds":20}',
  '{"type":"event","cursor":"1.a.b","event":{"id":"e1"}}',
  '{"type":"gap","cursor":"1.a.b","from":"2024-01-01T00:00:00Z","to":"2024-01-01T00:00:01Z","reason":"too-large"}',
  '{"type":"status","upstream":"ok","since":"2024-01-01T00:00:00Z","lag_ms":1}',
  '{"type":"heartbeat","cursor":"1.a.b","upstream":"ok","lag_ms":1}',
  '{"type":"expiring","at":"2024-01-01T00:00:00Z"}',
  '{"type":"end","reason":"shutdown","reconnect":true,"cursor":"1.a.b"}'
] as const
const VALUES = ['null', '0', '-1', '1e400', '1e12', '""', '[]', '{}', 'true', '"x"', `"${'i'.repeat(300)}"`] as const
const WATCHED_MS = 300

/** Lets the client module follow a service that forges frames. Nothing that it says may throw outside the iteration. */
export async function forgeFrames (chance: Chance): Promise<ForgedFramesReport> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  let connections = 0
  server.on('connection', (socket) => {
    connections++
    socket.on('error', () => {})
    for (let count = chance.integer(0, 20); count > 0; count--) socket.send(message(chance))
    if (chance.is(0.5)) socket.close(chance.pick([1000, 1001, 4401, 4408, 4999]))
  })
  const faults: unknown[] = []
  const note = (error: unknown) => { faults.push(error) }
  process.on('uncaughtException', note)
  await follow(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, note)
  process.removeListener('uncaughtException', note)
  for (const client of server.clients) client.terminate()
  await new Promise((resolve) => { server.close(resolve) })
  return { faults, connections }
}

async function follow (url: string, note: (error: unknown) => void): Promise<void> {
  const stop = new AbortController()
  const stream = openAuditStream({ url, signal: stop.signal, WebSocket: WebSocket as unknown as WebSocketConstructor })
  const read = (async () => {
    for await (const event of stream) {
      if (typeof event.id !== 'string') note(new TypeError('an event without an id was given'))
    }
  })().catch((error: unknown) => {
    if (!isAuditStreamError(error)) note(error)
  })
  await Promise.race([read, sleep(WATCHED_MS)])
  stop.abort()
  await read
}

function message (chance: Chance): string | Buffer {
  const frame = chance.pick(FRAMES)
  switch (chance.integer(0, 4)) {
    case 0:
      return frame
    case 1:
      return frame.replace(
        /:("[^"]*"|\d+|true|\{[^}]*\})/g,
        (member) => chance.is(0.3) ? `:${chance.pick(VALUES)}` : member
      )
    case 2:
      return damaged(chance, frame)
    case 3:
      return bytes(chance, 200)
    default:
      return noise(chance, 200)
  }
}
