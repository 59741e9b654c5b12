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

/** Where a stream starts: behind a cursor, or at an instant. */
export type StartFrom = { readonly since: StreamCursor } | { readonly from: Instant }

/** How a stream gets from its start to the live log. */
export type StartPlan =
  /** The log has not been filled yet. */
  | { readonly kind: 'wait' }
  /** From the log, exactly behind the cursor. */
  | { readonly kind: 'live', readonly cursor: LogCursor, readonly isExact: true }
  | LogReplayPlan
  | BackfillPlan

/** From the log, what is not older than `from`; live from `until`. */
export interface LogReplayPlan {
  readonly kind: 'log-replay'
  readonly from: Instant
  readonly until: LogCursor
  /** Whether the stream continues exactly behind its cursor, so that nothing repeats. */
  readonly isExact: boolean
}

/** From Kubiya; then from the log. */
export interface BackfillPlan {
  readonly kind: 'backfill'
  /** Events behind this key are due. */
  readonly after: SortKey
  readonly isExact: boolean
  /** The replay limit counts events from this instant on. */
  readonly countFrom: Instant
  /** Where the log takes over, where an earlier replay has fixed that. */
  readonly until: LogCursor | undefined
  /** What of this log was delivered before. */
  readonly delivered: readonly DeliveredRange[]
  /** Whether the subscriber resumes, probably together with many others. */
  readonly isReturn: boolean
}

const LAST_KEY: SortKey = { instant: LATEST, id: '' }

/** Decides how a stream starts. Synchronous: the position is taken before another entry can enter the log. */
export function planStart (start: StartFrom, log: EventLog, isFilled: boolean, latenessMs: number): StartPlan {
  if (!('since' in start)) return isFilled ? planFrom(start.from, log) : { kind: 'wait' }
  const { since } = start
  if (since.kind === 'log' && isKept(since, log)) return { kind: 'live', cursor: since, isExact: true }
  if (!isFilled) return { kind: 'wait' }
  return since.kind === 'replay' && isKept(since.log, log)
    ? planWithin(since, log)
    : planBehind(since, log, latenessMs)
}

function planFrom (from: Instant, log: EventLog): StartPlan {
  if (log.isCompleteSince(from)) return { kind: 'log-replay', from, until: log.end(), isExact: false }
  return {
    kind: 'backfill',
    after: { instant: from, id: '' },
    isExact: false,
    countFrom: from,
    until: undefined,
    delivered: [],
    isReturn: false
  }
}

/** The rest of a replay. The log still keeps the position that the replay leads to. */
function planWithin ({ after, delivered = [], log: until }: ReplayCursor, log: EventLog): StartPlan {
  const { instant } = after
  const hasBegun = after.id !== '' || delivered.length > 0
  if (!hasBegun && log.isCompleteSince(instant)) {
    // Live from the position of the first connection: what entered since is due, however old its instant is.
    return { kind: 'log-replay', from: instant, until, isExact: true }
  }
  // What the log keeps is not limited.
  const countFrom = log.isCompleteSince(instant) ? LATEST : instant
  return { kind: 'backfill', after, isExact: true, countFrom, until, delivered, isReturn: true }
}

/**
 * The cursor's position was evicted, or belongs to another epoch. Events up to `latenessMs` older than the cursor may
 * have become visible since.
 */
function planBehind (since: StreamCursor, log: EventLog, latenessMs: number): StartPlan {
  const [position, upTo] = since.kind === 'log' ? [since, LAST_KEY] : [since.log, since.after]
  const { instant } = since.kind === 'log' ? since : since.after
  const from = maxInstant(EARLIEST, minInstant(instant, position.instant) - BigInt(latenessMs) * NANOS_PER_MS)
  if (log.isCompleteSince(from)) return { kind: 'log-replay', from, until: log.end(), isExact: false }
  const before = since.kind === 'replay' ? since.delivered ?? [] : []
  return {
    kind: 'backfill',
    after: { instant: from, id: '' },
    isExact: false,
    countFrom: instant,
    until: undefined,
    delivered: position.epoch === log.end().epoch ? withDelivered(before, { before: position.offset, upTo }) : [],
    isReturn: true
  }
}

/**
 * What was given, with one part more. A part that lies inside the new one goes first, so that the bound drops no other.
 */
export function withDelivered (parts: readonly DeliveredRange[], part: DeliveredRange): DeliveredRange[] {
  const others = parts.filter(({ before, upTo }) => before > part.before || isAfter(upTo, part.upTo, 'asc'))
  return [...others, part].slice(-MOST_DELIVERED_RANGES)
}

/** The cursor of a stream that has not begun. */
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
 * The gap of a reader whose position was evicted, and the position from which the log continues.
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
