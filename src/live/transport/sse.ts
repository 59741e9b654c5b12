import type { ServerResponse } from 'node:http'
import { exactConcat } from '../../audit/exact-bytes.ts'
import type { Clock } from '../../clock.ts'
import type { Transport } from './transport.ts'
import type { WireFormat } from './prepared-batch.ts'

/** What the answer says of itself: nobody on the way may keep, gather or rewrite it. */
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
const FAREWELL_MS = 8000 // Until then it holds a place that the hub no longer counts.
const MOST_RECEIVED_BYTES = 65_536 // Between two looks; a subscriber has nothing to say.
const COMMENT = Buffer.from(':\n\n')
const BLANK_LINE = Buffer.from('\n\n')

/**
 * A listener's Server-Sent Events (WHATWG HTML §9.2) on an answer whose head was written. Comments keep proxies from
 * giving up on a quiet stream.
 */
export function createSseTransport ({ backlogBytes, clock, onGone, response }: SseOptions): Transport {
  let writtenMs = clock.monotonicMs()
  let written = 0
  let taken = 0
  let received = bytesRead()
  let waiting: Array<{ readonly upTo: number, readonly resume: () => void }> = []
  response.on('close', onGone)
  response.on('error', () => response.destroy())
  // Clients that lose the connection all at once come back one by one.
  write(
    Buffer.from(`retry: ${Math.round(SHORTEST_RETRY_MS + Math.random() * (LONGEST_RETRY_MS - SHORTEST_RETRY_MS))}\n`)
  )

  return {
    kind: 'sse',
    send: (prepared) => write(prepared.encoded(serverSentEvents)),
    writableBytes: () => backlogBytes - response.writableLength,
    backlogBytes: () => response.writableLength,
    flushedBytes: () => taken,
    onFlushed: (resume) => { waiting.push({ upTo: written, resume }) },
    keepAlive () {
      const before = received
      received = bytesRead()
      if (received - before > MOST_RECEIVED_BYTES) response.destroy()
      if (clock.monotonicMs() - writtenMs >= IDLE_MS && response.writableLength === 0) write(COMMENT)
      return true // Only the kernel can tell.
    },
    end () {
      response.end()
      clock.setTimer(() => response.destroy(), FAREWELL_MS)
    }
  }

  function bytesRead (): number {
    return response.socket?.bytesRead ?? 0
  }

  function write (bytes: Buffer): void {
    writtenMs = clock.monotonicMs()
    written += bytes.length
    response.write(bytes, (error) => { if (error === undefined || error === null) flushed(bytes.length) })
  }

  function flushed (bytes: number): void {
    taken += bytes
    const due = waiting.filter(({ upTo }) => upTo <= taken)
    waiting = waiting.filter(({ upTo }) => upTo > taken)
    for (const { resume } of due) resume()
  }
}

/** No JSON has a line break, so a frame is one `data` line whatever an event holds. */
// Batches are kept: one of 0.8 KB held 8192 bytes as a piece of a shared block.
export const serverSentEvents: WireFormat = (frames) => exactConcat(frames.flatMap(({ cursor, payload, type }) => [
  Buffer.from(`event: ${type}\n${cursor === undefined ? '' : `id: ${cursor}\n`}data: `),
  payload,
  BLANK_LINE
]))
