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
      '`starting` until the first attempt to reach Kubiya has ended; `stalled`: the poller has stopped trying.'
  }),
  upstream: Type.Object({
    state: Type.Union(['ok', 'degraded', 'throttled', 'unauthorized'].map((state) => Type.Literal(state)), {
      description: 'How the poller fares with Kubiya.'
    }),
    last_good_poll: Type.Union([Type.String(), Type.Null()], { description: 'When a poll last succeeded, RFC 3339.' }),
    lag_ms: Type.Integer({ minimum: 0, description: 'Age of the last good poll.' }),
    sandbox: Type.Optional(Type.Literal(true, { description: 'Kubiya is the embedded stand-in.' }))
  })
}, { description: 'Whether this process can serve, and how Kubiya is.' })

/**
 * Probes. An outage of Kubiya makes nothing unready: it must not pull every replica at once. Anyone may ask them, so
 * that they tell nothing else: figures are at `/metrics`.
 */
export const healthRoutes: FastifyPluginAsyncTypebox<HealthRoutesOptions> = async (app, options) => {
  app.get('/livez', {
    logLevel: 'warn',
    schema: {
      operationId: 'livez',
      summary: 'Whether the event loop turns',
      tags: ['operations'],
      response: { 200: Type.Object({ status: Type.Literal('ok') }, { description: 'It turns.' }) }
    }
  }, async (_request, reply) => reply.header('cache-control', 'no-store').send({ status: 'ok' as const }))

  app.get('/readyz', {
    logLevel: 'warn',
    schema: {
      operationId: 'readyz',
      summary: 'Whether this process can serve',
      tags: ['operations'],
      response: {
        200: { ...Readiness, description: 'It can serve.' },
        503: { ...Readiness, description: 'It starts, drains, or has stopped trying to reach Kubiya.' }
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
