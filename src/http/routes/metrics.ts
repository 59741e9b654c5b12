import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../../telemetry/prometheus.ts'

export interface MetricsRoutesOptions {
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>
}

/** Metrics for Prometheus. No limit applies to this route: an overload must stay visible. */
export const metricsRoutes: FastifyPluginAsync<MetricsRoutesOptions> = async (app, { metrics }) => {
  app.get('/metrics', {
    logLevel: 'warn',
    schema: {
      operationId: 'metrics',
      summary: 'Metrics for Prometheus',
      description:
        'Text in the exposition format of Prometheus. With `METRICS_PORT`, that port serves it instead of this one.',
      tags: ['operations'],
      response: { 200: { description: 'All metrics.', content: { 'text/plain': { schema: Type.String() } } } }
    }
  }, async (_request, reply) => {
    const text = await metrics.text()
    return reply.header('cache-control', 'no-store').type(metrics.contentType).send(text)
  })
}
