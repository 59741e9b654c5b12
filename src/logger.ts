import { pino, type Logger } from 'pino'
import { gather } from './gathering.ts'

const WAIT_MS = 100
const ENOUGH_CHARS = 32_768

/** Readable lines on a terminal, JSON otherwise. Credentials are in no object that is logged; the list is a second lock. */
export function createLogger (level: string): Logger {
  const redact = ['authorization', 'cookie', 'token', 'key'].flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  const pretty = { target: 'pino-pretty', options: { ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true } }
  if (process.stdout.isTTY) return pino({ level, redact, transport: pretty })
  return pino({ level, redact }, gather(pino.destination({ sync: true }), { waitMs: WAIT_MS, enoughChars: ENOUGH_CHARS }))
}
