import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Encode, Representation, ResponseForm } from '../archive/content-encoding.ts'
import type { CacheResult, CacheStatus } from '../archive/response-cache.ts'
import type { StoredContent } from '../archive/stored-response.ts'
import { createEncodingNegotiator } from './accept-encoding.ts'
import type { ResponseHeaders } from './response-headers.ts'

export interface CachedSenderOptions {
  readonly encode: Encode
  readonly responseHeaders: Pick<ResponseHeaders, 'fixed' | 'varying'>
}

/** A result of the cache that has a body. */
export type ContentResult = CacheResult & { readonly response: StoredContent }

/** Sends a stored response. Returns a promise only while an encoding is made. */
export type SendCached = (
  request: FastifyRequest,
  reply: FastifyReply,
  result: ContentResult
) => Promise<void> | undefined

const MIN_ENCODED_BYTES = 1024 // A smaller body fits one packet.
const NO_CACHE = /(?:^|,)\s*no-cache\s*(?:,|$)/i

/** Whether the caller requires a response straight from Kubiya (RFC 9111 §5.2.1.4). */
export function wantsNoCache (headers: IncomingHttpHeaders): boolean {
  const header = headers['cache-control']
  return header !== undefined && NO_CACHE.test(header)
}

/**
 * Creates the function that writes stored responses: 200, or 304 if the caller has the response already. Node receives
 * all headers as one list, since setting them one by one costs more than the rest of a hit. Hooks therefore add no
 * header to these responses; what all responses have in common comes from `responseHeaders`.
 */
export function createCachedSender ({ encode, responseHeaders }: CachedSenderOptions): SendCached {
  const negotiate = createEncodingNegotiator()
  return send

  function send (request: FastifyRequest, reply: FastifyReply, result: ContentResult): Promise<void> | undefined {
    const { response } = result
    const { 'accept-encoding': acceptEncoding, 'if-none-match': ifNoneMatch } = request.headers
    if (matchesEtag(ifNoneMatch, response.etag)) return write(request, reply, result, undefined)
    const { identity } = response
    const coding = identity.body.length < MIN_ENCODED_BYTES ? undefined : negotiate(acceptEncoding)
    const representation = coding === undefined ? identity : encode(response, coding)
    if (!(representation instanceof Promise)) return write(request, reply, result, representation)
    return representation.then((made) => write(request, reply, result, made))
  }

  /** Without a representation, writes a 304. */
  function write (
    request: FastifyRequest,
    reply: FastifyReply,
    { ageMs, cacheStatus, response }: ContentResult,
    representation: Representation | undefined
  ): undefined {
    // Kubiya could not confirm the credential. The caller gets only what it saw before: this is stale-if-error.
    const isUnchecked = request.caller?.isUnchecked === true && cacheStatus.kind === 'hit'
    const ttlSeconds = Math.floor((response.freshMs - ageMs) / 1000)
    reply.cacheStatus = formatCacheStatus(isUnchecked ? UNCHECKED : cacheStatus, ttlSeconds)
    const age = String(Math.max(0, Math.floor(ageMs / 1000)))
    const headers = [...headOf(response, representation ?? response.notModified)]
    headers.push('age', age, 'cache-status', reply.cacheStatus, ...responseHeaders.varying(request, reply))
    reply.hijack().raw.writeHead(representation === undefined ? 304 : 200, headers).end(representation?.body)
  }

  function headOf (response: StoredContent, form: ResponseForm): readonly string[] {
    form.head ??= [...response.headers, ...responseHeaders.fixed, ...form.headers]
    return form.head
  }
}

const UNCHECKED: CacheStatus = { kind: 'hit', detail: 'stale-if-error' }

/** `Cache-Status` (RFC 9211). A negative `ttl` means that the response was stale, and for how long. */
function formatCacheStatus (status: CacheStatus, ttlSeconds: number): string {
  const detail = status.detail === undefined ? '' : `; detail=${status.detail}`
  if (status.kind === 'hit') return `kubiya-audit-bff; hit; ttl=${ttlSeconds}${detail}`
  const ttl = status.detail === 'stale-if-error' ? `; ttl=${ttlSeconds}` : ''
  return `kubiya-audit-bff; fwd=${status.reason}${status.collapsed ? '; collapsed' : ''}${ttl}${detail}`
}

/** Weak comparison of `If-None-Match` (RFC 9110 §8.8.3.2, §13.1.2). */
function matchesEtag (header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header === etag) return true
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '')
  return header.trim() === '*' || header.split(',').some((tag) => opaque(tag) === opaque(etag))
}
