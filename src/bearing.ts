import type { FastifyReply, FastifyRequest } from 'fastify'

export interface BearingOptions {
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
export interface Bearing {
  /** Sets them on an answer that Fastify sends. */
  introduce (request: FastifyRequest, reply: FastifyReply): void
  /** The same with `Vary`, names and values in turn, for who sends a head of his own. */
  head (request: FastifyRequest, reply: FastifyReply): string[]
}

export function createBearing ({ everywhere, isCrossOrigin, limits, vary }: BearingOptions): Bearing {
  const fixed = Object.entries(everywhere)
  const constant = [...Object.entries(everywhere).flat(), 'vary', vary]

  return {
    introduce (request, reply) {
      for (const [name, value] of fixed) if (!reply.hasHeader(name)) reply.header(name, value) // The page has a policy of its own.
      reply.header('x-request-id', request.id)
      const left = limits(request)
      for (let at = 0; at < left.length; at += 2) reply.header(left[at] ?? '', left[at + 1])
    },
    head (request, reply) {
      const head = [...constant, 'x-request-id', request.id, ...limits(request)]
      if (isCrossOrigin) for (const [name, value] of Object.entries(reply.getHeaders())) if (name !== 'vary') head.push(name, String(value))
      return head
    }
  }
}
