import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { ResponseMemory } from '../archive/response-memory.ts'
import { createArchive, type Archive } from '../archive/archive.ts'
import { createResponseCache } from '../archive/response-cache.ts'
import { createBytePool, type BytePool } from '../audit/byte-pool.ts'
import type { StreamCursor } from '../audit/cursor.ts'
import { POLLER } from '../audit/source.ts'
import { systemClock } from '../clock.ts'
import { createLocalRelay } from '../relay/local-relay.ts'
import type { AuditEvent } from '../audit/event.ts'
import { createRequestBudget, type RequestBudget, type BudgetLevel } from '../kubiya/request-budget.ts'
import { createKubiyaClient } from '../kubiya/client.ts'
import type { CloseReason } from '../live/transport/close-codes.ts'
import type { Health } from '../live/ingest/upstream-health.ts'
import type { Hub } from '../live/fanout/hub.ts'
import { isForged } from '../live/replay/start-position.ts'
import type { Instruments } from '../instruments.ts'
import { createLiveFeed } from '../live/live-feed.ts'
import type { Settings } from '../settings.ts'
import type { Tracer } from '../tracer.ts'

/** Where and as whom the upstream is asked. */
export interface Upstream {
  readonly baseUrl: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** Whether our own request budget holds; the sandbox has none. */
  readonly isBudgeted: boolean
  /** The budget of a credential that had a tenant before: a new tenant is no new budget. */
  readonly budget?: RequestBudget
  /** Told what Kubiya says to the credential, whatever it was asked. */
  readonly onCredentialResult?: (word: 'accepted' | 'unauthorized') => void
}

/** Everything that belongs to one upstream credential; what is in here meets nothing of another tenant. */
export interface Tenant {
  readonly archive: Archive
  readonly hub: Hub
  health (): Health
  /** The upstream's clock, as far as it is known: milliseconds since 1970. */
  clock (): number
  /** Whether the cursor is one that was never given out. */
  isForged (cursor: StreamCursor): boolean
  /** How much it holds, and what is left of its budget. */
  usage (): TenantUsage
  start (): void
  /** Ends every stream over `DRAIN_MS` and begins no further poll; requests under way are still answered. */
  drain (): Promise<void>
  /** Ends what is left, the connections to the upstream included. */
  close (): Promise<void>
  /**
   * Ends all of it at once, because the credential is refused or others need the place: streams, and what is in the
   * cache.
   */
  shutdownNow (ending: CloseReason): Promise<void>
}

/** What all tenants hold together, in bytes. */
export interface Pools {
  readonly caches: BytePool
  readonly logs: BytePool
  readonly replays: BytePool
}

export interface TenantUsage {
  readonly cache: { readonly entries: number, readonly bytes: number }
  readonly budget: readonly BudgetLevel[]
}

export interface TenantOptions {
  readonly settings: Settings
  readonly pools: Pools
  readonly upstream: Upstream
  readonly logger: FastifyBaseLogger
  /** Of the answers of all tenants. */
  readonly memory: ResponseMemory
  readonly instruments: Instruments
  readonly tracer: Tracer
  readonly version: string
}

export function createPools ({ CACHE_MAX_BYTES: cacheBytes, HISTORY_BYTES: historyBytes }: Settings): Pools {
  return {
    caches: createBytePool(cacheBytes),
    logs: createBytePool(historyBytes),
    replays: createBytePool(historyBytes)
  }
}

/** The request budget of one credential. */
export function createOwnBudget (settings: Settings, isBudgeted: boolean): RequestBudget {
  return createRequestBudget({
    perMinute: isBudgeted ? settings.KUBIYA_REQUESTS_PER_MINUTE : 0,
    perDay: isBudgeted ? settings.KUBIYA_REQUESTS_PER_DAY : 0,
    perCaller: settings.UPSTREAM_LIMIT_PER_MINUTE,
    pollMs: settings.POLL_INTERVAL_MS
  })
}

/** What every client of Kubiya is made with, whosever credential it has. */
export function clientSettings (settings: Settings, version: string) {
  return {
    ...settings.KUBIYA_ORGANIZATION_ID !== undefined && { organizationId: settings.KUBIYA_ORGANIZATION_ID },
    userAgent: `kubiya-audit-bff/${version}`,
    sessionFilter: settings.KUBIYA_SESSION_FILTER,
    timeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    maxBytes: settings.UPSTREAM_MAX_BYTES,
    clock: systemClock
  }
}

/** Wires one tenant: the past, archive → cache → client, and beside it the present. */
export function createTenant (
  { logger, memory, instruments, pools, settings, tracer, upstream, version }: TenantOptions
): Tenant {
  const { now: clock } = systemClock
  const budget = upstream.budget ?? createOwnBudget(settings, upstream.isBudgeted)
  let isLeft = false
  const client = createKubiyaClient({
    ...clientSettings(settings, version),
    baseUrl: upstream.baseUrl,
    authorization: upstream.authorization,
    budget,
    tracer,
    onRequest (purpose, outcome, durationMs) {
      logger.debug({ purpose, outcome, ms: Math.round(durationMs) }, 'asked Kubiya')
      instruments.upstreamRequestCompleted(purpose, outcome, durationMs)
      if (outcome === 'unauthorized') upstream.onCredentialResult?.('unauthorized')
    },
    onListing () {
      // A late answer says nothing against the refusal that came before it.
      if (!isLeft) upstream.onCredentialResult?.('accepted')
    },
    onSkipped: instruments.rowsSkipped,
    onQuirk: (quirk) => logger.warn({ quirk }, 'upstream ignored part of the query; compensating locally')
  })

  const feed = createLiveFeed({
    source: client,
    relay: createLocalRelay(),
    clock: systemClock,
    budget: () => ({ waitMs: budget.waitMs(POLLER, clock()), scarcity: budget.scarcity(clock()) }),
    pools,
    instruments,
    tracer,
    onPoll,
    onError,
    onSkew,
    pageSize: settings.POLL_PAGE_SIZE,
    intervalMs: settings.POLL_INTERVAL_MS,
    maxIntervalMs: settings.POLL_MAX_INTERVAL_MS,
    upstreamTimeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    latenessMs: settings.LATENESS_MS,
    historyEvents: settings.HISTORY_EVENTS,
    historyBytes: settings.HISTORY_BYTES,
    replayLimit: settings.REPLAY_LIMIT,
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    backlogBytes: settings.SUBSCRIBER_BACKLOG_BYTES,
    heartbeatMs: settings.HEARTBEAT_MS,
    maxAgeMs: settings.STREAM_MAX_AGE_MS
  })
  const { hub, log, poller } = feed
  const cache = createResponseCache({
    maxBytes: settings.CACHE_MAX_BYTES,
    pool: pools.caches,
    staleMs: settings.CACHE_STALE_MS,
    staleIfErrorMs: settings.CACHE_STALE_IF_ERROR_MS,
    refreshIntervalMs: settings.POLL_INTERVAL_MS,
    clock: systemClock,
    instruments,
    onError
  })
  const archive = createArchive({
    source: client,
    cache,
    memory,
    log: { position: log.end, hasNew: log.hasNewSince, find },
    tenant: tenantOf(upstream.authorization, settings.KUBIYA_ORGANIZATION_ID),
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    hasPlenty: (key) => budget.hasPlenty(key, clock()),
    latenessMs: settings.LATENESS_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    closedTtlMs: settings.CACHE_CLOSED_TTL_MS,
    upstreamNow: poller.upstreamClock,
    earliestNow: poller.earliestClock,
    clock: systemClock
  })

  return {
    archive,
    hub,
    health: poller.health,
    clock: poller.upstreamClock,
    isForged: (cursor) => isForged(cursor, log),
    usage: () => ({ cache: cache.usage(), budget: budget.levels(clock()) }),
    start: poller.start,
    drain,
    close,
    shutdownNow
  }

  /** What a refused credential had seen is shown to nobody, out of the log either. */
  function find (id: string): AuditEvent | undefined {
    const offset = poller.health().upstream === 'unauthorized' ? undefined : log.offsetOf(id)
    const entry = offset === undefined ? undefined : log.at(offset)
    return entry !== undefined && 'event' in entry ? entry.event : undefined
  }

  function onError (error: unknown): void {
    logger.error({ err: error }, 'unforeseen error')
  }

  function onSkew (upstreamMs: number, ownMs: number): void {
    const [upstream, own] = [upstreamMs, ownMs].map((ms) => new Date(ms).toISOString())
    logger.warn({ upstream, own }, 'the clocks of Kubiya and of this machine differ by more than events may be late')
  }

  function onPoll (health: Health, changed: boolean): void {
    if (health.upstream === 'unauthorized') cache.clear() // What a refused credential had seen is shown to nobody.
    if (health.upstream === 'unauthorized') upstream.onCredentialResult?.('unauthorized') // 403 as well, for the poller's question is everyone's.
    if (changed) {
      logger[health.upstream === 'ok' ? 'info' : 'warn']({ upstream: health.upstream }, "the upstream's state changed")
    }
  }

  async function drain (): Promise<void> {
    poller.stop().catch(onError) // The poll under way ends when the client is closed, at the latest.
    await hub.close(settings.DRAIN_MS)
  }

  async function close (): Promise<void> {
    await client.close()
    await poller.stop()
  }

  async function shutdownNow (ending: CloseReason): Promise<void> {
    isLeft = true
    cache.close()
    hub.endAll(ending)
    poller.stop().catch(onError)
    await hub.close(0)
    feed.close()
    await close()
  }
}

/** Names a tenant without showing the credential. */
function tenantOf (authorization: string, organizationId = ''): string {
  return createHash('sha256').update(JSON.stringify([authorization, organizationId])).digest('base64url')
}
