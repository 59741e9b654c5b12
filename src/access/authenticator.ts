import type { Caller, AuthResult } from './caller.ts'
import type { Credential } from './credential.ts'

/** Decides which credentials are accepted. */
export interface Authenticator {
  /** Synchronous where the credential is known. `address` names the client's address for limits. */
  authenticate (credential: Credential | 'none', address: string): AuthResult | Promise<AuthResult>
  /** Stops timers and connections. */
  close (): void
}

/** Called when a caller's credential is no longer accepted. */
export type OnRevoked = (key: Caller['key']) => void

/** Accepts every request (`AUTH_MODE=none`). */
export function createOpenAuth (): Authenticator {
  return { authenticate: (_, address) => ({ ok: true, caller: { key: address } }), close: () => {} }
}
