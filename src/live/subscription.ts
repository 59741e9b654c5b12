import type { AuditFilter } from '../audit/filter.ts'
import type { JsonObject } from '../audit/json.ts'
import { createCourse, type Springs } from './course.ts'
import type { Due } from './due.ts'
import { ENDINGS, type Ending } from './endings.ts'
import { endFrame, heartbeatFrame, helloFrame, statusFrame, type PreparedFrame } from './frames.ts'
import type { Health } from './health.ts'
import type { Start } from './opening.ts'
import type { Outlet } from './outlet.ts'

/** What all subscriptions of a hub have in common. */
export interface SubscriptionContext extends Springs {
  readonly health: () => Health
  readonly heartbeatMs: number
  /** How long a listener may take nothing of what is unsent. */
  readonly stallMs: number
  /** Monotonic clock, milliseconds. */
  readonly nowMs: () => number
  /** Runs a task soon, in turns with others. */
  readonly takeTurn: (task: () => void) => void
}

export interface SubscriptionOptions {
  readonly context: SubscriptionContext
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  readonly start: Start
  readonly verbose: boolean
  readonly outlet: Outlet
  /** Called once when the stream is over, whoever ended it. */
  readonly onEnd: () => void
}

/** One listener: its course, and what its connection can take. No queue: what it has not been given is in the log. */
export interface Subscription {
  /** Says hello, takes its place in the log and gives what is due; all in one synchronous step, so that no event slips between. */
  begin (): void
  /** Entries `[first, next)` of the log have come; `frames` are those that match, `bytes` in all. */
  take (first: number, next: number, frames: readonly PreparedFrame[], bytes: number): void
  /** A poll has ended. */
  tell (health: Health, changed: boolean): void
  beat (health: Health): void
  /** Ends the stream of a listener that takes nothing or gives no sign of life. Called every few seconds. */
  check (): void
  end (ending: Ending): void
  /** The connection is gone. */
  drop (): void
}

const MOST_FRAMES = 256

/** A stream that has not begun: `begin` is to be called once, in the same turn. */
export function createSubscription (options: SubscriptionOptions): Subscription {
  const { context, outlet } = options
  const { health, nowMs } = context
  const course = createCourse({ ...options, springs: context, onMore: pump })
  let isOver = false
  let isStatusDue = false
  let isScheduled = false
  let progressedMs = nowMs()

  outlet.onProgress(() => {
    progressedMs = nowMs()
    pump()
  })
  return { begin, take, tell, beat, check, end, drop }

  function begin (): void {
    const isExact = course.begin()
    send([helloFrame(course.place(), isExact, context.heartbeatMs)])
    isStatusDue = options.verbose || health().upstream !== 'ok'
    pump()
  }

  /** Gives what is due until the backlog is full; in portions, so that thousands who catch up at once hold nobody up. */
  function pump (): void {
    if (isOver || isScheduled) return
    const frames: PreparedFrame[] = []
    let room = outlet.room()
    let due = next()
    // A frame larger than all the room goes out alone.
    while (due !== undefined && due !== 'later' && (due.frame.bytes <= room || (frames.length === 0 && outlet.unsent() === 0))) {
      frames.push(due.frame)
      due.accept()
      room -= due.frame.bytes
      due = frames.length < MOST_FRAMES ? next() : 'later'
    }
    send(frames)
    if (due === 'later') schedule()
  }

  function next (): Due | undefined | 'later' {
    return isStatusDue ? { frame: statusFrame(health()), accept: () => { isStatusDue = false } } : course.next()
  }

  function schedule (): void {
    isScheduled = true
    context.takeTurn(() => {
      isScheduled = false
      pump()
    })
  }

  function send (frames: readonly PreparedFrame[]): void {
    if (frames.length === 0) return
    if (outlet.unsent() === 0) progressedMs = nowMs() // A stall is counted from the first byte that waits.
    outlet.send(frames)
  }

  function take (first: number, next: number, frames: readonly PreparedFrame[], bytes: number): void {
    if (isOver) return
    if (!isScheduled && !isStatusDue && bytes <= outlet.room() && course.moves(first, next)) send(frames)
    else pump()
  }

  function tell (now: Health, changed: boolean): void {
    if (isOver) return
    if (changed) isStatusDue = true
    else if (options.verbose) sendIfRoom(statusFrame(now))
    course.retry()
    pump()
  }

  function beat (now: Health): void {
    if (!isOver) sendIfRoom(heartbeatFrame(course.place(), now))
  }

  function sendIfRoom (frame: PreparedFrame): void {
    if (frame.bytes <= outlet.room()) send([frame])
  }

  function check (): void {
    if (isOver) return
    const isStalled = outlet.unsent() > 0 && nowMs() - progressedMs >= context.stallMs
    if (isStalled || !outlet.keepAlive()) end(ENDINGS.slow)
  }

  function end (ending: Ending): void {
    if (isOver) return
    outlet.send([endFrame(course.place(), ending)])
    drop()
    outlet.end(ending)
  }

  function drop (): void {
    if (isOver) return
    isOver = true
    course.leave()
    options.onEnd()
  }
}
