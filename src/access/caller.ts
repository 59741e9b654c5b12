import type { ProblemCode } from '../problems.ts'

/** An authenticated caller. */
export interface Caller {
  /** Identifies the caller in limits and streams. It does not reveal the credential. */
  readonly key: string
  /** The caller's own `Authorization`, with which Kubiya is asked in mode `passthrough`. */
  readonly authorization?: string
  /** The client's address, for the limits on tenants. */
  readonly address?: string
  /** Kubiya accepted the credential before and cannot be asked now. Cached data may be shown. */
  readonly isUnchecked?: boolean
  /** When the credential expires, milliseconds since 1970. */
  readonly expiresAtMs?: number
}

/** Why a request was denied. */
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
export const NO_TENANT: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'The maximum number of tenants is active.',
  retryAfterMs: 30_000
}

export function tooManyCredentials (whose: 'address' | 'network' | 'all', retryAfterMs: number): Denied {
  return whose === 'all'
    ? { ok: false, code: 'overloaded', detail: 'Too many invalid credentials from all callers.', retryAfterMs }
    : { ok: false, code: 'rate-limited', detail: `Too many invalid credentials from this ${whose}.`, retryAfterMs }
}
