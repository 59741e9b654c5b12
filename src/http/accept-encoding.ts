import Negotiator from 'negotiator'
import type { ContentCoding } from '../archive/content-encoding.ts'

type Choice = ContentCoding | undefined

const AVAILABLE = ['br', 'gzip', 'identity']
const PREFERRED = ['br', 'gzip'] // Among equal weights: what makes the answer smallest.
const MOST_REMEMBERED = 256
const LONGEST_REMEMBERED = 256

/** Chooses codings; what was chosen for a header's text is remembered, as callers send few different ones. */
export function createEncodingNegotiator (): (header: string | undefined) => Choice {
  const chosen = new Map<string, Choice>()

  return (header) => {
    if (header === undefined) return undefined // Any would do, but who asks for none may understand none.
    const known = chosen.get(header)
    if (known !== undefined || chosen.has(header)) return known
    const choice = negotiateEncoding(header)
    if (header.length > LONGEST_REMEMBERED) return choice
    if (chosen.size >= MOST_REMEMBERED) chosen.clear()
    chosen.set(header, choice)
    return choice
  }
}

/**
 * The coding that an `Accept-Encoding` prefers (RFC 9110 §12.5.3); `undefined`: identity, also where nothing is
 * acceptable.
 */
export function negotiateEncoding (header: string): Choice {
  const text = header.toLowerCase().replaceAll('x-gzip', 'gzip') // RFC 9110 §8.4.1.3.
  const [best] = new Negotiator({ headers: { 'accept-encoding': text } }).encodings(AVAILABLE, { preferred: PREFERRED })
  return best === 'br' || best === 'gzip' ? best : undefined
}
