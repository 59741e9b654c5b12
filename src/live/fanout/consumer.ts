import type { Requester } from '../../audit/requester.ts'
import type { Gap } from '../../audit/log-batch.ts'
import type { LogCursor, StreamCursor } from '../../audit/cursor.ts'
import type { Instant } from '../../audit/instant.ts'
import { isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { FilterGroup } from './filter-group.ts'
import type { FrameCache } from './frame-cache.ts'
import type { EventLog } from '../log/event-log.ts'
import { gapFrame, type PreparedFrame } from '../transport/frames.ts'
import { createMatchBudget } from '../replay/match-budget.ts'
import {
  cursorOf,
  gapSince,
  planStart,
  type GapAhead,
  type StartPlan,
  type LogReplayPlan,
  type BackfillPlan,
  type StartFrom,
  type Waiting
} from '../replay/start-position.ts'
import { prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'
import type { Replay } from '../replay/replay.ts'
import { cursorOfReplay, nextOfReplay, attemptsAfter, type ReplayReader } from '../replay/replay-reader.ts'
import type { BackfillRequest } from '../replay/backfill-pool.ts'

/** Where events come from: the same for all consumers of a hub. */
export interface ConsumerSources {
  readonly log: EventLog
  readonly frameCache: FrameCache
  /** What the log keeps. */
  readonly logReplay: Replay
  /** The past from Kubiya. */
  readonly backfill: (request: BackfillRequest) => Replay
  /** Most events that one stream is given from Kubiya's past. */
  readonly replayLimit: number
  /** Nothing from before this instant will enter the log any more. */
  readonly lowWatermark: () => Instant
  /** Whether the log has been filled once. */
  readonly isFilled: () => boolean
  readonly latenessMs: number
  /** Most bytes that a subscriber is given at once, but for a single larger frame. */
  readonly batchBytes: number
}

export interface ConsumerOptions {
  readonly sources: ConsumerSources
  readonly group: Pick<FilterGroup, 'filter' | 'matches' | 'batchAt'>
  readonly start: StartFrom
  /** To be told that there may be something due. */
  readonly listener: { pump (): void }
  /** Who pays for what Kubiya is asked for this subscriber alone, or first. */
  readonly requester?: Requester | undefined
}

/** How one subscriber gets from where it begins to the live log, and along it. */
export interface Consumer {
  /** Takes its place; tells whether that is just where its cursor stood. */
  begin (): boolean
  /** Whether it has still to take it: the log was not filled yet. */
  isWaiting (): boolean
  /** Where the subscriber would resume. */
  position (): StreamCursor
  /**
   * What is due next, and counts as given from now on: no more bytes than there is `room` for, unless the subscriber is
   * idle, nothing being unsent. `full`: something is due, but larger than that; `later`: perhaps something is, but
   * others should have their turn first.
   */
  next (room: number, isIdle: boolean): PreparedBatch | 'full' | 'later' | undefined
  /** Tries again where the log was not filled yet. */
  retry (): void
  close (): void
}

/**
 * A live consumer is a position in the log. The whole cursor is kept: the log cannot tell the instant of an evicted
 * position.
 */
type State = Waiting | ReplayReader | LogCursor | GapAhead

const MOST_FRAMES = 256
const MOST_RETURNS = 3

export function createConsumer (options: ConsumerOptions): Consumer {
  return new SubscriberConsumer(options)
}

/**
 * A class, not a closure for each method: there is one for each of many thousand subscribers, and most of them are
 * idle.
 */
class SubscriberConsumer implements Consumer {
  private readonly sources: ConsumerSources
  private readonly group: ConsumerOptions['group']
  private readonly listener: ConsumerOptions['listener']
  private readonly requester: ConsumerOptions['requester']
  private state: State
  private returns = 0
  private furthest: SortKey | undefined // Where it came to in a replay.
  private isFurther = false // Than when it last came back.

  constructor ({ requester, group, listener, sources, start }: ConsumerOptions) {
    this.sources = sources
    this.group = group
    this.listener = listener
    this.requester = requester
    this.state = { kind: 'waiting', start }
  }

  begin (): boolean {
    if (this.state.kind !== 'waiting') return true
    const plan = this.plan(this.state.start)
    this.enter(plan)
    return plan.kind === 'log' || (plan.kind !== 'wait' && plan.isExact)
  }

  isWaiting (): boolean {
    return this.state.kind === 'waiting'
  }

  retry (): void {
    if (this.state.kind === 'waiting') this.enter(this.plan(this.state.start))
  }

  position (): StreamCursor {
    const { state } = this
    const head = this.sources.log.end()
    switch (state.kind) {
      case 'waiting': return cursorOf(state.start, head)
      case 'log': return state.offset === head.offset ? head : state
      case 'replaying': return cursorOfReplay(state)
      case 'missing': return state.stood
    }
  }

  next (room: number, isIdle: boolean): PreparedBatch | 'full' | 'later' | undefined {
    const { state } = this
    switch (state.kind) {
      case 'waiting': return undefined
      case 'log': return this.nextFromLog(state, room, isIdle)
      case 'replaying': return this.nextFromReplay(state, room, isIdle)
      case 'missing': return this.nextGap(state, room, isIdle)
    }
  }

  close (): void {
    if (this.state.kind === 'replaying') this.state.leave()
  }

  private nextFromLog (place: LogCursor, room: number, isIdle: boolean): PreparedBatch | 'full' | 'later' | undefined {
    const portion = this.group.batchAt(place.offset)
    if (portion === 'evicted') return this.reposition()
    if (portion === undefined) return undefined
    const { batch: prepared, end } = portion
    if (prepared !== undefined && prepared.bytes > room && !isIdle) return 'full'
    this.state = end
    this.isFurther = true
    return prepared ?? (end.offset === this.sources.log.end().offset ? undefined : 'later')
  }

  private nextFromReplay (
    replaying: ReplayReader,
    room: number,
    isIdle: boolean
  ): PreparedBatch | 'full' | 'later' | undefined {
    const { frameCache, lowWatermark, log, batchBytes, replayLimit: limit } = this.sources
    const context = { log, frameOf: frameCache.row, matches: this.group.matches, limit, lowWatermark }
    const frames: PreparedFrame[] = []
    let left = Math.min(room, batchBytes)
    const matchBudget = createMatchBudget()
    let turn = nextOfReplay(replaying, context, matchBudget)
    if (turn.kind === 'due' && turn.due.frame.payload.length > left && !isIdle) return 'full'
    // A frame larger than all the room goes out alone.
    while (
      turn.kind === 'due' && (turn.due.frame.payload.length <= left || frames.length === 0) &&
      frames.length < MOST_FRAMES
    ) {
      frames.push(turn.due.frame)
      turn.due.accept()
      left -= turn.due.frame.payload.length
      turn = nextOfReplay(replaying, context, matchBudget)
    }
    if (frames.length > 0) return prepareBatch(frames)
    switch (turn.kind) {
      case 'due':
        return 'later'
      case 'nothing':
        return replaying.at < replaying.replay.rows().length ? 'later' : undefined
      case 'again':
        return turn.isForgotten ? this.reposition() : this.continueAlone(replaying)
      case 'over':
        return turn.gap === undefined ? this.switchToLog(replaying) : this.reportGap(turn.gap, replaying.until)
    }
  }

  private nextGap ({ gap, until }: GapAhead, room: number, isIdle: boolean): PreparedBatch | 'full' {
    const prepared = prepareBatch([gapFrame(gap, until)])
    if (prepared.bytes > room && !isIdle) return 'full'
    this.state = until
    return prepared
  }

  private plan (from: StartFrom): StartPlan {
    return planStart(from, this.sources.log, this.sources.isFilled(), this.sources.latenessMs)
  }

  private enter (plan: StartPlan): void {
    const { logReplay, backfill } = this.sources
    switch (plan.kind) {
      case 'wait':
        return
      case 'log':
        this.state = plan.place
        return
      case 'log-replay':
        this.replay(plan, logReplay)
        return
      case 'backfill':
        this.replay(
          plan,
          backfill({
            ...plan,
            filter: this.group.filter,
            from: plan.after.instant,
            until: plan.until?.offset,
            kind: plan.isReturn ? 'shared' : 'own',
            requester: this.requester
          })
        )
    }
  }

  private replay (plan: LogReplayPlan | BackfillPlan, replay: Replay, attempts = 0, counted = 0): void {
    const until = plan.until ?? replay.place
    const leave = replay.follow(() => this.listener.pump())
    this.state = {
      kind: 'replaying',
      plan,
      replay,
      until,
      attempts,
      leave,
      version: replay.version(),
      at: 0,
      after: plan.after,
      counted
    }
  }

  private switchToLog ({ leave, until }: ReplayReader): 'later' {
    leave()
    this.state = until
    this.isFurther = true
    return 'later'
  }

  /** What was shared ended too early for this subscriber: it goes on with a replay of its own. */
  private continueAlone (replaying: ReplayReader): 'later' {
    const { after, counted, leave, plan, until } = replaying
    leave()
    const { countFrom, delivered } = plan.kind === 'backfill' ? plan : { countFrom: after.instant, delivered: [] }
    const own: BackfillPlan = { kind: 'backfill', isExact: false, isReturn: true, after, countFrom, delivered, until }
    const attempts = attemptsAfter(replaying)
    const { requester, group: { filter } } = this
    const replay = this.sources.backfill({
      ...own,
      filter,
      from: after.instant,
      startsHere: attempts > 1,
      until: until.offset,
      kind: 'own',
      requester
    })
    this.replay(own, replay, attempts, counted)
    return 'later'
  }

  /**
   * The log evicted its position while it was slow. It resumes as a client with its cursor would, as often as that
   * brings it forward. After three times in a row without progress it reports a gap.
   */
  private reposition (): 'later' {
    const stood = this.position()
    this.close()
    if (this.hasMovedTo(stood)) this.returns = 0
    this.isFurther = false
    if (++this.returns <= MOST_RETURNS) {
      this.state = { kind: 'waiting', start: { since: stood } }
      this.retry()
      return 'later'
    }
    this.returns = 0
    const { latenessMs, log } = this.sources
    const { gap, until } = gapSince(stood, log, latenessMs)
    return this.reportGap(gap, until)
  }

  private hasMovedTo (stood: StreamCursor): boolean {
    if (stood.kind === 'log') return this.isFurther
    const isBeyondAll = this.furthest === undefined || isAfter(stood.after, this.furthest, 'asc')
    if (isBeyondAll) this.furthest = stood.after
    return isBeyondAll || this.isFurther
  }

  private reportGap (gap: Gap, until: LogCursor): 'later' {
    const stood = this.position()
    this.close()
    this.state = { kind: 'missing', gap, until, stood }
    return 'later'
  }
}
