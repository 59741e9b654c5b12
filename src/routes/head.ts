import type { ServerResponse } from 'node:http'

/** What Node keeps of a head that it has put together itself. */
interface Internals {
  _header: string | null
  maxRequestsOnConnectionReached?: boolean
}

let date = ''
let dateMs = 0

export function sendHead (response: ServerResponse & Partial<Internals>, status: number, head: string, keepAliveMs: number): ServerResponse {
  response.statusCode = status
  response._header = `HTTP/1.1 ${status} ${status === 200 ? 'OK' : 'Not Modified'}\r\n${head}date: ${now()}\r\nconnection: keep-alive\r\nkeep-alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`
  return response
}

function now (): string {
  const ms = Date.now()
  if (ms - dateMs >= 1000 || ms < dateMs) {
    dateMs = ms - ms % 1000
    date = new Date(dateMs).toUTCString()
  }
  return date
}
