import type { LogCursor } from '../audit/cursor.ts'
import { later, type Instant } from '../audit/instant.ts'
import { isBeyond, type Place, type Row } from '../audit/place.ts'
import type { LogEntry } from './event-log.ts'
import { gapFrame, type PreparedFrame } from './frames.ts'
import type { ReplayOpening } from './opening.ts'
import type { ReplayOutcome } from './replay.ts'

/** How far a subscription has come. */
export type Progress =
  /** For the log's first filling, for a replay, or for Kubiya to be there again. */
  | { readonly kind: 'waiting', readonly isReplaying: boolean }
  | Replaying
  | Following
  | { readonly kind: 'ended' }

/** What Kubiya gave is passed on, row by row. */
export interface Replaying {
  readonly kind: 'replaying'
  /** The place in the log that was taken before the replay was read. */
  readonly place: LogCursor
  readonly rows: readonly Row[]
  /** Rows passed on so far. */
  at: number
  readonly closing: readonly PreparedFrame[]
  readonly then: Following
}

/** Goes on from the log. */
export interface Following {
  readonly kind: 'following'
  /** The next entry of the log to look at. */
  offset: number
  /** Up to this offset, what is before `from` is left out: the past that was not asked for. */
  readonly until: number
  readonly from: Instant | undefined
  /** What a replay gave already; the tail may meet it later. */
  given: ReadonlySet<string>
  /** Until `given` is forgotten, cursors resume the replay behind this place. */
  readonly after: Place | undefined
  /** Whole reads of the tail after which nothing of `given` can come any more. */
  readonly forgetAt: number
}

/** A replay as it begins: its rows behind the opening, a gap for what its limit cut off, then the log. */
export function replaying (opening: ReplayOpening, place: LogCursor, outcome: ReplayOutcome, sweeps: number): Replaying {
  const rows = outcome.rows.filter((row) => isBeyond(row.place, opening.after, 'asc'))
  const last = rows.at(-1)?.place ?? opening.after
  const limit = later(outcome.reached, place.instant)
  return {
    kind: 'replaying',
    place,
    rows,
    at: 0,
    closing: outcome.cut ? [gapFrame(place, outcome.reached, limit, 'replay-limit')] : [],
    then: {
      kind: 'following',
      offset: opening.offset ?? place.offset,
      until: 0,
      from: undefined,
      given: outcome.ids,
      after: outcome.cut ? { instant: limit, id: '' } : last, // What was said to be missing is not replayed again.
      forgetAt: sweeps + 2
    }
  }
}

/** Whether an entry of the log is still to be given, if it matches. */
export function isDue ({ from, given, until }: Following, { event, offset }: LogEntry): boolean {
  const isBefore = from !== undefined && offset < until && event.instant !== undefined && event.instant < from
  return !isBefore && !given.has(event.id)
}
