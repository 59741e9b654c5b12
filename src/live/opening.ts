import type { Gap } from '../audit/batch.ts'
import { MOST_GIVEN, type Given, type LogCursor, type ReplayCursor, type StreamCursor } from '../audit/cursor.ts'
import { EARLIEST, LATEST, NANOS_PER_MS, earlier, later, type Instant } from '../audit/instant.ts'
import { isBeyond, type Place } from '../audit/place.ts'
import type { EventLog } from './event-log.ts'

/** Where a stream is to begin: behind a cursor, or at an instant. */
export type Start = { readonly since: StreamCursor } | { readonly from: Instant }

/** About to begin, once the log is filled. */
export interface Waiting {
  readonly kind: 'waiting'
  readonly start: Start
}

/** About to be told what it missed. */
export interface Missing {
  readonly kind: 'missing'
  readonly gap: Gap
  readonly until: LogCursor
  /** Where it stood before. */
  readonly stood: StreamCursor
}

/** How a stream gets from there to the live log. */
export type Opening =
  /** From the log, just where the cursor stood. */
  | { readonly kind: 'log', readonly place: LogCursor }
  | RecallOpening
  | RereadOpening
  /** The log is not filled yet. */
  | { readonly kind: 'wait' }

interface PastOpening {
  /** What lies behind this place is given. */
  readonly after: Place
  /** Whether that is just where the cursor stood: nothing is given twice. */
  readonly isExact: boolean
}

/** What the log keeps from before `until`, in order of instants; then on from there. */
export interface RecallOpening extends PastOpening {
  readonly kind: 'recall'
  readonly until: LogCursor
}

/** From Kubiya; then from the log. */
export interface RereadOpening extends PastOpening {
  readonly kind: 'reread'
  /** From where on the replay's limit counts. */
  readonly countFrom: Instant
  /** Where the log goes on, where that was fixed before. */
  readonly until: LogCursor | undefined
  /** What of this log was given already. */
  readonly given: readonly Given[]
  /** Whether a listener comes back, likely with many others. */
  readonly isReturn: boolean
}

const LAST_PLACE: Place = { instant: LATEST, id: '' }

/** Decides how a stream opens, as things stand. Synchronous, so that the place it names is still the place when it is taken. */
export function openingOf (start: Start, log: EventLog, isFilled: boolean, latenessMs: number): Opening {
  if (!('since' in start)) return isFilled ? openingAt(start.from, log) : { kind: 'wait' }
  const { since } = start
  if (since.kind === 'log' && isKept(since, log)) return { kind: 'log', place: since }
  if (!isFilled) return { kind: 'wait' }
  return since.kind === 'replay' && isKept(since.log, log) ? openingWithin(since, log) : openingBehind(since, log, latenessMs)
}

function openingAt (from: Instant, log: EventLog): Opening {
  const after = { instant: from, id: '' }
  if (log.reachesBackTo(from)) return { kind: 'recall', until: log.head(), after, isExact: false }
  return { kind: 'reread', after, isExact: false, countFrom: from, until: undefined, given: [], isReturn: false }
}

/** Inside a replay whose place in the log still stands. */
function openingWithin ({ after, given = [], log: until }: ReplayCursor, log: EventLog): Opening {
  if (log.reachesBackTo(after.instant)) return { kind: 'recall', until, after, isExact: true }
  return { kind: 'reread', after, isExact: true, countFrom: after.instant, until, given, isReturn: true }
}

/** Behind a place that the log has let go of, or that was in the log of another run: events may have become visible late. */
function openingBehind (since: StreamCursor, log: EventLog, latenessMs: number): Opening {
  const [place, upTo] = since.kind === 'log' ? [since, LAST_PLACE] : [since.log, since.after]
  const { instant } = since.kind === 'log' ? since : since.after
  const from = later(EARLIEST, earlier(instant, place.instant) - BigInt(latenessMs) * NANOS_PER_MS)
  const after = { instant: from, id: '' }
  if (log.reachesBackTo(from)) return { kind: 'recall', until: log.head(), after, isExact: false }
  const before = since.kind === 'replay' ? since.given ?? [] : []
  const given = place.epoch === log.head().epoch ? withGiven(before, { before: place.offset, upTo }) : []
  return { kind: 'reread', after, isExact: false, countFrom: instant, until: undefined, given, isReturn: true }
}

/** What was given, with one part more. A part that lies inside the new one goes first, so that the bound drops no other. */
export function withGiven (parts: readonly Given[], part: Given): Given[] {
  const others = parts.filter(({ before, upTo }) => before > part.before || isBeyond(upTo, part.upTo, 'asc'))
  return [...others, part].slice(-MOST_GIVEN)
}

/** The cursor of a stream that has been given nothing yet. */
export function cursorOf (start: Start, head: LogCursor): StreamCursor {
  return 'since' in start ? start.since : { kind: 'replay', log: head, after: { instant: start.from, id: '' } }
}

/** Whether a cursor of this numbering points behind the log's head, which no cursor that was given out does. */
export function isMadeUp (cursor: StreamCursor, log: EventLog): boolean {
  const place = cursor.kind === 'log' ? cursor : cursor.log
  const head = log.head()
  return place.epoch === head.epoch && place.offset > head.offset
}

function isKept (cursor: LogCursor, log: EventLog): boolean {
  return cursor.epoch === log.head().epoch && cursor.offset >= log.oldest()
}

/** What a reader has missed that stood at a place which the log has let go of, and the place from which the log goes on. */
export function missedSince (stood: StreamCursor, log: EventLog, latenessMs: number): { readonly gap: Gap, readonly until: LogCursor } {
  const kept = log.cursorAt(log.oldest())
  const { instant, place } = stood.kind === 'replay' ? { instant: stood.after.instant, place: stood.log } : { instant: stood.instant, place: stood }
  const isOfThisLog = place.epoch === kept.epoch
  const until = isOfThisLog && place.offset > kept.offset ? place : kept
  // In a replay what lies behind the last row is missing as well, whichever offset it had.
  const evicted = isOfThisLog && stood.kind === 'log' ? log.evictedBetween(place.offset, until.offset) : undefined
  const from = evicted?.from ?? later(EARLIEST, stood.kind === 'replay' ? instant : instant - BigInt(latenessMs) * NANOS_PER_MS)
  const to = evicted?.to ?? (until === kept ? log.reachesBack() - 1n : log.newest())
  return { gap: { from, to: later(from, to), reason: 'history-evicted' }, until }
}
