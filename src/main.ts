import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { buildApp, version, type App } from './app.ts'
import { createLogger } from './logger.ts'
import { readSettings, type Settings } from './settings.ts'

const outcome = readSettings(process.env)
if (outcome.ok) {
  await serve(outcome.settings)
} else {
  process.stderr.write(`kubiya-audit-bff cannot start:\n${outcome.faults.map((fault) => `  ${fault}\n`).join('')}`)
  process.exitCode = 1
}

async function serve (settings: Settings): Promise<void> {
  const logger = await createLogger(settings.LOG_LEVEL)
  const app = await buildApp(settings, logger)
  const grace = closeWithGrace({ delay: settings.DRAIN_MS + 10_000, logger: false }, async ({ err, signal }) => {
    if (err !== undefined) logger.fatal({ err }, 'unforeseen error, ending')
    logger.info({ signal }, 'ending')
    await app.server.close()
    logger.info('ended')
  })
  app.server.addHook('onClose', async () => grace.uninstall())
  try {
    introduce(app, await app.server.listen({ host: settings.HOST, port: settings.PORT }), logger)
  } catch (err) {
    logger.fatal({ err }, 'cannot listen')
    await app.server.close()
    process.exitCode = 1
  }
}

/** Says where it listens, what it asks, and what to try, whatever the log level hides. */
function introduce ({ upstream }: App, url: string, logger: Logger): void {
  const lines = logger.child({}, { level: 'info' })
  lines.info(`kubiya-audit-bff ${version} listens on ${url}`)
  if (upstream.sandbox) {
    lines.warn('NO KUBIYA_API_KEY: this is the embedded SANDBOX with made-up events. Set KUBIYA_API_KEY for the real ones.')
  } else {
    lines.info(`upstream ${upstream.url}`)
  }
  lines.info(`list:   curl '${url}/api/v1/audit/events?page_size=3'`)
  lines.info(`search: curl '${url}/api/v1/audit/events/search?text=timeout&page_size=3'`)
  lines.info(`live:   node examples/filtered-stream.mjs '${url}'`)
}
