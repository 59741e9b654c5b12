import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { dial, handshake, head } from '../hardening/raw.ts'
import type { Chance } from '../oracle/chance.ts'

/** Where the connections lead, and with which credential. */
export interface ConnectionsTarget {
  readonly url: string
  readonly authorization: string
  readonly paths: readonly [string, ...string[]]
}

const MOST_PIPELINED = 40
const MOST_CONNECTIONS = 8
const LONGEST_HOLD_MS = 200

/**
 * Opens several connections that pipeline, upgrade, read nothing or close one half, and then hangs up on all of them.
 */
export async function abuseConnections (chance: Chance, target: ConnectionsTarget): Promise<void> {
  const sockets = Array.from({ length: chance.integer(1, MOST_CONNECTIONS) }, () => abuse(chance, target))
  await sleep(chance.integer(0, LONGEST_HOLD_MS))
  await Promise.all(sockets.map(hangUp))
}

function abuse (chance: Chance, target: ConnectionsTarget): Socket {
  const socket = dial(target.url)
  socket.on('connect', () => {
    if (chance.is(0.4)) socket.pause() // Reads nothing of what the service answers.
    else socket.resume()
    const requests = Array.from({ length: chance.integer(1, MOST_PIPELINED) }, () => request(chance, target))
    if (chance.is(0.5)) socket.write(requests.join(''))
    else for (const each of requests) socket.write(each)
    if (chance.is(0.3)) socket.end() // The other half stays open until the service closes it.
  })
  return socket
}

function request (chance: Chance, { authorization, paths }: ConnectionsTarget): string {
  return head(chance.pick(paths), {
    connection: 'keep-alive',
    ...chance.is(0.7) && { authorization },
    ...chance.is(0.2) && handshake(),
    ...chance.is(0.1) && { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c' },
    ...chance.is(0.2) && { accept: 'text/event-stream' }
  })
}

async function hangUp (socket: Socket): Promise<void> {
  if (socket.destroyed) return
  const closed = once(socket, 'close')
  socket.destroy()
  await closed
}
