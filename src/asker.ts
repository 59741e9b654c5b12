import type { Socket } from 'node:net'
import type { Refusal } from './access/caller.ts'
import type { Limits } from './access/limits.ts'
import type { Asker } from './audit/asker.ts'
import type { Failure } from './audit/source.ts'

/** A caller as those know it who ask Kubiya. With its connection, it is known when it has gone. */
export function createAsker (key: string, limits: Limits, socket?: Socket): Asker {
  return {
    key,
    reserve (events) {
      const ahead = limits.reserve(key, events)
      return ahead.ok ? ahead : failureOf(ahead)
    },
    ...socket !== undefined && {
      onGone (listener) {
        socket.once('close', listener)
        return () => { socket.removeListener('close', listener) }
      }
    }
  }
}

/** Its own doing is its share's end; that of all callers together is the budget's. */
function failureOf ({ code, retryAfterMs }: Refusal): Failure {
  return { ok: false, kind: code === 'rate-limited' ? 'share' : 'budget', ...retryAfterMs !== undefined && { retryAfterMs } }
}
