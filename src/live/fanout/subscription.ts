import type { Clock } from '../../clock.ts'
import type { Requester } from '../../audit/requester.ts'
import type { Instruments } from '../../instruments.ts'
import type { FilterGroup } from './filtered-log.ts'
import { createConsumer, type Consumer, type ConsumerSources } from './consumer.ts'
import { ABNORMAL_CLOSURE, CLOSE, type CloseReason } from '../transport/close-codes.ts'
import { endFrame, helloFrame } from '../transport/frames.ts'
import type { Health } from '../ingest/upstream-health.ts'
import { FULL, type Pause } from '../replay/stage.ts'
import type { StartFrom } from '../replay/start-position.ts'
import type { Transport } from '../transport/transport.ts'
import { prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'

/** What all subscriptions of a hub have in common. */
export interface SubscriptionContext {
  readonly sources: ConsumerSources
  readonly health: () => Health
  readonly heartbeatMs: number
  /** How long a subscriber may accept nothing while its backlog is not empty. */
  readonly stallMs: number
  readonly clock: Clock
  readonly instruments: Pick<Instruments, 'delivered' | 'blocked' | 'unblocked'>
  /** Has the subscription pumped soon, in turn with others. */
  readonly takeTurn: (subscription: Subscription) => void
  /** Called once when the stream has ended, with the close code, or with what it would be. */
  readonly onEnd: (subscription: Subscription, code: number) => void
}

export interface SubscriptionOptions {
  readonly context: SubscriptionContext
  readonly group: FilterGroup
  readonly start: StartFrom
  readonly verbose: boolean
  readonly transport: Transport
  readonly requester?: Requester | undefined
}

/**
 * One subscriber: its position, and what its connection can take. No queue: what it has not been given is in the log.
 */
export interface Subscription {
  readonly group: FilterGroup
  readonly transport: Transport
  /**
   * Takes its position and says hello, in one synchronous step, so that no event slips between. Then it takes turns.
   */
  begin (): void
  /** Whether it has still to take its place: the log was not filled yet. */
  isWaiting (): boolean
  /** Asks for a turn to give what is due. */
  wake (): void
  /** Gives what is due until the backlog is full. */
  pump (): void
  /** The upstream's state has changed. */
  sendStatus (): void
  /** A poll has ended, for those who want to know of each. */
  healthChanged (health: Health): void
  heartbeat (health: Health): void
  /** The log is filled: takes its place. */
  start (): void
  /** Ends the stream of a subscriber that takes nothing or gives no sign of life. Called every few seconds. */
  check (): void
  /** Says so, whatever is unsent: it is small and cannot wait. */
  notify (prepared: PreparedBatch): void
  end (ending: CloseReason): void
  /** The connection has closed, with this close code if the client sent one. */
  disconnected (code?: number): void
}

/** A stream that has not begun: `begin` is to be called once, in the same turn. */
export function createSubscription (options: SubscriptionOptions): Subscription {
  return new ListenersSubscription(options)
}

const MOST_BATCHES = 4
const NOTHING_UNSENT = -1

/** A class, not a closure for each method: there are many thousands, and most of them are idle. */
class ListenersSubscription implements Subscription {
  readonly group: FilterGroup
  readonly transport: Transport
  private readonly context: SubscriptionContext
  private readonly consumer: Consumer
  private isOver = false
  private isStatusDue: boolean
  private isScheduled = false
  private isBlocked = false
  private taken = NOTHING_UNSENT // Bytes, when it was last looked at while something was unsent.
  private stalledMs = 0 // Since when there has been no more.

  constructor ({ requester, group, context, transport, start, verbose }: SubscriptionOptions) {
    this.group = group
    this.context = context
    this.transport = transport
    this.isStatusDue = verbose
    this.consumer = createConsumer({ sources: context.sources, group, start, listener: this, requester })
  }

  begin (): void {
    const isExact = this.consumer.begin()
    this.transport.send(prepareBatch([helloFrame(this.consumer.position(), isExact, this.context.heartbeatMs)]))
    this.isStatusDue ||= this.context.health().upstream !== 'ok'
    this.wake()
  }

  isWaiting (): boolean {
    return !this.isOver && this.consumer.isWaiting()
  }

  wake (): void {
    if (this.isOver || this.isScheduled) return
    this.isScheduled = true
    this.context.takeTurn(this)
  }

  /** A few batches at a time, so that thousands who catch up at once hold nobody up. */
  pump (): void {
    this.isScheduled = false
    if (this.isOver || this.isBlocked) return
    for (let batches = 0; batches < MOST_BATCHES; batches++) {
      const due = this.next(this.transport.backlogBytes() === 0 ? Infinity : this.transport.writableBytes())
      if (due.kind === 'wait') return
      if (due.kind === 'full') return this.block()
      if (due.kind === 'yield') break
      this.transport.send(due)
      this.context.instruments.delivered(this.transport.kind, due)
    }
    this.wake()
  }

  private next (room: number): PreparedBatch | Pause {
    if (!this.isStatusDue) return this.consumer.next(room)
    const { health, sources: { frameCache } } = this.context
    const status = frameCache.status(health())
    if (status.bytes > room) return FULL
    this.isStatusDue = false
    return status
  }

  private block (): void {
    this.isBlocked = true
    this.context.instruments.blocked()
    // In turn with others: one event of the loop may report that the bytes of many sockets have gone.
    this.transport.onFlushed(() => {
      this.unblock()
      this.wake()
    })
  }

  private unblock (): void {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.context.instruments.unblocked()
  }

  sendStatus (): void {
    this.isStatusDue = true
    this.wake()
  }

  healthChanged (health: Health): void {
    if (!this.isStatusDue) this.sendIfRoom(this.context.sources.frameCache.status(health))
  }

  heartbeat (health: Health): void {
    this.sendIfRoom(this.context.sources.frameCache.heartbeat(this.consumer.position(), health))
  }

  private sendIfRoom (prepared: PreparedBatch): void {
    if (!this.isOver && prepared.bytes <= this.transport.writableBytes()) this.transport.send(prepared)
  }

  start (): void {
    this.consumer.retry()
    this.wake()
  }

  check (): void {
    if (this.isOver) return
    if (this.isStalled() || !this.transport.keepAlive()) this.end(CLOSE.slow)
  }

  private isStalled (): boolean {
    const taken = this.transport.backlogBytes() === 0 ? NOTHING_UNSENT : this.transport.flushedBytes()
    if (taken !== this.taken) this.stalledMs = Math.round(this.context.clock.monotonicMs())
    this.taken = taken
    return taken !== NOTHING_UNSENT && this.context.clock.monotonicMs() - this.stalledMs >= this.context.stallMs
  }

  notify (prepared: PreparedBatch): void {
    if (!this.isOver) this.transport.send(prepared)
  }

  end (ending: CloseReason): void {
    if (this.isOver) return
    this.transport.send(prepareBatch([endFrame(this.consumer.position(), ending)]))
    this.disconnected(ending.closeCode)
    this.transport.end(ending)
  }

  disconnected (code = ABNORMAL_CLOSURE): void {
    if (this.isOver) return
    this.isOver = true
    this.unblock()
    this.consumer.close()
    this.context.onEnd(this, code)
  }
}
