import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp, version, type App } from './app.ts'
import { createLogger } from './telemetry/logger.ts'
import { readSettings, type Settings } from './settings.ts'
import type { Tracing } from './telemetry/opentelemetry.ts'

for (const output of [process.stdout, process.stderr]) output.on('error', () => {}) // A closed pipe ends no service.
const outcome = readSettings(process.env)
if (outcome.ok) {
  await serve(outcome.settings, outcome.warnings)
} else {
  process.stderr.write(`kubiya-audit-bff cannot start:\n${outcome.faults.map((fault) => `  ${fault}\n`).join('')}`)
  process.exitCode = 1
}

async function serve (settings: Settings, warnings: readonly string[]): Promise<void> {
  const tracing = await startTracing(settings, (err) => logger.warn({ err }, 'spans cannot be told to the collector'))
  const { flush, logger } = await createLogger(settings.LOG_LEVEL, tracing?.ids)
  for (const warning of warnings) logger.warn(warning)
  const app = await buildApp(settings, logger, { tracing })
  const grace = closeWithGrace(
    { delay: settings.DRAIN_MS + 10_000, logger: false, skip: ['SIGUSR2'] },
    async ({ err, signal }) => {
      if (err !== undefined) logger.fatal({ err }, 'unforeseen error, ending')
      logger.info({ signal }, 'ending')
      await app.server.close()
      await tracing?.end()
      logger.info('ended')
      await flush()
    }
  )
  app.server.addHook('onClose', async () => grace.uninstall())
  process.on('SIGUSR2', () => toggleLevel(logger, settings))
  try {
    introduce(app, await app.listen(), logger)
  } catch (err) {
    logger.fatal({ err }, 'cannot listen')
    await app.server.close()
    await flush()
    process.exitCode = 1
  }
}

/** Nothing of OpenTelemetry is loaded unless it is wanted. */
async function startTracing (
  { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }: Settings,
  onError: (error: unknown) => void
): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined
  const { createTracing } = await import('./telemetry/opentelemetry.ts')
  return createTracing({ endpoint, version, onError })
}

/** Logs more, or as little as set again, without a restart. */
function toggleLevel (logger: Logger, { LOG_LEVEL: usual }: Settings): void {
  logger.level = logger.level === 'debug' ? usual : 'debug'
  logger.child({}, { level: 'info' }).info({ log_level: logger.level }, 'the log level was changed')
}

/** Says where it listens, what it asks, and what to try, whatever the log level hides. */
function introduce ({ upstream }: App, { metricsUrl, url }: Awaited<ReturnType<App['listen']>>, logger: Logger): void {
  const lines = logger.child({}, { level: 'info' })
  lines.info(`kubiya-audit-bff ${version} listens on ${url}`)
  if (upstream.sandbox) {
    lines.warn(
      'NO KUBIYA_API_KEY: this is the embedded SANDBOX with made-up events. Set KUBIYA_API_KEY for the real ones.'
    )
  } else {
    lines.info(`upstream ${upstream.url}`)
  }
  lines.info(`metrics ${metricsUrl}`)
  lines.info(`list:   curl '${url}/api/v1/audit/events?page_size=3'`)
  lines.info(`search: curl '${url}/api/v1/audit/events/search?text=timeout&page_size=3'`)
  lines.info(`live:   node examples/filtered-stream.mjs '${url}'`)
}
