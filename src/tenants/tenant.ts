import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { ResponseMemory } from '../archive/response-memory.ts'
import { createSessionCounter } from '../aggregates/session-counter.ts'
import { createArchive, type Archive } from '../archive/archive.ts'
import { createPageParts } from '../archive/page-parts.ts'
import { createResponseCache, type ResponseCache } from '../archive/response-cache.ts'
import { createBytePool, type BytePool } from '../audit/byte-pool.ts'
import type { StreamCursor } from '../audit/cursor.ts'
import { POLLER } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import { createExports, type Exports } from '../export/exports.ts'
import { createLocalRelay } from '../relay/local-relay.ts'
import type { Relay } from '../relay/relay.ts'
import type { AuditEvent } from '../audit/event.ts'
import type { BudgetLevel, RequestBudget } from '../kubiya/request-budget.ts'
import { createKubiyaClient, type KubiyaClient } from '../kubiya/client.ts'
import type { CloseReason } from '../live/transport/close-codes.ts'
import type { Health } from '../live/ingest/upstream-health.ts'
import type { Hub } from '../live/fanout/hub.ts'
import { isForged } from '../live/replay/start-position.ts'
import type { Instruments } from '../instruments.ts'
import { hasNewSince } from '../live/log/event-log.ts'
import { createLiveFeed, findEvent, type LiveFeed, type LiveFeedOptions } from '../live/live-feed.ts'
import type { Settings } from '../settings.ts'
import type { Tracer } from '../tracer.ts'
import { createTenantAggregates } from './tenant-aggregates.ts'
import { clientOptions, createUpstreamBudget, type Upstream } from './upstream.ts'

/** Everything that belongs to one upstream credential. It shares no data with another tenant. */
export interface Tenant {
  readonly archive: Archive
  readonly exports: Exports
  readonly hub: Hub
  health (): Health
  /** The estimated clock of the upstream, milliseconds since 1970. */
  clock (): number
  /** Whether this service never issued the cursor. */
  isForged (cursor: StreamCursor): boolean
  usage (): TenantUsage
  start (): void
  /** Stops polling and ends all streams over `DRAIN_MS`. Requests in progress are still answered. */
  drain (): Promise<void>
  /** Ends the rest, including the connections to the upstream. */
  close (): Promise<void>
  /** Ends all streams and drops all data at once: the credential was refused, or another tenant needs the room. */
  shutdownNow (reason: CloseReason): Promise<void>
}

/** The memory that all tenants share, in bytes. */
export interface Pools {
  readonly caches: BytePool
  readonly logs: BytePool
  readonly replays: BytePool
  /** What was read of pages that are not finished. */
  readonly parts: BytePool
}

export interface TenantUsage {
  readonly cache: { readonly entries: number, readonly bytes: number }
  /** The table of counts. */
  readonly counts: { readonly events: number, readonly bytes: number }
  readonly budget: readonly BudgetLevel[]
}

export interface TenantOptions {
  readonly settings: Settings
  readonly pools: Pools
  readonly upstream: Upstream
  readonly logger: FastifyBaseLogger
  /** Limits the memory of answers, for all tenants together. */
  readonly memory: ResponseMemory
  readonly clock: Clock
  readonly instruments: Instruments
  readonly tracer: Tracer
  readonly version: string
}

const PARTS_BYTES = 64 * 1024 * 1024 // Two answers of 16 MiB, at two bytes a character.

export function createPools ({ CACHE_MAX_BYTES: cacheBytes, HISTORY_BYTES: historyBytes }: Settings): Pools {
  return {
    caches: createBytePool(cacheBytes),
    logs: createBytePool(historyBytes),
    replays: createBytePool(historyBytes),
    parts: createBytePool(PARTS_BYTES)
  }
}

/** Wires one tenant. The past: archive → cache → client. The present: client → live feed. */
export function createTenant (options: TenantOptions): Tenant {
  const { clock, logger, settings, upstream } = options
  const budget = upstream.budget ?? createUpstreamBudget(settings, upstream.isBudgeted)
  let isShutDown = false
  let refusedMs = -Infinity
  const onRefused = () => { refusedMs = clock.monotonicMs() }
  const client = createClient(options, budget, () => isShutDown, onRefused)
  const relay = createLocalRelay()
  const feed = createFeed(options, client, relay, budget, { onPoll, onError, refusedMs: () => refusedMs })
  const { hub, log, poller, recent } = feed
  const aggregates = createTenantAggregates({ ...options, source: client, feed, budget, onError })
  relay.subscribe(aggregates.append)
  const cache = createCache(options, onError)
  const archive = createArchive({
    source: client,
    cache,
    aggregates,
    memory: options.memory,
    parts: createPageParts({ clock, pool: options.pools.parts }),
    log: { position: log.end, hasNew: (since, matches) => hasNewSince(log, clock, since, matches), find },
    recent,
    tenant: tenantKey(upstream.authorization, settings.KUBIYA_ORGANIZATION_ID),
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    createSessionCounter,
    sessionScanLimit: settings.AGGREGATE_SCAN_LIMIT,
    hasPlenty: (key) => budget.hasPlenty(key, clock.now()),
    latenessMs: settings.LATENESS_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    closedTtlMs: settings.CACHE_CLOSED_TTL_MS,
    upstreamNow: poller.upstreamClock,
    earliestNow: poller.earliestClock,
    clock
  })
  const exports = createTenantExports(options, client, feed)

  return {
    archive,
    exports,
    hub,
    health: poller.health,
    clock: poller.upstreamClock,
    isForged: (cursor) => isForged(cursor, log),
    usage: () => ({ cache: cache.usage(), counts: aggregates.usage(), budget: budget.levels(clock.now()) }),
    start: poller.start,
    drain,
    close,
    shutdownNow
  }

  /** Finds an event in the log. Nobody may see what a refused credential has read. */
  function find (id: string): AuditEvent | undefined {
    return poller.health().upstream === 'unauthorized' ? undefined : findEvent(log, id)
  }

  function onError (error: unknown): void {
    logger.error({ err: error }, 'unexpected error')
  }

  function onPoll (health: Health, changed: boolean): void {
    if (health.upstream === 'unauthorized') {
      archive.dropParts()
      cache.clear() // Nobody may see what a refused credential has read.
      upstream.onCredentialResult?.('unauthorized') // A 403 too: the poller requests what every caller may see.
    }
    if (!changed) return
    const { upstream: state } = health
    logger[state === 'ok' ? 'info' : 'warn']({ upstream: state }, 'upstream state changed')
  }

  async function drain (): Promise<void> {
    exports.close()
    poller.stop().catch(onError) // A poll in progress ends when the client closes, at the latest.
    await hub.close(settings.DRAIN_MS)
  }

  async function close (): Promise<void> {
    await client.close()
    await poller.stop()
  }

  async function shutdownNow (reason: CloseReason): Promise<void> {
    isShutDown = true
    exports.close()
    cache.close()
    archive.dropParts() // The table of counts as well.
    hub.endAll(reason)
    poller.stop().catch(onError)
    await hub.close(0)
    feed.close()
    await close()
  }
}

function createTenantExports (
  { clock, settings }: TenantOptions,
  source: KubiyaClient,
  { poller }: Pick<LiveFeed, 'poller'>
): Exports {
  return createExports({
    source,
    readLimit: settings.EXPORT_LIMIT,
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    upstreamNow: poller.upstreamClock,
    earliestNow: poller.earliestClock,
    clock
  })
}

function createClient (
  options: TenantOptions,
  budget: RequestBudget,
  isShutDown: () => boolean,
  onRefused: () => void
): KubiyaClient {
  const { clock, instruments, logger, settings, tracer, upstream, version } = options
  return createKubiyaClient({
    ...clientOptions(settings, version, clock),
    baseUrl: upstream.baseUrl,
    authorization: upstream.authorization,
    budget,
    tracer,
    onRequest (purpose, outcome, durationMs) {
      logger.debug({ purpose, outcome, ms: Math.round(durationMs) }, 'upstream request completed')
      instruments.upstreamRequestCompleted(purpose, outcome, durationMs)
      if (outcome !== 'unauthorized') return
      onRefused()
      upstream.onCredentialResult?.('unauthorized')
    },
    onList () {
      // A late answer does not revoke the refusal that came before it.
      if (!isShutDown()) upstream.onCredentialResult?.('accepted')
    },
    onSkipped: instruments.rowsSkipped,
    onQuirk: (quirk) => logger.warn({ quirk }, 'upstream ignored part of the query; compensating locally')
  })
}

function createFeed (
  { clock, instruments, logger, pools, settings, tracer }: TenantOptions,
  source: KubiyaClient,
  relay: Relay,
  budget: RequestBudget,
  callbacks: Pick<LiveFeedOptions, 'onPoll' | 'onError' | 'refusedMs'>
): LiveFeed {
  return createLiveFeed({
    ...callbacks,
    source,
    relay,
    clock,
    budget: () => ({ waitMs: budget.waitMs(POLLER, clock.now()), scarcity: budget.scarcity(clock.now()) }),
    pools,
    instruments,
    tracer,
    onSkew (upstreamMs, ownMs) {
      const [theirs, own] = [upstreamMs, ownMs].map((ms) => new Date(ms).toISOString())
      logger.warn({ upstream: theirs, own }, 'clock skew to Kubiya exceeds LATENESS_MS')
    },
    pageSize: settings.POLL_PAGE_SIZE,
    intervalMs: settings.POLL_INTERVAL_MS,
    maxIntervalMs: settings.POLL_MAX_INTERVAL_MS,
    upstreamTimeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    latenessMs: settings.LATENESS_MS,
    historyEvents: settings.HISTORY_EVENTS,
    historyBytes: settings.HISTORY_BYTES,
    replayLimit: settings.REPLAY_LIMIT,
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES,
    heartbeatMs: settings.HEARTBEAT_MS,
    maxAgeMs: settings.STREAM_MAX_AGE_MS
  })
}

function createCache (
  { clock, instruments, pools, settings }: TenantOptions,
  onError: (error: unknown) => void
): ResponseCache {
  return createResponseCache({
    maxBytes: settings.CACHE_MAX_BYTES,
    pool: pools.caches,
    staleMs: settings.CACHE_STALE_MS,
    staleIfErrorMs: settings.CACHE_STALE_IF_ERROR_MS,
    refreshIntervalMs: settings.POLL_INTERVAL_MS,
    clock,
    instruments,
    onError
  })
}

/** Identifies a tenant without showing the credential. */
function tenantKey (authorization: string, organizationId = ''): string {
  return createHash('sha256').update(JSON.stringify([authorization, organizationId])).digest('base64url')
}
