import type { LogCursor } from '../audit/cursor.ts'
import { compileFilter, filterKey, type AuditFilter } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import type { JsonObject } from '../audit/json.ts'
import { ENDINGS } from './endings.ts'
import type { EventLog, LogEntry } from './event-log.ts'
import { eventFrame, type PreparedFrame } from './frames.ts'
import type { Health } from './health.ts'
import type { Start } from './opening.ts'
import type { Outlet } from './outlet.ts'
import type { Replay } from './replay.ts'
import { createSubscription, type Subscription } from './subscription.ts'

export interface HubOptions {
  readonly log: EventLog
  readonly replay: (filter: AuditFilter, from: Instant) => Replay
  readonly health: () => Health
  readonly latenessMs: number
  readonly heartbeatMs: number
  /** Age at which a stream is told to come back, milliseconds; 0: never. */
  readonly maxAgeMs: number
  readonly maxSubscribers: number
  /** The first subscriber after none has come. */
  readonly onAudience: () => void
}

export interface StreamRequest {
  readonly filter: AuditFilter
  readonly start: Start
  readonly verbose: boolean
  /** Milliseconds after which the stream ends with `timeout`; `undefined`: it goes on. */
  readonly timeoutMs: number | undefined
}

/** All live subscribers of a scope. */
export interface Hub {
  /** Whether one more would be too many. */
  isFull (): boolean
  size (): number
  /** Begins a stream; gives the function to call when its connection is gone. */
  subscribe (request: StreamRequest, outlet: Outlet): () => void
  /** These have entered the log. */
  publish (entries: LogEntry[]): void
  /** A poll has ended. */
  tell (health: Health, changed: boolean): void
  /** Ends every stream, evenly over a time, and takes no new one; resolves when all are gone. */
  close (overMs: number): Promise<void>
}

interface Group {
  readonly matches: (item: JsonObject) => boolean
  readonly members: Set<Subscription>
}

const CLOSING_TICK_MS = 10

/** Fans batches out: an event is encoded once, a filter is judged once for all who share it. */
export function createHub (options: HubOptions): Hub {
  const { health, log } = options
  const { epoch } = log.head()
  const groups = new Map<string, Group>()
  let size = 0
  let closed = false
  const heartbeat = setInterval(() => each((subscription) => subscription.beat(health())), options.heartbeatMs)
  heartbeat.unref()

  return { isFull: () => closed || size >= options.maxSubscribers, size: () => size, subscribe, publish, tell, close }

  function subscribe (request: StreamRequest, outlet: Outlet): () => void {
    const key = filterKey(request.filter)
    const group = groups.get(key) ?? { matches: compileFilter(request.filter), members: new Set() }
    const timers: NodeJS.Timeout[] = []
    const subscription = createSubscription({ ...options, ...request, matches: group.matches, outlet, onEnd })
    groups.set(key, group)
    group.members.add(subscription)
    size++
    if (request.timeoutMs !== undefined) timers.push(setTimeout(() => subscription.end(ENDINGS.timeout), request.timeoutMs))
    if (options.maxAgeMs > 0) timers.push(setTimeout(() => subscription.end(ENDINGS['max-age']), options.maxAgeMs))
    subscription.begin()
    if (size === 1) options.onAudience()
    return subscription.drop

    function onEnd (): void {
      timers.forEach(clearTimeout)
      group.members.delete(subscription)
      if (group.members.size === 0 && groups.get(key) === group) groups.delete(key)
      size--
    }
  }

  function publish (entries: LogEntry[]): void {
    const [oldest] = entries
    if (oldest === undefined) return
    const encoded = new Map<LogEntry, PreparedFrame>()
    for (const { matches, members } of groups.values()) {
      const frames = entries.flatMap((entry) => matches(entry.event.item) ? [encode(entry)] : [])
      for (const subscription of members) subscription.take(oldest.offset, oldest.offset + entries.length, frames)
    }

    function encode (entry: LogEntry): PreparedFrame {
      const frame = encoded.get(entry) ?? eventFrame(entry, cursorBehind(entry))
      encoded.set(entry, frame)
      return frame
    }
  }

  /** Made from the entry itself: a batch larger than the log has evicted its own first entries. */
  function cursorBehind ({ highWater, offset }: LogEntry): LogCursor {
    return { kind: 'log', epoch, offset: offset + 1, instant: highWater }
  }

  function tell (now: Health, changed: boolean): void {
    each((subscription) => subscription.tell(now, changed))
  }

  async function close (overMs: number): Promise<void> {
    closed = true
    clearInterval(heartbeat)
    const all = [...groups.values()].flatMap(({ members }) => [...members])
    const perTick = Math.max(1, Math.ceil(all.length * CLOSING_TICK_MS / Math.max(overMs, CLOSING_TICK_MS)))
    while (all.length > 0) {
      for (const subscription of all.splice(0, perTick)) subscription.end(ENDINGS.shutdown)
      if (all.length > 0) await new Promise((resolve) => { setTimeout(resolve, CLOSING_TICK_MS) })
    }
  }

  function each (action: (subscription: Subscription) => void): void {
    for (const { members } of groups.values()) for (const subscription of members) action(subscription)
  }
}
