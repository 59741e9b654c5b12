import { pino, type Logger } from 'pino'
import type { Clock } from '../clock.ts'
import { createLogSink } from './log-sink.ts'

export interface Log {
  readonly logger: Logger
  /** Resolves when all lines are written, or cannot be written. */
  flush (): Promise<void>
}

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
