import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { formatInstant, instantFromMs } from '../audit/instant.ts'
import type { Health } from '../live/health.ts'

export interface ProbeRoutesOptions {
  readonly health: () => Health
  readonly isDraining: () => boolean
  readonly subscribers: () => number
  /** How the limits on requests to Kubiya stand. */
  readonly budget: () => ReadonlyArray<{ readonly span: 'minute' | 'day', readonly left: number, readonly capacity: number }>
  readonly sandbox: boolean
  readonly version: string
}

const Readiness = Type.Object({
  status: Type.Union(['ready', 'starting', 'draining', 'stalled'].map((status) => Type.Literal(status)), { description: '`starting` until the first attempt to reach Kubiya has ended; `stalled`: the poller has stopped trying.' }),
  upstream: Type.Object({
    state: Type.Union(['ok', 'degraded', 'throttled', 'unauthorized'].map((state) => Type.Literal(state)), { description: 'How the poller fares with Kubiya.' }),
    since: Type.String({ description: 'Since when, RFC 3339.' }),
    last_good_poll: Type.Union([Type.String(), Type.Null()], { description: 'When a poll last succeeded, RFC 3339.' }),
    lag_ms: Type.Integer({ minimum: 0, description: 'Age of the last good poll.' }),
    lateness_ms: Type.Optional(Type.Integer({ minimum: 0, description: 'How late an event may be now and still be delivered live, while that is less than `LATENESS_MS`.' })),
    sandbox: Type.Boolean({ description: 'Whether Kubiya is the embedded stand-in.' })
  }),
  budget: Type.Array(Type.Object({
    span: Type.Union([Type.Literal('minute'), Type.Literal('day')], { description: 'What the limit is on: `KUBIYA_REQUESTS_PER_MINUTE` or `…_PER_DAY`.' }),
    left: Type.Integer({ minimum: 0, description: 'Requests that may go to Kubiya at once.' }),
    capacity: Type.Integer({ minimum: 1, description: 'The most that this can be.' })
  }), { description: 'How the limits on requests to Kubiya stand; none on the sandbox.' }),
  subscribers: Type.Integer({ minimum: 0, description: 'Live streams.' }),
  version: Type.String()
}, { description: 'Whether this process can serve, and how Kubiya is.' })

/** Probes. An outage of Kubiya makes nothing unready: it must not pull every replica at once. */
export const probeRoutes: FastifyPluginAsyncTypebox<ProbeRoutesOptions> = async (app, options) => {
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
      response: { 200: { ...Readiness, description: 'It can serve.' }, 503: { ...Readiness, description: 'It starts, drains, or has stopped trying to reach Kubiya.' } }
    }
  }, async (_request, reply) => {
    const health = options.health()
    const status = options.isDraining() ? 'draining' : !health.attempted ? 'starting' : health.isTrying ? 'ready' : 'stalled'
    const rfc3339 = (ms: number) => formatInstant(instantFromMs(ms))
    return reply.code(status === 'ready' ? 200 : 503).header('cache-control', 'no-store').send({
      status,
      upstream: {
        state: health.upstream,
        since: rfc3339(health.sinceMs),
        last_good_poll: health.lastGoodMs === undefined ? null : rfc3339(health.lastGoodMs),
        lag_ms: Math.round(health.lagMs),
        ...health.latenessMs !== undefined && { lateness_ms: Math.round(health.latenessMs) },
        sandbox: options.sandbox
      },
      budget: [...options.budget()],
      subscribers: options.subscribers(),
      version: options.version
    })
  })
}
