import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

/** What a caller presents. It is never logged or echoed. */
export interface Credential {
  readonly scheme: 'Bearer' | 'UserKey'
  readonly token: string
}

const AUTHORIZATION = /^(bearer|userkey) +([\x21-\x7e]+) *$/i
const SUBPROTOCOL = /^kubiya-audit\.(bearer|userkey)\.([A-Za-z0-9_-]+)$/
const SCHEMES: Record<string, Credential['scheme']> = { bearer: 'Bearer', userkey: 'UserKey' }

/**
 * The credential of a request: from `Authorization` (RFC 9110 §11.6.2), or from an offered subprotocol
 * `kubiya-audit.bearer.<token in base64url>` or `kubiya-audit.userkey.<…>`, because a page cannot set a header for a
 * WebSocket. `unreadable`: another scheme, or more than one credential. `rawHeaders` shows a repeated `Authorization`:
 * Node keeps the first, but a proxy in front may have checked the other one.
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
