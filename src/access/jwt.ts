import { createHash } from 'node:crypto'
import { createLocalJWKSet, createRemoteJWKSet, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import { UNAUTHORIZED, type Caller, type Refusal, type Verdict } from './caller.ts'
import { digestOf, type Credential } from './credential.ts'
import type { Gate } from './gate.ts'
import type { Trials } from './trials.ts'

export interface JwtGateOptions {
  readonly jwksUrl: string
  readonly issuer: string
  readonly audience: string
  /** How far clocks may differ, milliseconds: a token is good for so much longer. */
  readonly toleranceMs: number
  /** For how long a token that was found good is not verified again, milliseconds. */
  readonly recheckMs: number
  readonly trials: Trials
  /** Told why keys cannot be had. */
  readonly onError: (error: unknown) => void
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

// Signatures by a private key only: with a shared secret whoever can check a token can make one.
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const FETCH_MS = 5000
const COOLDOWN_MS = 2000 // A key that is new is known that soon; how often it can be asked for, `trials` bounds as well.
const MOST_VERIFIED = 10_000
const MOST_AT_ONCE = 256
const RETRY_MS = 5000
const UNCHECKED: Refusal = { ok: false, code: 'credential-unchecked', detail: 'The keys that tokens are checked with cannot be had.', retryAfterMs: RETRY_MS }
const BUSY: Refusal = { ok: false, code: 'overloaded', detail: 'Too many tokens are being checked.', retryAfterMs: 1000 }

interface Verified {
  readonly caller: Caller
  readonly untilMs: number
}

/**
 * Admits by JSON Web Tokens (RFC 7519): signature by a key of the JWK Set, issuer, audience, expiry. Keys are fetched when
 * they are needed, again for one that is unknown (every two seconds at most) and every ten minutes; while they cannot be had the
 * last ones count.
 */
export function createJwtGate (options: JwtGateOptions): Gate {
  const { audience, clock, issuer, recheckMs, toleranceMs, trials } = options
  const getKey = createKeys(new URL(options.jwksUrl), options.onError)
  const verified = new LRUCache<string, Verified>({ max: MOST_VERIFIED })
  const checks = new Map<string, Promise<Verdict>>()
  return { admit, close: () => {} }

  function admit (credential: Credential | 'none', address: string): Verdict | Promise<Verdict> {
    if (credential === 'none' || credential.scheme !== 'Bearer') return UNAUTHORIZED
    const digest = digestOf(credential)
    const known = verified.get(digest)
    if (known !== undefined && clock() < known.untilMs) return { ok: true, caller: known.caller }
    const underWay = checks.get(digest)
    if (underWay !== undefined) return underWay
    if (checks.size >= MOST_AT_ONCE) return BUSY
    const stop = known === undefined ? trials.stop(address) : undefined // One that was good before is no trial.
    if (stop !== undefined) return stop
    const check = verify(credential.token, digest, address).finally(() => checks.delete(digest))
    checks.set(digest, check)
    return check
  }

  async function verify (token: string, digest: string, address: string): Promise<Verdict> {
    try {
      const { payload } = await jwtVerify(token, getKey, {
        issuer, audience, algorithms: ALGORITHMS, requiredClaims: ['exp'], clockTolerance: toleranceMs / 1000, currentDate: new Date(clock())
      })
      const caller = callerOf(payload, digest)
      verified.set(digest, { caller, untilMs: Math.min(caller.expiresAtMs, clock() + recheckMs) })
      return { ok: true, caller }
    } catch (error) {
      if (!isAboutToken(error)) return UNCHECKED
      verified.delete(digest)
      trials.failed(address)
      return UNAUTHORIZED
    }
  }

  /** All tokens of one subject are one caller. */
  function callerOf ({ exp = 0, iss, sub }: JWTPayload, digest: string): Caller & { readonly expiresAtMs: number } {
    const key = sub === undefined ? digest : createHash('sha256').update(JSON.stringify([iss, sub])).digest('base64url')
    return { key: `jwt:${key}`, expiresAtMs: exp * 1000 + toleranceMs }
  }
}

function createKeys (url: URL, onError: (error: unknown) => void): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, { timeoutDuration: FETCH_MS, cooldownDuration: COOLDOWN_MS })

  return async (header, token) => {
    try {
      return await remote(header, token)
    } catch (error) {
      if (isAboutToken(error)) throw error
      onError(error)
      const last = remote.jwks()
      if (last === undefined) throw error
      return createLocalJWKSet(last)(header, token)
    }
  }
}

const NO_KEYS = new Set(['ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID', 'ERR_JOSE_GENERIC'])

/** Or about the keys: not there, or none. */
function isAboutToken (error: unknown): boolean {
  return error instanceof errors.JOSEError && !NO_KEYS.has(error.code)
}
