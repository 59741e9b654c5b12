import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import type { Handling, Served } from '../archive/shelf.ts'

/** Whether the caller wants an answer that is checked with Kubiya (RFC 9111 §5.2.1.4). */
export function wantsNoCache (headers: IncomingHttpHeaders): boolean {
  return /(?:^|,)\s*no-cache\s*(?:,|$)/i.test(headers['cache-control'] ?? '')
}

/** Sends a prepared answer as it is, or 304 when the caller has it already. */
export function sendServed (headers: IncomingHttpHeaders, reply: FastifyReply, { ageMs, entry, handling }: Served): FastifyReply {
  reply.headers({
    ...entry.headers,
    etag: entry.etag,
    'cache-control': entry.storable ? `private, max-age=${Math.floor(entry.freshMs / 1000)}` : 'private, no-cache',
    age: Math.max(0, Math.floor(ageMs / 1000)),
    'cache-status': cacheStatus(handling, Math.floor((entry.freshMs - ageMs) / 1000))
  })
  if (matchesEtag(headers['if-none-match'], entry.etag)) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').send(entry.body)
}

/** RFC 9211. A negative `ttl` says that the answer was stale, and by how much. */
function cacheStatus (handling: Handling, ttlSeconds: number): string {
  const detail = handling.detail === undefined ? '' : `; detail=${handling.detail}`
  if (handling.kind === 'hit') return `kubiya-audit-bff; hit; ttl=${ttlSeconds}${detail}`
  const ttl = handling.detail === 'stale-if-error' ? `; ttl=${ttlSeconds}` : ''
  return `kubiya-audit-bff; fwd=${handling.reason}${handling.collapsed ? '; collapsed' : ''}${ttl}${detail}`
}

/** Weak comparison (RFC 9110 §8.8.3.2, §13.1.2). */
function matchesEtag (header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => opaque(tag) === opaque(etag))
}
