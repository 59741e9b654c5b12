import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo, Socket } from 'node:net'
import fastify from 'fastify'
import type { AuditSource } from '../../src/audit/source.ts'
import { PublishedEvent } from '../../src/audit/event.ts'
import { createRequestBudget } from '../../src/kubiya/request-budget.ts'
import { createKubiyaClient } from '../../src/kubiya/client.ts'
import type { FrameCache } from '../../src/live/fanout/frame-cache.ts'
import type { LogReader } from '../../src/live/log/event-log.ts'
import { systemClock } from '../../src/clock.ts'
import { createLiveFeed } from '../../src/live/live-feed.ts'
import { createStreamSlots } from '../../src/access/stream-slots.ts'
import type { Hub } from '../../src/live/fanout/hub.ts'
import { isForged } from '../../src/live/replay/start-position.ts'
import { silentInstruments } from '../../src/instruments.ts'
import { silentTracer } from '../../src/tracer.ts'
import { Problem } from '../../src/problems.ts'
import { handleError } from '../../src/http/problem-reply.ts'
import { createLocalRelay } from '../../src/relay/local-relay.ts'
import { streamRoutes } from '../../src/http/routes/stream.ts'
import { closeSockets, upgrades } from '../../src/http/websocket-upgrade.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import type { QuickTime } from './quick-time.ts'

/** What of the service's settings matters to who is live. */
export interface Knobs {
  readonly latenessMs: number
  readonly pollPageSize: number
  readonly historyEvents: number
  readonly replayLimit: number
  readonly backlogBytes: number
  readonly stallMs: number
}

/** Parts of the service that a negative control puts its own in place of. */
export interface Substitutes {
  readonly latenessMs?: number
  readonly source?: (source: AuditSource) => AuditSource
  readonly hub?: (hub: Hub, log: LogReader, frameCache: FrameCache) => Hub
}

export interface Composition {
  readonly url: string
  /** How often the whole lateness window was read; once the log is filled, at least once. */
  fullReads (): number
  /**
   * Makes the server's end of a listener's connection take nothing, as a window of zero bytes does; gives the way back.
   */
  hold (name: string): () => void
  /** `abrupt`: connections are gone without a word, with whatever was on its way. */
  stop (how: 'graceful' | 'abrupt'): Promise<void>
  /** What should not happen. */
  readonly errors: unknown[]
}

const HISTORY_BYTES = 67_108_864
const MAX_BYTES = 8_388_608
const TIMEOUT_MS = 1000 // Of real time: on a busy machine an answer of the sandbox takes 300 ms and more.
const POLL_INTERVAL_MS = 400 // As the tail's quick clock counts.
const HEARTBEAT_MS = 60
const CHECK_MS = 100

/** The service's own live feed with a quick clock and, for negative controls, a part replaced. */
export async function composeLive (
  sandbox: Sandbox,
  knobs: Knobs,
  time: QuickTime,
  substitutes: Substitutes = {}
): Promise<Composition> {
  const latenessMs = substitutes.latenessMs ?? knobs.latenessMs
  const errors: unknown[] = []
  const onError = (error: unknown) => { errors.push(error) }
  const client = createClient(sandbox)
  const source = substitutes.source?.(client) ?? client

  const feed = createLiveFeed({
    source,
    relay: createLocalRelay(),
    clock: time,
    budget: () => ({ waitMs: 0, scarcity: 0 }),
    subscriberCount: () => 1, // As if there were always somebody: no minute's sleep between subscribers.
    instruments: silentInstruments,
    tracer: silentTracer,
    onError,
    onSkew: () => {},
    pageSize: knobs.pollPageSize,
    intervalMs: POLL_INTERVAL_MS,
    maxIntervalMs: POLL_INTERVAL_MS,
    upstreamTimeoutMs: TIMEOUT_MS,
    openTtlMs: POLL_INTERVAL_MS,
    latenessMs,
    historyEvents: knobs.historyEvents,
    historyBytes: HISTORY_BYTES,
    replayLimit: knobs.replayLimit,
    scanLimit: 10_000,
    backlogBytes: knobs.backlogBytes,
    heartbeatMs: HEARTBEAT_MS * time.speed,
    checkMs: CHECK_MS * time.speed,
    stallMs: knobs.stallMs * time.speed,
    maxAgeMs: 0
  })
  const { log, poller } = feed
  const hub = substitutes.hub?.(feed.hub, log, feed.frameCache) ?? feed.hub

  const sockets = new Map<string, Socket>()
  const server = await listen()
  poller.start()

  return {
    url: `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    fullReads: () => poller.health().fullReads,
    hold,
    stop,
    errors
  }

  async function listen () {
    const slots = createStreamSlots<ReturnType<Hub['subscribe']>>({ max: 1000, maxPerCaller: 0, end: () => {} })
    const server = fastify({ logger: false, requestIdHeader: 'x-request-id', return503OnClosing: false })
    for (const schema of [PublishedEvent, Problem]) server.addSchema(schema)
    server.setErrorHandler(handleError)
    server.addHook('onRequest', async (request) => {
      sockets.set(request.id, request.raw.socket)
    })
    await server.register(upgrades, {
      headers: {},
      isDeflateAgreed: false,
      refuse: (_error, socket) => {
        socket.destroy()
      }
    })
    await server.register(streamRoutes, {
      prefix: '/api/v1/audit',
      targetOf: () => ({ hub, isForged: (cursor) => isForged(cursor, log), clock: time.now }),
      takeSlot: () => slots.take(''),
      termsOf: () => ({}),
      backlogBytes: knobs.backlogBytes,
      clock: time,
      isDeflateAgreed: false,
      introduce: () => {},
      onBegan: () => {}
    })
    await server.listen({ host: '127.0.0.1', port: 0 })
    return server
  }

  function hold (name: string): () => void {
    const socket = sockets.get(name)
    socket?.cork()
    return () => socket?.uncork()
  }

  async function stop (how: 'graceful' | 'abrupt'): Promise<void> {
    if (how === 'abrupt') for (const socket of sockets.values()) socket.resetAndDestroy()
    const stopped = poller.stop()
    await hub.close(0)
    await closeSockets(server.websocketServer.clients, time)
    // Who has stopped reading is waited for no longer than this.
    const closed = server.close()
    await Promise.race([closed, sleep(100)])
    server.server.closeAllConnections()
    await closed
    await client.close()
    await stopped
  }
}

function createClient (sandbox: Sandbox) {
  return createKubiyaClient({
    baseUrl: sandbox.url,
    authorization: `UserKey ${sandbox.apiKey}`,
    userAgent: 'oracle',
    sessionFilter: 'extra.session_id',
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    budget: createRequestBudget({ perMinute: 0, perDay: 0 }),
    clock: systemClock,
    tracer: silentTracer
  })
}
