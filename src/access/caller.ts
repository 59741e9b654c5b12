import type { ProblemCode } from '../problems.ts'

/** Who asks, as far as limits, streams and Kubiya need to know. */
export interface Caller {
  /** Names the caller in limits and streams, without showing the credential. */
  readonly key: string
  /** The value of `Authorization` that Kubiya is asked with, where it is the caller's own. */
  readonly authorization?: string
  /** Where the request came from, when tenants are counted by that. */
  readonly address?: string
  /** Kubiya accepted the credential before and cannot be asked now: what was seen then may be shown. */
  readonly isUnchecked?: boolean
  /** When the credential ends, milliseconds since 1970. */
  readonly expiresAtMs?: number
}

/** Why a request goes no further. */
export interface Denied {
  readonly ok: false
  readonly code: ProblemCode
  readonly detail: string
  readonly retryAfterMs?: number
}

export interface Admitted {
  readonly ok: true
  readonly caller: Caller
}

export type AuthResult = Admitted | Denied

export const UNAUTHORIZED: Denied = {
  ok: false,
  code: 'unauthorized',
  detail: 'Send a valid credential in the header `Authorization`.'
}
export const FORBIDDEN: Denied = {
  ok: false,
  code: 'forbidden',
  detail: 'Kubiya does not allow this with the credential.'
}
export const TOO_MANY_CREDENTIALS = (whose: 'address' | 'network' | 'all', retryAfterMs: number): Denied =>
  whose === 'all'
    ? { ok: false, code: 'overloaded', detail: 'Too many invalid credentials from all callers.', retryAfterMs }
    : { ok: false, code: 'rate-limited', detail: `Too many invalid credentials from this ${whose}.`, retryAfterMs }
export const NO_TENANT: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'The maximum number of tenants is active.',
  retryAfterMs: 30_000
}
