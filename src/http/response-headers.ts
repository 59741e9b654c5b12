import type { FastifyReply, FastifyRequest } from 'fastify'
import { TLS_HEADERS } from './security-headers.ts'

export interface ResponseHeadersOptions {
  /** The same on every answer. */
  readonly everywhere: Readonly<Record<string, string>>
  /** On what depends besides the address which answer is given; what is made for one must not be shown to another. */
  readonly vary: string
  /** Whether other sites' pages may read answers: their headers are set on the way, by a plugin. */
  readonly isCrossOrigin: boolean
  /** What is left of the caller's limits, names and values in turn. */
  readonly limits: (request: FastifyRequest) => string[]
}

/** The headers that answers have whoever makes them. */
export interface ResponseHeaders {
  /** Sets them on an answer that Fastify sends. */
  apply (request: FastifyRequest, reply: FastifyReply): void
  /**
   * For handlers that write their own head: what is the same on every answer, `Vary` included, names and values in
   * turn.
   */
  readonly fixed: readonly string[]
  /** … and what differs from answer to answer. */
  varying (request: FastifyRequest, reply: FastifyReply): string[]
}

const TLS = Object.entries(TLS_HEADERS).flat()

export function createResponseHeaders (
  { everywhere, isCrossOrigin, limits, vary }: ResponseHeadersOptions
): ResponseHeaders {
  const entries = Object.entries(everywhere)

  return {
    apply (request, reply) {
      // The page has a policy of its own.
      for (const [name, value] of entries) if (!reply.hasHeader(name)) reply.header(name, value)
      if (request.protocol === 'https') reply.headers(TLS_HEADERS)
      reply.header('x-request-id', request.id)
      const left = limits(request)
      for (let at = 0; at < left.length; at += 2) reply.header(left[at] ?? '', left[at + 1])
    },
    fixed: [...entries.flat(), 'vary', vary],
    varying (request, reply) {
      const head = ['x-request-id', request.id, ...limits(request)]
      if (request.protocol === 'https') head.push(...TLS)
      if (isCrossOrigin) {
        for (const [name, value] of Object.entries(reply.getHeaders())) {
          if (name !== 'vary') { head.push(name, String(value)) }
        }
      }
      return head
    }
  }
}
