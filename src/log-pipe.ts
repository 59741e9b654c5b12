import type { Writable } from 'node:stream'

export interface LogPipeOptions {
  /** Lines are gathered up to so many bytes … */
  readonly enoughBytes: number
  /** … or for so long. */
  readonly longestWaitMs: number
  /** Beyond so many unread bytes lines are dropped. */
  readonly mostWaitingBytes: number
}

/** Where the logger writes its lines. */
export interface LogPipe {
  write (line: string): void
  /** Hands on what was gathered. */
  flush (): void
}

/**
 * Writes lines to a pipe or socket that may be full or closed. A write to a full pipe through a file descriptor would hold
 * a thread, and the process cannot end before that thread does; a stream only waits. A closed pipe takes no more lines.
 */
export function createLogPipe (output: Writable, { enoughBytes, longestWaitMs, mostWaitingBytes }: LogPipeOptions): LogPipe {
  let lines: string[] = []
  let length = 0
  let isClosed = false
  let timer: NodeJS.Timeout | undefined
  output.on('error', () => { isClosed = true })

  return { write, flush }

  function write (line: string): void {
    if (isClosed || length + output.writableLength > mostWaitingBytes) return
    lines.push(line)
    length += line.length
    if (length >= enoughBytes) flush()
    else timer ??= setTimeout(flush, longestWaitMs).unref()
  }

  function flush (): void {
    clearTimeout(timer)
    timer = undefined
    if (length > 0 && !isClosed) output.write(lines.join(''))
    lines = []
    length = 0
  }
}
