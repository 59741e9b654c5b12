import type { Writable } from 'node:stream'

/** Where log lines go. */
export interface LogSink {
  write (line: string): void
  /** Resolves when the output has accepted all lines, has broken, or has accepted nothing for too long. */
  flush (): Promise<void>
}

const ENOUGH_CHARACTERS = 8192
const LONGEST_WAIT_MS = 100
// Beyond, lines are dropped: a reader that stands still must not fill the memory.
const MOST_UNREAD_BYTES = 16 * 1024 * 1024
const LONGEST_FLUSH_MS = 1000

/**
 * Writes lines in batches, since a write for each costs more than many a request. A broken output is not written to
 * again, and one that nobody reads never blocks: the process must go on, and end when it is told to, whatever becomes
 * of its log.
 */
export function createLogSink (output: Writable): LogSink {
  let lines: string[] = []
  let characters = 0
  let timer: NodeJS.Timeout | undefined
  let isBroken = false
  output.on('error', () => {
    isBroken = true
    lines = []
  })
  process.once('exit', writeBatch) // Lines of the last moments, as far as the output accepts them at once.
  return { write, flush }

  function write (line: string): void {
    if (isBroken || output.writableLength > MOST_UNREAD_BYTES) return
    lines.push(line)
    characters += line.length
    if (characters >= ENOUGH_CHARACTERS) writeBatch()
    else timer ??= setTimeout(writeBatch, LONGEST_WAIT_MS)
  }

  function writeBatch (): void {
    clearTimeout(timer)
    timer = undefined
    if (lines.length > 0 && !isBroken) output.write(lines.join(''))
    lines = []
    characters = 0
  }

  async function flush (): Promise<void> {
    writeBatch()
    if (isBroken || output.writableLength === 0) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LONGEST_FLUSH_MS)
      output.write('', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
