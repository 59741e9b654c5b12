import type { BytePool } from '../audit/byte-pool.ts'
import type { AuditEvent } from '../audit/event.ts'
import {
  EARLIEST,
  LATEST,
  NANOS_PER_MS,
  floorToSecond,
  instantFromMs,
  maxInstant,
  minInstant,
  type Instant
} from '../audit/instant.ts'
import type { Batch } from '../audit/log-batch.ts'
import type { RecentEvents } from '../audit/recent-events.ts'
import type { AuditSource } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { Instruments } from '../instruments.ts'
import type { Relay } from '../relay/relay.ts'
import type { Tracer } from '../tracer.ts'
import { createFrameCache, type FrameCache } from './fanout/frame-cache.ts'
import { createHub, type Hub } from './fanout/hub.ts'
import { createBookmark, type Bookmark } from './ingest/bookmark.ts'
import { createPoller, type Poller, type PollerOptions } from './ingest/poller.ts'
import type { Health } from './ingest/upstream-health.ts'
import { createEventLog, type LogReader } from './log/event-log.ts'
import { createFreshness, type Freshness } from './recent/freshness.ts'
import { createRecentEvents } from './recent/recent-events.ts'
import { createRecentRows, type RecentRows } from './recent/recent-rows.ts'
import { createBackfillPages, type BackfillPages } from './replay/backfill-pages.ts'

/** What the live path of one tenant is made of. Durations are in milliseconds. */
export interface LiveFeedOptions
  extends
  Pick<PollerOptions, 'budget' | 'intervalMs' | 'maxIntervalMs' | 'onError' | 'onSkew' | 'pageSize' | 'scanLimit'> {
  readonly source: AuditSource
  readonly relay: Relay
  readonly clock: Clock
  readonly instruments: Instruments
  readonly tracer: Tracer
  /** Called after every poll, before the hub and the replays. */
  readonly onPoll?: (health: Health, changed: boolean) => void
  /** Largest age of an answer out of the log whose poll succeeds. */
  readonly openTtlMs: number
  /** When Kubiya last refused the credential: monotonic time. Default: never. */
  readonly refusedMs?: () => number
  /** Deadline of one request to the upstream. */
  readonly upstreamTimeoutMs: number
  /** An event that becomes visible this long after its instant is still found. */
  readonly latenessMs: number
  readonly historyEvents: number
  readonly historyBytes: number
  /** Most bytes of rows that the replays from Kubiya hold. Default: `historyBytes`. */
  readonly replayBytes?: number
  /** Shared bounds on the bytes of all tenants' logs and of all their replays. */
  readonly pools?: { readonly logs: BytePool, readonly replays: BytePool }
  /** Most events that one stream gets from the upstream's past. */
  readonly replayLimit: number
  /** Most unsent bytes of one subscriber. */
  readonly backlogBytes: number
  readonly heartbeatMs: number
  /** Pause between two checks that a subscriber is there and reads. */
  readonly checkMs?: number
  /** A subscriber that reads no unsent byte for this long is too slow. */
  readonly stallMs?: number
  /** 0: streams have no age limit. */
  readonly maxAgeMs: number
  /** Number of subscribers that sets the pace of polls. Default: those of the hub. */
  readonly subscriberCount?: () => number
  /** Makes the poller. Default: `createPoller`. */
  readonly createPoller?: (options: PollerOptions) => Poller
}

/** The live path of one tenant. */
export interface LiveFeed {
  readonly log: LogReader
  readonly poller: Poller
  readonly hub: Hub
  readonly frameCache: FrameCache
  /** Answers queries out of the log. */
  readonly recent: RecentEvents
  /** Asks for polls where a query needs newer events than the log holds. */
  readonly freshness: Freshness
  /** Returns its bytes to the pools. */
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
const MOST_BATCH_BYTES = 65_536

/** Wires source → poller → relay → log → hub; each stage is handed the next as one function. */
export function createLiveFeed (options: LiveFeedOptions): LiveFeed {
  const { clock, instruments, latenessMs, onError, relay, source } = options
  const history = BigInt(Math.max(LEAST_HISTORY_MS, 2 * latenessMs)) * NANOS_PER_MS
  const start = instantFromMs(clock.now()) - history
  const log = createEventLog({
    epoch: relay.epoch,
    start,
    onEvicted: (entry) => recentRows.evicted(entry),
    maxEvents: options.historyEvents,
    maxBytes: options.historyBytes,
    ...options.pools !== undefined && { pool: options.pools.logs },
    remembers: BigInt(latenessMs + REMEMBERED_MS) * NANOS_PER_MS,
    mostRemembered: MOST_KNOWN_EVENTS
  })
  const recentRows = createRecentRows({ log, start, now: clock.now })
  const poller = (options.createPoller ?? createPoller)({
    ...options,
    openBookmark,
    publish: relay.publish,
    isLeader: relay.isLeader,
    subscriberCount: options.subscriberCount ?? (() => hub.size()),
    onPoll: tell,
    patienceMs: options.upstreamTimeoutMs + SLACK_MS,
    mostSkewMs: Math.max(LEAST_SKEW_MS, latenessMs)
  })
  const backfillPages = openBackfillPages()
  const frameCache = createFrameCache(relay.epoch)
  const hub = createHub({
    sources: {
      log,
      frameCache,
      backfillPages,
      replayLimit: options.replayLimit,
      lowWatermark: () => poller.lowWatermark() ?? LATEST,
      isFilled,
      latenessMs,
      batchBytes: Math.min(MOST_BATCH_BYTES, options.backlogBytes)
    },
    health: poller.health,
    heartbeatMs: options.heartbeatMs,
    checkMs: options.checkMs ?? CHECK_MS,
    stallMs: options.stallMs ?? STALL_MS,
    maxAgeMs: options.maxAgeMs,
    clock,
    instruments,
    onSubscribersChanged: poller.wake
  })
  relay.subscribe(append)
  return { log, poller, hub, frameCache, ...createAnswers(options, log, poller, recentRows), close }

  function openBackfillPages (): BackfillPages {
    return createBackfillPages({
      clock,
      source,
      log,
      scanLimit: options.scanLimit,
      maxBytes: options.replayBytes ?? options.historyBytes,
      ...options.pools !== undefined && { pool: options.pools.replays },
      isUpstreamThere: () => ['ok', 'throttled'].includes(poller.health().upstream),
      onError
    })
  }

  /** No row of the newest page lies before where the log begins, whatever the clocks say. */
  function openBookmark (now: Instant, oldest: Instant = now): Bookmark {
    // A whole second: replays leave to the log all that is dated in the second from which it begins.
    const from = maxInstant(EARLIEST, floorToSecond(minInstant(now - history, oldest)))
    log.resetTo(from)
    recentRows.resetTo(from)
    return createBookmark({ from, startedAt: now, latenessMs, mostKnown: MOST_KNOWN_EVENTS })
  }

  function close (): void {
    log.close()
    backfillPages.close()
  }

  function isFilled (): boolean {
    return poller.health().fullReads > 0
  }

  function tell (health: Health, changed: boolean): void {
    options.onPoll?.(health, changed)
    backfillPages.polled()
    hub.onHealth(health, changed)
  }

  function append (batch: Batch): void {
    count(batch)
    hub.publish(log.append(batch))
  }

  function count ({ entries }: Batch): void {
    const added = entries.flatMap((entry) => 'event' in entry ? entry : [])
    if (added.length === 0) return
    instruments.eventsAppended(added.length, added.filter(({ late }) => late).length)
    if (!isFilled()) return // The first reads bring old events; their lag says nothing.
    const now = instantFromMs(poller.upstreamClock())
    for (const { event } of added) {
      if (event.instant !== undefined) instruments.deliveryLag(Number((now - event.instant) / NANOS_PER_MS))
    }
  }
}

function createAnswers (
  { clock, intervalMs, openTtlMs, refusedMs = () => -Infinity }: LiveFeedOptions,
  log: LogReader,
  poller: Poller,
  rows: RecentRows
): Pick<LiveFeed, 'freshness' | 'recent'> {
  const freshness = createFreshness({ clock, intervalMs, openTtlMs, poller, refusedMs })
  return { freshness, recent: createRecentEvents({ rows, end: log.end, find: (id) => findEvent(log, id), freshness }) }
}

/** The event with this id, if the log holds it. */
export function findEvent (log: LogReader, id: string): AuditEvent | undefined {
  const offset = log.offsetOf(id)
  const [entry] = offset === undefined ? [] : log.read(offset, 1) ?? []
  return entry !== undefined && 'event' in entry ? entry.event : undefined
}
