import type { Frame, PublishedEvent } from './types.ts'

type EventFrame = Extract<Frame, { type: 'event' }>
type Taken = IteratorResult<PublishedEvent, undefined>

interface Waiter {
  readonly resolve: (taken: Taken) => void
  readonly reject: (failure: unknown) => void
}

/** Events between the socket, which gives them when it likes, and the consumer, who takes them when it likes. */
export interface Pending {
  size (): number
  /** The length of all their frames' text. */
  weight (): number
  /** The place before the first of them, which is behind all that was taken. */
  cursor (): string | undefined
  /** `before` is the place that the frame goes on from, `weight` the length of its text. */
  give (frame: EventFrame, before: string | undefined, weight: number): void
  take (): Promise<Taken>
  /** Nothing more is given: whoever has taken all hears so, and of the failure once. */
  end (failure?: unknown): void
  /** Drops what is there. */
  clear (): void
}

export function createPending (): Pending {
  const frames: Array<{ readonly frame: EventFrame, readonly weight: number }> = []
  const waiters: Waiter[] = []
  const failures: unknown[] = []
  let isEnded = false
  let cursor: string | undefined
  let total = 0
  return { size: () => frames.length, weight: () => total, cursor: () => cursor, give, take, end, clear }

  function give (frame: EventFrame, before: string | undefined, weight: number): void {
    if (frames.length === 0) cursor = before
    frames.push({ frame, weight })
    total += weight
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
    total = 0
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
      const first = frames.shift()
      if (first !== undefined) {
        const { frame, weight } = first
        total -= weight
        cursor = frame.cursor
        waiter.resolve({ done: false, value: frame.event })
      } else if (failures.length > 0) waiter.reject(failures.shift())
      else waiter.resolve({ done: true, value: undefined })
    }
  }
}
