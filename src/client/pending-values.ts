interface Waiter<Value> {
  readonly resolve: (result: IteratorResult<Value, undefined>) => void
  readonly reject: (failure: unknown) => void
}

/** Where a value came from. */
export interface Origin {
  /** The cursors before its frame and after it. */
  readonly before: string | undefined
  readonly after: string
  /** The length of the frame's text. */
  readonly size: number
}

/** Values that the socket has received and the consumer has not taken yet. */
export interface PendingValues<Value> {
  count (): number
  /** The length of the text of all their frames. */
  textLength (): number
  /** The cursor after the last value that was taken. */
  cursor (): string | undefined
  add (value: Value, origin: Origin): void
  /** Resolves with the next value, or with the end. Rejects with a failure. */
  take (): Promise<IteratorResult<Value, undefined>>
  /** Ends after the last value. A failure is reported once. */
  end (failure?: unknown): void
  /** Drops all values and failures. */
  clear (): void
}

export function createPendingValues<Value> (): PendingValues<Value> {
  const values: Array<{ readonly value: Value, readonly origin: Origin }> = []
  const waiters: Array<Waiter<Value>> = []
  const failures: unknown[] = []
  let isEnded = false
  let cursor: string | undefined
  let total = 0
  return { count: () => values.length, textLength: () => total, cursor: () => cursor, add, take, end, clear }

  function add (value: Value, origin: Origin): void {
    if (values.length === 0) cursor = origin.before
    values.push({ value, origin })
    total += origin.size
    serve()
  }

  function take (): Promise<IteratorResult<Value, undefined>> {
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
    values.length = 0
    total = 0
    failures.length = 0
  }

  function hasMore (): boolean {
    return values.length > 0 || isEnded
  }

  /** Serves waiting calls of `take` in order: first values, then a failure, then the end. */
  function serve (): void {
    while (hasMore()) {
      const waiter = waiters.shift()
      if (waiter === undefined) return
      const first = values.shift()
      if (first !== undefined) {
        const { origin, value } = first
        total -= origin.size
        cursor = origin.after
        waiter.resolve({ done: false, value })
      } else if (failures.length > 0) waiter.reject(failures.shift())
      else waiter.resolve({ done: true, value: undefined })
    }
  }
}
