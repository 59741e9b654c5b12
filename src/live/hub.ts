import type { Asker } from '../audit/asker.ts'
import { filterKey, type AuditFilter } from '../audit/filter.ts'
import type { Meters } from '../meters.ts'
import { createAudience, type Audience } from './audience.ts'
import { ENDINGS, type Ending } from './endings.ts'
import type { LogEntry } from './event-log.ts'
import { createExpiries } from './expiries.ts'
import { expiringFrame } from './frames.ts'
import type { Health } from './health.ts'
import type { Start } from './opening.ts'
import type { Outlet } from './outlet.ts'
import { parcelOf } from './parcel.ts'
import { createPortions } from './portions.ts'
import { createSubscription, type Subscription, type SubscriptionContext } from './subscription.ts'
import { createTurns } from './turns.ts'
import { createWheel } from './wheel.ts'

export interface HubOptions extends Omit<SubscriptionContext, 'takeTurn' | 'onEnd'> {
  /** Pause between two looks at whether listeners are still there, milliseconds. */
  readonly checkMs: number
  /** Age at which a stream is told to come back, milliseconds; 0: never. */
  readonly maxAgeMs: number
  /** Milliseconds since 1970, for credentials that end. */
  readonly clock: () => number
  readonly setTimer: (callback: () => void, waitMs: number) => () => void
  /** The first subscriber after none has come. */
  readonly onAudience: () => void
  readonly meters: Pick<Meters, 'delivered' | 'blocked' | 'unblocked' | 'streamBegan' | 'streamEnded'>
}

export interface StreamRequest {
  readonly filter: AuditFilter
  readonly start: Start
  readonly verbose: boolean
  /** Milliseconds after which the stream ends with `timeout`; `undefined`: it goes on. */
  readonly timeoutMs: number | undefined
  /** When the listener's credential ends, milliseconds since 1970; `undefined`: not that anyone knows. */
  readonly expiresAtMs?: number | undefined
  /** Who pays for what Kubiya is asked for this listener's past. */
  readonly asker?: Asker | undefined
}

/** All live subscribers of a scope. */
export interface Hub {
  /** Whether it takes no more streams. */
  isClosed (): boolean
  size (): number
  /** Begins a stream; to be dropped when its connection is gone. */
  subscribe (request: StreamRequest, outlet: Outlet): Pick<Subscription, 'drop' | 'end'>
  /** These have entered the log. */
  publish (entries: LogEntry[]): void
  /** A poll has ended. */
  tell (health: Health, changed: boolean): void
  /** Ends every stream at once. */
  endAll (ending: Ending): void
  /** Ends every stream, evenly over a time, and takes no new one; resolves when all are gone. */
  close (overMs: number): Promise<void>
}

const CLOSING_TICK_MS = 10

/** Fans batches out: an event is encoded once, a filter is judged once for all who share it. */
export function createHub (options: HubOptions): Hub {
  const { health } = options
  const turns = createTurns<Subscription>((subscription) => subscription.pump())
  const context: SubscriptionContext = { ...options, takeTurn: turns.add, onEnd }
  const portionsOf = createPortions({ ...options, mostBytes: options.portionBytes })
  const audiences = new Map<string, Audience>()
  const verbose = new Set<Subscription>()
  const waiting = new Set<Subscription>()
  const timeouts = new Map<Subscription, NodeJS.Timeout>()
  const wheels = [
    createWheel<Subscription>(options.heartbeatMs, beat),
    createWheel<Subscription>(options.checkMs, (members) => members.forEach((subscription) => subscription.check())),
    ...options.maxAgeMs > 0 ? [createWheel<Subscription>(options.maxAgeMs, (members) => members.forEach((subscription) => subscription.end(ENDINGS['max-age'])))] : []
  ]
  const expiries = createExpiries<Subscription>({
    clock: options.clock,
    setTimer: options.setTimer,
    warn: (members, atMs) => members.forEach((subscription) => subscription.notify(parcelOf([expiringFrame(atMs)]))),
    end: (members) => [...members].forEach((subscription) => subscription.end(ENDINGS.unauthorized))
  })
  let size = 0
  let closed = false

  return { isClosed: () => closed, size: () => size, subscribe, publish, tell, endAll, close }

  function subscribe ({ asker, expiresAtMs, filter, start, timeoutMs, verbose: isVerbose }: StreamRequest, outlet: Outlet): Subscription {
    const key = filterKey(filter)
    const audience = audiences.get(key) ?? createAudience(filter, portionsOf)
    const subscription = createSubscription({ context, audience, start, verbose: isVerbose, outlet, asker })
    audiences.set(key, audience)
    audience.members.add(subscription)
    for (const wheel of wheels) wheel.add(subscription)
    if (isVerbose) verbose.add(subscription)
    if (timeoutMs !== undefined) timeouts.set(subscription, setTimeout(() => subscription.end(ENDINGS.timeout), timeoutMs))
    size++
    options.meters.streamBegan(outlet.kind)
    subscription.begin()
    if (subscription.isWaiting()) waiting.add(subscription)
    if (expiresAtMs !== undefined) expiries.add(subscription, expiresAtMs)
    if (size === 1) options.onAudience()
    return subscription
  }

  function onEnd (subscription: Subscription, code: number): void {
    const { audience } = subscription
    audience.members.delete(subscription)
    if (audience.members.size === 0) audiences.delete(audience.key)
    for (const wheel of wheels) wheel.delete(subscription)
    verbose.delete(subscription)
    waiting.delete(subscription)
    clearTimeout(timeouts.get(subscription))
    timeouts.delete(subscription)
    expiries.delete(subscription)
    size--
    options.meters.streamEnded(subscription.outlet.kind, code)
  }

  /** What came is in the log; who is due for it is given it in turns, the first of them at once. */
  function publish (entries: LogEntry[]): void {
    if (entries.length === 0) return
    each((subscription) => subscription.wake())
    turns.run()
  }

  function tell (now: Health, changed: boolean): void {
    if (changed) each((subscription) => subscription.tell())
    else verbose.forEach((subscription) => subscription.report(now))
    for (const subscription of waiting) {
      subscription.retry()
      if (!subscription.isWaiting()) waiting.delete(subscription)
    }
    turns.run()
  }

  /** One state for all who are due, so that those at the same place get the same bytes. */
  function beat (members: ReadonlySet<Subscription>): void {
    const now = health()
    for (const subscription of members) subscription.beat(now)
  }

  function endAll (ending: Ending): void {
    for (const subscription of [...audiences.values()].flatMap(({ members }) => [...members])) subscription.end(ending)
  }

  async function close (overMs: number): Promise<void> {
    closed = true
    for (const wheel of wheels) wheel.stop()
    expiries.stop()
    const all = [...audiences.values()].flatMap(({ members }) => [...members])
    const perTick = Math.max(1, Math.ceil(all.length * CLOSING_TICK_MS / Math.max(overMs, CLOSING_TICK_MS)))
    while (all.length > 0) {
      for (const subscription of all.splice(0, perTick)) subscription.end(ENDINGS.shutdown)
      if (all.length > 0) await new Promise((resolve) => { setTimeout(resolve, CLOSING_TICK_MS) })
    }
  }

  function each (action: (subscription: Subscription) => void): void {
    for (const { members } of audiences.values()) for (const subscription of members) action(subscription)
  }
}
