import { fstatSync } from 'node:fs'
import { pino, type Logger } from 'pino'
import { createLogPipe } from './log-pipe.ts'

const ENOUGH_BYTES = 8192
const LONGEST_WAIT_MS = 100
const LAST_LINES_MS = 500
const MOST_WAITING_BYTES = 16 * 1024 * 1024 // Beyond, lines are dropped: a reader that stands still must not fill the memory.

/**
 * Readable lines on a terminal; JSON otherwise, written some at a time, as a write for each costs more than many a request,
 * and all of them when the process ends. `mixin` gives what each of them bears. Credentials are in no object that is logged; the list is a second lock.
 */
export async function createLogger (level: string, mixin: () => object = () => ({})): Promise<Logger> {
  const redact = ['authorization', 'cookie', 'token', 'key'].flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  if (isPipe()) {
    const pipe = createLogPipe(process.stdout, { enoughBytes: ENOUGH_BYTES, longestWaitMs: LONGEST_WAIT_MS, mostWaitingBytes: MOST_WAITING_BYTES })
    process.once('exit', pipe.flush)
    return pino({ level, redact, mixin }, pipe)
  }
  if (!process.stdout.isTTY) {
    return pino({ level, redact, mixin }, pino.destination({ sync: false, minLength: ENOUGH_BYTES, periodicFlush: LONGEST_WAIT_MS, maxLength: MOST_WAITING_BYTES }))
  }
  const { default: pretty } = await import('pino-pretty')
  return pino({ level, redact, mixin }, pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true }))
}

/** A file always takes what is written to it; a pipe or a socket may not. */
function isPipe (): boolean {
  const output = fstatSync(process.stdout.fd)
  return output.isFIFO() || output.isSocket()
}

/** Resolves when all lines are out, or nobody has read them for a moment. */
export async function lastLines (logger: Logger): Promise<void> {
  logger.flush()
  if (!isPipe()) return
  await Promise.race([
    new Promise<void>((resolve) => { process.stdout.write('', () => resolve()) }),
    new Promise<void>((resolve) => { setTimeout(resolve, LAST_LINES_MS).unref() })
  ])
}
