import type { Frame, PublishedEvent } from './types.ts'

type EventFrame = Extract<Frame, { type: 'event' }>
type Result = IteratorResult<PublishedEvent, undefined>

interface Waiter {
  readonly resolve: (result: Result) => void
  readonly reject: (failure: unknown) => void
}

/** Events that the socket has received and the consumer has not taken yet. */
export interface EventBuffer {
  size (): number
  /** The length of the text of all frames. */
  textLength (): number
  /** The cursor after the last event that was taken. */
  cursor (): string | undefined
  /** Adds an event. `before` is the cursor before it, `size` the length of its frame's text. */
  add (frame: EventFrame, before: string | undefined, size: number): void
  /** Resolves with the next event, or with the end. Rejects with a failure. */
  take (): Promise<Result>
  /** Ends the buffer after its last event. A failure is reported once. */
  end (failure?: unknown): void
  /** Drops all events and failures. */
  clear (): void
}

export function createEventBuffer (): EventBuffer {
  const frames: Array<{ readonly frame: EventFrame, readonly size: number }> = []
  const waiters: Waiter[] = []
  const failures: unknown[] = []
  let isEnded = false
  let cursor: string | undefined
  let total = 0
  return { size: () => frames.length, textLength: () => total, cursor: () => cursor, add, take, end, clear }

  function add (frame: EventFrame, before: string | undefined, size: number): void {
    if (frames.length === 0) cursor = before
    frames.push({ frame, size })
    total += size
    serve()
  }

  function take (): Promise<Result> {
    return new Promise((resolve, reject) => {
      waiters.push({ resolve, reject })
      serve()
    })
  }

  function end (failure?: unknown): void {
    isEnded = true
    if (failure !== undefined) failures.push(failure)
    serve()
  }

  function clear (): void {
    frames.length = 0
    total = 0
    failures.length = 0
  }

  function hasMore (): boolean {
    return frames.length > 0 || isEnded
  }

  /** Serves waiting calls of `take` in order: first events, then a failure, then the end. */
  function serve (): void {
    while (hasMore()) {
      const waiter = waiters.shift()
      if (waiter === undefined) return
      const first = frames.shift()
      if (first !== undefined) {
        const { frame, size } = first
        total -= size
        cursor = frame.cursor
        waiter.resolve({ done: false, value: frame.event })
      } else if (failures.length > 0) waiter.reject(failures.shift())
      else waiter.resolve({ done: true, value: undefined })
    }
  }
}
