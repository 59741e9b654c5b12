import { EARLIEST, LATEST, NANOS_PER_MS, earlier, floorToSecond, instantFromMs, later, type Instant } from './audit/instant.ts'
import type { Batch } from './audit/batch.ts'
import type { BytePool } from './audit/byte-pool.ts'
import { POLLER, type AuditSource } from './audit/source.ts'
import type { Budget } from './kubiya/budget.ts'
import { createBookmark, type Bookmark } from './live/bookmark.ts'
import { createEncoder } from './live/encoding.ts'
import { createEventLog, type EventLog } from './live/event-log.ts'
import type { Health } from './live/health.ts'
import { createHub, type Hub } from './live/hub.ts'
import { createRecall } from './live/recall.ts'
import { createRereads } from './live/rereads.ts'
import { createTail, type Tail } from './live/tail.ts'
import type { Meters } from './meters.ts'
import { createSoloRelay } from './relay/solo.ts'
import type { Settings } from './settings.ts'
import { setTimer } from './set-timer.ts'
import type { Tracer } from './tracer.ts'

export interface PresentOptions {
  readonly settings: Settings
  /** What the logs, and the replays, of all scopes hold together. */
  readonly pools: { readonly logs: BytePool, readonly replays: BytePool }
  readonly source: AuditSource
  readonly budget: Budget
  readonly meters: Meters
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

/** The present of one scope. */
export interface Present {
  readonly log: EventLog
  readonly tail: Tail
  readonly hub: Hub
  /** Gives back what it holds of the pools. */
  close (): void
}

const LEAST_HISTORY_MS = 5 * 60_000
const MOST_KNOWN_EVENTS = 500_000
// Much longer than it takes until what is visible is announced: sweeps stretch to two minutes.
const REMEMBERED_MS = 15 * 60_000
const SLACK_MS = 60_000
const CHECK_MS = 4000
const LEAST_SKEW_MS = 60_000
const STALL_MS = 30_000
const MOST_PORTION_BYTES = 65_536

/** Wires source → tail → relay → log → hub; each stage is handed the next as one function. */
export function createPresent ({ budget, clock, meters, nowMs, onError, onPoll, onSkew, pools, settings, source, tracer }: PresentOptions): Present {
  const history = BigInt(Math.max(LEAST_HISTORY_MS, 2 * settings.LATENESS_MS)) * NANOS_PER_MS
  const relay = createSoloRelay()
  const log = createEventLog({
    epoch: relay.epoch,
    start: instantFromMs(clock()) - history,
    maxEvents: settings.HISTORY_EVENTS,
    maxBytes: settings.HISTORY_BYTES,
    pool: pools.logs,
    remembers: BigInt(settings.LATENESS_MS + REMEMBERED_MS) * NANOS_PER_MS,
    mostRemembered: MOST_KNOWN_EVENTS
  })
  const tail = createTail({
    source,
    openBookmark,
    announce: relay.announce,
    leads: relay.leads,
    audience: () => hub.size(),
    budget: () => ({ waitMs: budget.waitMs(POLLER, clock()), shortage: budget.shortage(clock()) }),
    onPoll: tell,
    meters,
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
  const recall = createRecall(log)
  const rereads = createRereads({
    source,
    head: log.head,
    newest: log.newest,
    kept: recall.before,
    isKept: ({ offset }) => offset >= log.oldest(),
    limit: settings.REPLAY_LIMIT,
    maxBytes: settings.HISTORY_BYTES,
    pool: pools.replays,
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
    isFilled,
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
    meters,
    onAudience: tail.wake
  })
  relay.follow((batch) => {
    count(batch)
    hub.publish(log.append(batch))
  })
  return { log, tail, hub, close }

  /** No row of the newest page lies before where the log begins, whatever the clocks say. */
  function openBookmark (now: Instant, oldest: Instant = now): Bookmark {
    // A whole second: replays leave to the log all that is dated in the second from which it begins.
    const from = later(EARLIEST, floorToSecond(earlier(now - history, oldest)))
    log.fillFrom(from)
    return createBookmark({ from, latenessMs: settings.LATENESS_MS, mostKnown: MOST_KNOWN_EVENTS })
  }

  function close (): void {
    log.close()
    rereads.close()
  }

  function isFilled (): boolean {
    return tail.health().sweeps > 0
  }

  function tell (health: Health, changed: boolean): void {
    onPoll(health, changed)
    rereads.tell()
    hub.tell(health, changed)
  }

  function count ({ entries }: Batch): void {
    const fresh = entries.flatMap((entry) => 'event' in entry ? entry : [])
    if (fresh.length === 0) return
    meters.entered(fresh.length, fresh.filter(({ late }) => late).length)
    if (!isFilled()) return // Was there before anyone looked.
    const now = instantFromMs(tail.upstreamClock())
    for (const { event } of fresh) if (event.instant !== undefined) meters.lagged(Number((now - event.instant) / NANOS_PER_MS))
  }
}
