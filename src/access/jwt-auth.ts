import { createHash } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import { UNAUTHORIZED, type Caller, type Denied, type AuthResult } from './caller.ts'
import { digestOf, type Credential } from './credential.ts'
import type { Authenticator } from './authenticator.ts'
import { createKeys } from './jwk-set.ts'
import { createCheckQueue, type CheckQueueOptions } from './check-queue.ts'
import type { AuthFailureLimit } from './auth-failure-limit.ts'

export interface JwtAuthOptions {
  readonly jwksUrl: string
  readonly issuer: string
  readonly audience: string
  /** How far clocks may differ, milliseconds: a token is good for so much longer. */
  readonly toleranceMs: number
  /** For how long a token that was found good is not verified again, milliseconds. */
  readonly recheckMs: number
  readonly authFailures: AuthFailureLimit
  /** Told why keys cannot be had. */
  readonly onError: (error: unknown) => void
  /** Milliseconds since 1970. */
  readonly clock: () => number
}

// Signatures by a private key only: with a shared secret whoever can check a token can make one.
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']
const MOST_VERIFIED = 10_000
const RETRY_MS = 5000
const UNCHECKED: Denied = {
  ok: false,
  code: 'credential-unchecked',
  detail: 'The JWK Set is unavailable; tokens cannot be verified.',
  retryAfterMs: RETRY_MS
}
const BUSY: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'Too many tokens are being verified.',
  retryAfterMs: 1000
}
// A signature takes some 100 µs of a thread: what waits here is checked within a moment.
const SIGNATURES: CheckQueueOptions = {
  mostUnderWay: 64,
  mostUnproven: 48,
  mostPerAddress: 8,
  mostWaitingPerAddress: 256,
  mostWaiting: 4096,
  patienceMs: 2000
}
// These wait for the issuer, all for one answer.
const UNKNOWN_KEYS: CheckQueueOptions = {
  mostUnderWay: 1024,
  mostUnproven: 768,
  mostPerAddress: 8,
  mostWaitingPerAddress: 256,
  mostWaiting: 4096,
  patienceMs: 6000
}

interface Verified {
  readonly caller: Caller
  readonly untilMs: number
}

/**
 * Admits by JSON Web Tokens (RFC 7519): signature by a key of the JWK Set, issuer, audience, expiry. A token whose key
 * is at hand asks nobody and is no trial. Tokens that name an unknown key wait in a line of their own: whatever they
 * do, they take no place from the others. While keys cannot be had the last ones count.
 */
export function createJwtAuth (options: JwtAuthOptions): Authenticator {
  const { audience, clock, issuer, onError, recheckMs, toleranceMs, authFailures } = options
  const keys = createKeys({ url: new URL(options.jwksUrl), onError, clock })
  const verified = new LRUCache<string, Verified>({ max: MOST_VERIFIED })
  const checks = new Map<string, Promise<AuthResult>>()
  const [signatures, unknownKeys] = [createCheckQueue(SIGNATURES), createCheckQueue(UNKNOWN_KEYS)]
  return { authenticate, close: keys.close }

  function authenticate (credential: Credential | 'none', address: string): AuthResult | Promise<AuthResult> {
    if (credential === 'none' || credential.scheme !== 'Bearer') return UNAUTHORIZED
    const digest = digestOf(credential)
    const known = verified.get(digest)
    if (known !== undefined && clock() < known.untilMs) return { ok: true, caller: known.caller }
    const underWay = checks.get(digest)
    if (underWay !== undefined) return underWay
    const header = readHeader(credential.token)
    if (header === undefined) return UNAUTHORIZED
    const check = judge(credential.token, header.kid, digest, address).finally(() => checks.delete(digest))
    checks.set(digest, check)
    return check
  }

  async function judge (token: string, kid: string | undefined, digest: string, address: string): Promise<AuthResult> {
    if (!keys.holds(kid)) {
      const word = await fetched(kid, address)
      if (word !== 'at-hand') return word
    }
    const find = keys.finder()
    if (find === undefined) return UNCHECKED
    const verdict = await signatures.run(address, authFailures.isProven(address), () => verify(token, find, digest))
    if (verdict === 'busy') return BUSY
    if (verdict.ok) authFailures.prove(address)
    return verdict
  }

  /** Asks the issuer for a key that is not at hand, which is a trial of the address. */
  async function fetched (kid: string | undefined, address: string): Promise<'at-hand' | Denied> {
    const word = await unknownKeys.run(address, authFailures.isProven(address), async () => {
      const recent = keys.holds(kid) ? 'had' : keys.recent() // The key may have come while this waited for its turn.
      if (recent !== undefined) return outcomeOf(recent, kid)
      const trial = authFailures.begin(address)
      if (!trial.ok) return trial
      const outcome = outcomeOf(await keys.ask(), kid)
      trial.end(outcome === UNAUTHORIZED ? 'failed' : 'given-back')
      return outcome
    })
    return word === 'busy' ? BUSY : word
  }

  /** A key that nobody could ask for may be a good one. */
  function outcomeOf (answer: 'had' | 'failed', kid: string | undefined): 'at-hand' | Denied {
    if (keys.holds(kid)) return 'at-hand'
    return answer === 'failed' ? UNCHECKED : UNAUTHORIZED
  }

  async function verify (token: string, find: JWTVerifyGetKey, digest: string): Promise<AuthResult> {
    try {
      const { payload } = await jwtVerify(token, find, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        requiredClaims: ['exp'],
        clockTolerance: toleranceMs / 1000,
        currentDate: new Date(clock())
      })
      const caller = callerOf(payload, digest)
      verified.set(digest, { caller, untilMs: Math.min(caller.expiresAtMs, clock() + recheckMs) })
      return { ok: true, caller }
    } catch (error) {
      verified.delete(digest)
      if (isAboutToken(error)) return UNAUTHORIZED
      onError(error)
      return UNCHECKED
    }
  }

  /** All tokens of one subject are one caller. */
  function callerOf ({ exp = 0, iss, sub }: JWTPayload, digest: string): Caller & { readonly expiresAtMs: number } {
    const key = sub === undefined ? digest : createHash('sha256').update(JSON.stringify([iss, sub])).digest('base64url')
    return { key: `jwt:${key}`, expiresAtMs: exp * 1000 + toleranceMs }
  }
}

/** `undefined`: no token that could ever be accepted. */
function readHeader (token: string): { readonly kid: string | undefined } | undefined {
  try {
    const { alg, kid } = decodeProtectedHeader(token) as { alg?: unknown, kid?: unknown }
    if (typeof alg !== 'string' || !ALGORITHMS.includes(alg)) return undefined
    return kid === undefined || typeof kid === 'string' ? { kid } : undefined
  } catch {
    return undefined
  }
}

/** Or about the keys: one of the set may be none. */
function isAboutToken (error: unknown): boolean {
  return error instanceof errors.JOSEError && error.code !== 'ERR_JWKS_INVALID'
}
