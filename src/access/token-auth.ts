import { createHash, timingSafeEqual } from 'node:crypto'
import { UNAUTHORIZED, type AuthResult } from './caller.ts'
import type { Authenticator, OnRevoked } from './authenticator.ts'

export const SHORTEST_TOKEN = 16

export interface TokenAuthOptions {
  /** The tokens that are accepted now; several at once, so that one can take another's place. */
  readonly read: () => string[]
  /** How often they are read anew, milliseconds. */
  readonly recheckMs: number
  readonly onRevoked: OnRevoked
  /** Told why tokens could not be read anew; those that were read last stay. */
  readonly onError: (error: unknown) => void
}

/**
 * Admits by static bearer tokens. Kept and compared as SHA-256 digests, each of them whatever the others say, so that
 * the time it takes tells nothing of a token.
 */
export function createTokenAuth ({ onError, onRevoked, read, recheckMs }: TokenAuthOptions): Authenticator {
  let accepted = new Map(read().map(entryOf))
  const timer = setInterval(() => {
    try {
      backfill()
    } catch (error) {
      onError(error)
    }
  }, recheckMs).unref()

  return {
    authenticate (credential) {
      if (credential === 'none' || credential.scheme !== 'Bearer') return UNAUTHORIZED
      return verdictOn(digest(credential.token))
    },
    close: () => clearInterval(timer)
  }

  function verdictOn (presented: Buffer): AuthResult {
    let key: string | undefined
    for (const [each, known] of accepted) if (timingSafeEqual(known, presented)) key = each
    return key === undefined ? UNAUTHORIZED : { ok: true, caller: { key } }
  }

  function backfill (): void {
    const before = accepted
    const tokens = read()
    if (tokens.length === 0) throw new Error('there are no tokens') // Most likely the file is being written.
    accepted = new Map(tokens.map(entryOf))
    for (const key of before.keys()) if (!accepted.has(key)) onRevoked(key)
  }
}

/** The tokens in a text: one a line or separated by commas; `#` begins a comment. */
export function tokensIn (text: string): string[] {
  return text.split('\n').flatMap((line) => line.replace(/(^|\s)#.*$/, '').split(',')).map((token) => token.trim())
    .filter((token) => token !== '')
}

/** Whether a token can come in a header, and is long enough not to be found by trying. */
export function isSoundToken (token: string): boolean {
  return token.length >= SHORTEST_TOKEN && /^[\x21-\x7e]+$/.test(token)
}

function entryOf (token: string): [key: string, digest: Buffer] {
  const known = digest(token)
  return [`token:${known.toString('base64url')}`, known]
}

function digest (token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
