import type { FastifyBaseLogger } from 'fastify'

type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
type Bindings = Parameters<FastifyBaseLogger['child']>[0]
type Options = NonNullable<Parameters<FastifyBaseLogger['child']>[1]>

interface Lazy extends FastifyBaseLogger {
  readonly parent: FastifyBaseLogger
  readonly bindings: Bindings
  readonly options: Options
  made: FastifyBaseLogger | undefined
}

// Shared by all, and so dependent on `this`: closures for each would cost several times as much as the rest.
const [fatal, error, warn, info, debug, trace] = [writer('fatal'), writer('error'), writer('warn'), writer('info'), writer('debug'), writer('trace')]
const silent = () => {}

/**
 * A child that comes to be when it first writes, and its own children likewise. Fastify makes one for each request, which
 * with names to redact costs about as much as all else of an answer from the shelf, and most requests write nothing by it.
 */
export function lazyChild (parent: FastifyBaseLogger, bindings: Bindings = {}, options: Options = {}, level = parent.level): FastifyBaseLogger {
  const lazy: Lazy = { level: options.level ?? level, parent, bindings, options, made: undefined, fatal, error, warn, info, debug, trace, silent, child }
  return lazy
}

function child (this: Lazy, bindings: Bindings, options?: Options): FastifyBaseLogger {
  return lazyChild(real(this), bindings, options, this.level)
}

function writer (level: Level): FastifyBaseLogger['info'] {
  return function write (this: Lazy, ...line: Parameters<FastifyBaseLogger['info']>) {
    real(this)[level](...line)
  }
}

function real (lazy: Lazy): FastifyBaseLogger {
  lazy.made ??= lazy.parent.child(lazy.bindings, lazy.options)
  return lazy.made
}
