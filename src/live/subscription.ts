import type { Asker } from '../audit/asker.ts'
import type { Meters } from '../meters.ts'
import type { Audience } from './audience.ts'
import { createCourse, type Course, type Springs } from './course.ts'
import { ENDINGS, type Ending } from './endings.ts'
import { endFrame, helloFrame } from './frames.ts'
import type { Health } from './health.ts'
import type { Start } from './opening.ts'
import type { Outlet } from './outlet.ts'
import { parcelOf, type Parcel } from './parcel.ts'

/** What all subscriptions of a hub have in common. */
export interface SubscriptionContext extends Springs {
  readonly health: () => Health
  readonly heartbeatMs: number
  /** How long a listener may take nothing of what is unsent. */
  readonly stallMs: number
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** Lets it give what is due soon, in turns with others. */
  readonly takeTurn: (subscription: Subscription) => void
  /** It is over, whoever ended it. Called once, with the close code, or what it would be. */
  readonly onEnd: (subscription: Subscription, code: number) => void
  readonly meters: Pick<Meters, 'delivered' | 'blocked' | 'unblocked'>
}

export interface SubscriptionOptions {
  readonly context: SubscriptionContext
  readonly audience: Audience
  readonly start: Start
  readonly verbose: boolean
  readonly outlet: Outlet
  readonly asker?: Asker | undefined
}

/** One listener: its course, and what its connection can take. No queue: what it has not been given is in the log. */
export interface Subscription {
  readonly audience: Audience
  readonly outlet: Outlet
  /** Says hello, takes its place in the log and gives what is due; all in one synchronous step, so that no event slips between. */
  begin (): void
  /** Whether it has still to take its place: the log was not filled yet. */
  isWaiting (): boolean
  /** Asks for a turn to give what is due. */
  wake (): void
  /** Gives what is due until the backlog is full. */
  pump (): void
  /** The upstream's state has changed. */
  tell (): void
  /** A poll has ended, for those who want to know of each. */
  report (health: Health): void
  beat (health: Health): void
  /** The log is filled: takes its place. */
  retry (): void
  /** Ends the stream of a listener that takes nothing or gives no sign of life. Called every few seconds. */
  check (): void
  /** Says so, whatever is unsent: it is small and cannot wait. */
  notify (parcel: Parcel): void
  end (ending: Ending): void
  /** The connection is gone, with this close code where it has any. */
  drop (code?: number): void
}

/** A stream that has not begun: `begin` is to be called once, in the same turn. */
export function createSubscription (options: SubscriptionOptions): Subscription {
  return new ListenersSubscription(options)
}

const MOST_PARCELS = 4
const NOTHING_UNSENT = -1
const LEFT_WITHOUT_A_WORD = 1006

/** A class, not a closure for each method: there are many thousands, and most of them are idle. */
class ListenersSubscription implements Subscription {
  readonly audience: Audience
  readonly outlet: Outlet
  private readonly context: SubscriptionContext
  private readonly course: Course
  private isOver = false
  private isStatusDue: boolean
  private isScheduled = false
  private isBlocked = false
  private taken = NOTHING_UNSENT // Bytes, when it was last looked at while something was unsent.
  private stalledMs = 0 // Since when there has been no more.

  constructor ({ asker, audience, context, outlet, start, verbose }: SubscriptionOptions) {
    this.audience = audience
    this.context = context
    this.outlet = outlet
    this.isStatusDue = verbose
    this.course = createCourse({ springs: context, audience, start, listener: this, asker })
  }

  begin (): void {
    const isExact = this.course.begin()
    this.outlet.send(parcelOf([helloFrame(this.course.place(), isExact, this.context.heartbeatMs)]))
    this.isStatusDue ||= this.context.health().upstream !== 'ok'
    this.pump()
  }

  isWaiting (): boolean {
    return !this.isOver && this.course.isWaiting()
  }

  wake (): void {
    if (this.isOver || this.isScheduled) return
    this.isScheduled = true
    this.context.takeTurn(this)
  }

  /** A few parcels at a time, so that thousands who catch up at once hold nobody up. */
  pump (): void {
    this.isScheduled = false
    if (this.isOver || this.isBlocked) return
    for (let parcels = 0; parcels < MOST_PARCELS; parcels++) {
      const due = this.next(this.outlet.room(), this.outlet.unsent() === 0)
      if (due === undefined) return
      if (due === 'full') return this.block()
      if (due === 'later') break
      this.outlet.send(due)
      this.context.meters.delivered(this.outlet.kind, due)
    }
    this.wake()
  }

  private next (room: number, isIdle: boolean): Parcel | 'full' | 'later' | undefined {
    if (!this.isStatusDue) return this.course.take(room, isIdle)
    const { encoder, health } = this.context
    const parcel = encoder.status(health())
    if (parcel.bytes > room && !isIdle) return 'full'
    this.isStatusDue = false
    return parcel
  }

  private block (): void {
    this.isBlocked = true
    this.context.meters.blocked()
    this.outlet.afterwards(() => {
      this.unblock()
      this.pump()
    })
  }

  private unblock (): void {
    if (!this.isBlocked) return
    this.isBlocked = false
    this.context.meters.unblocked()
  }

  tell (): void {
    this.isStatusDue = true
    this.wake()
  }

  report (health: Health): void {
    if (!this.isStatusDue) this.sendIfRoom(this.context.encoder.status(health))
  }

  beat (health: Health): void {
    this.sendIfRoom(this.context.encoder.heartbeat(this.course.place(), health))
  }

  private sendIfRoom (parcel: Parcel): void {
    if (!this.isOver && parcel.bytes <= this.outlet.room()) this.outlet.send(parcel)
  }

  retry (): void {
    this.course.retry()
    this.wake()
  }

  check (): void {
    if (this.isOver) return
    if (this.isStalled() || !this.outlet.keepAlive()) this.end(ENDINGS.slow)
  }

  private isStalled (): boolean {
    const taken = this.outlet.unsent() === 0 ? NOTHING_UNSENT : this.outlet.taken()
    if (taken !== this.taken) this.stalledMs = Math.round(this.context.nowMs())
    this.taken = taken
    return taken !== NOTHING_UNSENT && this.context.nowMs() - this.stalledMs >= this.context.stallMs
  }

  notify (parcel: Parcel): void {
    if (!this.isOver) this.outlet.send(parcel)
  }

  end (ending: Ending): void {
    if (this.isOver) return
    this.outlet.send(parcelOf([endFrame(this.course.place(), ending)]))
    this.drop(ending.closeCode)
    this.outlet.end(ending)
  }

  drop (code = LEFT_WITHOUT_A_WORD): void {
    if (this.isOver) return
    this.isOver = true
    this.unblock()
    this.course.leave()
    this.context.onEnd(this, code)
  }
}
