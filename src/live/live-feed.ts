import { EARLIEST, LATEST, NANOS_PER_MS, minInstant, floorToSecond, instantFromMs, maxInstant, type Instant } from '../audit/instant.ts'
import type { Batch } from '../audit/log-batch.ts'
import type { BytePool } from '../audit/byte-pool.ts'
import { POLLER, type AuditSource } from '../audit/source.ts'
import type { RequestBudget } from '../kubiya/request-budget.ts'
import { createBookmark, type Bookmark } from './ingest/bookmark.ts'
import { createFrameCache } from './fanout/frame-cache.ts'
import { createEventLog, type EventLog } from './log/event-log.ts'
import type { Health } from './ingest/upstream-health.ts'
import { createHub, type Hub } from './fanout/hub.ts'
import { createLogReplay } from './replay/log-replay.ts'
import { createBackfillPool } from './replay/backfill-pool.ts'
import { createPoller, type Poller } from './ingest/poller.ts'
import type { Instruments } from '../instruments.ts'
import { createLocalRelay } from '../relay/local-relay.ts'
import type { Settings } from '../settings.ts'
import { setTimer } from '../clock.ts'
import type { Tracer } from '../tracer.ts'

export interface LiveFeedOptions {
  readonly settings: Settings
  /** What the logs, and the replays, of all tenants hold together. */
  readonly pools: { readonly logs: BytePool, readonly replays: BytePool }
  readonly source: AuditSource
  readonly budget: RequestBudget
  readonly instruments: Instruments
  readonly tracer: Tracer
  /** Told after every poll, before anyone else is. */
  readonly onPoll: (health: Health, changed: boolean) => void
  readonly onError: (error: unknown) => void
  /** Told of the upstream's clock and ours when they differ by more than events may be late. */
  readonly onSkew: (upstreamMs: number, ownMs: number) => void
  /** Wall clock, milliseconds since 1970. */
  readonly clock: () => number
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
}

/** The present of one tenant. */
export interface LiveFeed {
  readonly log: EventLog
  readonly poller: Poller
  readonly hub: Hub
  /** Gives back what it holds of the pools. */
  close (): void
}

const LEAST_HISTORY_MS = 5 * 60_000
const MOST_KNOWN_EVENTS = 500_000
// Much longer than it takes until what is visible is announced: full reads stretch to two minutes.
const REMEMBERED_MS = 15 * 60_000
const SLACK_MS = 60_000
const CHECK_MS = 4000
const LEAST_SKEW_MS = 60_000
const STALL_MS = 30_000
const MOST_PORTION_BYTES = 65_536

/** Wires source → poller → relay → log → hub; each stage is handed the next as one function. */
export function createLiveFeed ({ budget, clock, instruments, nowMs, onError, onPoll, onSkew, pools, settings, source, tracer }: LiveFeedOptions): LiveFeed {
  const history = BigInt(Math.max(LEAST_HISTORY_MS, 2 * settings.LATENESS_MS)) * NANOS_PER_MS
  const relay = createLocalRelay()
  const log = createEventLog({
    epoch: relay.epoch,
    start: instantFromMs(clock()) - history,
    maxEvents: settings.HISTORY_EVENTS,
    maxBytes: settings.HISTORY_BYTES,
    pool: pools.logs,
    remembers: BigInt(settings.LATENESS_MS + REMEMBERED_MS) * NANOS_PER_MS,
    mostRemembered: MOST_KNOWN_EVENTS
  })
  const poller = createPoller({
    source,
    openBookmark,
    publish: relay.publish,
    isLeader: relay.isLeader,
    subscriberCount: () => hub.size(),
    budget: () => ({ waitMs: budget.waitMs(POLLER, clock()), scarcity: budget.scarcity(clock()) }),
    onPoll: tell,
    instruments,
    tracer,
    onError,
    pageSize: settings.POLL_PAGE_SIZE,
    intervalMs: settings.POLL_INTERVAL_MS,
    maxIntervalMs: settings.POLL_MAX_INTERVAL_MS,
    patienceMs: settings.UPSTREAM_TIMEOUT_MS + SLACK_MS,
    mostSkewMs: Math.max(LEAST_SKEW_MS, settings.LATENESS_MS),
    onSkew,
    clock,
    nowMs,
    setTimer
  })
  const logReplay = createLogReplay(log)
  const backfills = createBackfillPool({
    source,
    head: log.end,
    newest: log.newestInstant,
    kept: logReplay.before,
    isKept: ({ offset }) => offset >= log.startOffset(),
    limit: settings.REPLAY_LIMIT,
    maxBytes: settings.HISTORY_BYTES,
    pool: pools.replays,
    isUpstreamThere: () => ['ok', 'throttled'].includes(poller.health().upstream),
    onError
  })
  const hub = createHub({
    log,
    frameCache: createFrameCache(relay.epoch),
    logReplay,
    backfill: backfills.open,
    replayLimit: settings.REPLAY_LIMIT,
    lowWatermark: () => poller.lowWatermark() ?? LATEST,
    isFilled,
    health: poller.health,
    latenessMs: settings.LATENESS_MS,
    batchBytes: Math.min(MOST_PORTION_BYTES, settings.SUBSCRIBER_BACKLOG_BYTES),
    heartbeatMs: settings.HEARTBEAT_MS,
    checkMs: CHECK_MS,
    stallMs: STALL_MS,
    nowMs,
    maxAgeMs: settings.STREAM_MAX_AGE_MS,
    setTimer,
    clock,
    instruments,
    onSubscribersChanged: poller.wake
  })
  relay.subscribe((batch) => {
    count(batch)
    hub.publish(log.append(batch))
  })
  return { log, poller, hub, close }

  /** No row of the newest page lies before where the log begins, whatever the clocks say. */
  function openBookmark (now: Instant, oldest: Instant = now): Bookmark {
    // A whole second: replays leave to the log all that is dated in the second from which it begins.
    const from = maxInstant(EARLIEST, floorToSecond(minInstant(now - history, oldest)))
    log.resetTo(from)
    return createBookmark({ from, latenessMs: settings.LATENESS_MS, mostKnown: MOST_KNOWN_EVENTS })
  }

  function close (): void {
    log.close()
    backfills.close()
  }

  function isFilled (): boolean {
    return poller.health().fullReads > 0
  }

  function tell (health: Health, changed: boolean): void {
    onPoll(health, changed)
    backfills.polled()
    hub.onHealth(health, changed)
  }

  function count ({ entries }: Batch): void {
    const fresh = entries.flatMap((entry) => 'event' in entry ? entry : [])
    if (fresh.length === 0) return
    instruments.eventsAppended(fresh.length, fresh.filter(({ late }) => late).length)
    if (!isFilled()) return // Was there before anyone looked.
    const now = instantFromMs(poller.upstreamClock())
    for (const { event } of fresh) if (event.instant !== undefined) instruments.deliveryLag(Number((now - event.instant) / NANOS_PER_MS))
  }
}
