import type { Clock } from '../clock.ts'

/** Memory that is reserved for one response in progress. */
export interface ResponseReservation {
  /** Reports how many bytes of events the response holds so far. */
  resize (eventBytes: number): void
  release (): void
}

/** The memory of all responses that are in progress or unread. */
export interface ResponseMemory {
  /** A response ends early at this number of bytes of events. */
  readonly maxAnswerBytes: number
  /** Waits for the memory that a response of `events` events needs. `undefined`: none became free in time. */
  reserve (events: number): Promise<ResponseReservation | undefined>
  /** Counts an unread response, once whatever the number of its readers. Returns a function that ends the count. */
  hold (response: object, bytes: number): () => void
  /** Bytes that are counted now. */
  bytes (): number
}

export interface ResponseMemoryOptions {
  /** Bound on all responses in progress and unread. A single response is always allowed. */
  readonly maxBytes: number
  readonly maxAnswerBytes: number
  /** Longest wait for memory. */
  readonly maxWaitMs: number
  readonly clock: Pick<Clock, 'setTimer'>
}

interface Waiting {
  readonly bytes: number
  readonly resolve: (room: ResponseReservation | undefined) => void
  readonly cancelTimer: () => void
}

/** An event of usual length: as text, as values, and in the response. */
const USUAL_BYTES_PER_EVENT = 6 * 1024
/** The cost of one byte of an event's text while the response is made: values, sorting, the joined text. */
const BYTES_PER_BYTE = 5
const MAX_WAITING = 1000

/** Bounds the memory of responses outside the cache. Requests that wait for memory get it in order. */
export function createResponseMemory (
  { clock, maxAnswerBytes, maxBytes, maxWaitMs }: ResponseMemoryOptions
): ResponseMemory {
  const unread = new Map<object, { readonly bytes: number, readers: number }>()
  let waiting: Waiting[] = []
  let totalBytes = 0
  return { maxAnswerBytes, reserve, hold, bytes: () => totalBytes }

  async function reserve (events: number): Promise<ResponseReservation | undefined> {
    const bytes = events * USUAL_BYTES_PER_EVENT
    if (waiting.length === 0 && fits(bytes)) return take(bytes)
    if (waiting.length >= MAX_WAITING) return undefined
    return new Promise((resolve) => {
      const request = { bytes, resolve, cancelTimer: clock.setTimer(giveUp, maxWaitMs) }
      waiting.push(request)

      function giveUp (): void {
        waiting = waiting.filter((each) => each !== request)
        resolve(undefined)
        serveWaiting() // A smaller request behind this one may fit.
      }
    })
  }

  function fits (bytes: number): boolean {
    return totalBytes === 0 || totalBytes + bytes <= maxBytes
  }

  function take (usualBytes: number): ResponseReservation {
    let takenBytes = usualBytes
    totalBytes += takenBytes
    return {
      resize (eventBytes) {
        const bytes = Math.max(usualBytes, eventBytes * BYTES_PER_BYTE)
        totalBytes += bytes - takenBytes
        takenBytes = bytes
      },
      release () {
        totalBytes -= takenBytes
        takenBytes = 0
        serveWaiting()
      }
    }
  }

  function serveWaiting (): void {
    for (let first = waiting[0]; first !== undefined && fits(first.bytes); first = waiting[0]) {
      waiting.shift()
      first.cancelTimer()
      first.resolve(take(first.bytes))
    }
  }

  function hold (response: object, bytes: number): () => void {
    const held = unread.get(response) ?? { bytes, readers: 0 }
    if (held.readers++ === 0) totalBytes += held.bytes
    unread.set(response, held)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--held.readers > 0) return
      unread.delete(response)
      totalBytes -= held.bytes
      serveWaiting()
    }
  }
}
