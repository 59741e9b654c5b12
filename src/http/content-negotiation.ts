import Negotiator from 'negotiator'
import type { ContentCoding } from '../archive/content-encoding.ts'

const AVAILABLE = ['br', 'gzip', 'identity']
const PREFERRED = ['br', 'gzip'] // At equal weights, the coding that makes the response smallest.
const PROBLEM = 'application/problem+json'
const HTML = 'text/html'

/** The coding that `Accept-Encoding` prefers (RFC 9110 §12.5.3). `undefined`: identity, or nothing is acceptable. */
export function negotiateEncoding (header: string): ContentCoding | undefined {
  const text = header.toLowerCase().replaceAll('x-gzip', 'gzip') // RFC 9110 §8.4.1.3.
  const [best] = new Negotiator({ headers: { 'accept-encoding': text } }).encodings(AVAILABLE, { preferred: PREFERRED })
  return best === 'br' || best === 'gzip' ? best : undefined
}

/** Whether `Accept` prefers a page to a problem (RFC 9110 §12.5.1). Browsers do; programs that accept anything do not. */
export function prefersPage (header: string | undefined): boolean {
  return new Negotiator({ headers: { accept: header } }).mediaTypes([PROBLEM, HTML])[0] === HTML
}

/** Weak comparison of `If-None-Match` (RFC 9110 §8.8.3.2, §13.1.2). */
export function matchesEtag (header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header === etag) return true
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => opaque(tag) === opaque(etag))
}
