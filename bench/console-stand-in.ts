import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { WebSocketServer, type WebSocket } from 'ws'

// Serves the built console, and a stream of as many events as the bench wants. So the browser alone is measured.

const FOLDER = 'dist/console'
const TYPES: Readonly<Record<string, string>> = { html: 'text/html', js: 'text/javascript', css: 'text/css' }
const CHUNK = 500
const MOST_BUFFERED_BYTES = 1024 * 1024

export interface ConsoleStandIn {
  /** The address of the page. */
  readonly url: string
  /** Sends so many events as fast as the page takes them. */
  fill (count: number): Promise<void>
  /** Sends so many events a second until `stop` is called. */
  stream (perSecond: number): { stop (): void }
  close (): void
}

export async function startConsoleStandIn (): Promise<ConsoleStandIn> {
  const files = new Map(readdirSync(FOLDER).map((name) => [name, readFileSync(`${FOLDER}/${name}`)]))
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://console')
    const name = pathname === '/console/' ? 'index.html' : pathname.replace('/console/', '')
    const file = files.get(name)
    const type = file === undefined ? 'application/json' : TYPES[name.split('.').at(-1) ?? ''] ?? 'text/plain'
    response.writeHead(200, { 'content-type': type }).end(file ?? JSON.stringify(answerOf(pathname)))
  })
  const sockets = new WebSocketServer({ server })
  let socket: WebSocket | undefined
  let made = 0
  const connected = new Promise<WebSocket>((resolve) => {
    sockets.on('connection', (opened) => {
      socket = opened
      opened.send(JSON.stringify({ type: 'hello', cursor: 'c', resumed: true, heartbeat_seconds: 20 }))
      resolve(opened)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/console/`,
    async fill (count) {
      const taking = await connected
      for (let sent = 0; sent < count; sent += CHUNK) {
        for (let n = 0; n < Math.min(CHUNK, count - sent); n++) taking.send(nextFrame())
        while (taking.bufferedAmount > MOST_BUFFERED_BYTES) await pause(5)
        await pause(0)
      }
    },
    stream (perSecond) {
      const everyMs = 10
      const timer = setInterval(() => {
        for (let n = 0; n < perSecond * everyMs / 1000; n++) socket?.send(nextFrame())
      }, everyMs)
      return { stop: () => { clearInterval(timer) } }
    },
    close () {
      sockets.close()
      server.closeAllConnections()
      server.close()
    }
  }

  function nextFrame (): string {
    made++
    const event = {
      id: `e${made}`,
      timestamp: new Date().toISOString(),
      email: `user${made % 40}@acme.test`,
      category_type: 'agents',
      category_name: `agent ${made % 12}`,
      resource_type: 'Message',
      resource_text: `message number ${made} of the agent`,
      action_type: 'sent',
      action_successful: made % 20 !== 0,
      extra: { session_id: `s-${made % 500}` }
    }
    return JSON.stringify({ type: 'event', cursor: `c${made}`, event })
  }
}

function answerOf (pathname: string): object {
  const now = new Date().toISOString()
  const window = { start_time: now, end_time: null }
  const coverage = { complete: true, scanned: 0, start_time: now, end_time: now, as_of: now }
  if (pathname.endsWith('/events')) {
    const pagination = { page: 1, page_size: 100, has_more: false, next: null, next_cursor: null }
    return { items: [], pagination, window, live_cursor: 'c' }
  }
  if (pathname.endsWith('/timeline')) {
    return { window, coverage, interval_seconds: 60, by: 'status', series: [], buckets: [] }
  }
  if (pathname.endsWith('/facets')) return { window, coverage, facets: [] }
  return { status: 'ready', upstream: { state: 'ok', last_good_poll: now, lag_ms: 0 } }
}

async function pause (ms: number): Promise<void> {
  await new Promise((resolve) => { setTimeout(resolve, ms) })
}
