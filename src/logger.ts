import { pino, type Logger } from 'pino'

const ENOUGH_BYTES = 8192
const LONGEST_WAIT_MS = 100
const MOST_WAITING_BYTES = 16 * 1024 * 1024 // Beyond, lines are dropped: a reader that stands still must not fill the memory.

/**
 * Readable lines on a terminal; JSON otherwise, written some at a time, as a write for each costs more than many a request,
 * and all of them when the process ends. `mixin` gives what each of them bears. Credentials are in no object that is logged; the list is a second lock.
 */
export async function createLogger (level: string, mixin: () => object = () => ({})): Promise<Logger> {
  const redact = ['authorization', 'cookie', 'token', 'key'].flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  if (!process.stdout.isTTY) {
    return pino({ level, redact, mixin }, pino.destination({ sync: false, minLength: ENOUGH_BYTES, periodicFlush: LONGEST_WAIT_MS, maxLength: MOST_WAITING_BYTES }))
  }
  const { default: pretty } = await import('pino-pretty')
  return pino({ level, redact, mixin }, pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true }))
}
