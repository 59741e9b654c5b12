import type { Asker } from '../audit/asker.ts'
import type { Gap } from '../audit/batch.ts'
import type { LogCursor, StreamCursor } from '../audit/cursor.ts'
import type { Instant } from '../audit/instant.ts'
import { isBeyond, type Place } from '../audit/place.ts'
import type { Audience } from './audience.ts'
import type { Encoder } from './encoding.ts'
import type { EventLog } from './event-log.ts'
import { gapFrame, type PreparedFrame } from './frames.ts'
import { createJudging } from './judging.ts'
import { cursorOf, missedSince, openingOf, type Missing, type Opening, type RecallOpening, type RereadOpening, type Start, type Waiting } from './opening.ts'
import { parcelOf, type Parcel } from './parcel.ts'
import type { Replay } from './replay.ts'
import { cursorWithin, nextOfReplay, roundsAfter, type Replaying } from './replaying.ts'
import type { RereadRequest } from './rereads.ts'

/** Where events come from: the same for all courses of a hub. */
export interface Springs {
  readonly log: EventLog
  readonly encoder: Encoder
  /** What the log keeps. */
  readonly recall: Replay
  /** The past from Kubiya. */
  readonly reread: (request: RereadRequest) => Replay
  /** Most events that one stream is given from Kubiya's past. */
  readonly replayLimit: number
  /** Nothing from before this instant will enter the log any more. */
  readonly floor: () => Instant
  /** Whether the log has been filled once. */
  readonly isFilled: () => boolean
  readonly latenessMs: number
  /** Most bytes that a listener is given at once, but for a single larger frame. */
  readonly portionBytes: number
}

export interface CourseOptions {
  readonly springs: Springs
  readonly audience: Pick<Audience, 'filter' | 'matches' | 'portionAt'>
  readonly start: Start
  /** To be told that there may be something due. */
  readonly listener: { pump (): void }
  /** Who pays for what Kubiya is asked for this listener alone, or first. */
  readonly asker?: Asker | undefined
}

/** How one listener gets from where it begins to the live log, and along it. */
export interface Course {
  /** Takes its place; tells whether that is just where its cursor stood. */
  begin (): boolean
  /** Whether it has still to take it: the log was not filled yet. */
  isWaiting (): boolean
  /** Where the listener would resume. */
  place (): StreamCursor
  /**
   * What is due next, and counts as given from now on: no more bytes than there is `room` for, unless the listener is
   * idle, nothing being unsent. `full`: something is due, but larger than that; `later`: perhaps something is, but others
   * should have their turn first.
   */
  take (room: number, isIdle: boolean): Parcel | 'full' | 'later' | undefined
  /** Tries again where the log was not filled yet. */
  retry (): void
  leave (): void
}

/** On its way along the log it is just a place in it, kept whole: once the log has let go of the place, it cannot tell its instant any more. */
type State = Waiting | Replaying | LogCursor | Missing

const MOST_FRAMES = 256
const MOST_RETURNS = 3

export function createCourse (options: CourseOptions): Course {
  return new ListenersCourse(options)
}

/** A class, not a closure for each method: there is one for each of many thousand listeners, and most of them are idle. */
class ListenersCourse implements Course {
  private readonly springs: Springs
  private readonly audience: CourseOptions['audience']
  private readonly listener: CourseOptions['listener']
  private readonly asker: CourseOptions['asker']
  private state: State
  private returns = 0
  private furthest: Place | undefined // Where it came to in a replay.
  private isFurther = false // Than when it last came back.

  constructor ({ asker, audience, listener, springs, start }: CourseOptions) {
    this.springs = springs
    this.audience = audience
    this.listener = listener
    this.asker = asker
    this.state = { kind: 'waiting', start }
  }

  begin (): boolean {
    if (this.state.kind !== 'waiting') return true
    const opening = this.plan(this.state.start)
    this.enter(opening)
    return opening.kind === 'log' || (opening.kind !== 'wait' && opening.isExact)
  }

  isWaiting (): boolean {
    return this.state.kind === 'waiting'
  }

  retry (): void {
    if (this.state.kind === 'waiting') this.enter(this.plan(this.state.start))
  }

  place (): StreamCursor {
    const { state } = this
    const head = this.springs.log.head()
    switch (state.kind) {
      case 'waiting': return cursorOf(state.start, head)
      case 'log': return state.offset === head.offset ? head : state
      case 'replaying': return cursorWithin(state)
      case 'missing': return state.stood
    }
  }

  take (room: number, isIdle: boolean): Parcel | 'full' | 'later' | undefined {
    const { state } = this
    switch (state.kind) {
      case 'waiting': return undefined
      case 'log': return this.takeOfPresent(state, room, isIdle)
      case 'replaying': return this.takeOfPast(state, room, isIdle)
      case 'missing': return this.takeGap(state, room, isIdle)
    }
  }

  leave (): void {
    if (this.state.kind === 'replaying') this.state.leave()
  }

  private takeOfPresent (place: LogCursor, room: number, isIdle: boolean): Parcel | 'full' | 'later' | undefined {
    const portion = this.audience.portionAt(place.offset)
    if (portion === 'evicted') return this.comeBack()
    if (portion === undefined) return undefined
    const { end, parcel } = portion
    if (parcel !== undefined && parcel.bytes > room && !isIdle) return 'full'
    this.state = end
    this.isFurther = true
    return parcel ?? (end.offset === this.springs.log.head().offset ? undefined : 'later')
  }

  private takeOfPast (replaying: Replaying, room: number, isIdle: boolean): Parcel | 'full' | 'later' | undefined {
    const { encoder, floor, log, portionBytes, replayLimit: limit } = this.springs
    const context = { log, encoder, matches: this.audience.matches, limit, floor }
    const frames: PreparedFrame[] = []
    let left = Math.min(room, portionBytes)
    const judging = createJudging()
    let turn = nextOfReplay(replaying, context, judging)
    if (turn.kind === 'due' && turn.due.frame.payload.length > left && !isIdle) return 'full'
    // A frame larger than all the room goes out alone.
    while (turn.kind === 'due' && (turn.due.frame.payload.length <= left || frames.length === 0) && frames.length < MOST_FRAMES) {
      frames.push(turn.due.frame)
      turn.due.accept()
      left -= turn.due.frame.payload.length
      turn = nextOfReplay(replaying, context, judging)
    }
    if (frames.length > 0) return parcelOf(frames)
    switch (turn.kind) {
      case 'due': return 'later'
      case 'nothing': return replaying.at < replaying.replay.rows().length ? 'later' : undefined
      case 'again': return turn.isForgotten ? this.comeBack() : this.readOn(replaying)
      case 'over': return turn.gap === undefined ? this.follow(replaying) : this.miss(turn.gap, replaying.until)
    }
  }

  private takeGap ({ gap, until }: Missing, room: number, isIdle: boolean): Parcel | 'full' {
    const parcel = parcelOf([gapFrame(gap, until)])
    if (parcel.bytes > room && !isIdle) return 'full'
    this.state = until
    return parcel
  }

  private plan (from: Start): Opening {
    return openingOf(from, this.springs.log, this.springs.isFilled(), this.springs.latenessMs)
  }

  private enter (opening: Opening): void {
    const { recall, reread } = this.springs
    switch (opening.kind) {
      case 'wait': return
      case 'log': this.state = opening.place; return
      case 'recall': this.replay(opening, recall); return
      case 'reread': this.replay(opening, reread({ ...opening, filter: this.audience.filter, from: opening.after.instant, until: opening.until?.offset, kind: opening.isReturn ? 'shared' : 'own', asker: this.asker }))
    }
  }

  private replay (opening: RecallOpening | RereadOpening, replay: Replay, rounds = 0, counted = 0): void {
    const until = opening.until ?? replay.place
    const leave = replay.follow(() => this.listener.pump())
    this.state = { kind: 'replaying', opening, replay, until, rounds, leave, version: replay.version(), at: 0, after: opening.after, counted }
  }

  private follow ({ leave, until }: Replaying): 'later' {
    leave()
    this.state = until
    this.isFurther = true
    return 'later'
  }

  /** What was shared ended too early for this listener: it goes on with a replay of its own. */
  private readOn (replaying: Replaying): 'later' {
    const { after, counted, leave, opening, until } = replaying
    leave()
    const { countFrom, given } = opening.kind === 'reread' ? opening : { countFrom: after.instant, given: [] }
    const own: RereadOpening = { kind: 'reread', isExact: false, isReturn: true, after, countFrom, given, until }
    const rounds = roundsAfter(replaying)
    const { asker, audience: { filter } } = this
    const replay = this.springs.reread({ ...own, filter, from: after.instant, startsHere: rounds > 1, until: until.offset, kind: 'own', asker })
    this.replay(own, replay, rounds, counted)
    return 'later'
  }

  /**
   * Its place was let go of while it was slow: it is served as if it had come back with its cursor, as often as that brings it
   * forward. Three times in a row in vain, it is told what is missing.
   */
  private comeBack (): 'later' {
    const stood = this.place()
    this.leave()
    if (this.hasMovedTo(stood)) this.returns = 0
    this.isFurther = false
    if (++this.returns <= MOST_RETURNS) {
      this.state = { kind: 'waiting', start: { since: stood } }
      this.retry()
      return 'later'
    }
    this.returns = 0
    const { latenessMs, log } = this.springs
    const { gap, until } = missedSince(stood, log, latenessMs)
    return this.miss(gap, until)
  }

  private hasMovedTo (stood: StreamCursor): boolean {
    if (stood.kind === 'log') return this.isFurther
    const isBeyondAll = this.furthest === undefined || isBeyond(stood.after, this.furthest, 'asc')
    if (isBeyondAll) this.furthest = stood.after
    return isBeyondAll || this.isFurther
  }

  private miss (gap: Gap, until: LogCursor): 'later' {
    const stood = this.place()
    this.leave()
    this.state = { kind: 'missing', gap, until, stood }
    return 'later'
  }
}
