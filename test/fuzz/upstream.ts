import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import type { Chance } from '../oracle/chance.ts'
import { answer } from './material.ts'

export interface FuzzUpstream {
  readonly url: string
  readonly asked: () => number
  /** From now on so large a part of the answers is odd. */
  oddness: number
  close (): Promise<void>
}

const CUT = 0.05

/** A stand-in for Kubiya with a day of events, whose answers are odd as often as it is told. */
export async function startFuzzUpstream (key: string, chance: Chance): Promise<FuzzUpstream> {
  const sandbox = await startSandbox({ history: 'day', apiKey: key })
  let asked = 0
  const server = createServer((request, response) => {
    asked++
    pass(request.url ?? '', request.headers.authorization ?? '').then(({ body, status }) => {
      if (!chance.is(upstream.oddness)) {
        return response.writeHead(status, { 'content-type': 'application/json' }).end(body)
      }
      if (chance.is(CUT)) return response.destroy()
      const odd = answer(chance, body)
      return response.writeHead(odd.status, odd.headers).end(odd.body)
    }).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const upstream: FuzzUpstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked: () => asked,
    oddness: 0,
    async close () {
      server.close()
      server.closeAllConnections()
      await sandbox.close()
    }
  }
  return upstream

  async function pass (path: string, authorization: string): Promise<{ status: number, body: string }> {
    const response = await fetch(`${sandbox.url}${path}`, { headers: { authorization } })
    return { status: response.status, body: await response.text() }
  }
}
