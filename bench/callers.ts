import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { answer } from './commands.ts'

// Asks over HTTP/1.1, on connections that are kept, and counts what is answered.

interface Load {
  readonly port: number
  readonly path: string
  readonly headers?: Record<string, string>
  readonly connections: number
  readonly forMs: number
  /** Pause between two requests of a connection; 0: as fast as they are answered. */
  readonly pauseMs?: number
}

interface Outcome {
  readonly answered: number
  readonly statuses: Record<string, number>
  /** Of the last answer. */
  readonly bodyBytes: number
  readonly latenciesMs: number[]
}

const MOST_LATENCIES = 20_000
let loads = 0

/**
 * A connection from an address of its own for each load: the ports of one address wait a minute until they can be used
 * again.
 */
function connectTo (port: number): Socket {
  return connect({ port, host: '127.0.0.1', localAddress: `127.1.${Math.floor(loads / 250) % 250}.${1 + loads % 250}` })
}

function requestBytes (path: string, headers: Record<string, string> = {}): string {
  return [
    `GET ${path} HTTP/1.1`,
    'Host: localhost',
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '',
    ''
  ].join('\r\n')
}

/** Calls back with each answer on a connection: its status and the bytes of its body. */
function onAnswers (socket: Socket, take: (status: string, bodyBytes: number) => void): void {
  let head = Buffer.alloc(0)
  let left = 0
  let current = { status: '', bodyBytes: 0 }
  socket.on('data', (chunk: Buffer) => {
    for (let rest = chunk; rest.length > 0;) {
      if (left > 0) {
        const piece = Math.min(left, rest.length)
        left -= piece
        rest = rest.subarray(piece)
      } else {
        head = Buffer.concat([head, rest])
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        const text = head.toString('latin1', 0, end)
        const status = text.slice(9, 12)
        left = status === '304' ? 0 : Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0)
        current = { status, bodyBytes: left }
        rest = head.subarray(end + 4)
        head = Buffer.alloc(0)
      }
      if (left === 0 && head.length === 0) take(current.status, current.bodyBytes)
    }
  })
}

async function load ({ connections, forMs, headers, path, pauseMs = 0, port }: Load): Promise<Outcome> {
  const request = requestBytes(path, headers)
  loads++
  const endMs = performance.now() + forMs
  const statuses: Record<string, number> = {}
  const latenciesMs: number[] = []
  let answered = 0
  let bodyBytes = 0
  await Promise.all(Array.from({ length: connections }, async () => {
    const socket = connectTo(port)
    await once(socket, 'connect')
    await new Promise<void>((resolve, reject) => {
      let askedMs = 0
      const ask = () => {
        askedMs = performance.now()
        socket.write(request)
      }
      socket.on('error', reject).on('close', () => resolve())
      onAnswers(socket, (status, bytes) => {
        const nowMs = performance.now()
        answered++
        bodyBytes = bytes
        statuses[status] = (statuses[status] ?? 0) + 1
        if (latenciesMs.length < MOST_LATENCIES) latenciesMs.push(nowMs - askedMs)
        if (nowMs >= endMs) socket.destroy()
        else if (pauseMs > 0) setTimeout(ask, pauseMs)
        else ask()
      })
      ask()
    })
  }))
  return { answered, statuses, bodyBytes, latenciesMs }
}

/** So many equal requests at once, each on its own connection; the first caller hangs up before it is answered. */
async function crowd (
  { count, path, port }: { port: number, path: string, count: number }
): Promise<Record<string, number>> {
  const statuses: Record<string, number> = {}
  const sockets: Socket[] = []
  loads++
  for (let first = 0; first < count; first += 100) {
    const some = Array.from({ length: Math.min(100, count - first) }, () => connectTo(port))
    await Promise.all(some.map((socket) => once(socket, 'connect')))
    sockets.push(...some)
  }
  const done = sockets.map((socket) => new Promise<string>((resolve) => {
    socket.on('error', () => resolve('error')).on('close', () => resolve('closed'))
    onAnswers(socket, resolve)
  }))
  for (const [index, socket] of sockets.entries()) {
    socket.write(requestBytes(path))
    if (index === 0) setTimeout(() => socket.destroy(), 20)
  }
  const outcomes = await Promise.race([
    Promise.all(done),
    sleep(60_000, undefined, { ref: false }).then(() => {
      throw new Error('not all were answered')
    })
  ])
  for (const outcome of outcomes) statuses[outcome] = (statuses[outcome] ?? 0) + 1
  for (const socket of sockets) socket.destroy()
  return statuses
}

/** Reads an answer to its end, and counts its lines. */
async function lines ({ path, port }: { port: number, path: string }): Promise<{ lines: number }> {
  const [response] = await once(get({ port, path, host: '127.0.0.1', agent: false }), 'response') as [IncomingMessage]
  if (response.statusCode !== 200) throw new Error(`${path} was answered ${response.statusCode}`)
  let lines = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++
  }
  return { lines }
}

/** Follows a list page by page, as a program without exports has to, and counts its events. */
async function pages ({ path, port }: { port: number, path: string }): Promise<{ events: number }> {
  let events = 0
  for (let next: string | null = path; next !== null;) {
    const response = await fetch(`http://127.0.0.1:${port}${next}`)
    if (!response.ok) throw new Error(`${next} was answered ${response.status}`)
    const { items, pagination } = await response.json() as { items: unknown[], pagination: { next: string | null } }
    events += items.length
    next = pagination.next
  }
  return { events }
}

answer({ load, crowd, lines, pages })
