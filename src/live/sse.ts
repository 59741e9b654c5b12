import type { ServerResponse } from 'node:http'
import type { PreparedFrame } from './frames.ts'
import type { Outlet } from './outlet.ts'

/** What the answer says of itself: nobody on the way may keep, gather or rewrite it. */
export const SSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  'x-accel-buffering': 'no'
} as const

const IDLE_MS = 15_000
const SHORTEST_RETRY_MS = 1000
const LONGEST_RETRY_MS = 5000
const FAREWELL_MS = 30_000

/**
 * A listener's Server-Sent Events (WHATWG HTML §9.2) on an answer whose head was written. No JSON has a line break, so a
 * frame is one `data` line whatever an event holds. Comments keep proxies from giving up on a quiet stream.
 */
export function createSseOutlet (response: ServerResponse, backlogBytes: number, onGone: () => void): Outlet {
  let onProgress = () => {}
  let writtenMs = performance.now()
  response.on('close', onGone)
  response.on('error', () => response.destroy())
  // Clients that lose the connection all at once come back one by one.
  write(`retry: ${Math.round(SHORTEST_RETRY_MS + Math.random() * (LONGEST_RETRY_MS - SHORTEST_RETRY_MS))}\n`)

  return {
    send: (frames) => write(frames.map(eventText).join('')),
    room: () => backlogBytes - response.writableLength,
    unsent: () => response.writableLength,
    onProgress: (resume) => { onProgress = resume },
    keepAlive () {
      if (performance.now() - writtenMs >= IDLE_MS && response.writableLength === 0) write(':\n\n')
      return true // Only the kernel can tell.
    },
    end () {
      response.end()
      setTimeout(() => response.destroy(), FAREWELL_MS).unref()
    }
  }

  function write (text: string): void {
    writtenMs = performance.now()
    response.write(text, flushed)
  }

  function flushed (error?: Error | null): void {
    if (error === undefined || error === null) onProgress()
  }
}

function eventText ({ cursor, json, type }: PreparedFrame): string {
  return `event: ${type}\n${cursor === undefined ? '' : `id: ${cursor}\n`}data: ${json}\n\n`
}
