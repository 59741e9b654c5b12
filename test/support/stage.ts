import { decodeStreamCursor, type StreamCursor } from '../../src/audit/cursor.ts'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { NewEntry } from '../../src/audit/log-batch.ts'
import type { Failure } from '../../src/audit/source.ts'
import { silentInstruments } from '../../src/instruments.ts'
import type { Subscription } from '../../src/live/fanout/subscription.ts'
import type { Health, PollOutcome } from '../../src/live/ingest/upstream-health.ts'
import { createLiveFeed, type LiveFeedOptions } from '../../src/live/live-feed.ts'
import type { StartFrom } from '../../src/live/replay/start-position.ts'
import type { CloseReason } from '../../src/live/transport/close-codes.ts'
import type { Frame } from '../../src/live/transport/frames.ts'
import type { PreparedBatch } from '../../src/live/transport/prepared-batch.ts'
import type { Transport } from '../../src/live/transport/transport.ts'
import { createLocalRelay } from '../../src/relay/local-relay.ts'
import { silentTracer } from '../../src/tracer.ts'
import { USUAL_HABITS, createMemorySource, type Habits, type MemorySource } from '../contracts/memory-source.ts'
import { createManualClock } from './manual-clock.ts'
import { createManualPoller, type ManualPoller } from './manual-poller.ts'
import { EPOCH, TEN_MS, at } from './timeline.ts'

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

const BACKLOG_BYTES = 200 // Less than two frames: a line with less room is given one frame at a time.
const NEVER_MS = 1_000_000_000
const QUIET_TURNS = 5
const GOOD_POLL: PollOutcome = { failure: undefined, isHeldBack: false, latenessMs: undefined }
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

/** No heartbeats and no checks, so that a test sees only what it asks for. */
const QUIET_FEED = {
  budget: () => ({ waitMs: 0, scarcity: 0 }),
  tracer: silentTracer,
  onError: (error: unknown) => { throw error },
  onSkew: () => {},
  pageSize: 1000,
  scanLimit: 10_000,
  intervalMs: 3000,
  maxIntervalMs: 3000,
  upstreamTimeoutMs: 10_000,
  openTtlMs: 10_000,
  latenessMs: 10_000,
  historyEvents: 1000,
  historyBytes: 10_000_000,
  replayLimit: 10_000,
  backlogBytes: BACKLOG_BYTES,
  heartbeatMs: NEVER_MS,
  checkMs: NEVER_MS,
  maxAgeMs: 0
} satisfies Partial<LiveFeedOptions>

export interface StageOptions extends Partial<LiveFeedOptions> {
  readonly quirks?: Partial<Habits>
  /** Whether the log counts as filled from the start. */
  readonly isFilled?: boolean
}

/** The live feed of the service, with a Kubiya in memory, a clock that stands still and a poller that polls on call. */
export function createStage ({ isFilled = true, quirks, ...options }: StageOptions = {}) {
  const clock = createManualClock(TEN_MS)
  const items: Array<{ readonly item: JsonObject, readonly seconds: number }> = []
  const source: MemorySource = createMemorySource(
    { ...USUAL_HABITS, ...quirks },
    () => isOut ? UNAVAILABLE : undefined
  )
  const relay = createLocalRelay(EPOCH)
  let isOut = false
  let ended = 0
  let manual: ManualPoller | undefined
  const feed = createLiveFeed({
    ...QUIET_FEED,
    source,
    relay,
    clock,
    instruments: { ...silentInstruments, streamEnded: () => { ended++ } },
    createPoller: (pollerOptions) => (manual = createManualPoller(pollerOptions)),
    ...options
  })
  const { hub, log } = feed
  if (isFilled) poller().fill()

  return {
    source,
    log,
    hub,
    items,
    now,
    pass,
    publish,
    poll,
    gap,
    enter,
    fall,
    fill: () => poller().fill(),
    tell,
    turn,
    listen
  }

  function poller (): ManualPoller {
    if (manual === undefined) throw new Error('the feed has a poller')
    return manual
  }

  /** Seconds after ten o'clock. */
  function now (): number {
    return clock.monotonicMs() / 1000
  }

  function pass (seconds: number): void {
    clock.advance(seconds * 1000)
  }

  /** An event becomes visible in Kubiya. */
  function publish (id: string, seconds = now(), more: JsonObject = {}): void {
    const item: JsonObject = { id, timestamp: formatInstant(at(seconds)), ...more }
    items.push({ item, seconds })
    source.keep({ at: at(seconds), item })
  }

  /** New events enter the log; all subscribers get them. */
  function poll (): void {
    if (isOut) tell({ ...GOOD_POLL, failure: UNAVAILABLE })
    else poller().poll(items.map(({ item }) => item))
  }

  /** A poll has ended so. */
  function tell (outcome: PollOutcome = GOOD_POLL): void {
    poller().report(outcome)
  }

  /** Kubiya is not there, or is there again. */
  function fall (isDown: boolean): void {
    isOut = isDown
  }

  function gap (fromSeconds: number, toSeconds: number): void {
    enter([{ gap: { from: at(fromSeconds), to: at(toSeconds), reason: 'too-large' } }], at(toSeconds))
  }

  function enter (entries: NewEntry[], highWater: bigint): void {
    relay.publish({ entries, highWater }).catch((error) => { throw error })
  }

  /** One turn of the event loop, and timers that are due. */
  async function turn (): Promise<void> {
    await new Promise((resolve) => { setImmediate(resolve) })
    clock.advance(0)
  }

  /** Joins the hub, as a route does. */
  function listen (start: StartFrom, line: Line, { filter = {}, verbose = false }: ListenOptions = {}) {
    const endedBefore = ended
    // The hub shows less of it than these tests look at.
    const subscription = hub.subscribe({ filter, start, verbose, timeoutMs: undefined }, line) as Subscription
    return {
      subscription,
      ended: () => ended - endedBefore,
      /** Turns of the event loop until nothing more comes. */
      async turns (): Promise<void> {
        for (let quiet = 0; quiet < QUIET_TURNS;) {
          const before = line.frames.length
          await turn()
          quiet = line.frames.length === before ? quiet + 1 : 0
        }
      }
    }
  }
}

interface ListenOptions {
  readonly filter?: AuditFilter
  readonly verbose?: boolean
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
  return frame !== undefined && 'cursor' in frame ? decodeStreamCursor(frame.cursor) : undefined
}

/** The place that a frame names; without one the test fails. */
export function placeOf (frame: Frame | undefined): StreamCursor {
  const cursor = cursorOf(frame)
  if (cursor === undefined) throw new Error(`a frame with a cursor was expected, not ${frame?.type ?? 'none'}`)
  return cursor
}

export function typesOf ({ frames }: Line): string[] {
  return frames.map(({ type }) => type)
}
