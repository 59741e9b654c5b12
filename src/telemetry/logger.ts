import { pino, type Logger } from 'pino'
import { createLogSink } from './log-sink.ts'

export interface Log {
  readonly logger: Logger
  /** Resolves when all lines are written, or cannot be. */
  flush (): Promise<void>
}

/**
 * Readable lines on a terminal; JSON otherwise. `mixin` gives what each line bears. Credentials are in no object that
 * is logged; the list of names is a second lock.
 */
export async function createLogger (level: string, mixin?: () => object): Promise<Log> {
  const options = { level, ...mixin !== undefined && { mixin } } // A mixin that gives nothing costs each line as well.
  const redact = ['authorization', 'cookie', 'token', 'key'].flatMap((name) => [name, `*.${name}`, `*.*.${name}`])
  if (!process.stdout.isTTY) {
    const sink = createLogSink(process.stdout)
    return { logger: pino({ ...options, redact }, sink), flush: sink.flush }
  }
  const { default: pretty } = await import('pino-pretty')
  const terminal = pretty({ ignore: 'pid,hostname', translateTime: 'SYS:HH:MM:ss', singleLine: true })
  return { logger: pino({ ...options, redact }, terminal), flush: async () => {} }
}
