import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { joinSockets } from './joined-sockets.ts'

interface Owner { teardown (action: () => unknown): void }

/** A network between a client and a service: it can be cut, fall silent, and lead to another service. */
export interface Wire {
  /** `http://127.0.0.1:port`, the same whatever it leads to. */
  readonly url: string
  /** Connections that were made so far. */
  connections (): number
  /** Bytes that came from the client's side so far. */
  heard (): number
  lead (target: string): void
  /** Ends all connections without a word. */
  cut (): void
  /** From now on nothing passes on the connections that there are; those to come are well. */
  silence (): void
}

export async function layWire (t: Owner, target: string): Promise<Wire> {
  let [made, heard] = [0, 0]
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    made++
    const { hostname, port } = new URL(target)
    const far = connect(Number(port), hostname)
    joinSockets(near, far, sockets)
    near.on('data', ({ length }) => { heard += length })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => { for (const socket of sockets) socket.destroy() }
  t.teardown(() => {
    server.close()
    cut()
  })

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => made,
    heard: () => heard,
    lead: (next) => { target = next },
    cut,
    silence: () => {
      for (const socket of sockets) socket.unpipe().pause()
    }
  }
}
