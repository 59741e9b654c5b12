import type { Writable } from 'node:stream'
import type { Clock } from '../clock.ts'

/** The destination of log lines. */
export interface LogSink {
  write (line: string): void
  /** Resolves when the output has accepted all lines, is broken, or accepts nothing for a second. */
  flush (): Promise<void>
}

const BATCH_CHARACTERS = 8192
const BATCH_MS = 100
// Further lines are dropped: a reader that has stopped must not fill the memory.
const MAX_UNREAD_BYTES = 16 * 1024 * 1024
const MAX_FLUSH_MS = 1000

/**
 * Writes lines in batches: a write for each line costs more than many a request. A broken output gets no further lines,
 * and a slow one never blocks. The process must run, and end when it is told to, whatever happens to its log.
 */
export function createLogSink (output: Writable, clock: Pick<Clock, 'setTimer'>): LogSink {
  let lines: string[] = []
  let characters = 0
  let cancelTimer: (() => void) | undefined
  let isBroken = false
  output.on('error', () => {
    isBroken = true
    lines = []
  })
  process.once('exit', writeBatch) // The last lines, as far as the output accepts them at once.
  return { write, flush }

  function write (line: string): void {
    if (isBroken || output.writableLength > MAX_UNREAD_BYTES) return
    lines.push(line)
    characters += line.length
    if (characters >= BATCH_CHARACTERS) writeBatch()
    else cancelTimer ??= clock.setTimer(writeBatch, BATCH_MS)
  }

  function writeBatch (): void {
    cancelTimer?.()
    cancelTimer = undefined
    if (lines.length > 0 && !isBroken) output.write(lines.join(''))
    lines = []
    characters = 0
  }

  async function flush (): Promise<void> {
    writeBatch()
    if (isBroken || output.writableLength === 0) return
    await new Promise<void>((resolve) => {
      const cancel = clock.setTimer(resolve, MAX_FLUSH_MS)
      output.write('', () => {
        cancel()
        resolve()
      })
    })
  }
}
