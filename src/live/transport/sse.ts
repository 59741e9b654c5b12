import type { ServerResponse } from 'node:http'
import { exactConcat } from '../../audit/exact-bytes.ts'
import type { Clock } from '../../clock.ts'
import type { Transport } from './transport.ts'
import type { WireFormat } from './prepared-batch.ts'

/** Headers of the response: no proxy may store, buffer or transform it. */
export const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no'
} as const

export interface SseOptions {
  readonly response: ServerResponse
  readonly backlogBytes: number
  readonly clock: Clock
  readonly onGone: () => void
}

const IDLE_MS = 15_000
const SHORTEST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 5000
const CLOSE_TIMEOUT_MS = 8000 // Until then the connection stays open, and the hub no longer counts it.
const MOST_RECEIVED_BYTES = 65_536 // Between two checks. A subscriber has no reason to send anything.
const COMMENT = Buffer.from(':\n\n')
const BLANK_LINE = Buffer.from('\n\n')

/**
 * Server-Sent Events (WHATWG HTML §9.2) of one subscriber, on a response whose head was written. Comments keep proxies
 * from closing a quiet stream.
 */
export function createSseTransport ({ backlogBytes, clock, onGone, response }: SseOptions): Transport {
  let writtenMs = clock.monotonicMs()
  let writtenBytes = 0
  let flushedBytes = 0
  let received = bytesRead()
  let waiting: Array<{ readonly upTo: number, readonly resume: () => void }> = []
  response.on('close', onGone)
  response.on('error', () => response.destroy())
  // A random `retry` spreads the reconnects of clients that lose their connections at the same time.
  write(
    Buffer.from(`retry: ${Math.round(SHORTEST_RETRY_MS + Math.random() * (LONGEST_RETRY_MS - SHORTEST_RETRY_MS))}\n`)
  )

  return {
    kind: 'sse',
    send: (prepared) => write(prepared.encoded(serverSentEvents)),
    writableBytes: () => backlogBytes - response.writableLength,
    backlogBytes: () => response.writableLength,
    flushedBytes: () => flushedBytes,
    onFlushed: (resume) => { waiting.push({ upTo: writtenBytes, resume }) },
    keepAlive () {
      const before = received
      received = bytesRead()
      if (received - before > MOST_RECEIVED_BYTES) response.destroy()
      if (clock.monotonicMs() - writtenMs >= IDLE_MS && response.writableLength === 0) write(COMMENT)
      return true // SSE has no answer of the client. Only the kernel can detect a lost connection.
    },
    end () {
      response.end()
      clock.setTimer(() => response.destroy(), CLOSE_TIMEOUT_MS)
    }
  }

  function bytesRead (): number {
    return response.socket?.bytesRead ?? 0
  }

  function write (bytes: Buffer): void {
    writtenMs = clock.monotonicMs()
    writtenBytes += bytes.length
    response.write(bytes, (error) => { if (error === undefined || error === null) flushed(bytes.length) })
  }

  function flushed (bytes: number): void {
    flushedBytes += bytes
    const due = waiting.filter(({ upTo }) => upTo <= flushedBytes)
    waiting = waiting.filter(({ upTo }) => upTo > flushedBytes)
    for (const { resume } of due) resume()
  }
}

/** The JSON of a frame has no line break, so each frame is one `data` line. */
// Batches are cached: one of 0.8 KB kept 8192 bytes as a part of a shared block.
export const serverSentEvents: WireFormat = (frames) => exactConcat(frames.flatMap(({ cursor, payload, type }) => [
  Buffer.from(`event: ${type}\n${cursor === undefined ? '' : `id: ${cursor}\n`}data: `),
  payload,
  BLANK_LINE
]))
