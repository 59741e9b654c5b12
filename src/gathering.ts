/** What takes the text in the end, whole and in order. */
export interface Sink {
  write (text: string): void
  flushSync (): void
}

/** What a logger writes its lines to. */
export interface Gathering {
  write (line: string): void
  /** Hands on what is gathered. */
  flush (done?: () => void): void
  /** The same, as pino asks for it behind a fatal line. */
  flushSync (): void
}

export interface GatheringOptions {
  /** How long a line may wait for others. */
  readonly waitMs: number
  /** How much is handed on without waiting. */
  readonly enoughChars: number
}

/**
 * Gathers lines and hands on many at a time: one by one, handing on costs more than all else about a line. Nothing is kept
 * back when the process ends by itself, by `process.exit` or by an error; only who is killed takes the last ones along.
 */
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
