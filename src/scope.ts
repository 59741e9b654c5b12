import { createHash } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { createArchive, type Archive } from './archive/archive.ts'
import { compress } from './archive/coding.ts'
import { createShelf } from './archive/shelf.ts'
import type { StreamCursor } from './audit/cursor.ts'
import { LATEST, NANOS_PER_MS, instantFromMs, type Instant } from './audit/instant.ts'
import type { Failure } from './audit/source.ts'
import { createBudget } from './kubiya/budget.ts'
import { createKubiyaClient } from './kubiya/client.ts'
import { createBookmark, type Bookmark } from './live/bookmark.ts'
import { createEncoder } from './live/encoding.ts'
import { ENDINGS } from './live/endings.ts'
import { createEventLog } from './live/event-log.ts'
import type { Health } from './live/health.ts'
import { createHub, type Hub } from './live/hub.ts'
import { isMadeUp } from './live/opening.ts'
import { createRecall } from './live/recall.ts'
import { createRereads } from './live/rereads.ts'
import { createTail } from './live/tail.ts'
import { createSoloRelay } from './relay/solo.ts'
import type { Settings } from './settings.ts'
import { setTimer } from './set-timer.ts'

/** Where and as whom the upstream is asked. */
export interface Upstream {
  readonly baseUrl: string
  /** The value of `Authorization`. */
  readonly authorization: string
  /** Whether our own request budget holds; the sandbox has none. */
  readonly isBudgeted: boolean
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
  /** Asks Kubiya for one event, to see whether it accepts the credential. */
  probe (): Promise<'ok' | Failure>
  start (): void
  /** Ends every stream over `DRAIN_MS` and begins no further poll; requests under way are still answered. */
  drain (): Promise<void>
  /** Ends what is left, the connections to the upstream included. */
  close (): Promise<void>
  /** Ends all of it at once, because the credential is refused or nobody uses it: streams, and what is on the shelf. */
  leave (): Promise<void>
}

const LEAST_HISTORY_MS = 5 * 60_000
const MOST_KNOWN_EVENTS = 500_000
// Much longer than it takes until what is visible is announced: sweeps stretch to two minutes.
const REMEMBERED_MS = 15 * 60_000
const CHECK_MS = 4000
const STALL_MS = 30_000
const MOST_PORTION_BYTES = 65_536

/**
 * Wires one scope. The past: archive → shelf → client. The present: client → tail → relay → log → hub; each stage is
 * handed the next as one function.
 */
export function createScope (settings: Settings, upstream: Upstream, logger: FastifyBaseLogger, version: string): Scope {
  const clock = Date.now
  const nowMs = () => performance.now()
  const budget = createBudget({
    perMinute: upstream.isBudgeted ? settings.KUBIYA_REQUESTS_PER_MINUTE : 0,
    perDay: upstream.isBudgeted ? settings.KUBIYA_REQUESTS_PER_DAY : 0
  })
  const client = createKubiyaClient({
    baseUrl: upstream.baseUrl,
    authorization: upstream.authorization,
    ...settings.KUBIYA_ORGANIZATION_ID !== undefined && { organizationId: settings.KUBIYA_ORGANIZATION_ID },
    userAgent: `kubiya-audit-bff/${version}`,
    sessionFilter: settings.KUBIYA_SESSION_FILTER,
    timeoutMs: settings.UPSTREAM_TIMEOUT_MS,
    maxBytes: settings.UPSTREAM_MAX_BYTES,
    budget,
    onRequest (outcome, durationMs) {
      logger.debug({ outcome, ms: Math.round(durationMs) }, 'asked Kubiya')
      if (outcome === 'unauthorized') upstream.onWord?.('unauthorized')
    },
    onListing: () => upstream.onWord?.('accepted'),
    onHabit: (habit) => logger.warn({ habit }, 'Kubiya does not answer quite as it is asked; this is made up for here')
  })

  const history = BigInt(Math.max(LEAST_HISTORY_MS, 2 * settings.LATENESS_MS)) * NANOS_PER_MS
  const relay = createSoloRelay()
  const log = createEventLog({
    epoch: relay.epoch,
    start: instantFromMs(clock()) - history,
    maxEvents: settings.HISTORY_EVENTS,
    maxBytes: settings.HISTORY_BYTES,
    remembers: BigInt(settings.LATENESS_MS + REMEMBERED_MS) * NANOS_PER_MS,
    mostRemembered: MOST_KNOWN_EVENTS
  })
  const tail = createTail({
    source: client,
    openBookmark,
    announce: relay.announce,
    leads: relay.leads,
    audience: () => hub.size(),
    budget: () => ({ waitMs: budget.waitMs('poller', clock()), shortage: budget.shortage(clock()) }),
    onPoll,
    onError,
    pageSize: settings.POLL_PAGE_SIZE,
    intervalMs: settings.POLL_INTERVAL_MS,
    maxIntervalMs: settings.POLL_MAX_INTERVAL_MS,
    clock,
    nowMs,
    setTimer
  })
  const recall = createRecall(log)
  const rereads = createRereads({
    source: client,
    head: log.head,
    newest: log.newest,
    kept: recall.before,
    isKept: ({ offset }) => offset >= log.oldest(),
    limit: settings.REPLAY_LIMIT,
    maxBytes: settings.HISTORY_BYTES,
    isUpstreamThere: () => ['ok', 'throttled'].includes(tail.health().upstream),
    onError
  })
  const hub = createHub({
    log,
    encoder: createEncoder(relay.epoch),
    recall,
    reread: rereads.open,
    replayLimit: settings.REPLAY_LIMIT,
    floor: () => tail.floor() ?? LATEST,
    isFilled: () => tail.health().sweeps > 0,
    health: tail.health,
    latenessMs: settings.LATENESS_MS,
    portionBytes: Math.min(MOST_PORTION_BYTES, settings.SUBSCRIBER_BACKLOG_BYTES),
    heartbeatMs: settings.HEARTBEAT_MS,
    checkMs: CHECK_MS,
    stallMs: STALL_MS,
    nowMs,
    maxAgeMs: settings.STREAM_MAX_AGE_MS,
    setTimer,
    clock,
    onAudience: tail.wake
  })
  relay.follow((batch) => hub.publish(log.append(batch)))

  const shelf = createShelf({
    maxBytes: settings.CACHE_MAX_BYTES,
    staleMs: settings.CACHE_STALE_MS,
    staleIfErrorMs: settings.CACHE_STALE_IF_ERROR_MS,
    refreshIntervalMs: settings.POLL_INTERVAL_MS,
    compress,
    nowMs,
    onError
  })
  const archive = createArchive({
    source: client,
    shelf,
    log: { position: log.head, hasNew: log.hasNew },
    scope: scopeOf(upstream.authorization, settings.KUBIYA_ORGANIZATION_ID),
    scanLimit: settings.SEARCH_SCAN_LIMIT,
    latenessMs: settings.LATENESS_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    closedTtlMs: settings.CACHE_CLOSED_TTL_MS,
    clock: tail.upstreamClock,
    nowMs
  })

  return {
    archive,
    hub,
    health: tail.health,
    clock: tail.upstreamClock,
    isMadeUp: (cursor) => isMadeUp(cursor, log),
    probe,
    start: tail.start,
    drain,
    close,
    leave
  }

  function openBookmark (now: Instant): Bookmark {
    const from = now - history
    log.fillFrom(from)
    return createBookmark({ from, latenessMs: settings.LATENESS_MS, mostKnown: MOST_KNOWN_EVENTS })
  }

  function onError (error: unknown): void {
    logger.error({ err: error }, 'unforeseen error')
  }

  function onPoll (health: Health, changed: boolean): void {
    if (health.upstream === 'unauthorized') shelf.clear() // What a refused credential had seen is shown to nobody.
    if (health.upstream === 'unauthorized') upstream.onWord?.('unauthorized') // 403 as well, for the poller's question is everyone's.
    if (changed) logger[health.upstream === 'ok' ? 'info' : 'warn']({ upstream: health.upstream }, 'the upstream\'s state changed')
    rereads.tell()
    hub.tell(health, changed)
  }

  async function probe (): Promise<'ok' | Failure> {
    const answer = await client.read({ filter: {}, window: {}, direction: 'desc', page: 1, pageSize: 1 }, 'caller')
    return answer.ok ? 'ok' : answer
  }

  async function drain (): Promise<void> {
    tail.stop().catch(onError) // The poll under way ends when the client is closed, at the latest.
    await hub.close(settings.DRAIN_MS)
  }

  async function close (): Promise<void> {
    await client.close()
    await tail.stop()
  }

  async function leave (): Promise<void> {
    shelf.clear()
    hub.endAll(ENDINGS.unauthorized)
    tail.stop().catch(onError)
    await hub.close(0)
    await close()
  }
}

/** Names a scope without showing the credential. */
function scopeOf (authorization: string, organizationId = ''): string {
  return createHash('sha256').update(JSON.stringify([authorization, organizationId])).digest('base64url')
}
