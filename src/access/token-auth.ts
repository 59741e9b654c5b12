import { createHash, timingSafeEqual } from 'node:crypto'
import { repeat, type Clock } from '../clock.ts'
import { UNAUTHORIZED, type AuthResult, type Authenticator, type OnRevoked } from './caller.ts'

/** The least length of a token, in characters. */
export const SHORTEST_TOKEN = 16

export interface TokenAuthOptions {
  /** Returns the accepted tokens. Several at once allow a rotation without an outage. */
  readonly read: () => string[]
  /** The interval between two reads. */
  readonly recheckMs: number
  readonly clock: Pick<Clock, 'setTimer'>
  readonly onRevoked: OnRevoked
  /** Called when a read fails. The tokens of the last good read stay valid. */
  readonly onError: (error: unknown) => void
}

/**
 * Authenticates static bearer tokens. Tokens are stored and compared as SHA-256 digests. Every digest is compared, also
 * after a match, so the time of an answer reveals nothing about a token.
 */
export function createTokenAuth (options: TokenAuthOptions): Authenticator {
  const { clock, onError, onRevoked, read, recheckMs } = options
  let accepted = new Map(read().map(entryOf))
  const stop = repeat(clock, recheck, recheckMs)

  return {
    authenticate (credential) {
      if (credential === 'none' || credential.scheme !== 'Bearer') return UNAUTHORIZED
      return resultOf(digest(credential.token))
    },
    close: stop
  }

  function resultOf (presented: Buffer): AuthResult {
    let key: string | undefined
    for (const [each, known] of accepted) if (timingSafeEqual(known, presented)) key = each
    return key === undefined ? UNAUTHORIZED : { ok: true, caller: { key } }
  }

  function recheck (): void {
    try {
      replaceTokens(read())
    } catch (error) {
      onError(error)
    }
  }

  function replaceTokens (tokens: string[]): void {
    if (tokens.length === 0) throw new Error('there are no tokens') // The file is probably being written.
    const before = accepted
    accepted = new Map(tokens.map(entryOf))
    for (const key of before.keys()) if (!accepted.has(key)) onRevoked(key)
  }
}

/** The tokens in a text, one per line or separated by commas. `#` starts a comment. */
export function tokensIn (text: string): string[] {
  return text.split('\n').flatMap((line) => line.replace(/(^|\s)#.*$/, '').split(',')).map((token) => token.trim())
    .filter((token) => token !== '')
}

/** Whether a token fits into a header and is too long to be guessed. */
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
