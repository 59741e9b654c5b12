import type { Writable } from 'node:stream'
import { pino, type Logger } from 'pino'
import type { Clock } from '../clock.ts'

export interface Log {
  readonly logger: Logger
  /** Resolves when all lines are written, or cannot be written. */
  flush (): Promise<void>
}

/** The destination of log lines. */
interface LogSink {
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
 * Readable lines on a terminal, JSON otherwise. `mixin` returns fields for every line. No logged object holds a
 * credential; the list of redacted names is a second barrier.
 */
export async function createLogger (level: string, clock: Clock, mixin?: () => object): Promise<Log> {
  const options = { level, ...mixin !== undefined && { mixin } } // An empty mixin would cost time for each line too.
  const redact = ['authorization', 'cookie', 'token', 'key'].flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  if (!process.stdout.isTTY) {
    const sink = createLogSink(process.stdout, clock)
    return { logger: pino({ ...options, redact }, sink), flush: sink.flush }
  }
  const { default: pretty } = await import('pino-pretty')
  const terminal = pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true })
  return { logger: pino({ ...options, redact }, terminal), flush: async () => {} }
}

/**
 * Writes lines in batches: a write for each line costs more than many a request. A broken output gets no further lines,
 * and a slow one never blocks. The process must run, and end when it is told to, whatever happens to its log.
 */
function createLogSink (output: Writable, clock: Pick<Clock, 'setTimer'>): LogSink {
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
