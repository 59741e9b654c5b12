import { STATUS_CODES, ServerResponse, IncomingMessage } from 'node:http'
import { Socket } from 'node:net'

/** Begins an answer; its body, or none, is to be ended with. */
export type Begin = (response: ServerResponse, status: number, lines: string) => ServerResponse

/** A head that is put together, which Node keeps here until the body comes. */
interface Headed { _header?: string | null }

/**
 * Begins answers whose head is prepared text, each line of it `name: value\r\n`. Handed over as names and values, Node
 * checks each of them by regular expressions, which for the dozen of a prepared answer takes as long as all else of it in
 * JavaScript. So nothing that a caller wrote may be among the lines unless it was checked. Whatever is not an answer of
 * the usual kind on a connection that goes on is left to Node, as is all on a Node that does not know such heads.
 */
export function createHeads (keepAliveMs: number): Begin {
  const keepAlive = `connection: keep-alive\r\n${keepAliveMs > 0 ? `keep-alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n` : ''}\r\n`
  const starts = new Map([200, 304].map((status) => [status, `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`]))
  const today = createDates()
  const isKnown = takesHeads()
  return begin

  function begin (response: ServerResponse & Headed, status: number, lines: string): ServerResponse {
    const start = starts.get(status)
    if (!isKnown || start === undefined || !isUsual(response)) return response.writeHead(status, pairsOf(lines))
    response.statusCode = status
    response._header = `${start}${lines}date: ${today()}\r\n${keepAlive}`
    return response
  }
}
