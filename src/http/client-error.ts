import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../clock.ts'
import { PROBLEM_TYPE, problemOf, type ProblemCode } from '../problems.ts'

const FAREWELL_MS = 1000

const CODES: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'header-too-large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout'
}

/**
 * Answers a problem on a bare socket, when its bytes are neither an HTTP request nor a WebSocket handshake. Returns the
 * status, or `undefined` when nobody can read the answer.
 */
export function answerClientError (
  socket: Duplex,
  error: Error & { code?: string },
  headers: Readonly<Record<string, string>>,
  clock: Pick<Clock, 'setTimer'>
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
  // After `end`, the peer could keep the other half open for as long as it likes.
  socket.once('close', clock.setTimer(() => socket.destroy(), FAREWELL_MS))
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? ''}\r\n${lines.join('')}\r\n${body}`)
  return problem.status
}
