import { request, type IncomingMessage } from 'node:http'
import type { Frame } from '../../src/live/transport/frames.ts'
import { createInbox, type Inbox } from './inbox.ts'

/** A consumer of Server-Sent Events, written to the standard (WHATWG HTML §9.2.6). */
export interface EventStream extends Inbox {
  /** The answer's head. */
  readonly opened: Promise<{ status: number, headers: Record<string, unknown> }>
  /** The whole body of an answer that is no stream. */
  readonly body: Promise<any>
  /** What each dispatched event was: its name and the last id at that time. */
  readonly dispatched: Array<{ type: string, lastEventId: string }>
  /** The time to wait before coming back, if the stream named one. */
  retryMs (): number | undefined
  comments (): number
  pause (): void
  resume (): void
  /** Resolves at the end of the answer, orderly or not. */
  readonly closed: Promise<void>
  terminate (): void
}

export function openEventStream (url: string, headers: Record<string, string> = {}): EventStream {
  const inbox = createInbox()
  const dispatched: EventStream['dispatched'] = []
  let response: IncomingMessage | undefined
  let text = ''
  let type = ''
  let data: string[] = []
  let lastEventId = ''
  let retryMs: number | undefined
  let comments = 0
  const asked = request(url, { headers, agent: false })
  asked.end()
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve)
    asked.on('error', reject)
  })
  answered.catch(() => {})
  const closed = new Promise<void>((resolve) => {
    asked.on('close', () => resolve())
  })
  const body = answered.then((incoming) => new Promise<any>((resolve) => {
    let whole = ''
    response = incoming
    incoming.setEncoding('utf8')
    incoming.on('data', (chunk: string) => {
      if (incoming.headers['content-type']?.startsWith('text/event-stream') === true) read(chunk)
      else whole += chunk
    })
    incoming.on('error', () => {}) // Cut off: `closed` tells.
    incoming.on('end', () => resolve(whole === '' ? undefined : JSON.parse(whole)))
  }))
  body.catch(() => {})

  return {
    ...inbox,
    opened: answered.then(({ statusCode = 0, headers }) => ({ status: statusCode, headers })),
    body,
    dispatched,
    retryMs: () => retryMs,
    comments: () => comments,
    pause: () => { response?.pause() },
    resume: () => { response?.resume() },
    closed,
    terminate: () => { asked.destroy() }
  }

  function read (chunk: string): void {
    text += chunk
    const lines = text.split(/\r\n|\n|\r/)
    text = lines.pop() ?? ''
    lines.forEach(readLine)
  }

  function readLine (line: string): void {
    if (line === '') return dispatch()
    if (line.startsWith(':')) {
      comments++
      return
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?([^]*))?$/.exec(line) ?? []
    if (field === 'event') type = value
    if (field === 'data') data.push(value)
    if (field === 'id') lastEventId = value
    if (field === 'retry') retryMs = Number(value)
  }

  function dispatch (): void {
    if (data.length > 0) {
      const frame = JSON.parse(data.join('\n')) as Frame
      dispatched.push({ type, lastEventId })
      inbox.take(frame)
    }
    type = ''
    data = []
  }
}
