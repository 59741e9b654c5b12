import type { Gap } from '../audit/batch.ts'
import type { LogCursor, ReplayCursor } from '../audit/cursor.ts'
import { floorToSecond, later, type Instant } from '../audit/instant.ts'
import type { JsonObject } from '../audit/json.ts'
import { isBeyond, type Place } from '../audit/place.ts'
import { replayCursor, type Encoder } from './encoding.ts'
import type { EventLog } from './event-log.ts'
import type { PreparedFrame } from './frames.ts'
import type { Judging } from './judging.ts'
import type { RecallOpening, RereadOpening } from './opening.ts'
import type { Replay, ReplayRow } from './replay.ts'

/** Passes a replay on, row by row. */
export interface Replaying {
  readonly kind: 'replaying'
  readonly opening: RecallOpening | RereadOpening
  readonly replay: Replay
  /** Where the log goes on afterwards. */
  readonly until: LogCursor
  /** How many in a row, before this one, ended too early for this listener. */
  readonly rounds: number
  readonly leave: () => void
  /** Rows looked at so far … */
  at: number
  /** … of this version of them. */
  version: number
  /** The last place that was given or passed. */
  after: Place
  /** Events given that count towards the limit. */
  counted: number
}

export interface ReplayingContext {
  readonly log: EventLog
  readonly encoder: Encoder
  readonly matches: (item: JsonObject) => boolean
  /** Most events that are given. */
  readonly limit: number
  /** Nothing from before this instant will enter the log any more. */
  readonly floor: () => Instant
}

/** A frame that is to be sent next, if there is room for it. */
interface Due {
  readonly frame: PreparedFrame
  /** It is being sent: moves on. */
  accept (): void
}

/**
 * What comes of a replay next: a frame · nothing, until there is more or its end · the log's turn, with a gap where
 * something is missing · another replay, because this one could not be passed on to its end.
 */
export type ReplayTurn =
  | { readonly kind: 'due', readonly due: Due }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'over', readonly gap: Gap | undefined }
  | { readonly kind: 'again', readonly isForgotten: boolean }

const MOST_ROUNDS = 2

/** Passes rows that are not due, as far as the turn goes. */
export function nextOfReplay (replaying: Replaying, context: ReplayingContext, judging: Judging): ReplayTurn {
  const { replay } = replaying
  const rows = replay.rows()
  if (replay.version() !== replaying.version && !findAgain(replaying, rows, context.log)) return { kind: 'again', isForgotten: true }
  for (let row = rows[replaying.at]; row !== undefined && !judging.isEnough(); row = rows[replaying.at]) {
    judging.add(row)
    if (isDue(row, replaying, context)) return turnOf(row, replaying, context)
    pass(replaying, row)
  }
  return replaying.at < rows.length ? { kind: 'nothing' } : endOf(replaying)
}

/** Finds its place after rows have moved; tells whether none was let go of that it has not been given. */
function findAgain (replaying: Replaying, rows: readonly ReplayRow[], log: EventLog): boolean {
  const { after, replay } = replaying
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]
    if (row !== undefined && isBeyond(row.place, after, 'asc')) high = middle
    else low = middle + 1
  }
  replaying.at = low
  replaying.version = replay.version()
  return log.reachesBackTo(after.instant)
}

/** Where a listener that stops here goes on. */
export function cursorWithin ({ after, opening, until }: Replaying): ReplayCursor {
  return replayCursor(until, after, opening.kind === 'reread' ? opening.given : [])
}

function turnOf (row: ReplayRow, replaying: Replaying, { encoder, limit }: ReplayingContext): ReplayTurn {
  const counts = 'event' in row && replaying.opening.kind === 'reread' && row.place.instant >= replaying.opening.countFrom
  if (counts && replaying.counted === limit) return { kind: 'over', gap: gapFrom(row.place.instant, replaying, 'replay-limit') }
  const accept = () => {
    pass(replaying, row)
    if (counts) replaying.counted++
  }
  return { kind: 'due', due: { frame: encoder.row(row, replaying.until, replaying.opening.kind === 'reread' ? replaying.opening.given : []), accept } }
}

function pass (replaying: Replaying, { place }: ReplayRow): void {
  replaying.at++
  if (isBeyond(place, replaying.after, 'asc')) replaying.after = place
}

/**
 * Whether a row is the replay's to give. Once, and by one only: what entered the log before the place from which the log
 * goes on is the replay's; what enters behind it, or has yet to, is the log's.
 */
function isDue (row: ReplayRow, { opening, until }: Replaying, { floor, log, matches }: ReplayingContext): boolean {
  if (!isBeyond(row.place, opening.after, 'asc')) return false
  if (row.offset !== undefined && row.offset >= until.offset) return false
  if ('gap' in row) return true
  if (!matches(row.event.item)) return false
  if (opening.kind === 'recall') return true
  const offset = log.offsetOf(row.event.id)
  if (offset === undefined) return row.place.instant < floorToSecond(floor())
  const isGiven = opening.given.some(({ before, upTo }) => offset < before && !isBeyond(row.place, upTo, 'asc'))
  return offset < until.offset && !isGiven
}

function endOf (replaying: Replaying): ReplayTurn {
  const { replay } = replaying
  switch (replay.state()) {
    case 'reading': return { kind: 'nothing' }
    case 'done': return { kind: 'over', gap: undefined }
    case 'forgotten': return { kind: 'again', isForgotten: true }
    case 'failed': return { kind: 'over', gap: gapFrom(replay.reached(), replaying, 'upstream-outage') }
    case 'full':
    case 'cut': return mayReadOn(replaying)
      ? { kind: 'again', isForgotten: false }
      : { kind: 'over', gap: gapFrom(replay.reached(), replaying, 'replay-limit') }
  }
}

/** Whether there is a rest, and another replay may bring it. */
function mayReadOn (replaying: Replaying): boolean {
  const { replay } = replaying
  return replay.reached() <= replay.newest() && roundsAfter(replaying) <= MOST_ROUNDS
}

/** How many replays in a row ended too early. One that was full, and yet brought its listener forward, is none of them. */
export function roundsAfter ({ after, opening, replay, rounds }: Replaying): number {
  return replay.state() === 'full' && isBeyond(after, opening.after, 'asc') ? 0 : rounds + 1
}

/** What is missing between here and the place from which the log goes on; what is behind that is the log's. */
function gapFrom (from: Instant, { after, replay }: Replaying, reason: Gap['reason']): Gap | undefined {
  const start = later(from, after.instant)
  return start > replay.newest() ? undefined : { from: start, to: replay.newest(), reason }
}
