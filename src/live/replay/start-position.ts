import type { Gap } from '../../audit/log-batch.ts'
import {
  MOST_DELIVERED_RANGES,
  type DeliveredRange,
  type LogCursor,
  type ReplayCursor,
  type StreamCursor
} from '../../audit/cursor.ts'
import { EARLIEST, LATEST, NANOS_PER_MS, minInstant, maxInstant, type Instant } from '../../audit/instant.ts'
import { isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { EventLog } from '../log/event-log.ts'

/** Where a stream is to begin: behind a cursor, or at an instant. */
export type StartFrom = { readonly since: StreamCursor } | { readonly from: Instant }

/** About to begin, once the log is filled. */
export interface Waiting {
  readonly kind: 'waiting'
  readonly start: StartFrom
}

/** About to be told what it missed. */
export interface GapAhead {
  readonly kind: 'missing'
  readonly gap: Gap
  readonly until: LogCursor
  /** Where it stood before. */
  readonly stood: StreamCursor
}

/** How a stream gets from there to the live log. */
export type StartPlan =
  /** From the log, just where the cursor stood. */
  | { readonly kind: 'log', readonly place: LogCursor }
  | LogReplayPlan
  | BackfillPlan
  /** The log is not filled yet. */
  | { readonly kind: 'wait' }

interface PastOpening {
  /** What lies behind this place is given. */
  readonly after: SortKey
  /** Whether that is just where the cursor stood: nothing is given twice. */
  readonly isExact: boolean
}

/** What the log keeps from before `until`, in order of instants; then on from there. */
export interface LogReplayPlan extends PastOpening {
  readonly kind: 'log-replay'
  readonly until: LogCursor
}

/** From Kubiya; then from the log. */
export interface BackfillPlan extends PastOpening {
  readonly kind: 'backfill'
  /** From where on the replay's limit counts. */
  readonly countFrom: Instant
  /** Where the log goes on, where that was fixed before. */
  readonly until: LogCursor | undefined
  /** What of this log was given already. */
  readonly delivered: readonly DeliveredRange[]
  /** Whether a subscriber comes back, likely with many others. */
  readonly isReturn: boolean
}

const LAST_PLACE: SortKey = { instant: LATEST, id: '' }

/**
 * Decides how a stream opens, as things stand. Synchronous, so that the place it names is still the place when it is
 * taken.
 */
export function planStart (start: StartFrom, log: EventLog, isFilled: boolean, latenessMs: number): StartPlan {
  if (!('since' in start)) return isFilled ? openingAt(start.from, log) : { kind: 'wait' }
  const { since } = start
  if (since.kind === 'log' && isKept(since, log)) return { kind: 'log', place: since }
  if (!isFilled) return { kind: 'wait' }
  return since.kind === 'replay' && isKept(since.log, log)
    ? openingWithin(since, log)
    : openingBehind(since, log, latenessMs)
}

function openingAt (from: Instant, log: EventLog): StartPlan {
  const after = { instant: from, id: '' }
  if (log.isCompleteSince(from)) return { kind: 'log-replay', until: log.end(), after, isExact: false }
  return { kind: 'backfill', after, isExact: false, countFrom: from, until: undefined, delivered: [], isReturn: false }
}

/** Inside a replay whose place in the log still stands. */
function openingWithin ({ after, delivered = [], log: until }: ReplayCursor, log: EventLog): StartPlan {
  if (log.isCompleteSince(after.instant)) return { kind: 'log-replay', until, after, isExact: true }
  return { kind: 'backfill', after, isExact: true, countFrom: after.instant, until, delivered, isReturn: true }
}

/**
 * Behind a place that the log has let go of, or that was in the log of another run: events may have become visible
 * late.
 */
function openingBehind (since: StreamCursor, log: EventLog, latenessMs: number): StartPlan {
  const [place, upTo] = since.kind === 'log' ? [since, LAST_PLACE] : [since.log, since.after]
  const { instant } = since.kind === 'log' ? since : since.after
  const from = maxInstant(EARLIEST, minInstant(instant, place.instant) - BigInt(latenessMs) * NANOS_PER_MS)
  const after = { instant: from, id: '' }
  if (log.isCompleteSince(from)) return { kind: 'log-replay', until: log.end(), after, isExact: false }
  const before = since.kind === 'replay' ? since.delivered ?? [] : []
  const delivered = place.epoch === log.end().epoch ? withDelivered(before, { before: place.offset, upTo }) : []
  return { kind: 'backfill', after, isExact: false, countFrom: instant, until: undefined, delivered, isReturn: true }
}

/**
 * What was given, with one part more. A part that lies inside the new one goes first, so that the bound drops no other.
 */
export function withDelivered (parts: readonly DeliveredRange[], part: DeliveredRange): DeliveredRange[] {
  const others = parts.filter(({ before, upTo }) => before > part.before || isAfter(upTo, part.upTo, 'asc'))
  return [...others, part].slice(-MOST_DELIVERED_RANGES)
}

/** The cursor of a stream that has been given nothing yet. */
export function cursorOf (start: StartFrom, head: LogCursor): StreamCursor {
  return 'since' in start ? start.since : { kind: 'replay', log: head, after: { instant: start.from, id: '' } }
}

/** Whether a cursor of this numbering points behind the log's head, which no cursor that was given out does. */
export function isForged (cursor: StreamCursor, log: EventLog): boolean {
  const place = cursor.kind === 'log' ? cursor : cursor.log
  const head = log.end()
  return place.epoch === head.epoch && place.offset > head.offset
}

function isKept (cursor: LogCursor, log: EventLog): boolean {
  return cursor.epoch === log.end().epoch && cursor.offset >= log.startOffset()
}

/**
 * What a reader has missed that stood at a place which the log has let go of, and the place from which the log goes on.
 */
export function gapSince (
  stood: StreamCursor,
  log: EventLog,
  latenessMs: number
): { readonly gap: Gap, readonly until: LogCursor } {
  const kept = log.cursorAt(log.startOffset())
  const place = stood.kind === 'replay' ? stood.log : stood
  const isOfThisLog = place.epoch === kept.epoch
  const until = isOfThisLog && place.offset > kept.offset ? place : kept
  const evicted = isOfThisLog ? log.evictedBetween(place.offset, until.offset) : undefined
  // An event that entered behind the place may be late: its instant may lie before the last row of a replay.
  const entered = evicted?.from ?? maxInstant(EARLIEST, place.instant - BigInt(latenessMs) * NANOS_PER_MS)
  const from = stood.kind === 'log' ? entered : minInstant(stood.after.instant, until === place ? LATEST : entered)
  const to = (stood.kind === 'log' ? evicted?.to : undefined) ??
    (until === kept ? log.completeSince() - 1n : log.newestInstant())
  return { gap: { from, to: maxInstant(from, to), reason: 'history-evicted' }, until }
}
