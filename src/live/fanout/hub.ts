import type { Requester } from '../../audit/requester.ts'
import { filterKey, type AuditFilter } from '../../audit/filter.ts'
import type { Instruments } from '../../instruments.ts'
import { createFilterGroup, type FilterGroup } from './filter-group.ts'
import { CLOSE, type CloseReason } from '../transport/close-codes.ts'
import type { LogEntry } from '../log/event-log.ts'
import { createExpiryTimers } from './expiry-timers.ts'
import { expiringFrame } from '../transport/frames.ts'
import type { Health } from '../ingest/upstream-health.ts'
import type { StartFrom } from '../replay/start-position.ts'
import type { Transport } from '../transport/transport.ts'
import { prepareBatch } from '../transport/prepared-batch.ts'
import { createFilteredLogs } from './filtered-log.ts'
import { createSubscription, type Subscription, type SubscriptionContext } from './subscription.ts'
import { createRunQueue } from './run-queue.ts'
import { createTimingWheel } from './timing-wheel.ts'

export interface HubOptions extends Omit<SubscriptionContext, 'takeTurn' | 'onEnd'> {
  /** Pause between two looks at whether subscribers are still there, milliseconds. */
  readonly checkMs: number
  /** Age at which a stream is told to come back, milliseconds; 0: never. */
  readonly maxAgeMs: number
  /** The first subscriber after none has come. */
  readonly onSubscribersChanged: () => void
  readonly instruments: Pick<Instruments, 'delivered' | 'blocked' | 'unblocked' | 'streamBegan' | 'streamEnded'>
}

export interface StreamRequest {
  readonly filter: AuditFilter
  readonly start: StartFrom
  readonly verbose: boolean
  /** Milliseconds after which the stream ends with `timeout`; `undefined`: it goes on. */
  readonly timeoutMs: number | undefined
  /** When the listener's credential ends, milliseconds since 1970; `undefined`: not that anyone knows. */
  readonly expiresAtMs?: number | undefined
  /** Who pays for what Kubiya is asked for this listener's past. */
  readonly requester?: Requester | undefined
}

/** All live subscribers of a tenant. */
export interface Hub {
  /** Whether it takes no more streams. */
  isClosed (): boolean
  size (): number
  /** Begins a stream; to be dropped when its connection is gone. */
  subscribe (request: StreamRequest, transport: Transport): Pick<Subscription, 'disconnected' | 'end'>
  /** These have entered the log. */
  publish (entries: LogEntry[]): void
  /** A poll has ended. */
  onHealth (health: Health, changed: boolean): void
  /** Ends every stream at once. */
  endAll (ending: CloseReason): void
  /** Ends every stream, evenly over a time, and takes no new one; resolves when all are gone. */
  close (overMs: number): Promise<void>
}

const CLOSING_TICK_MS = 10

/** Fans batches out: an event is encoded once, a filter is judged once for all who share it. */
export function createHub (options: HubOptions): Hub {
  const { health } = options
  const turns = createRunQueue<Subscription>((subscription) => subscription.pump(), options.clock)
  const context: SubscriptionContext = { ...options, takeTurn: turns.add, onEnd }
  const filteredLogOf = createFilteredLogs({ ...options, mostBytes: options.batchBytes })
  const audiences = new Map<string, FilterGroup>()
  const verbose = new Set<Subscription>()
  const waiting = new Set<Subscription>()
  const timeouts = new Map<Subscription, () => void>()
  const wheels = [
    createTimingWheel<Subscription>(options.heartbeatMs, beat, options.clock),
    createTimingWheel<Subscription>(
      options.checkMs,
      (members) => members.forEach((subscription) => subscription.check()),
      options.clock
    ),
    ...options.maxAgeMs > 0
      ? [createTimingWheel<Subscription>(
          options.maxAgeMs,
          (members) => members.forEach((subscription) => subscription.end(CLOSE['max-age'])),
          options.clock
        )]
      : []
  ]
  const expiries = createExpiryTimers<Subscription>({
    clock: options.clock,
    warn: (members, atMs) =>
      members.forEach((subscription) => subscription.notify(prepareBatch([expiringFrame(atMs)]))),
    end: (members) => [...members].forEach((subscription) => subscription.end(CLOSE.unauthorized))
  })
  let size = 0
  let closed = false

  return { isClosed: () => closed, size: () => size, subscribe, publish, onHealth, endAll, close }

  function subscribe (
    { requester, expiresAtMs, filter, start, timeoutMs, verbose: isVerbose }: StreamRequest,
    transport: Transport
  ): Subscription {
    const key = filterKey(filter)
    const group = audiences.get(key) ?? createFilterGroup(filter, filteredLogOf)
    const subscription = createSubscription({ context, group, start, verbose: isVerbose, transport, requester })
    audiences.set(key, group)
    group.members.add(subscription)
    for (const wheel of wheels) wheel.add(subscription)
    if (isVerbose) verbose.add(subscription)
    if (timeoutMs !== undefined) {
      timeouts.set(
        subscription,
        options.clock.setTimer(() => subscription.end(CLOSE.timeout), timeoutMs)
      )
    }
    size++
    options.instruments.streamBegan(transport.kind)
    subscription.begin()
    if (subscription.isWaiting()) waiting.add(subscription)
    if (expiresAtMs !== undefined) expiries.add(subscription, expiresAtMs)
    if (size === 1) options.onSubscribersChanged()
    return subscription
  }

  function onEnd (subscription: Subscription, code: number): void {
    const { group } = subscription
    group.members.delete(subscription)
    if (group.members.size === 0) audiences.delete(group.key)
    for (const wheel of wheels) wheel.delete(subscription)
    verbose.delete(subscription)
    waiting.delete(subscription)
    timeouts.get(subscription)?.()
    timeouts.delete(subscription)
    expiries.delete(subscription)
    size--
    options.instruments.streamEnded(subscription.transport.kind, code)
  }

  /** What came is in the log; who is due for it is given it in turns, the first of them at once. */
  function publish (entries: LogEntry[]): void {
    if (entries.length === 0) return
    each((subscription) => subscription.wake())
    turns.run()
  }

  function onHealth (now: Health, changed: boolean): void {
    if (changed) each((subscription) => subscription.sendStatus())
    else verbose.forEach((subscription) => subscription.healthChanged(now))
    for (const subscription of waiting) {
      subscription.start()
      if (!subscription.isWaiting()) waiting.delete(subscription)
    }
    turns.run()
  }

  /** One state for all who are due, so that those at the same place get the same bytes. */
  function beat (members: ReadonlySet<Subscription>): void {
    const now = health()
    for (const subscription of members) subscription.heartbeat(now)
  }

  function endAll (ending: CloseReason): void {
    for (const subscription of [...audiences.values()].flatMap(({ members }) => [...members])) subscription.end(ending)
  }

  async function close (overMs: number): Promise<void> {
    closed = true
    for (const wheel of wheels) wheel.stop()
    expiries.stop()
    const all = [...audiences.values()].flatMap(({ members }) => [...members])
    const perTick = Math.max(1, Math.ceil(all.length * CLOSING_TICK_MS / Math.max(overMs, CLOSING_TICK_MS)))
    while (all.length > 0) {
      for (const subscription of all.splice(0, perTick)) subscription.end(CLOSE.shutdown)
      if (all.length > 0) await new Promise<void>((resolve) => { options.clock.setTimer(resolve, CLOSING_TICK_MS) })
    }
  }

  function each (action: (subscription: Subscription) => void): void {
    for (const { members } of audiences.values()) for (const subscription of members) action(subscription)
  }
}
