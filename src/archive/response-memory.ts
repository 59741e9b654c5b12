/** Room for one answer that is being made. */
export interface ResponseReservation {
  /** So many bytes of events are held for it by now. */
  resize (eventBytes: number): void
  release (): void
}

/** The memory of all answers that are being made or wait to be read. */
export interface ResponseMemory {
  /** Bytes of events at which one answer ends early. */
  readonly maxAnswerBytes: number
  /** Waits for room to make an answer of so many events; `undefined`: there was none in time. */
  reserve (events: number): Promise<ResponseReservation | undefined>
  /** Counts an answer of so many bytes, once however many hold it, until the function that it gives is called. */
  hold (answer: object, bytes: number): () => void
  /** Bytes that are counted now. */
  bytes (): number
}

export interface ResponseMemoryOptions {
  /** Most bytes of answers in the making and unread. One answer is always allowed. */
  readonly maxBytes: number
  readonly maxAnswerBytes: number
  /** Longest wait for room, milliseconds. */
  readonly maxWaitMs: number
}

interface Waiting {
  readonly bytes: number
  readonly resolve: (room: ResponseReservation | undefined) => void
  readonly timer: NodeJS.Timeout
}

/** An event of usual length, as text, as values and in the answer. */
const USUAL_BYTES_PER_EVENT = 6 * 1024
/** What an event's text costs besides while its answer is made: values, sorting, the joined text. */
const BYTES_PER_BYTE = 5
const MOST_WAITING = 1000

/** Bounds the memory of answers, which the response cache does not count. Those that wait for room get it in order. */
export function createResponseMemory ({ maxAnswerBytes, maxBytes, maxWaitMs }: ResponseMemoryOptions): ResponseMemory {
  const held = new Map<object, { readonly bytes: number, holders: number }>()
  let waiting: Waiting[] = []
  let total = 0
  return { maxAnswerBytes, reserve, hold, bytes: () => total }

  async function reserve (events: number): Promise<ResponseReservation | undefined> {
    const bytes = events * USUAL_BYTES_PER_EVENT
    if (waiting.length === 0 && fits(bytes)) return take(bytes)
    if (waiting.length >= MOST_WAITING) return undefined
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        waiting = waiting.filter((each) => each.timer !== timer)
        resolve(undefined)
        serve()
      }, maxWaitMs)
      waiting.push({ bytes, resolve, timer })
    })
  }

  function fits (bytes: number): boolean {
    return total === 0 || total + bytes <= maxBytes
  }

  function take (usualBytes: number): ResponseReservation {
    let taken = usualBytes
    total += taken
    return {
      resize (eventBytes) {
        const bytes = Math.max(usualBytes, eventBytes * BYTES_PER_BYTE)
        total += bytes - taken
        taken = bytes
      },
      release () {
        total -= taken
        taken = 0
        serve()
      }
    }
  }

  function serve (): void {
    for (let first = waiting[0]; first !== undefined && fits(first.bytes); first = waiting[0]) {
      waiting.shift()
      clearTimeout(first.timer)
      first.resolve(take(first.bytes))
    }
  }

  function hold (answer: object, bytes: number): () => void {
    const known = held.get(answer) ?? { bytes, holders: 0 }
    if (known.holders++ === 0) total += known.bytes
    held.set(answer, known)
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--known.holders > 0) return
      held.delete(answer)
      total -= known.bytes
      serve()
    }
  }
}
