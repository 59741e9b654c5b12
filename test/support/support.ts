import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import WebSocket from 'ws'
import { buildApp, version, type AppOptions } from '../../src/app.ts'
import type { Frame } from '../../src/live/transport/frames.ts'
import type { Problem } from '../../src/problems.ts'
import { startSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/sandbox.ts'
import { readSettings } from '../../src/settings/read-settings.ts'
import { scrape } from './figures.ts'
import { DEADLINE_MS, createInbox, type Inbox } from './inbox.ts'

/** What the tests need of a tap test: to close what they opened. */
interface Owner { teardown (action: () => unknown): void }

export interface Service {
  /** `http://127.0.0.1:port` */
  readonly url: string
  readonly metricsUrl: string
  readonly sandbox: Sandbox
  /** Everything that was logged, one object a line. */
  readonly logs: Array<Record<string, unknown>>
  get (path: string, headers?: Record<string, string>): Promise<Response>
  /** The JSON of a list, search or event that must be there. */
  json (path: string): Promise<any>
  stream (query?: string, protocols?: string[]): Stream
  /** How many live streams there are, by the figures: of one transport, or of both. */
  subscribers (transport?: 'websocket' | 'sse'): Promise<number>
  /**
   * Resolves once the poller has caught up; forgets what was asked until then. Without an subscribers it asks no more
   * for a minute.
   */
  settled (): Promise<void>
  close (): Promise<void>
}

/** A log of one event, which answers hardly any query: Kubiya is asked. */
export const SMALLEST_LOG = { HISTORY_EVENTS: '1' }

/** Settings for a service in front of this Kubiya: a free port, no budget, quick polls, and an end without delay. */
export function settingsFor ({ apiKey, url }: Pick<Sandbox, 'apiKey' | 'url'>): Record<string, string> {
  return {
    PORT: '0',
    KUBIYA_API_KEY: apiKey,
    KUBIYA_BASE_URL: url,
    KUBIYA_REQUESTS_PER_MINUTE: '0',
    KUBIYA_REQUESTS_PER_DAY: '0',
    POLL_INTERVAL_MS: '50',
    POLL_MAX_INTERVAL_MS: '50',
    DRAIN_MS: '0',
    MAX_LOOP_DELAY_MS: '0'
  }
}

/**
 * The whole service on a free port, in front of a sandbox upstream that the test can script. Budgets are off, polls
 * quick, and nobody is turned away because the machine is slow.
 */
export async function startService (
  t: Owner,
  environment: Record<string, string> = {},
  sandboxOptions: SandboxOptions = {},
  sandbox?: Sandbox,
  prepare: (server: FastifyInstance) => void = () => {},
  options: AppOptions = {}
): Promise<Service> {
  const upstream = sandbox ?? await startSandbox(sandboxOptions)
  const outcome = readSettings({ ...settingsFor(upstream), LOG_LEVEL: 'debug', ...environment })
  if (!outcome.ok) throw new Error(outcome.faults.join('\n'))
  const logs: Array<Record<string, unknown>> = []
  const { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint } = outcome.settings
  const tracing = endpoint === undefined
    ? undefined
    : (await import('../../src/telemetry/opentelemetry.ts')).createTracing({
        endpoint,
        version,
        onError: (err) => logger.warn({ err }, 'span export failed')
      })
  const logger = pino({ level: outcome.settings.LOG_LEVEL, ...tracing !== undefined && { mixin: tracing.ids } }, {
    write: (line: string) => {
      logs.push(JSON.parse(line))
    }
  })
  const { listen, server } = await buildApp(outcome.settings, logger, { ...options, tracing })
  prepare(server)
  const { metricsUrl } = await listen()
  const url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  const close = async () => {
    await server.close()
    await tracing?.end()
    if (sandbox === undefined) await upstream.close()
  }
  t.teardown(close)
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${url}${path}`, { headers })
  return {
    url,
    metricsUrl,
    sandbox: upstream,
    logs,
    get,
    async json (path) {
      const response = await get(path)
      if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`)
      return response.json()
    },
    stream (query = '', protocols = []) {
      const stream = openStream(`${url.replace('http', 'ws')}/api/v1/audit/stream${query}`, protocols)
      t.teardown(() => stream.socket.terminate())
      return stream
    },
    async subscribers (transport) {
      const figures = await scrape({ metricsUrl })
      const series = figures.all('subscribers').filter((each) => each.includes(transport ?? ''))
      return series.reduce((sum, each) => sum + figures.of(each), 0)
    },
    async settled () {
      await eventually('the service is ready', async () => (await get('/readyz')).status === 200)
      upstream.resetRequests()
    },
    close
  }
}

/** The whole service as it starts without a key: in front of its embedded stand-in. */
export async function startKeyless (
  t: Owner,
  environment: Record<string, string> = {}
): Promise<{ url: string, get: Service['get'], stream: Service['stream'] }> {
  const outcome = readSettings({
    PORT: '0',
    DRAIN_MS: '0',
    MAX_LOOP_DELAY_MS: '0',
    LOG_LEVEL: 'silent',
    ...environment
  })
  if (!outcome.ok) throw new Error(outcome.faults.join('\n'))
  const { server } = await buildApp(outcome.settings, pino({ level: 'silent' }))
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: outcome.settings.PORT })
  const url = `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
  return {
    url,
    get: (path, headers = {}) => fetch(`${url}${path}`, { headers }),
    stream (query = '', protocols = []) {
      const stream = openStream(`${url.replace('http', 'ws')}/api/v1/audit/stream${query}`, protocols)
      t.teardown(() => stream.socket.terminate())
      return stream
    }
  }
}

/** A sandbox that outlives the services in front of it. */
export async function startUpstream (t: Owner, options: SandboxOptions = {}): Promise<Sandbox> {
  const sandbox = await startSandbox(options)
  t.teardown(() => sandbox.close())
  return sandbox
}

const LOOK_EVERY_MS = 10

/** Looks until something holds that nothing announces. */
export async function eventually (what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const startedMs = Date.now(); !await holds();) {
    if (Date.now() - startedMs > DEADLINE_MS) throw new Error(`never came true: ${what}`)
    await sleep(Math.max(LOOK_EVERY_MS, (Date.now() - startedMs) / 20)) // For long waits not so often.
  }
}

export interface Stream extends Inbox {
  readonly socket: WebSocket
  closed: Promise<{ code: number, reason: string }>
  /** The HTTP answer, when the upgrade was refused. */
  refused: Promise<{ status: number, headers: Record<string, unknown>, body: Problem }>
}

export function openStream (url: string, protocols: string[] = [], headers: Record<string, string> = {}): Stream {
  const socket = new WebSocket(url, protocols, { headers })
  const inbox = createInbox()
  socket.on('message', (data) => inbox.take(JSON.parse(String(data)) as Frame))
  const closed = new Promise<{ code: number, reason: string }>((resolve) => {
    socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  const refused = new Promise<{ status: number, headers: Record<string, unknown>, body: Problem }>((resolve) => {
    socket.on('unexpected-response', (_request, response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += String(chunk)
      })
      response.on(
        'end',
        () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: text === '' ? undefined : JSON.parse(text)
          })
      )
    })
  })
  socket.on('error', () => {}) // A refused upgrade is one; the tests look at `refused`.
  return { ...inbox, socket, closed, refused }
}

let serial = 0

/** An item as Kubiya gives it, different from every other one unless told otherwise. */
export function item (fields: Record<string, unknown> = {}): Record<string, unknown> {
  serial++
  return {
    org: 'acme',
    email: 'user1@acme.test',
    version: 1,
    category_type: 'agents',
    category_name: 'helper',
    resource_type: 'Message',
    resource_text: `message ${serial}`,
    action_type: 'sent',
    action_successful: true,
    timestamp: ago(0),
    extra: { session_id: 's-1' },
    scope: 'org',
    ...fields
  }
}

/** RFC 3339, so many milliseconds ago. */
export function ago (ms: number): string {
  return new Date(Date.now() - ms).toISOString()
}

/**
 * RFC 3339 dates of a series, at even distances. Date 0 lies `firstAgoMs` ago. Each next date is `stepMs` later, or
 * earlier where `stepMs` is negative. All count from one reading of the clock: time that passes between two calls
 * changes neither order nor distance.
 */
export function evenDates (firstAgoMs: number, stepMs: number): (n: number) => string {
  if (!Number.isSafeInteger(stepMs) || stepMs === 0) throw new RangeError('dates are whole milliseconds apart')
  const firstMs = Date.now() - firstAgoMs
  return (n) => new Date(firstMs + n * stepMs).toISOString()
}
