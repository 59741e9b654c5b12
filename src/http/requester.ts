import type { Socket } from 'node:net'
import type { Denied } from '../access/caller.ts'
import type { RateLimits } from '../access/rate-limits.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'

/** The requester behind reads of Kubiya: a caller's key and limits. With a socket, it reports the disconnect. */
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

/** The caller's own limit is a spent share; the limit of all callers together is a spent budget. */
function failureOf ({ code, retryAfterMs }: Denied): Failure {
  return {
    ok: false,
    kind: code === 'rate-limited' ? 'share' : 'budget',
    ...retryAfterMs !== undefined && { retryAfterMs }
  }
}
