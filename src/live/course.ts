import type { Gap } from '../audit/batch.ts'
import type { LogCursor, StreamCursor } from '../audit/cursor.ts'
import type { AuditFilter } from '../audit/filter.ts'
import { EARLIEST, NANOS_PER_MS, later, type Instant } from '../audit/instant.ts'
import type { JsonObject } from '../audit/json.ts'
import type { Due } from './due.ts'
import type { Encoder } from './encoding.ts'
import type { EventLog } from './event-log.ts'
import { nextOfLog, type Following } from './following.ts'
import { gapFrame } from './frames.ts'
import { cursorOf, openingOf, type Opening, type RecallOpening, type RereadOpening, type Start } from './opening.ts'
import type { Replay } from './replay.ts'
import { cursorWithin, nextOfReplay, type Replaying } from './replaying.ts'
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
}

export interface CourseOptions {
  readonly springs: Springs
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  readonly start: Start
  /** There may be something due. */
  readonly onMore: () => void
}

/** How one listener gets from where it begins to the live log, and along it. */
export interface Course {
  /** Takes its place; tells whether that is just where its cursor stood. */
  begin (): boolean
  /** Where the listener would resume. */
  place (): StreamCursor
  /** What is due next; `later`: perhaps something, but others should have their turn first. */
  next (): Due | undefined | 'later'
  /** Whether entry `offset` of the log is the next to be looked at; if so, `next` of it is passed over. */
  moves (offset: number, next: number): boolean
  /** Tries again where the log was not filled yet. */
  retry (): void
  leave (): void
}

type State =
  | { readonly kind: 'waiting' }
  | Replaying
  | Following
  /** About to be told what it missed. */
  | { readonly kind: 'missing', readonly gap: Gap, readonly until: LogCursor }

const MOST_LOOKS = 256
const MOST_RETURNS = 3

export function createCourse ({ filter, matches, onMore, springs, start }: CourseOptions): Course {
  const { log } = springs
  const context = { log, encoder: springs.encoder, matches, limit: springs.replayLimit, floor: springs.floor }
  let state: State = { kind: 'waiting' }
  let stood: StreamCursor = cursorOf(start, log.head()) // While it neither follows nor replays.
  let returns = 0

  return { begin, place, next, moves, retry, leave }

  function begin (): boolean {
    const opening = plan(start)
    enter(opening)
    return opening.kind === 'log' || (opening.kind !== 'wait' && opening.isExact)
  }

  function retry (): void {
    if (state.kind === 'waiting') enter(plan(start))
  }

  function plan (from: Start): Opening {
    return openingOf(from, log, springs.isFilled(), springs.latenessMs)
  }

  function enter (opening: Opening): void {
    switch (opening.kind) {
      case 'wait': state = { kind: 'waiting' }; break
      case 'log': state = { kind: 'following', place: opening.place }; break
      case 'recall': replay(opening, springs.recall); break
      case 'reread': replay(opening, springs.reread({ ...opening, filter, from: opening.after.instant, until: opening.until?.offset, kind: opening.isReturn ? 'shared' : 'own' }))
    }
  }

  function replay (opening: RecallOpening | RereadOpening, replay: Replay, rounds = 0, counted = 0): void {
    const until = opening.until ?? replay.place
    state = { kind: 'replaying', opening, replay, until, rounds, leave: replay.follow(onMore), version: replay.version(), at: 0, after: opening.after, counted }
  }

  function place (): StreamCursor {
    if (state.kind === 'following') return state.place.offset === log.head().offset ? log.head() : state.place
    return state.kind === 'replaying' ? cursorWithin(state) : stood
  }

  function next (): Due | undefined | 'later' {
    switch (state.kind) {
      case 'waiting': return undefined
      case 'missing': return dueGap(state.gap, state.until)
      case 'following': return nextOfPresent(state)
      case 'replaying': return nextOfPast(state)
    }
  }

  function nextOfPast (replaying: Replaying): Due | undefined | 'later' {
    const turn = nextOfReplay(replaying, context, MOST_LOOKS)
    switch (turn.kind) {
      case 'due': return turn.due
      case 'nothing': return replaying.at < replaying.replay.rows().length ? 'later' : undefined
      case 'again': return turn.isForgotten ? comeBack() : readOn(replaying)
      case 'over': return turn.gap === undefined ? follow(replaying) : miss(turn.gap, replaying.until)
    }
  }

  function nextOfPresent (following: Following): Due | undefined | 'later' {
    const due = nextOfLog(following, springs, matches, MOST_LOOKS)
    if (due === 'evicted') return comeBack()
    if (due !== undefined) return due
    if (following.place.offset < log.head().offset) return 'later'
    returns = 0
    return undefined
  }

  function follow ({ leave, until }: Replaying): 'later' {
    leave()
    state = { kind: 'following', place: until }
    return 'later'
  }

  /** What was shared ended too early for this listener: it goes on with a replay of its own. */
  function readOn ({ after, counted, leave, opening, rounds, until }: Replaying): 'later' {
    leave()
    const { countFrom, given } = opening.kind === 'reread' ? opening : { countFrom: after.instant, given: [] }
    const own: RereadOpening = { kind: 'reread', isExact: false, isReturn: true, after, countFrom, given, until }
    replay(own, springs.reread({ ...own, filter, from: after.instant, until: until.offset, kind: 'own' }), rounds + 1, counted)
    return 'later'
  }

  /** Its place was let go of while it was slow: it is served as if it had come back with its cursor. In vain too often, it is told what is missing. */
  function comeBack (): 'later' {
    stood = place()
    leave()
    if (++returns <= MOST_RETURNS) {
      enter(plan({ since: stood }))
      return 'later'
    }
    returns = 0
    const kept = log.cursorAt(log.oldest())
    const { instant, until } = stood.kind === 'replay' ? { instant: stood.after.instant, until: stood.log } : { instant: stood.instant, until: stood }
    const oldest = until.offset > kept.offset && until.epoch === kept.epoch ? until : kept
    const to = oldest === kept ? log.reachesBack() - 1n : log.newest()
    const from = later(EARLIEST, instant - BigInt(springs.latenessMs) * NANOS_PER_MS)
    return miss({ from, to: later(from, to), reason: 'history-evicted' }, oldest)
  }

  function miss (gap: Gap, until: LogCursor): 'later' {
    stood = place()
    leave()
    state = { kind: 'missing', gap, until }
    return 'later'
  }

  function dueGap (gap: Gap, until: LogCursor): Due {
    return { frame: gapFrame(gap, until), accept: () => { state = { kind: 'following', place: until } } }
  }

  function moves (offset: number, next: number): boolean {
    if (state.kind !== 'following' || state.place.offset !== offset) return false
    state.place = log.cursorAt(next)
    return true
  }

  function leave (): void {
    if (state.kind === 'replaying') state.leave()
  }
}
