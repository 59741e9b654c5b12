import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { gzipSync } from 'node:zlib'
import type { Fault, WireFault } from './faults.ts'

const CHUNK_BYTES = 65_536
const MEMBER_BYTES = 8_388_608
const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }
const WIRE_KINDS: ReadonlySet<string> =
  new Set<WireFault['kind']>(['hang', 'headers-then-silence', 'trickle', 'reset', 'huge', 'gzip-bomb'])

export function isWireFault (fault: Fault): fault is WireFault {
  return WIRE_KINDS.has(fault.kind)
}

/** Applies a fault to a connection. Its timers end with the connection. */
export function misbehave (fault: WireFault, response: ServerResponse): void {
  switch (fault.kind) {
    case 'hang': return
    case 'headers-then-silence': return response.writeHead(200, JSON_TYPE).flushHeaders()
    case 'trickle': return trickle(response, fault.everyMs ?? 1000)
    case 'reset': response.socket?.resetAndDestroy(); return
    case 'huge': return pour(response, JSON_TYPE, hugeText(fault.bytes))
    case 'gzip-bomb': return pour(response, { ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipMembers(fault.bytes))
  }
}

function trickle (response: ServerResponse, everyMs: number): void {
  // Spaces inside an array that never ends: the bytes are always valid JSON so far, and never complete.
  response.writeHead(200, JSON_TYPE).write('[')
  const timer = setInterval(() => response.write(' '), everyMs).unref()
  response.once('close', () => clearInterval(timer))
}

function pour (response: ServerResponse, headers: Record<string, string>, chunks: Iterable<Buffer>): void {
  response.writeHead(200, headers)
  // These faults exist to make a reader give up, so its abort is no error.
  pipeline(Readable.from(chunks, { highWaterMark: 2 }), response).catch(() => undefined)
}

/** A JSON array of one long string. */
function * hugeText (bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(CHUNK_BYTES, 'x')
  yield Buffer.from('["')
  for (let left = bytes - 4; left > 0; left -= CHUNK_BYTES) yield chunk.subarray(0, left)
  yield Buffer.from('"]')
}

/** A gzip file may have many members (RFC 1952 section 2.2), so one compressed block is repeated up to any size. */
function * gzipMembers (bytes: number): Generator<Buffer> {
  const block = Buffer.alloc(Math.min(bytes, MEMBER_BYTES), ' ')
  const member = gzipSync(block)
  let left = bytes
  for (; left > block.length; left -= block.length) yield member
  yield gzipSync(block.subarray(0, left))
}
