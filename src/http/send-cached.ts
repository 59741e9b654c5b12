import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Archive } from '../archive/archive.ts'
import type { ContentCoding } from '../archive/content-encoding.ts'
import type { StoredResponse, CacheStatus, CacheResult } from '../archive/response-cache.ts'
import { createEncodingNegotiator } from './accept-encoding.ts'

export interface CachedSenderOptions {
  /** What the request is answered from. */
  readonly archiveOf: (request: FastifyRequest) => Pick<Archive, 'encoded'>
  /** What every answer bears, whoever makes it: names and values in turn. */
  readonly responseHeaders: {
    readonly fixed: readonly string[]
    varying (request: FastifyRequest, reply: FastifyReply): string[]
  }
}

/** In which of its forms an answer is sent. */
type Form = ContentCoding | 'identity' | 'not-modified'

/** Gives no promise where all is at hand. */
export type SendCached = (
  request: FastifyRequest,
  reply: FastifyReply,
  served: CacheResult
) => Promise<void> | undefined

// Below this a body fits one packet as it is.
const LEAST_COMPRESSED_BYTES = 1024
const NO_CACHE = /(?:^|,)\s*no-cache\s*(?:,|$)/i

/** Whether the caller wants an answer that is checked with Kubiya (RFC 9111 §5.2.1.4). */
export function wantsNoCache (headers: IncomingHttpHeaders): boolean {
  const header = headers['cache-control']
  return header !== undefined && NO_CACHE.test(header)
}

/**
 * Sends prepared answers as they are, or 304 when the caller has it already. The head is handed to Node in one list:
 * set one by one, headers cost more than all else here. So no hook adds to it; what belongs on every answer is in
 * `bearing`. The part that stays the same is made once for each coding of an answer, and kept with it.
 */
export function createCachedSender ({ archiveOf, responseHeaders }: CachedSenderOptions): SendCached {
  const choose = createEncodingNegotiator()
  const heads = new WeakMap<StoredResponse, Map<Form, readonly string[]>>()
  return send

  function send (request: FastifyRequest, reply: FastifyReply, served: CacheResult): Promise<void> | undefined {
    const { headers } = request
    const { entry } = served
    if (matchesEtag(headers['if-none-match'], entry.etag)) return finish(request, reply, served)
    const coding = entry.body.length < LEAST_COMPRESSED_BYTES ? undefined : choose(headers['accept-encoding'])
    if (coding === undefined) return finish(request, reply, served, entry.body)
    const body = archiveOf(request).encoded(entry, coding)
    if (!(body instanceof Promise)) return finish(request, reply, served, body, coding)
    return body.then((made) =>
      made === undefined ? finish(request, reply, served, entry.body) : finish(request, reply, served, made, coding)
    )
  }

  /** Without a body: 304. */
  function finish (
    request: FastifyRequest,
    reply: FastifyReply,
    { ageMs, entry, handling }: CacheResult,
    body?: Buffer,
    coding?: ContentCoding
  ): undefined {
    // Kubiya cannot be asked about the caller: it would be shown no more than what was seen before.
    const isUnchecked = request.caller?.isUnchecked === true && handling.kind === 'hit'
    const marked: CacheStatus = isUnchecked ? { kind: 'hit', detail: 'stale-if-error' } : handling
    const status = cacheStatus(marked, Math.floor((entry.freshMs - ageMs) / 1000))
    reply.cacheStatus = status
    const head = headOf(entry, body, coding).concat(responseHeaders.varying(request, reply))
    head.push('age', String(Math.max(0, Math.floor(ageMs / 1000))), 'cache-status', status)
    reply.hijack().raw.writeHead(body === undefined ? 304 : 200, head).end(body)
  }

  /** What stays the same as long as the entry is kept: names and values in turn. */
  function headOf (
    entry: StoredResponse,
    body: Buffer | undefined,
    coding: ContentCoding | undefined
  ): readonly string[] {
    const form = body === undefined ? 'not-modified' : coding ?? 'identity'
    const forms = heads.get(entry) ?? new Map<Form, readonly string[]>()
    const known = forms.get(form)
    if (known !== undefined) return known
    const head = [...Object.entries(entry.headers).flat(), ...responseHeaders.fixed]
    if (coding !== undefined) head.push('content-encoding', coding)
    if (body !== undefined) {
      head.push('content-type', 'application/json; charset=utf-8', 'content-length', String(body.length))
    }
    heads.set(entry, forms.set(form, head))
    return head
  }
}

/** RFC 9211. A negative `ttl` says that the answer was stale, and by how much. */
function cacheStatus (handling: CacheStatus, ttlSeconds: number): string {
  const detail = handling.detail === undefined ? '' : `; detail=${handling.detail}`
  if (handling.kind === 'hit') return `kubiya-audit-bff; hit; ttl=${ttlSeconds}${detail}`
  const ttl = handling.detail === 'stale-if-error' ? `; ttl=${ttlSeconds}` : ''
  return `kubiya-audit-bff; fwd=${handling.reason}${handling.collapsed ? '; collapsed' : ''}${ttl}${detail}`
}

/** Weak comparison (RFC 9110 §8.8.3.2, §13.1.2). */
function matchesEtag (header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header === etag) return true
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => opaque(tag) === opaque(etag))
}
