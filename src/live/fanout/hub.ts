import type { Requester } from '../../audit/requester.ts'
import { filterKey, type AuditFilter } from '../../audit/filter.ts'
import type { Instruments } from '../../instruments.ts'
import { CLOSE, type CloseReason } from '../transport/close-codes.ts'
import type { LogEntry } from '../log/event-log.ts'
import { createExpiryTimers } from './expiry-timers.ts'
import { expiringFrame } from '../transport/frames.ts'
import type { Health } from '../ingest/upstream-health.ts'
import type { StartFrom } from '../replay/start-position.ts'
import type { Transport } from '../transport/transport.ts'
import { prepareBatch } from '../transport/prepared-batch.ts'
import { createFilteredLogs, type FilterGroup } from './filtered-log.ts'
import type { ConsumerSources } from './consumer.ts'
import type { Clock } from '../../clock.ts'
import { createSubscription, type Subscription, type SubscriptionContext } from './subscription.ts'
import { createRunQueue } from './run-queue.ts'
import { createTimingWheel } from './timing-wheel.ts'

export interface HubOptions {
  readonly sources: ConsumerSources
  readonly health: () => Health
  readonly clock: Clock
  readonly heartbeatMs: number
  /** Time between two looks at whether subscribers are there and read. */
  readonly checkMs: number
  /** How long a subscriber may accept nothing while its backlog is not empty. */
  readonly stallMs: number
  /** Age at which a stream ends with `max-age`; 0: never. */
  readonly maxAgeMs: number
  /** Called when the first subscriber after none has come. */
  readonly onSubscribersChanged: () => void
  readonly instruments: Pick<Instruments, 'delivered' | 'blocked' | 'unblocked' | 'streamBegan' | 'streamEnded'>
}

/** The subscriptions with one filter. */
interface Channel {
  readonly group: FilterGroup
  readonly members: Set<Subscription>
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

/**
 * Notify, then pull. The hub only wakes subscriptions; it hands them no events and keeps no queue. Each subscription
 * reads the log from its own position, as fast as its connection accepts bytes. The subscriptions of one filter share
 * what they read: a batch is cut once for a filter and an offset, and encoded once for a wire format.
 */
export function createHub (options: HubOptions): Hub {
  const { clock, health, heartbeatMs, instruments, sources, stallMs } = options
  const runQueue = createRunQueue<Subscription>((subscription) => subscription.pump(), clock)
  const context: SubscriptionContext = {
    sources,
    health,
    heartbeatMs,
    stallMs,
    clock,
    instruments,
    takeTurn: runQueue.add,
    onEnd
  }
  const groupOf = createFilteredLogs(sources)
  const channels = new Map<string, Channel>()
  const verbose = new Set<Subscription>()
  const waiting = new Set<Subscription>()
  const timeouts = new Map<Subscription, () => void>()
  const wheels = [
    createTimingWheel<Subscription>(heartbeatMs, beat, clock),
    createTimingWheel<Subscription>(
      options.checkMs,
      (members) => members.forEach((subscription) => subscription.check()),
      clock
    ),
    ...options.maxAgeMs > 0
      ? [createTimingWheel<Subscription>(
          options.maxAgeMs,
          (members) => members.forEach((subscription) => subscription.end(CLOSE['max-age'])),
          clock
        )]
      : []
  ]
  const expiries = createExpiryTimers<Subscription>({
    clock,
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
    const { group, members } = channelOf(filter)
    const subscription = createSubscription({ context, group, start, verbose: isVerbose, transport, requester })
    members.add(subscription)
    for (const wheel of wheels) wheel.add(subscription)
    if (isVerbose) verbose.add(subscription)
    if (timeoutMs !== undefined) {
      timeouts.set(
        subscription,
        clock.setTimer(() => subscription.end(CLOSE.timeout), timeoutMs)
      )
    }
    size++
    instruments.streamBegan(transport.kind)
    subscription.begin()
    if (subscription.isWaiting()) waiting.add(subscription)
    if (expiresAtMs !== undefined) expiries.add(subscription, expiresAtMs)
    if (size === 1) options.onSubscribersChanged()
    return subscription
  }

  function channelOf (filter: AuditFilter): Channel {
    const key = filterKey(filter)
    const known = channels.get(key)
    if (known !== undefined) return known
    const members = new Set<Subscription>()
    const channel = { group: groupOf(filter, members), members }
    channels.set(key, channel)
    return channel
  }

  function onEnd (subscription: Subscription, code: number): void {
    const { key } = subscription.group
    const members = channels.get(key)?.members
    members?.delete(subscription)
    if (members?.size === 0) channels.delete(key)
    for (const wheel of wheels) wheel.delete(subscription)
    verbose.delete(subscription)
    waiting.delete(subscription)
    timeouts.get(subscription)?.()
    timeouts.delete(subscription)
    expiries.delete(subscription)
    size--
    instruments.streamEnded(subscription.transport.kind, code)
  }

  /** What came is in the log; who is due for it is given it in turns, the first of them at once. */
  function publish (entries: LogEntry[]): void {
    if (entries.length === 0) return
    each((subscription) => subscription.wake())
    runQueue.run()
  }

  function onHealth (now: Health, changed: boolean): void {
    if (changed) each((subscription) => subscription.sendStatus())
    else verbose.forEach((subscription) => subscription.healthChanged(now))
    for (const subscription of waiting) {
      subscription.start()
      if (!subscription.isWaiting()) waiting.delete(subscription)
    }
    runQueue.run()
  }

  /** One state for all who are due, so that those at the same place get the same bytes. */
  function beat (members: ReadonlySet<Subscription>): void {
    const now = health()
    for (const subscription of members) subscription.heartbeat(now)
  }

  function endAll (ending: CloseReason): void {
    for (const subscription of all()) subscription.end(ending)
  }

  async function close (overMs: number): Promise<void> {
    closed = true
    for (const wheel of wheels) wheel.stop()
    expiries.stop()
    const left = all()
    const perTick = Math.max(1, Math.ceil(left.length * CLOSING_TICK_MS / Math.max(overMs, CLOSING_TICK_MS)))
    while (left.length > 0) {
      for (const subscription of left.splice(0, perTick)) subscription.end(CLOSE.shutdown)
      if (left.length > 0) await new Promise<void>((resolve) => { clock.setTimer(resolve, CLOSING_TICK_MS) })
    }
  }

  function all (): Subscription[] {
    return [...channels.values()].flatMap(({ members }) => [...members])
  }

  function each (action: (subscription: Subscription) => void): void {
    for (const { members } of channels.values()) for (const subscription of members) action(subscription)
  }
}
