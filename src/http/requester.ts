import type { Socket } from 'node:net'
import type { Denied } from '../access/caller.ts'
import type { RateLimits } from '../access/rate-limits.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'

/** A caller as those know it who ask Kubiya. With its connection, it is known when it has gone. */
export function createRequester (key: string, limits: RateLimits, socket?: Socket): Requester {
  return {
    key,
    reserve (events) {
      const ahead = limits.reserve(key, events)
      return ahead.ok ? ahead : failureOf(ahead)
    },
    ...socket !== undefined && {
      onDisconnect (listener) {
        socket.once('close', listener)
        return () => { socket.removeListener('close', listener) }
      }
    }
  }
}

/** Its own doing is its share's end; that of all callers together is the budget's. */
function failureOf ({ code, retryAfterMs }: Denied): Failure {
  return {
    ok: false,
    kind: code === 'rate-limited' ? 'share' : 'budget',
    ...retryAfterMs !== undefined && { retryAfterMs }
  }
}
