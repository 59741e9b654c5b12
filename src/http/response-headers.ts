import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RateLimits } from '../access/rate-limits.ts'

/** On every response: nothing in it runs, no page embeds it or reads it as another type, and it leaks no URL. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff'
}

/** On responses over TLS, to this service or to a trusted proxy. RFC 6797 §7.2 forbids it elsewhere. */
export const TLS_HEADERS: Readonly<Record<string, string>> = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains'
}

// Only the page's own scripts, styles, images and requests.
const PAGE_POLICY = [
  "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
]

/** On the page at `/docs`. The rest is what helmet sets on pages. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': PAGE_POLICY.join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'origin-agent-cluster': '?1',
  'x-dns-prefetch-control': 'off',
  'x-download-options': 'noopen',
  'x-frame-options': 'DENY', // As `frame-ancestors` says it to newer browsers.
  'x-permitted-cross-domain-policies': 'none',
  'x-xss-protection': '0'
}

/** On the console, which turns no text into code: no Trusted Types policy can be created. */
export const CONSOLE_HEADERS: Readonly<Record<string, string>> = {
  ...PAGE_HEADERS,
  'content-security-policy': [...PAGE_POLICY, "require-trusted-types-for 'script'", "trusted-types 'none'"].join('; ')
}

export interface ResponseHeadersOptions {
  /** Headers of every response. */
  readonly everywhere: Readonly<Record<string, string>>
  /** Request headers that select the response, so that no cache shows it to another caller. */
  readonly vary: string
  /** Whether pages of other sites may read responses. A plugin sets the headers for that. */
  readonly isCrossOrigin: boolean
  /** The rate limits, whose remainder each caller sees. */
  readonly limits: Pick<RateLimits, 'headers'>
}

/** The headers that all responses have in common. */
export interface ResponseHeaders {
  /** Sets them on a response that Fastify sends. */
  apply (request: FastifyRequest, reply: FastifyReply): void
  /** For a handler that writes its own head: headers of every response with `Vary`, names and values in turn. */
  readonly fixed: readonly string[]
  /** For a handler that writes its own head: the headers that differ between requests, names and values in turn. */
  varying (request: FastifyRequest, reply: FastifyReply): string[]
}

const TLS = Object.entries(TLS_HEADERS).flat()

export function createResponseHeaders (
  { everywhere, isCrossOrigin, limits, vary }: ResponseHeadersOptions
): ResponseHeaders {
  const entries = Object.entries(everywhere)
  return { apply, fixed: [...entries.flat(), 'vary', vary], varying }

  function apply (request: FastifyRequest, reply: FastifyReply): void {
    // The pages have set their own policy.
    for (const [name, value] of entries) if (!reply.hasHeader(name)) reply.header(name, value)
    if (request.protocol === 'https') reply.headers(TLS_HEADERS)
    reply.header('x-request-id', request.id)
    const left = remaining(request)
    for (let at = 0; at < left.length; at += 2) reply.header(left[at] ?? '', left[at + 1])
  }

  function varying (request: FastifyRequest, reply: FastifyReply): string[] {
    const headers = ['x-request-id', request.id, ...remaining(request)]
    if (request.protocol === 'https') headers.push(...TLS)
    if (!isCrossOrigin) return headers
    for (const [name, value] of Object.entries(reply.getHeaders())) {
      if (name !== 'vary') headers.push(name, String(value)) // `fixed` has it.
    }
    return headers
  }

  /** What is left of the caller's rate limits, names and values in turn. */
  function remaining ({ caller }: FastifyRequest): readonly string[] {
    return caller === undefined ? [] : limits.headers(caller.key)
  }
}
