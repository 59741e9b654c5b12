import { once } from 'node:events'
import { createServer, request as openRequest, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.ts'

/**
 * A stand-in for Kubiya in front of several accounts: each credential sees its own events, and it is known who asked.
 */
export interface Crowd {
  readonly url: string
  /** The account behind a credential, such as `UserKey alice-key`. */
  account (authorization: string): Sandbox
  /** How often Kubiya was asked with this credential, good or not; all without. */
  asked (authorization?: string): number
  /** `Authorization` values that came, each once. */
  readonly seen: Set<string>
  /** From now on a credential is refused. */
  refuse (authorization: string, status?: number): void
}

export async function startCrowd (t: Test, authorizations: string[]): Promise<Crowd> {
  const callerShares = new Map<string, Sandbox>()
  const refused = new Map<string, number>()
  const counts = new Map<string, number>()
  const seen = new Set<string>()
  for (const authorization of authorizations) callerShares.set(authorization, await startSandbox())
  const server = createServer((request, response) => {
    const { authorization = '' } = request.headers
    seen.add(authorization)
    counts.set(authorization, (counts.get(authorization) ?? 0) + 1)
    const account = refused.has(authorization) ? undefined : callerShares.get(authorization)
    if (account === undefined) {
      response.writeHead(refused.get(authorization) ?? 401, {
        'content-type': 'application/json',
        'cache-control': 'public, max-age=600'
      }).end(`{"error":"no such key: ${authorization}"}`)
      return
    }
    const passed = openRequest(`${account.url}${request.url}`, {
      headers: { ...request.headers, authorization: `UserKey ${account.apiKey}` }
    }, (answer: IncomingMessage) => {
      response.writeHead(answer.statusCode ?? 502, { ...answer.headers, 'cache-control': 'public, max-age=600' })
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    response.on('close', () => passed.destroy())
    passed.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(async () => {
    server.close()
    server.closeAllConnections()
    for (const account of callerShares.values()) await account.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    account (authorization) {
      const account = callerShares.get(authorization)
      if (account === undefined) throw new Error('there is no such account')
      return account
    },
    asked: (authorization) =>
      authorization === undefined
        ? [...counts.values()].reduce((sum, count) => sum + count, 0)
        : counts.get(authorization) ?? 0,
    seen,
    refuse: (authorization, status = 401) => { refused.set(authorization, status) }
  }
}
