import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer, request as openRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { json } from 'node:stream/consumers'
import { DEADLINE_MS } from '../support/inbox.ts'
import { joinSockets } from './joined-sockets.ts'

interface Owner { teardown (action: () => unknown): void }

/** A site as front ends have it: a page, the client module, and the service behind the same origin. */
export interface Site {
  readonly url: string
  /** What the page has said, in order. */
  readonly said: Array<Record<string, unknown>>
  /** Resolves when something that the page said, or says yet, passes. */
  until (passes: (said: Record<string, unknown>) => boolean): Promise<void>
  /** The service is somewhere else now. */
  lead (service: string): void
  /** Cuts the WebSockets that there are. */
  cut (): void
}

/** `script` is a module's text: it has `openAuditStream`, and `say`, which sends an object to the test. */
export async function startSite (t: Owner, service: string, script: string): Promise<Site> {
  const said: Array<Record<string, unknown>> = []
  const news = new EventEmitter()
  const sockets = new Set<Socket>()
  const module = await readFile('dist/client.js')
  const page = `<!doctype html><meta charset="utf-8"><title>test</title><script type="module">
    import { isAuditStreamError, openAuditStream } from './client.js'
    const say = (what) => fetch('/say', { method: 'POST', body: JSON.stringify(what) })
    addEventListener('unhandledrejection', ({ reason }) => say({ unhandled: String(reason) }))
    addEventListener('error', ({ message }) => say({ unhandled: message }))
    ${script}
  </script>`

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined))
  })
  server.on('upgrade', (request: IncomingMessage, near: Socket, head: Buffer) => {
    const { hostname, port } = new URL(service)
    const far = connect(Number(port), hostname)
    const lines = request.rawHeaders.flatMap((name, index, all) =>
      index % 2 === 0 ? [`${name}: ${all[index + 1]}\r\n`] : []
    )
    far.write(`GET ${request.url} HTTP/1.1\r\n${lines.join('')}\r\n`)
    far.write(head)
    joinSockets(near, far, sockets)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => { for (const socket of sockets) socket.destroy() }
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
    cut()
  })

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/app/`,
    said,
    async until (passes) {
      const deadline = AbortSignal.timeout(DEADLINE_MS)
      while (!said.some(passes)) {
        await once(news, 'said', { signal: deadline }).catch(() => {
          throw new Error(`the page has not said what was waited for, but ${JSON.stringify(said.slice(-10))}`)
        })
      }
    },
    lead: (next) => { service = next },
    cut
  }

  async function answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/app/') response.setHeader('content-type', 'text/html').end(page)
    else if (request.url === '/app/client.js') response.setHeader('content-type', 'text/javascript').end(module)
    else if (request.url !== '/say') pass(request, response)
    else {
      said.push(await json(request) as Record<string, unknown>)
      news.emit('said')
      response.end()
    }
  }

  function pass (request: IncomingMessage, response: ServerResponse): void {
    const passed = openRequest(`${service}${request.url}`, { headers: request.headers }, (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.headers)
      answered.pipe(response)
    })
    passed.on('error', () => response.writeHead(502).end())
    passed.end()
  }
}
