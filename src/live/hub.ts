import { compileFilter, filterKey, type AuditFilter } from '../audit/filter.ts'
import type { JsonObject } from '../audit/json.ts'
import { ENDINGS } from './endings.ts'
import type { LogEntry } from './event-log.ts'
import { isFor } from './following.ts'
import type { Health } from './health.ts'
import type { Start } from './opening.ts'
import type { Outlet } from './outlet.ts'
import { createSubscription, type Subscription, type SubscriptionContext } from './subscription.ts'
import { createTurns } from './turns.ts'

export interface HubOptions extends Omit<SubscriptionContext, 'takeTurn'> {
  /** Pause between two looks at whether listeners are still there, milliseconds. */
  readonly checkMs: number
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
  const { encoder, health } = options
  const context: SubscriptionContext = { ...options, takeTurn: createTurns() }
  const groups = new Map<string, Group>()
  let size = 0
  let closed = false
  const heartbeat = setInterval(() => each((subscription) => subscription.beat(health())), options.heartbeatMs)
  const check = setInterval(() => each((subscription) => subscription.check()), options.checkMs)
  for (const timer of [heartbeat, check]) timer.unref()

  return { isFull: () => closed || size >= options.maxSubscribers, size: () => size, subscribe, publish, tell, close }

  function subscribe (request: StreamRequest, outlet: Outlet): () => void {
    const key = filterKey(request.filter)
    const group = groups.get(key) ?? { matches: compileFilter(request.filter), members: new Set() }
    const timers: NodeJS.Timeout[] = []
    const subscription = createSubscription({ context, ...request, matches: group.matches, outlet, onEnd })
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
    for (const { matches, members } of groups.values()) {
      const frames = entries.filter((entry) => isFor(entry, matches)).map(encoder.entry)
      const bytes = frames.reduce((sum, frame) => sum + frame.bytes, 0)
      for (const subscription of members) subscription.take(oldest.offset, oldest.offset + entries.length, frames, bytes)
    }
  }

  function tell (now: Health, changed: boolean): void {
    each((subscription) => subscription.tell(now, changed))
  }

  async function close (overMs: number): Promise<void> {
    closed = true
    clearInterval(heartbeat)
    clearInterval(check)
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
