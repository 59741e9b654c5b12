import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { PROBLEM_TYPE, problemOf, type ProblemCode } from '../problems.ts'

const FAREWELL_MS = 1000

const CODES: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'header-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout'
}

/**
 * Answers a problem on a socket that no route has: what came over it was no request, or no WebSocket's. Gives the
 * status, where anyone is there to read it.
 */
export function answerClientError (
  socket: Duplex,
  error: Error & { code?: string },
  headers: Record<string, string>
): number | undefined {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return undefined
  }
  const problem = problemOf(CODES[error.code ?? ''] ?? 'invalid-request', 'Malformed HTTP request.', randomUUID())
  const body = JSON.stringify(problem)
  const lines = Object.entries({
    ...headers,
    'content-type': PROBLEM_TYPE,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-request-id': problem.request_id,
    connection: 'close'
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  setTimeout(() => socket.destroy(), FAREWELL_MS).unref() // `end` leaves the other half open as long as the peer likes.
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n${lines.join('')}\r\n${body}`)
  return problem.status
}
