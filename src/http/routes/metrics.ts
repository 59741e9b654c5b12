import { Type } from '@sinclair/typebox'
import type { FastifyPluginAsync } from 'fastify'
import type { Metrics } from '../../telemetry/prometheus.ts'

export interface MetricsRoutesOptions {
  readonly metrics: Pick<Metrics, 'text' | 'contentType'>
}

/** Figures for Prometheus. Whoever reaches the route is answered, whatever limits hold: an overload must be seen. */
export const metricsRoutes: FastifyPluginAsync<MetricsRoutesOptions> = async (app, { metrics }) => {
  app.get('/metrics', {
    logLevel: 'warn',
    schema: {
      operationId: 'metrics',
      summary: 'Figures for Prometheus',
      description: 'Text of Prometheus\' exposition format. With `METRICS_PORT` it is there and not here.',
      tags: ['operations'],
      response: { 200: { description: 'All figures.', content: { 'text/plain': { schema: Type.String() } } } }
    }
  }, async (_request, reply) => {
    const text = await metrics.text()
    return reply.header('cache-control', 'no-store').type(metrics.contentType).send(text)
  })
}
