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
import type { LogReader } from '../log/event-log.ts'

/** Where a stream starts: behind a cursor, or at an instant. */
export type StartFrom = { readonly since: StreamCursor } | { readonly from: Instant }

/** How a stream gets from its start to the live log. `wait`: the log has not been filled yet. */
export type StartPlan = { readonly kind: 'wait' } | LivePlan | BackfillPlan

/** From the log. */
export interface LivePlan {
  readonly kind: 'live'
  readonly cursor: LogCursor
  /** Whether the stream continues exactly behind its cursor, so that nothing repeats. */
  readonly isExact: boolean
  readonly replay?: LogReplay
}

/** The start of a stream in the log: entries before the offset `until` are left out if they are older than `from`. */
export interface LogReplay {
  readonly from: Instant
  readonly until: number
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
  readonly until?: LogCursor
  /** What of this log was delivered before. */
  readonly delivered: readonly DeliveredRange[]
  /** Whether the subscriber resumes, probably together with many others. */
  readonly isReturn: boolean
}

const LAST_KEY: SortKey = { instant: LATEST, id: '' }

/** Decides how a stream starts. Synchronous: the position is taken before another entry can enter the log. */
export function planStart (start: StartFrom, log: LogReader, isFilled: boolean, latenessMs: number): StartPlan {
  const since = 'since' in start ? start.since : undefined
  if (since?.kind === 'log' && isKept(since, log)) return { kind: 'live', cursor: since, isExact: true }
  if (!isFilled) return { kind: 'wait' }
  if ('from' in start) return planFrom(start.from, log, { countFrom: start.from, delivered: [], isReturn: false })
  return start.since.kind === 'replay' && isKept(start.since.log, log)
    ? planWithin(start.since)
    : planBehind(start.since, log, latenessMs)
}

/** From an instant on: out of the log where it is complete for that, otherwise from Kubiya. */
function planFrom (
  from: Instant,
  log: LogReader,
  backfill: Pick<BackfillPlan, 'countFrom' | 'delivered' | 'isReturn'>
): StartPlan {
  if (from < log.completeSince()) {
    return { kind: 'backfill', after: { instant: from, id: '' }, isExact: false, ...backfill }
  }
  const cursor = log.cursorAt(log.offsetFrom(from))
  return { kind: 'live', cursor, isExact: false, replay: { from, until: log.end().offset } }
}

/** The rest of a replay. The log still keeps the position that the replay leads to. */
function planWithin ({ after, delivered = [], log: until }: ReplayCursor): StartPlan {
  return { kind: 'backfill', after, isExact: true, countFrom: after.instant, until, delivered, isReturn: true }
}

/**
 * The cursor's position was evicted, or belongs to another epoch. Events up to `latenessMs` older than the cursor may
 * have become visible since.
 */
function planBehind (since: StreamCursor, log: LogReader, latenessMs: number): StartPlan {
  const [position, upTo] = since.kind === 'log' ? [since, LAST_KEY] : [since.log, since.after]
  const { instant } = since.kind === 'log' ? since : since.after
  const before = since.kind === 'replay' ? since.delivered ?? [] : []
  return planFrom(earlier(minInstant(instant, position.instant), latenessMs), log, {
    countFrom: instant,
    delivered: position.epoch === log.end().epoch ? withDelivered(before, { before: position.offset, upTo }) : [],
    isReturn: true
  })
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
export function isForged (cursor: StreamCursor, log: LogReader): boolean {
  const place = cursor.kind === 'log' ? cursor : cursor.log
  const head = log.end()
  return place.epoch === head.epoch && place.offset > head.offset
}

function isKept (cursor: LogCursor, log: LogReader): boolean {
  return cursor.epoch === log.end().epoch && cursor.offset >= log.startOffset()
}

/** The gap of a reader that lost its position, and the position from which the log continues. */
export function gapSince (
  stood: StreamCursor,
  log: LogReader,
  latenessMs: number
): { readonly gap: Gap, readonly until: LogCursor } {
  const gap = (from: Instant, to: Instant): Gap => ({ from, to: maxInstant(from, to), reason: 'history-evicted' })
  const until = log.cursorAt(log.startOffset())
  const place = stood.kind === 'replay' ? stood.log : stood
  if (stood.kind === 'replay' && isKept(place, log)) {
    return { gap: gap(stood.after.instant, log.newestInstant()), until: place }
  }
  const evicted = log.evictedBetween(place.offset, until.offset)
  // An event that entered behind the place may be late: its instant may lie before the last row of a replay.
  const entered = evicted?.from ?? earlier(place.instant, latenessMs)
  return stood.kind === 'replay'
    ? { gap: gap(minInstant(stood.after.instant, entered), log.completeSince() - 1n), until }
    : { gap: gap(entered, evicted?.to ?? log.completeSince() - 1n), until }
}

function earlier (instant: Instant, byMs: number): Instant {
  return maxInstant(EARLIEST, instant - BigInt(byMs) * NANOS_PER_MS)
}
