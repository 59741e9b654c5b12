import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { formatInstant, instantFromMs } from '../../audit/instant.ts'
import type { Health } from '../../live/ingest/upstream-health.ts'

export interface HealthRoutesOptions {
  readonly health: () => Health
  readonly isDraining: () => boolean
  readonly sandbox: boolean
}

const Readiness = Type.Object({
  status: Type.Union(['ready', 'starting', 'draining', 'stalled'].map((status) => Type.Literal(status)), {
    description:
      '`starting`: the first poll has not ended. `stalled`: the poller has stopped.'
  }),
  upstream: Type.Object({
    state: Type.Union(['ok', 'degraded', 'throttled', 'unauthorized'].map((state) => Type.Literal(state)), {
      description: 'Result of the last polls.'
    }),
    last_good_poll: Type.Union([Type.String(), Type.Null()], { description: 'Time of the last good poll, RFC 3339.' }),
    lag_ms: Type.Integer({ minimum: 0, description: 'Age of the last good poll.' }),
    sandbox: Type.Optional(Type.Literal(true, { description: 'The upstream is the embedded sandbox.' }))
  })
}, { description: 'Readiness of this process, and the state of Kubiya.' })

/**
 * Liveness and readiness probes. An outage of Kubiya does not make a replica unready: otherwise all replicas would
 * leave the load balancer at once. The probes need no credential, so they reveal nothing else; metrics are at
 * `/metrics`.
 */
export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (app, options) => {
  app.get('/livez', {
    logLevel: 'warn',
    schema: {
      operationId: 'livez',
      summary: 'Liveness probe',
      tags: ['operations'],
      response: { 200: Type.Object({ status: Type.Literal('ok') }, { description: 'The process is alive.' }) }
    }
  }, async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' as const }))

  app.get('/readyz', {
    logLevel: 'warn',
    schema: {
      operationId: 'readyz',
      summary: 'Readiness probe',
      tags: ['operations'],
      response: {
        200: { ...Readiness, description: 'The process can serve.' },
        503: { ...Readiness, description: 'The process is starting or draining, or its poller has stopped.' }
      }
    }
  }, async (_request, reply) => {
    const health = options.health()
    const status = options.isDraining()
      ? 'draining'
      : !health.attempted
          ? 'starting'
          : health.isPolling
            ? 'ready'
            : 'stalled'
    const rfc3339 = (ms: number) => formatInstant(instantFromMs(ms))
    return reply.code(status === 'ready' ? 200 : 503).header('cache-control', 'no-store').send({
      status,
      upstream: {
        state: health.upstream,
        last_good_poll: health.lastGoodMs === undefined ? null : rfc3339(health.lastGoodMs),
        lag_ms: Math.round(health.lagMs),
        ...options.sandbox && { sandbox: true as const }
      }
    })
  })
}
