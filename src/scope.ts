import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import type { AnswerMemory } from './archive/answer-memory.ts'
import { createArchive, type Archive } from './archive/archive.ts'
import { compress } from './archive/coding.ts'
import { createShelf } from './archive/shelf.ts'
import { createBytePool, type BytePool } from './audit/byte-pool.ts'
import type { StreamCursor } from './audit/cursor.ts'
import type { AuditEvent } from './audit/event.ts'
import { createBudget, type Budget, type Stock } from './kubiya/budget.ts'
import { createKubiyaClient } from './kubiya/client.ts'
import type { Ending } from './live/endings.ts'
import type { Health } from './live/health.ts'
import type { Hub } from './live/hub.ts'
import { isMadeUp } from './live/opening.ts'
import type { Meters } from './meters.ts'
import { createPresent } from './present.ts'
import type { Settings } from './settings.ts'
import type { Tracer } from './tracer.ts'

/** Where and as whom the upstream is asked. */
export interface Upstream {
  readonly baseUrl: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** Whether our own request budget holds; the sandbox has none. */
  readonly isBudgeted: boolean
  /** The budget of a credential that had a scope before: a new scope is no new budget. */
  readonly budget?: Budget
  /** Told what Kubiya says to the credential, whatever it was asked. */
  readonly onWord?: (word: 'accepted' | 'unauthorized') => void
}

/** Everything that belongs to one upstream credential; what is in here meets nothing of another scope. */
export interface Scope {
  readonly archive: Archive
  readonly hub: Hub
  health (): Health
  /** The upstream's clock, as far as it is known: milliseconds since 1970. */
  clock (): number
  /** Whether the cursor is one that was never given out. */
  isMadeUp (cursor: StreamCursor): boolean
  /** How much it holds, and what is left of its budget. */
  holdings (): Holdings
  start (): void
  /** Ends every stream over `DRAIN_MS` and begins no further poll; requests under way are still answered. */
  drain (): Promise<void>
  /** Ends what is left, the connections to the upstream included. */
  close (): Promise<void>
  /** Ends all of it at once, because the credential is refused or others need the place: streams, and what is on the shelf. */
  leave (ending: Ending): Promise<void>
}

/** What all scopes hold together, in bytes. */
export interface Pools {
  readonly shelves: BytePool
  readonly logs: BytePool
  readonly replays: BytePool
}

export interface Holdings {
  readonly shelf: { readonly entries: number, readonly bytes: number }
  readonly budget: readonly Stock[]
}

export interface ScopeOptions {
  readonly settings: Settings
  readonly pools: Pools
  readonly upstream: Upstream
  readonly logger: FastifyBaseLogger
  /** Of the answers of all scopes. */
  readonly memory: AnswerMemory
  readonly meters: Meters
  readonly tracer: Tracer
  readonly version: string
}

export function createPools ({ CACHE_MAX_BYTES: shelfBytes, HISTORY_BYTES: historyBytes }: Settings): Pools {
  return { shelves: createBytePool(shelfBytes), logs: createBytePool(historyBytes), replays: createBytePool(historyBytes) }
}

/** The request budget of one credential. */
export function createOwnBudget (settings: Settings, isBudgeted: boolean): Budget {
  return createBudget({
    perMinute: isBudgeted ? settings.KUBIYA_REQUESTS_PER_MINUTE : 0,
    perDay: isBudgeted ? settings.KUBIYA_REQUESTS_PER_DAY : 0,
    perCaller: settings.UPSTREAM_LIMIT_PER_MINUTE,
    pollMs: settings.POLL_INTERVAL_MS
  })
}

/** Wires one scope: the past, archive → shelf → client, and beside it the present. */
export function createScope ({ logger, memory, meters, pools, settings, tracer, upstream, version }: ScopeOptions): Scope {
  const clock = Date.now
  const nowMs = () => performance.now()
  const budget = upstream.budget ?? createOwnBudget(settings, upstream.isBudgeted)
  let isLeft = false
  const client = createKubiyaClient({
    baseUrl: upstream.baseUrl,
    authorization: upstream.authorization,
    ...settings.KUBIYA_ORGANIZATION_ID !== undefined && { organizationId: settings.KUBIYA_ORGANIZATION_ID },
    userAgent: `kubiya-audit-bff/${version}`,
    sessionFilter: settings.KUBIYA_SESSION_FILTER,
    timeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    maxBytes: settings.UPSTREAM_MAX_BYTES,
    budget,
    tracer,
    onRequest (purpose, outcome, durationMs) {
      logger.debug({ purpose, outcome, ms: Math.round(durationMs) }, 'asked Kubiya')
      meters.upstreamAsked(purpose, outcome, durationMs)
      if (outcome === 'unauthorized') upstream.onWord?.('unauthorized')
    },
    onListing () {
      if (!isLeft) upstream.onWord?.('accepted') // A late answer says nothing against the refusal that came before it.
    },
    onSkipped: meters.rowsSkipped,
    onHabit: (habit) => logger.warn({ habit }, 'Kubiya does not answer quite as it is asked; this is made up for here')
  })

  const { close: closePresent, hub, log, tail } = createPresent({ settings, pools, source: client, budget, meters, tracer, onPoll, onError, onSkew, clock, nowMs })
  const shelf = createShelf({
    maxBytes: settings.CACHE_MAX_BYTES,
    pool: pools.shelves,
    staleMs: settings.CACHE_STALE_MS,
    staleIfErrorMs: settings.CACHE_STALE_IF_ERROR_MS,
    refreshIntervalMs: settings.POLL_INTERVAL_MS,
    compress,
    nowMs,
    meters,
    onError
  })
  const archive = createArchive({
    source: client,
    shelf,
    memory,
    log: { position: log.head, hasNew: log.hasNew, find },
    scope: scopeOf(upstream.authorization, settings.KUBIYA_ORGANIZATION_ID),
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    hasPlenty: (key) => budget.hasPlenty(key, clock()),
    latenessMs: settings.LATENESS_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    closedTtlMs: settings.CACHE_CLOSED_TTL_MS,
    clock: tail.upstreamClock,
    earliestClock: tail.earliestClock,
    nowMs
  })

  return {
    archive,
    hub,
    health: tail.health,
    clock: tail.upstreamClock,
    isMadeUp: (cursor) => isMadeUp(cursor, log),
    holdings: () => ({ shelf: shelf.stock(), budget: budget.stocks(clock()) }),
    start: tail.start,
    drain,
    close,
    leave
  }

  /** What a refused credential had seen is shown to nobody, out of the log either. */
  function find (id: string): AuditEvent | undefined {
    const offset = tail.health().upstream === 'unauthorized' ? undefined : log.offsetOf(id)
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
    if (health.upstream === 'unauthorized') shelf.clear() // What a refused credential had seen is shown to nobody.
    if (health.upstream === 'unauthorized') upstream.onWord?.('unauthorized') // 403 as well, for the poller's question is everyone's.
    if (changed) logger[health.upstream === 'ok' ? 'info' : 'warn']({ upstream: health.upstream }, 'the upstream\'s state changed')
  }

  async function drain (): Promise<void> {
    tail.stop().catch(onError) // The poll under way ends when the client is closed, at the latest.
    await hub.close(settings.DRAIN_MS)
  }

  async function close (): Promise<void> {
    await client.close()
    await tail.stop()
  }

  async function leave (ending: Ending): Promise<void> {
    isLeft = true
    shelf.close()
    hub.endAll(ending)
    tail.stop().catch(onError)
    await hub.close(0)
    closePresent()
    await close()
  }
}

/** Names a scope without showing the credential. */
function scopeOf (authorization: string, organizationId = ''): string {
  return createHash('sha256').update(JSON.stringify([authorization, organizationId])).digest('base64url')
}
