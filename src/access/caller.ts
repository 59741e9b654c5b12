import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { ProblemCode } from '../problems.ts'

/** What a caller presents. It is never logged or echoed. */
export interface Credential {
  readonly scheme: 'Bearer' | 'UserKey'
  readonly token: string
}

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

/** Decides which credentials are accepted. */
export interface Authenticator {
  /** Synchronous where the credential is known. `address` names the client's address for limits. */
  authenticate (credential: Credential | 'none', address: string): AuthResult | Promise<AuthResult>
  /** Stops timers and connections. */
  close (): void
}

/** Called when a caller's credential is no longer accepted. */
export type OnRevoked = (key: Caller['key']) => void

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
/** The queue of checks is full, or the check waited too long. */
export const BUSY: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'Too many credentials are being verified.',
  retryAfterMs: 1000
}
export const NO_TENANT: Denied = {
  ok: false,
  code: 'overloaded',
  detail: 'The maximum number of tenants is active.',
  retryAfterMs: 30_000
}

const AUTHORIZATION = /^(bearer|userkey) +([\x21-\x7e]+) *$/i
const SUBPROTOCOL = /^kubiya-audit\.(bearer|userkey)\.([A-Za-z0-9_-]+)$/
const SCHEMES: Record<string, Credential['scheme']> = { bearer: 'Bearer', userkey: 'UserKey' }

/**
 * The credential of a request, from `Authorization` (RFC 9110 §11.6.2) or from an offered subprotocol:
 * `kubiya-audit.bearer.<token in base64url>` or `kubiya-audit.userkey.<…>`. The subprotocol exists because a page
 * cannot set a header for a WebSocket. `unreadable`: another scheme, or more than one credential. `rawHeaders` shows a
 * repeated `Authorization`: Node keeps the first, but a proxy in front may have checked the other one.
 */
export function credentialOf (
  headers: IncomingHttpHeaders,
  rawHeaders: readonly string[] = []
): Credential | 'none' | 'unreadable' {
  const { authorization, 'sec-websocket-protocol': offered } = headers
  if (authorization !== undefined && countOf(rawHeaders, 'authorization') > 1) return 'unreadable'
  const fromOffer = offered?.includes('kubiya-audit.') === true ? offeredCredentials(offered) : []
  if (authorization === undefined) return fromOffer.length > 1 ? 'unreadable' : fromOffer[0] ?? 'none'
  return fromOffer.length > 0 ? 'unreadable' : fromHeader(authorization)
}

/** How often a header occurs. The list holds names and values in turn. */
function countOf (rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const each = rawHeaders[index]
    if (each?.length === name.length && each.toLowerCase() === name) count++
  }
  return count
}

function fromHeader (authorization: string): Credential | 'unreadable' {
  const [, scheme = '', token = ''] = AUTHORIZATION.exec(authorization) ?? []
  const known = SCHEMES[scheme.toLowerCase()]
  return known === undefined || token === '' ? 'unreadable' : { scheme: known, token }
}

function offeredCredentials (offered: string): Array<Credential | 'unreadable'> {
  return offered.split(',').flatMap((each) => {
    const [, scheme, encoded = ''] = SUBPROTOCOL.exec(each.trim()) ?? []
    return scheme === undefined ? [] : [fromHeader(`${scheme} ${Buffer.from(encoded, 'base64url').toString('latin1')}`)]
  })
}

/** Identifies a credential where it must not be shown. */
export function digestOf ({ scheme, token }: Credential): string {
  return createHash('sha256').update(`${scheme} ${token}`).digest('base64url')
}

/** Accepts every request (`AUTH_MODE=none`). */
export function createOpenAuth (): Authenticator {
  return { authenticate: (_, address) => ({ ok: true, caller: { key: address } }), close: () => {} }
}

export function tooManyCredentials (whose: 'address' | 'network' | 'all', retryAfterMs: number): Denied {
  return whose === 'all'
    ? { ok: false, code: 'overloaded', detail: 'Too many invalid credentials from all callers.', retryAfterMs }
    : { ok: false, code: 'rate-limited', detail: `Too many invalid credentials from this ${whose}.`, retryAfterMs }
}
