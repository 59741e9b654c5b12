import type { Open } from '../contracts/stream.ts'
import { openEventStream } from './event-stream.ts'
import { openStream } from './support.ts'

export const PATH = '/api/v1/audit/stream'

export const overWebSocket: Open = (service, query = '', cursor) => {
  const stream = openStream(`${service.url.replace('http', 'ws')}${PATH}${withSince(query, cursor)}`)
  return {
    ...stream,
    pause: () => stream.socket.pause(),
    resume: () => stream.socket.resume(),
    terminate: () => stream.socket.terminate()
  }
}

export const overEvents: Open = (service, query = '', cursor) =>
  openEventStream(`${service.url}${PATH}${query}`, {
    accept: 'text/event-stream',
    ...cursor !== undefined && { 'last-event-id': cursor }
  })

function withSince (query: string, cursor: string | undefined): string {
  return cursor === undefined ? query : `${query === '' ? '?' : `${query}&`}since=${cursor}`
}
