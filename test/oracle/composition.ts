import { setTimeout as sleep } from 'node:timers/promises'
import type { AddressInfo, Socket } from 'node:net'
import fastify from 'fastify'
import { LATEST, NANOS_PER_MS, instantFromMs } from '../../src/audit/instant.ts'
import type { AuditSource } from '../../src/audit/source.ts'
import { PublishedEvent } from '../../src/audit/event.ts'
import { createBudget } from '../../src/kubiya/budget.ts'
import { createKubiyaClient } from '../../src/kubiya/client.ts'
import { createBookmark } from '../../src/live/bookmark.ts'
import { createEncoder, type Encoder } from '../../src/live/encoding.ts'
import { createEventLog, type EventLog } from '../../src/live/event-log.ts'
import { createSeats } from '../../src/access/seats.ts'
import { createHub, type Hub } from '../../src/live/hub.ts'
import { isMadeUp } from '../../src/live/opening.ts'
import { createRecall } from '../../src/live/recall.ts'
import { createRereads } from '../../src/live/rereads.ts'
import { createTail } from '../../src/live/tail.ts'
import { silentMeters } from '../../src/meters.ts'
import { silentTracer } from '../../src/tracer.ts'
import { Problem, handleError } from '../../src/problems.ts'
import { createSoloRelay } from '../../src/relay/solo.ts'
import { liveRoutes } from '../../src/routes/live.ts'
import { partFrom, upgrades } from '../../src/upgrades.ts'
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
  readonly hub?: (hub: Hub, log: EventLog, encoder: Encoder) => Hub
}

export interface Composition {
  readonly url: string
  /** How often the whole lateness window was read; once the log is filled, at least once. */
  sweeps (): number
  /** Makes the server's end of a listener's connection take nothing, as a window of zero bytes does; gives the way back. */
  hold (name: string): () => void
  /** `abrupt`: connections are gone without a word, with whatever was on its way. */
  stop (how: 'graceful' | 'abrupt'): Promise<void>
  /** What should not happen. */
  readonly errors: unknown[]
}

const LEAST_HISTORY_MS = 5 * 60_000
const REMEMBERED_MS = 15 * 60_000
const MOST_KNOWN_EVENTS = 500_000
const HISTORY_BYTES = 67_108_864
const MAX_BYTES = 8_388_608
const TIMEOUT_MS = 250
const POLL_INTERVAL_MS = 400 // As the tail's quick clock counts.
const HEARTBEAT_MS = 60
const CHECK_MS = 100
const STREAM_PATH = '/api/v1/audit/stream'

/** The live side as `scope.ts` wires it, with a quick clock and, for negative controls, a part replaced. */
export async function composeLive (sandbox: Sandbox, knobs: Knobs, time: QuickTime, substitutes: Substitutes = {}): Promise<Composition> {
  const { latenessMs } = { ...knobs, ...substitutes.latenessMs !== undefined && { latenessMs: substitutes.latenessMs } }
  const { clock, nowMs, setTimer } = time
  const errors: unknown[] = []
  const onError = (error: unknown) => { errors.push(error) }
  const client = createKubiyaClient({
    baseUrl: sandbox.url,
    authorization: `UserKey ${sandbox.apiKey}`,
    userAgent: 'oracle',
    sessionFilter: 'extra.session_id',
    timeoutMs: TIMEOUT_MS,
    maxBytes: MAX_BYTES,
    budget: createBudget({ perMinute: 0, perDay: 0 }),
    tracer: silentTracer
  })
  const source = substitutes.source?.(client) ?? client

  const history = BigInt(Math.max(LEAST_HISTORY_MS, 2 * latenessMs)) * NANOS_PER_MS
  const relay = createSoloRelay()
  const log = createEventLog({
    epoch: relay.epoch,
    start: instantFromMs(clock()) - history,
    maxEvents: knobs.historyEvents,
    maxBytes: HISTORY_BYTES,
    remembers: BigInt(latenessMs + REMEMBERED_MS) * NANOS_PER_MS,
    mostRemembered: MOST_KNOWN_EVENTS
  })
  const tail = createTail({
    source,
    mostSkewMs: Math.max(60_000, latenessMs),
    onSkew: () => {},
    openBookmark (now) {
      log.fillFrom(now - history)
      return createBookmark({ from: now - history, latenessMs, mostKnown: MOST_KNOWN_EVENTS })
    },
    announce: relay.announce,
    leads: relay.leads,
    audience: () => 1, // As if there were always somebody: no minute's sleep between listeners.
    budget: () => ({ waitMs: 0, shortage: 0 }),
    onPoll (health, changed) {
      rereads.tell()
      hub.tell(health, changed)
    },
    onError,
    pageSize: knobs.pollPageSize,
    intervalMs: POLL_INTERVAL_MS,
    maxIntervalMs: POLL_INTERVAL_MS,
    patienceMs: TIMEOUT_MS,
    meters: silentMeters,
    tracer: silentTracer,
    clock,
    nowMs,
    setTimer
  })
  const recall = createRecall(log)
  const rereads = createRereads({
    source,
    head: log.head,
    newest: log.newest,
    kept: recall.before,
    isKept: ({ offset }) => offset >= log.oldest(),
    limit: knobs.replayLimit,
    maxBytes: HISTORY_BYTES,
    isUpstreamThere: () => ['ok', 'throttled'].includes(tail.health().upstream),
    onError
  })
  const encoder = createEncoder(relay.epoch)
  const whole = createHub({
    log,
    encoder,
    recall,
    reread: rereads.open,
    replayLimit: knobs.replayLimit,
    floor: () => tail.floor() ?? LATEST,
    isFilled: () => tail.health().sweeps > 0,
    health: tail.health,
    latenessMs,
    portionBytes: Math.min(65_536, knobs.backlogBytes),
    heartbeatMs: HEARTBEAT_MS,
    checkMs: CHECK_MS,
    stallMs: knobs.stallMs,
    nowMs: () => performance.now(),
    maxAgeMs: 0,
    clock,
    setTimer,
    meters: silentMeters,
    onAudience: tail.wake
  })
  const hub = substitutes.hub?.(whole, log, encoder) ?? whole
  relay.follow((batch) => hub.publish(log.append(batch)))

  const seats = createSeats<ReturnType<Hub['subscribe']>>({ most: 1000, mostPerCaller: 0, end: () => {} })
  const server = fastify({ logger: false, requestIdHeader: 'x-request-id', return503OnClosing: false })
  for (const schema of [PublishedEvent, Problem]) server.addSchema(schema)
  server.setErrorHandler(handleError)
  const sockets = new Map<string, Socket>()
  server.addHook('onRequest', async (request) => { sockets.set(request.id, request.raw.socket) })
  await server.register(upgrades, { path: STREAM_PATH, headers: {}, isDeflateAgreed: false, refuse: (_error, socket) => { socket.destroy() } })
  await server.register(liveRoutes, { prefix: '/api/v1/audit', presentOf: () => ({ hub, isMadeUp: (cursor) => isMadeUp(cursor, log), clock }), takeSeat: () => seats.take(''), termsOf: () => ({}), backlogBytes: knobs.backlogBytes, isDeflateAgreed: false, introduce: () => {}, onBegan: () => {} })
  await server.listen({ host: '127.0.0.1', port: 0 })
  tail.start()

  return {
    url: `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`,
    sweeps: () => tail.health().sweeps,
    hold,
    stop,
    errors
  }

  function hold (name: string): () => void {
    const socket = sockets.get(name)
    socket?.cork()
    return () => socket?.uncork()
  }

  async function stop (how: 'graceful' | 'abrupt'): Promise<void> {
    if (how === 'abrupt') for (const socket of sockets.values()) socket.resetAndDestroy()
    const stopped = tail.stop()
    await hub.close(0)
    await partFrom(server.websocketServer.clients)
    // Who has stopped reading is waited for no longer than this.
    const closed = server.close()
    await Promise.race([closed, sleep(100)])
    server.server.closeAllConnections()
    await closed
    await client.close()
    await stopped
  }
}
