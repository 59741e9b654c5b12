/** What takes the lines in the end. */
export interface Sink {
  write (text: string): void
  flushSync (): void
}

/** Where a logger writes to. */
export interface Gathering {
  write (line: string): void
  /** Hands on what is gathered; the callback is called once that is done. */
  flush (done?: () => void): void
  flushSync (): void
}

export interface GatheringOptions {
  /** How long a line may wait for others. */
  readonly waitMs: number
  /** How much is handed on without waiting. */
  readonly enoughChars: number
}

/** Gathers lines and hands on many at a time: handed on alone, each costs as much as making it. Nothing is kept back at the end. */
export function gather (sink: Sink, { enoughChars, waitMs }: GatheringOptions): Gathering {
  let text = ''
  let timer: NodeJS.Timeout | undefined
  process.on('exit', flushSync)
  return { write, flush, flushSync }

  function write (line: string): void {
    text += line
    if (text.length >= enoughChars) handOn()
    else timer ??= setTimeout(handOn, waitMs).unref()
  }

  function handOn (): void {
    clearTimeout(timer)
    timer = undefined
    const gathered = text
    text = ''
    if (gathered !== '') sink.write(gathered)
  }

  function flush (done?: () => void): void {
    handOn()
    done?.()
  }

  function flushSync (): void {
    handOn()
    sink.flushSync()
  }
}
