import type { Cursor, LogCursor } from '../audit/cursor.ts'
import { EARLIEST, NANOS_PER_MS, later, type Instant } from '../audit/instant.ts'
import type { Place } from '../audit/place.ts'
import type { EventLog } from './event-log.ts'

/** Where a stream is to begin: behind a cursor, or at an instant. */
export type Start = { readonly since: Cursor } | { readonly from: Instant }

/** How a stream gets from there to the live log. */
export type Opening =
  /** From the log at `offset`; `exact`: just where the cursor stood, otherwise what is before `from` is left out. */
  | { readonly kind: 'log', readonly exact: boolean, readonly offset: number, readonly from: Instant | undefined }
  | ReplayOpening
  /** The log is not filled yet. */
  | { readonly kind: 'wait' }

/** From Kubiya: what lies behind `after`; then from the log, at `offset` if that was fixed before. */
export interface ReplayOpening {
  readonly kind: 'replay'
  readonly from: Instant
  readonly after: Place
  readonly offset: number | undefined
}

/** Decides how a stream opens, as things stand. Synchronous, so that the place it names is still the place when it is taken. */
export function openingOf (start: Start, log: EventLog, isFilled: boolean, latenessMs: number): Opening {
  if ('since' in start && start.since.kind === 'log' && isKept(start.since, log)) {
    return { kind: 'log', exact: true, offset: start.since.offset, from: undefined }
  }
  if (!isFilled) return { kind: 'wait' }
  if ('since' in start && start.since.kind === 'replay' && isKept(start.since.log, log)) {
    const { after, log: place } = start.since
    return { kind: 'replay', from: after.instant, after, offset: place.offset }
  }
  const from = firstInstant(start, latenessMs)
  if (log.reachesBackTo(from)) return { kind: 'log', exact: false, offset: log.oldest(), from }
  return { kind: 'replay', from, after: { instant: from, id: '' }, offset: undefined }
}

/** The cursor of a stream that has been given nothing yet. */
export function cursorOf (start: Start, head: LogCursor): Cursor {
  return 'since' in start ? start.since : { kind: 'replay', log: head, after: { instant: start.from, id: '' } }
}

/** Whether a cursor of this numbering points behind the log's head, which no cursor that was given out does. */
export function isMadeUp (cursor: Cursor, log: EventLog): boolean {
  if (cursor.kind === 'page') return true
  const place = cursor.kind === 'log' ? cursor : cursor.log
  const head = log.head()
  return place.epoch === head.epoch && place.offset > head.offset
}

function isKept (cursor: LogCursor, log: EventLog): boolean {
  return cursor.epoch === log.head().epoch && cursor.offset >= log.oldest()
}

/** Where everything begins that the listener may not have: events may have become visible late. */
function firstInstant (start: Start, latenessMs: number): Instant {
  if ('from' in start) return start.from
  const { since } = start
  const instant = since.kind === 'log' ? since.instant : since.after.instant
  return later(EARLIEST, instant - BigInt(latenessMs) * NANOS_PER_MS)
}
