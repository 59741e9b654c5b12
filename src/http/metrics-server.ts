import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Metrics } from '../telemetry/prometheus.ts'
import { handleError, sendProblem } from './problem-reply.ts'
import { metricsRoutes } from './routes/metrics.ts'
import { SECURITY_HEADERS } from './response-headers.ts'
import { schemaCompilers } from './response-schemas.ts'
import type { Settings } from '../settings.ts'

/** The server of `METRICS_PORT`, which callers need not reach. It still answers while the service drains. */
export async function createMetricsServer (
  metrics: Metrics,
  settings: Settings,
  logger: FastifyBaseLogger
): Promise<FastifyInstance> {
  const server = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: settings.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: settings.KEEP_ALIVE_MS,
    schemaController: { compilersFactory: schemaCompilers },
    forceCloseConnections: true
  })
  server.setErrorHandler(handleError)
  server.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found', 'This port serves `/metrics` only.'))
  server.addHook('onSend', async (_request, reply) => { reply.headers(SECURITY_HEADERS) })
  await server.register(metricsRoutes, { metrics })
  return server
}
