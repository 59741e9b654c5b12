import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp, version, type App } from './app.ts'
import { systemClock } from './clock.ts'
import type { Settings } from './settings.ts'
import { readSettings } from './settings/read-settings.ts'
import { createLogger } from './telemetry/logger.ts'
import type { Tracing } from './telemetry/opentelemetry.ts'

const LAST_STEPS_MS = 10_000

// A closed pipe must not end the service.
for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
const outcome = readSettings(process.env)
if (outcome.ok) {
  await serve(outcome.settings, outcome.warnings)
} else {
  process.stderr.write(`kubiya-audit-bff cannot start:\n${outcome.faults.map((fault) => `  ${fault}\n`).join('')}`)
  process.exitCode = 1
}

async function serve (settings: Settings, warnings: readonly string[]): Promise<void> {
  const tracing = await startTracing(settings, (err) => logger.warn({ err }, 'span export failed'))
  const { flush, logger } = await createLogger(settings.LOG_LEVEL, systemClock, tracing?.ids)
  for (const warning of warnings) logger.warn(warning)
  const app = await buildApp(settings, logger, { clock: systemClock, tracing })
  const grace = closeWithGrace(
    { delay: settings.DRAIN_MS + LAST_STEPS_MS, logger: false, skip: ['SIGUSR2'] },
    async ({ err, signal }) => {
      if (err !== undefined) logger.fatal({ err }, 'unexpected error, shutting down')
      logger.info({ signal }, 'shutting down')
      await app.server.close()
      await tracing?.end()
      logger.info('shut down')
      await flush()
    }
  )
  app.server.addHook('onClose', async () => grace.uninstall())
  process.on('SIGUSR2', () => toggleLevel(logger, settings))
  try {
    logStart(app, await app.listen(), logger, settings)
  } catch (err) {
    logger.fatal({ err }, 'cannot listen')
    await app.server.close()
    await flush()
    process.exitCode = 1
  }
}

/** Most installations run without tracing, so OpenTelemetry is loaded only with an endpoint. */
async function startTracing (
  { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }: Settings,
  onError: (error: unknown) => void
): Promise<Tracing | undefined> {
  if (endpoint === undefined) return undefined
  const { createTracing } = await import('./telemetry/opentelemetry.ts')
  return createTracing({ endpoint, version, onError })
}

/** Switches between the level `debug` and the configured one, without a restart. */
function toggleLevel (logger: Logger, { LOG_LEVEL: configured }: Settings): void {
  logger.level = logger.level === 'debug' ? configured : 'debug'
  logger.child({}, { level: 'info' }).info({ log_level: logger.level }, 'log level changed')
}

/** Logs the URLs, the upstream, and commands to try, at any log level. */
function logStart (
  { upstream }: App,
  { metricsUrl, url }: Awaited<ReturnType<App['listen']>>,
  logger: Logger,
  { CONSOLE: hasConsole }: Settings
): void {
  const lines = logger.child({}, { level: 'info' })
  if (hasConsole) lines.info(`console: ${url}/console/`)
  lines.info(`kubiya-audit-bff ${version} listens on ${url}`)
  if (upstream.sandbox) {
    lines.warn(
      'NO KUBIYA_API_KEY: this is the embedded SANDBOX with invented events. Set KUBIYA_API_KEY for real ones.'
    )
  } else {
    lines.info(`upstream ${upstream.url}`)
  }
  lines.info(`metrics ${metricsUrl}`)
  lines.info(`list:   curl '${url}/api/v1/audit/events?page_size=3'`)
  lines.info(`search: curl '${url}/api/v1/audit/events/search?text=timeout&page_size=3'`)
  lines.info(`live:   node examples/filtered-stream.mjs '${url}'`)
}
