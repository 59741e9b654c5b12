import { createHash } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import {
  BUSY,
  UNAUTHORIZED,
  digestOf,
  type AuthResult,
  type Authenticator,
  type Caller,
  type Credential,
  type Denied
} from './caller.ts'
import { createJwkSet, type FetchOutcome } from './jwk-set.ts'
import { USUAL_LIMITS, createCheckQueue, type CheckQueueLimits } from './check-queue.ts'
import type { AuthFailureLimit } from './auth-failure-limit.ts'

export interface JwtAuthOptions {
  readonly jwksUrl: string
  readonly issuer: string
  readonly audience: string
  /** The tolerated difference between the clocks, milliseconds. A token is valid for so much longer. */
  readonly toleranceMs: number
  /** How long a verified token is not verified again, milliseconds. */
  readonly recheckMs: number
  readonly authFailures: AuthFailureLimit
  /** Called when the keys cannot be fetched. */
  readonly onError: (error: unknown) => void
  readonly clock: Pick<Clock, 'now' | 'setTimer'>
}

// Private keys only: with a shared secret, everyone who can verify a token can also make one.
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const MAX_VERIFIED = 10_000
const RETRY_MS = 5000
const UNVERIFIABLE: Denied = {
  ok: false,
  code: 'credential-unchecked',
  detail: 'The JWK Set is unavailable; tokens cannot be verified.',
  retryAfterMs: RETRY_MS
}
// A signature takes some 100 µs of a thread, so this queue is short-lived.
const SIGNATURES: CheckQueueLimits = { ...USUAL_LIMITS, maxWaitMs: 2000 }
// These checks wait for the issuer, all of them for one answer.
const UNKNOWN_KEYS: CheckQueueLimits = { ...USUAL_LIMITS, maxRunning: 1024, maxUnproven: 768, maxWaitMs: 6000 }

interface Verified {
  readonly caller: Caller
  readonly untilMs: number
}

/**
 * Authenticates JSON Web Tokens (RFC 7519): signature by a key of the JWK Set, issuer, audience, expiry. A token with a
 * local key needs no request and is no trial. Tokens with an unknown key have a queue of their own, so they never delay
 * the others. While keys cannot be fetched, the last ones stay valid.
 */
export function createJwtAuth (options: JwtAuthOptions): Authenticator {
  const { audience, authFailures, clock, issuer, onError, recheckMs, toleranceMs } = options
  const jwkSet = createJwkSet({ url: new URL(options.jwksUrl), onError, clock })
  const verified = new LRUCache<string, Verified>({ max: MAX_VERIFIED })
  const pending = new Map<string, Promise<AuthResult>>()
  const signatures = createCheckQueue(SIGNATURES, clock)
  const unknownKeys = createCheckQueue(UNKNOWN_KEYS, clock)
  return { authenticate, close: jwkSet.close }

  function authenticate (credential: Credential | 'none', address: string): AuthResult | Promise<AuthResult> {
    if (credential === 'none' || credential.scheme !== 'Bearer') return UNAUTHORIZED
    const digest = digestOf(credential)
    const known = verified.get(digest)
    if (known !== undefined && clock.now() < known.untilMs) return { ok: true, caller: known.caller }
    const running = pending.get(digest)
    if (running !== undefined) return running
    const header = readHeader(credential.token)
    if (header === undefined) return UNAUTHORIZED
    const check = checkToken(credential.token, header.kid, digest, address).finally(() => pending.delete(digest))
    pending.set(digest, check)
    return check
  }

  async function checkToken (
    token: string,
    kid: string | undefined,
    digest: string,
    address: string
  ): Promise<AuthResult> {
    if (!jwkSet.holds(kid)) {
      const outcome = await fetchKey(kid, address)
      if (outcome !== 'held') return outcome
    }
    const find = jwkSet.finder()
    if (find === undefined) return UNVERIFIABLE
    const result = await signatures.run(address, authFailures.isProven(address), () => verify(token, find, digest))
    if (result === 'busy') return BUSY
    if (result.ok) authFailures.prove(address)
    return result
  }

  /** Asks the issuer for an unknown key. This is a trial of the address. */
  async function fetchKey (kid: string | undefined, address: string): Promise<'held' | Denied> {
    const outcome = await unknownKeys.run(address, authFailures.isProven(address), async () => {
      const recent = jwkSet.holds(kid) ? 'fetched' : jwkSet.recent() // The key may have come during the wait.
      if (recent !== undefined) return outcomeOf(recent, kid)
      const trial = authFailures.begin(address)
      if (!trial.ok) return trial
      const result = outcomeOf(await jwkSet.fetch(), kid)
      trial.end(result === UNAUTHORIZED ? 'failed' : 'not-failed')
      return result
    })
    return outcome === 'busy' ? BUSY : outcome
  }

  /** After a failed fetch, an unknown key may be a good one. */
  function outcomeOf (fetched: FetchOutcome, kid: string | undefined): 'held' | Denied {
    if (jwkSet.holds(kid)) return 'held'
    return fetched === 'failed' ? UNVERIFIABLE : UNAUTHORIZED
  }

  async function verify (token: string, find: JWTVerifyGetKey, digest: string): Promise<AuthResult> {
    try {
      const { payload } = await jwtVerify(token, find, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp'],
        clockTolerance: toleranceMs / 1000,
        currentDate: new Date(clock.now())
      })
      const caller = callerOf(payload, digest)
      verified.set(digest, { caller, untilMs: Math.min(caller.expiresAtMs, clock.now() + recheckMs) })
      return { ok: true, caller }
    } catch (error) {
      verified.delete(digest)
      if (isAboutToken(error)) return UNAUTHORIZED
      onError(error)
      return UNVERIFIABLE
    }
  }

  /** All tokens of one subject belong to one caller. */
  function callerOf ({ exp = 0, iss, sub }: JWTPayload, digest: string): Caller & { readonly expiresAtMs: number } {
    const key = sub === undefined ? digest : createHash('sha256').update(JSON.stringify([iss, sub])).digest('base64url')
    return { key: `jwt:${key}`, expiresAtMs: exp * 1000 + toleranceMs }
  }
}

/** The header of a token; `undefined` for a token that can never be accepted. */
function readHeader (token: string): { readonly kid: string | undefined } | undefined {
  try {
    const { alg, kid } = decodeProtectedHeader(token) as { alg?: unknown, kid?: unknown }
    if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) return undefined
    return kid === undefined || typeof kid === 'string' ? { kid } : undefined
  } catch {
    return undefined
  }
}

/** Whether an error is the token's fault. An unusable key of the set is not. */
function isAboutToken (error: unknown): boolean {
  return error instanceof errors.JOSEError && error.code !== 'ERR_JWKS_INVALID'
}
