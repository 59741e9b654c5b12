import type { Frame, PublishedEvent } from './contract.ts'

type EventFrame = Extract<Frame, { type: 'event' }>
type Taken = IteratorResult<PublishedEvent, undefined>

interface Waiter {
  readonly resolve: (taken: Taken) => void
  readonly reject: (failure: unknown) => void
}

/** Events between the socket, which gives them when it likes, and the consumer, who takes them when it likes. */
export interface Pending {
  size (): number
  /** The place before the first of them, which is behind all that was taken. */
  cursor (): string | undefined
  /** `before` is the place that the frame goes on from. */
  give (frame: EventFrame, before: string | undefined): void
  take (): Promise<Taken>
  /** Nothing more is given: whoever has taken all hears so, and of the failure once. */
  end (failure?: unknown): void
  /** Drops what is there. */
  clear (): void
}

export function createPending (): Pending {
  const frames: EventFrame[] = []
  const waiters: Waiter[] = []
  const failures: unknown[] = []
  let isEnded = false
  let cursor: string | undefined
  return { size: () => frames.length, cursor: () => cursor, give, take, end, clear }

  function give (frame: EventFrame, before: string | undefined): void {
    if (frames.length === 0) cursor = before
    frames.push(frame)
    serve()
  }

  function take (): Promise<Taken> {
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
    failures.length = 0
  }

  function hasMore (): boolean {
    return frames.length > 0 || isEnded
  }

  /** Brings together who waits and what there is, in order: events, a failure, the end. */
  function serve (): void {
    while (hasMore()) {
      const waiter = waiters.shift()
      if (waiter === undefined) return
      const frame = frames.shift()
      if (frame !== undefined) {
        cursor = frame.cursor
        waiter.resolve({ done: false, value: frame.event })
      } else if (failures.length > 0) waiter.reject(failures.shift())
      else waiter.resolve({ done: true, value: undefined })
    }
  }
}
