import type { Cursor } from '../audit/cursor.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { Instant } from '../audit/instant.ts'
import type { JsonObject } from '../audit/json.ts'
import { ENDINGS, type Ending } from './endings.ts'
import type { EventLog } from './event-log.ts'
import { endFrame, eventFrame, heartbeatFrame, helloFrame, statusFrame, type PreparedFrame } from './frames.ts'
import type { Health } from './health.ts'
import { cursorOf, openingOf, type Opening, type ReplayOpening, type Start } from './opening.ts'
import type { Outlet } from './outlet.ts'
import { isDue, replaying, type Following, type Progress, type Replaying } from './progress.ts'
import type { Replay } from './replay.ts'

export interface SubscriptionOptions {
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  readonly start: Start
  readonly verbose: boolean
  readonly outlet: Outlet
  readonly log: EventLog
  readonly replay: (filter: AuditFilter, from: Instant) => Replay
  readonly latenessMs: number
  readonly heartbeatMs: number
  readonly health: () => Health
  /** Called once when the stream is over, whoever ended it. */
  readonly onEnd: () => void
}

/** One listener: what it wants, how far it has come, and where its frames go. No queue: what it has not been given is in the log. */
export interface Subscription {
  /** Says hello, takes its place in the log and gives what is due; all in one synchronous step, so that no event slips between. */
  begin (): void
  /** Entries `[first, next)` of the log have come; `frames` are those that match. */
  take (first: number, next: number, frames: readonly PreparedFrame[]): void
  /** A poll has ended. */
  tell (health: Health, changed: boolean): void
  beat (health: Health): void
  end (ending: Ending): void
  /** The connection is gone. */
  drop (): void
}

const AT_ONCE = 64
const NONE: ReadonlySet<string> = new Set()

/** A stream that has not begun: `begin` is to be called once, in the same turn. */
export function createSubscription (options: SubscriptionOptions): Subscription {
  const { filter, health, latenessMs, log, matches, outlet, start } = options
  let state: Progress = { kind: 'waiting', isReplaying: false }
  let cursor: Cursor = cursorOf(start, log.head())

  outlet.onDrain(pump)
  return { begin, take, tell, beat, end, drop }

  function begin (): void {
    const opening = plan()
    const isExact = opening.kind === 'log' && opening.exact
    if (opening.kind === 'log') cursor = log.cursorAt(opening.offset)
    outlet.send([helloFrame(cursor, isExact, options.heartbeatMs)])
    const now = health()
    if (options.verbose || now.upstream !== 'ok') outlet.send([statusFrame(now)])
    enter(opening)
  }

  function plan (): Opening {
    return openingOf(start, log, health().sweeps > 0, latenessMs)
  }

  function enter (opening: Opening): void {
    if (opening.kind === 'replay') return enterReplay(opening)
    if (opening.kind === 'wait') return
    const { from, offset } = opening
    state = { kind: 'following', offset, until: log.head().offset, from, given: NONE, after: undefined, forgetAt: 0 }
    pump()
  }

  function enterReplay (opening: ReplayOpening): void {
    const replay = options.replay(filter, opening.from)
    state = { kind: 'waiting', isReplaying: true }
    replay.outcome.then((outcome) => {
      if (state.kind !== 'waiting') return
      // After a failure the next good poll tries again.
      state = outcome.ok ? replaying(opening, replay.place, outcome, health().sweeps) : { kind: 'waiting', isReplaying: false }
      pump()
    })
  }

  /** Gives what is due until the outlet is full; called again once it has drained. */
  function pump (): void {
    while (!outlet.isFull()) {
      if (state.kind === 'replaying') stepReplay(state)
      else if (state.kind !== 'following' || !stepLog(state)) return
    }
  }

  function stepReplay (current: Replaying): void {
    const { closing, place: log, rows, then } = current
    const chunk = rows.slice(current.at, current.at + AT_ONCE)
    current.at += chunk.length
    outlet.send(chunk.map(({ event, place }) => {
      cursor = { kind: 'replay', log, after: place }
      return eventFrame({ event, late: false }, cursor)
    }))
    if (current.at < rows.length) return
    outlet.send(closing)
    state = then
    cursor = cursorWhile(then)
  }

  /** Looks at the next entries of the log; tells whether there were any. */
  function stepLog (following: Following): boolean {
    const entries = log.read(following.offset, AT_ONCE)
    if (entries === undefined) {
      end(ENDINGS.slow) // Its place was evicted: it comes back with the cursor and is given a replay.
      return false
    }
    if (entries.length === 0) return false
    const frames = entries.filter((entry) => isDue(following, entry) && matches(entry.event.item)).map((entry) => eventFrame(entry, cursorAt(following, entry.offset + 1)))
    advance(following, following.offset + entries.length)
    outlet.send(frames)
    return true
  }

  function take (first: number, next: number, frames: readonly PreparedFrame[]): void {
    if (state.kind !== 'following' || outlet.isFull()) return // It goes on from the log once it has drained.
    if (state.offset !== first || state.given.size > 0) return pump()
    advance(state, next)
    if (frames.length > 0) outlet.send(frames)
  }

  function advance (following: Following, offset: number): void {
    following.offset = offset
    cursor = cursorWhile(following)
  }

  function cursorWhile (following: Following): Cursor {
    return cursorAt(following, following.offset)
  }

  function cursorAt ({ after, given }: Following, offset: number): Cursor {
    const place = log.cursorAt(offset)
    return after !== undefined && given.size > 0 ? { kind: 'replay', log: place, after } : place
  }

  function tell (now: Health, changed: boolean): void {
    if (state.kind === 'ended') return
    if ((changed || options.verbose) && !outlet.isFull()) outlet.send([statusFrame(now)])
    if (state.kind === 'waiting' && !state.isReplaying && now.upstream === 'ok') enter(plan())
    if (state.kind === 'following' && state.given.size > 0 && now.sweeps >= state.forgetAt && state.offset === log.head().offset) {
      state.given = NONE
      cursor = cursorWhile(state)
    }
  }

  function beat (now: Health): void {
    if (state.kind !== 'ended' && !outlet.isFull()) outlet.send([heartbeatFrame(cursor, now)])
  }

  function end (ending: Ending): void {
    if (state.kind === 'ended') return
    outlet.send([endFrame(cursor, ending)])
    outlet.end(ending)
    drop()
  }

  function drop (): void {
    if (state.kind === 'ended') return
    state = { kind: 'ended' }
    options.onEnd()
  }
}
