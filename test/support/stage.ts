import { decodeCursor, type StreamCursor } from '../../src/audit/cursor.ts'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { identify } from '../../src/audit/event-id.ts'
import { formatInstant, instantFromMs } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { compareKeyedEvents, withSortKeys } from '../../src/audit/sort-key.ts'
import type { Failure } from '../../src/audit/source.ts'
import { createBookmark } from '../../src/live/ingest/bookmark.ts'
import { createFrameCache } from '../../src/live/fanout/frame-cache.ts'
import type { CloseReason } from '../../src/live/transport/close-codes.ts'
import type { EventLogOptions } from '../../src/live/log/event-log.ts'
import { createFilterGroup } from '../../src/live/fanout/filter-group.ts'
import type { Frame } from '../../src/live/transport/frames.ts'
import { createUpstreamHealth, type Health, type PollOutcome } from '../../src/live/ingest/upstream-health.ts'
import { systemClock, type Clock } from '../../src/clock.ts'
import { createHub, type Hub, type HubOptions } from '../../src/live/fanout/hub.ts'
import type { StartFrom } from '../../src/live/replay/start-position.ts'
import type { Transport } from '../../src/live/transport/transport.ts'
import type { PreparedBatch } from '../../src/live/transport/prepared-batch.ts'
import { createFilteredLogs } from '../../src/live/fanout/filtered-log.ts'
import { createLogReplay } from '../../src/live/replay/log-replay.ts'
import { createBackfillPool, type BackfillPoolOptions } from '../../src/live/replay/backfill-pool.ts'
import { createSubscription, type Subscription, type SubscriptionContext } from '../../src/live/fanout/subscription.ts'
import { silentInstruments } from '../../src/instruments.ts'
import { USUAL_HABITS, createMemorySource, type Habits, type MemorySource } from '../contracts/memory-source.ts'
import { EPOCH, TEN_MS, at, openLog } from './timeline.ts'

/** A listener's connection that takes what it is told to take. */
export interface Line extends Transport {
  /** What was sent, as the subscriber reads it. */
  readonly frames: Frame[]
  /** How many frames each send held. */
  readonly sends: number[]
  readonly endings: CloseReason[]
  /** What the contract of a transport forbids. */
  readonly faults: string[]
  /** Takes what is unsent, so many bytes of it. */
  drain (bytes?: number): void
  /** From now on nothing is taken, or all at once. */
  block (): void
  unblock (): void
  /** The ids of the events that were given. */
  ids (): string[]
}

export function createLine (capacity = 65_536): Line {
  const frames: Frame[] = []
  const sends: number[] = []
  const endings: CloseReason[] = []
  const faults: string[] = []
  let waiting: Array<() => void> = []
  let unsent = 0
  let taken = 0
  let isBlocked = false

  return {
    kind: 'websocket',
    frames,
    sends,
    endings,
    faults,
    send,
    writableBytes: () => capacity - unsent,
    backlogBytes: () => unsent,
    flushedBytes: () => taken,
    onFlushed: (resume) => { waiting.push(resume) },
    keepAlive: () => true,
    end: (ending) => { endings.push(ending) },
    drain,
    block: () => { isBlocked = true },
    unblock () {
      isBlocked = false
      drain()
    },
    ids: () => frames.flatMap((frame) => frame.type === 'event' ? [frame.event.id] : [])
  }

  function send ({ bytes, frames: prepared }: PreparedBatch): void {
    const isEnd = prepared.some(({ type }) => type === 'end')
    if (endings.length > 0 || frames.at(-1)?.type === 'end') faults.push('something was sent after the end')
    if (bytes > capacity - unsent && !isEnd && !(prepared.length === 1 && unsent === 0)) {
      faults.push(`${bytes} bytes were sent where there was room for ${capacity - unsent}`)
    }
    sends.push(prepared.length)
    frames.push(...prepared.map(({ payload }) => JSON.parse(payload.toString()) as Frame))
    unsent += bytes
    if (!isBlocked) setImmediate(() => { if (!isBlocked) drain() })
  }

  function drain (bytes = unsent): void {
    taken += Math.min(bytes, unsent)
    unsent = Math.max(0, unsent - bytes)
    if (unsent > 0) return
    const due = waiting
    waiting = []
    for (const resume of due) resume()
  }
}

const PORTION_BYTES = 300 // No line is given less room, so that what is given at once always fits.
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

export interface StageOptions {
  readonly log?: Partial<EventLogOptions>
  readonly quirks?: Partial<Habits>
  readonly latenessMs?: number
  readonly backfills?: Partial<BackfillPoolOptions>
  readonly context?: Partial<HubOptions>
}

/**
 * The live core without the tail's timers and without sockets: a log of Kubiya, a poll when it is told to, subscribers.
 */
export function createStage (options: StageOptions = {}) {
  const { latenessMs = 10_000 } = options
  const source: MemorySource = createMemorySource(
    { ...USUAL_HABITS, ...options.quirks },
    () => isOut ? UNAVAILABLE : undefined
  )
  const bookmark = createBookmark({ from: at(-300), latenessMs, mostKnown: 100_000 })
  let nowMs = 0
  const clock: Clock = { ...systemClock, monotonicMs: () => nowMs }
  const log = openLog({ clock, ...options.log })
  let isOut = false
  const health = createUpstreamHealth(() => TEN_MS + nowMs, () => true)
  const logReplay = createLogReplay(log, clock)
  const backfills = createBackfillPool({
    clock,
    source,
    head: log.end,
    newest: log.newestInstant,
    kept: logReplay.before,
    isKept: ({ offset }) => offset >= log.startOffset(),
    limit: 10_000,
    maxBytes: 10_000_000,
    isUpstreamThere: () => health.now().upstream === 'ok',
    onError: (error) => { throw error },
    ...options.backfills
  })
  const shared: Omit<SubscriptionContext, 'takeTurn' | 'onEnd'> = {
    log,
    frameCache: createFrameCache(EPOCH),
    logReplay,
    backfill: backfills.open,
    replayLimit: options.backfills?.limit ?? 10_000,
    lowWatermark: bookmark.lookbackStart,
    isFilled: () => true,
    latenessMs,
    batchBytes: PORTION_BYTES,
    health: health.now,
    heartbeatMs: 1_000_000_000,
    stallMs: 30_000,
    clock,
    instruments: silentInstruments,
    ...options.context
  }
  const hub: Hub = createHub({
    ...shared,
    checkMs: 1_000_000_000,
    maxAgeMs: 0,
    onSubscribersChanged: () => {},
    instruments: silentInstruments,
    ...options.context
  })
  const items: Array<{ readonly item: JsonObject, readonly seconds: number }> = []
  const filteredLogOf = createFilteredLogs({ ...shared, mostBytes: shared.batchBytes })
  const alone = new Set<Subscription>()
  let tasks: Subscription[] = []

  return {
    source,
    log,
    hub,
    bookmark,
    health,
    items,
    now: () => nowMs / 1000,
    pass,
    publish,
    poll,
    gap,
    fall,
    tell,
    join,
    listen
  }

  function pass (seconds: number): void {
    nowMs += seconds * 1000
  }

  /** An event becomes visible in Kubiya. */
  function publish (id: string, seconds = nowMs / 1000, more: JsonObject = {}): void {
    const item: JsonObject = { id, timestamp: formatInstant(at(seconds)), ...more }
    items.push({ item, seconds })
    source.keep({ at: at(seconds), item })
  }

  /** What is new enters the log and is given to all. */
  function poll (): void {
    if (isOut) return tell({ failure: UNAVAILABLE, isHeldBack: false, latenessMs: undefined })
    const startedAt = instantFromMs(TEN_MS + nowMs)
    const start = bookmark.lookbackStart()
    const rows = withSortKeys(identify(items.map(({ item }) => item)), 'asc').filter(({ key }) => key.instant >= start)
      .sort(compareKeyedEvents('asc'))
    const { announcement, commit } = bookmark.diff(rows, undefined, startedAt + 1_000_000n)
    if (announcement.entries.length > 0) enter(announcement.entries, announcement.highWater)
    commit()
    bookmark.advance(startedAt)
    tell()
  }

  /** Kubiya is not there, or is there again. */
  function fall (isDown: boolean): void {
    isOut = isDown
  }

  function gap (fromSeconds: number, toSeconds: number): void {
    enter([{ gap: { from: at(fromSeconds), to: at(toSeconds), reason: 'too-large' } }], at(toSeconds))
  }

  function enter (entries: Parameters<typeof log.append>[0]['entries'], highWater: bigint): void {
    hub.publish(log.append({ epoch: EPOCH, first: log.end().offset, entries, highWater }))
    for (const subscription of alone) if (!tasks.includes(subscription)) subscription.pump()
  }

  /** A poll has ended. */
  function tell (outcome: PollOutcome = { failure: undefined, isHeldBack: false, latenessMs: undefined }): void {
    const changed = health.report(outcome)
    backfills.polled()
    hub.onHealth(health.now(), changed)
    for (const subscription of alone) {
      if (changed) subscription.sendStatus()
      if (subscription.isWaiting()) subscription.start()
    }
  }

  /** Joins the hub, as a route would. */
  function join (start: StartFrom, line: Line, filter: AuditFilter = {}): () => void {
    const subscription = hub.subscribe({ filter, start, verbose: false, timeoutMs: undefined }, line)
    return () => subscription.disconnected()
  }

  /** A subscription of its own, whose turns come when `turns` says so. */
  function listen (
    start: StartFrom,
    line: Line,
    given: { filter?: AuditFilter, verbose?: boolean, context?: Partial<SubscriptionContext> } = {}
  ) {
    const { filter = {}, verbose = false } = given
    let ended = 0
    const context: SubscriptionContext = {
      ...shared,
      takeTurn: (subscription) => {
        tasks.push(subscription)
      },
      onEnd: () => {
        ended++
      },
      ...given.context
    }
    const subscription = createSubscription({
      context,
      group: createFilterGroup(filter, filteredLogOf),
      start,
      verbose,
      transport: line
    })
    alone.add(subscription)
    subscription.begin()
    return {
      subscription,
      ended: () => ended,
      /** All turns that were asked for, and what follows of them. */
      async turns (): Promise<void> {
        for (let quiet = 0; quiet < 3;) {
          const due = tasks.filter((each) => each === subscription)
          tasks = tasks.filter((each) => each !== subscription)
          for (const each of due) each.pump()
          await new Promise((resolve) => { setImmediate(resolve) })
          quiet = due.length === 0 ? quiet + 1 : 0
        }
      }
    }
  }
}

export type Stage = ReturnType<typeof createStage>

export function healthOf (fields: Partial<Health>): Health {
  return {
    upstream: 'ok',
    sinceMs: TEN_MS,
    lastGoodMs: TEN_MS,
    lagMs: 0,
    attempted: true,
    latenessMs: undefined,
    fullReads: 1,
    isPolling: true,
    ...fields
  }
}

export const NOW = { from: at(0) }

/** `e0`, `e1` … */
export function idsOf (count: number, first = 0): string[] {
  return Array.from({ length: count }, (_, i) => `e${first + i}`)
}

/** Events e<first> …, a second apart, each entering the log when it becomes visible. */
export function happen (stage: Stage, count: number, first = 0): void {
  for (const id of idsOf(count, first)) {
    stage.pass(1)
    stage.publish(id)
    stage.poll()
  }
}

/** The place that a frame names. */
export function cursorOf (frame: Frame | undefined): StreamCursor | undefined {
  const cursor = frame !== undefined && 'cursor' in frame ? decodeCursor(frame.cursor) : undefined
  return cursor?.kind === 'page' ? undefined : cursor
}

export function typesOf ({ frames }: Line): string[] {
  return frames.map(({ type }) => type)
}
