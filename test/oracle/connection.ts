import { get, type IncomingMessage } from 'node:http'
import WebSocket from 'ws'
import type { Frame } from '../../src/live/transport/frames.ts'

export type Transport = 'ws' | 'sse'

/** One connection to the stream, until it ends. */
export interface Connection {
  /** Gives it up: nothing more is heard. */
  cut (): void
  /** Stops to read, as a reader that is stuck; gives the way back. */
  pause (): () => void
  /** Resolves when it is over: with the status and body of a refusal, where it was one. */
  readonly over: Promise<Refusal | undefined>
}

export interface Refusal { readonly status: number, readonly body: string }

export interface Call {
  /** `http://host:port` */
  readonly url: string
  readonly query: Record<string, string>
  /** By which the server's end of the connection can be found. */
  readonly name: string
  readonly onFrame: (frame: Frame) => void
}

const PATH = '/api/v1/audit/stream'

export function connect (transport: Transport, call: Call): Connection {
  return transport === 'ws' ? overWebSocket(call) : overSse(call)
}

function overWebSocket ({ name, onFrame, query, url }: Call): Connection {
  const socket = new WebSocket(`${url.replace('http', 'ws')}${PATH}?${new URLSearchParams(query)}`, {
    headers: { 'x-request-id': name }
  })
  let isCut = false
  const over = new Promise<Refusal | undefined>((resolve) => {
    socket.on('unexpected-response', (_request, response) => {
      refusalOf(response).then(resolve, () => resolve(undefined))
    })
    socket.on('close', () => resolve(undefined))
  })
  socket.on('error', () => {}) // `close` follows.
  socket.on('message', (data) => { if (!isCut) onFrame(JSON.parse(String(data)) as Frame) })
  return {
    cut () {
      isCut = true
      socket.terminate()
    },
    pause () {
      socket.pause()
      return () => socket.resume()
    },
    over
  }
}

function overSse ({ name, onFrame, query, url }: Call): Connection {
  const { since, ...rest } = query
  const headers = { 'x-request-id': name, ...since !== undefined && { 'last-event-id': since } }
  const reader = createReader(onFrame)
  let answer: IncomingMessage | undefined
  let isCut = false
  const request = get(`${url}${PATH}?${new URLSearchParams(rest)}`, { headers, agent: false })
  const over = new Promise<Refusal | undefined>((resolve) => {
    request.on('error', () => resolve(undefined))
    request.on('response', (response) => {
      if (response.statusCode !== 200) {
        refusalOf(response).then(resolve, () => resolve(undefined))
        return
      }
      answer = response.setEncoding('utf8')
      response.on('data', (text: string) => { if (!isCut) reader(text) })
      response.on('error', () => {})
      response.on('close', () => resolve(undefined))
    })
  })
  return {
    cut () {
      isCut = true
      request.destroy()
    },
    pause () {
      answer?.pause()
      return () => answer?.resume()
    },
    over
  }
}

/** Reads Server-Sent Events as they come; what their fields say must be what the frame says. */
function createReader (onFrame: (frame: Frame) => void): (text: string) => void {
  let rest = ''
  return (text) => {
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)])
      )
      const data = fields.get('data')
      if (data === undefined) continue
      const frame = JSON.parse(data) as Frame
      if (
        fields.get('event') !== frame.type || fields.get('id') !== ('cursor' in frame ? frame.cursor : undefined)
      ) { throw new Error(`not the frame's fields: ${block}`) }
      onFrame(frame)
    }
  }
}

async function refusalOf (response: IncomingMessage): Promise<Refusal> {
  let body = ''
  for await (const chunk of response) body += String(chunk)
  return { status: response.statusCode ?? 0, body }
}
