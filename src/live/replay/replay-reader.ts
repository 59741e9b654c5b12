import type { Gap } from '../../audit/log-batch.ts'
import { replayCursor, type DeliveredRange, type LogCursor, type ReplayCursor } from '../../audit/cursor.ts'
import { floorToSecond, maxInstant, type Instant } from '../../audit/instant.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import { isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { EventLog } from '../log/event-log.ts'
import type { PreparedFrame } from '../transport/frames.ts'
import type { MatchBudget } from './match-budget.ts'
import type { LogReplayPlan, BackfillPlan } from './start-position.ts'
import type { Replay, ReplayRow } from './replay.ts'

/** Passes a replay on, row by row. */
export interface ReplayReader {
  readonly kind: 'replaying'
  readonly plan: LogReplayPlan | BackfillPlan
  readonly replay: Replay
  /** Where the log goes on afterwards. */
  readonly until: LogCursor
  /** How many in a row, before this one, ended too early for this subscriber. */
  readonly attempts: number
  readonly leave: () => void
  /** Rows looked at so far … */
  at: number
  /** … of this version of them. */
  version: number
  /** The last place that was given or passed. */
  after: SortKey
  /** Events given that count towards the limit. */
  counted: number
}

export interface ReplayReaderContext {
  readonly log: EventLog
  /** Encodes a row, once for all who are given it. */
  readonly frameOf: (row: ReplayRow, until: LogCursor, delivered: readonly DeliveredRange[]) => PreparedFrame
  readonly matches: (item: JsonObject) => boolean
  /** Most events that are given. */
  readonly limit: number
  /** Nothing from before this instant will enter the log any more. */
  readonly lowWatermark: () => Instant
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
export type ReplayOutcome =
  | { readonly kind: 'due', readonly due: Due }
  | { readonly kind: 'nothing' }
  | { readonly kind: 'over', readonly gap: Gap | undefined }
  | { readonly kind: 'again', readonly isForgotten: boolean }

const MOST_ATTEMPTS = 2

/** Passes rows that are not due, as far as the turn goes. */
export function nextOfReplay (
  replaying: ReplayReader,
  context: ReplayReaderContext,
  matchBudget: MatchBudget
): ReplayOutcome {
  const { replay } = replaying
  const rows = replay.rows()
  if (replay.version() !== replaying.version && !relocate(replaying, rows, context.log)) {
    return { kind: 'again', isForgotten: true }
  }
  for (let row = rows[replaying.at]; row !== undefined && !matchBudget.isSpent(); row = rows[replaying.at]) {
    matchBudget.spend(row)
    if (isDue(row, replaying, context)) return turnOf(row, replaying, context)
    pass(replaying, row)
  }
  return replaying.at < rows.length ? { kind: 'nothing' } : endOf(replaying)
}

/** Finds its place after rows have moved; tells whether none was let go of that it has not been given. */
function relocate (replaying: ReplayReader, rows: readonly ReplayRow[], log: EventLog): boolean {
  const { after, replay } = replaying
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const row = rows[middle]
    if (row !== undefined && isAfter(row.place, after, 'asc')) high = middle
    else low = middle + 1
  }
  replaying.at = low
  replaying.version = replay.version()
  return log.isCompleteSince(after.instant)
}

/** Where a subscriber that stops here goes on. */
export function cursorOfReplay ({ after, plan, until }: ReplayReader): ReplayCursor {
  return replayCursor(until, after, plan.kind === 'backfill' ? plan.delivered : [])
}

function turnOf (row: ReplayRow, replaying: ReplayReader, { frameOf, limit }: ReplayReaderContext): ReplayOutcome {
  const counts = 'event' in row && replaying.plan.kind === 'backfill' && row.place.instant >= replaying.plan.countFrom
  if (counts && replaying.counted === limit) {
    return { kind: 'over', gap: gapFrom(row.place.instant, replaying, 'replay-limit') }
  }
  const accept = () => {
    pass(replaying, row)
    if (counts) replaying.counted++
  }
  return {
    kind: 'due',
    due: {
      frame: frameOf(row, replaying.until, replaying.plan.kind === 'backfill' ? replaying.plan.delivered : []),
      accept
    }
  }
}

function pass (replaying: ReplayReader, { place }: ReplayRow): void {
  replaying.at++
  if (isAfter(place, replaying.after, 'asc')) replaying.after = place
}

/**
 * Whether a row is the replay's to give. Once, and by one only: what entered the log before the place from which the
 * log goes on is the replay's; what enters behind it, or has yet to, is the log's.
 */
function isDue (
  row: ReplayRow,
  { plan, until }: ReplayReader,
  { log, lowWatermark, matches }: ReplayReaderContext
): boolean {
  if (!isAfter(row.place, plan.after, 'asc')) return false
  if (row.offset !== undefined && row.offset >= until.offset) return false
  if ('gap' in row) return true
  if (!matches(row.event.item)) return false
  if (plan.kind === 'log-replay') return true
  const offset = log.offsetOf(row.event.id)
  if (offset === undefined) return row.place.instant < floorToSecond(lowWatermark())
  const isGiven = plan.delivered.some(({ before, upTo }) => offset < before && !isAfter(row.place, upTo, 'asc'))
  return offset < until.offset && !isGiven
}

function endOf (replaying: ReplayReader): ReplayOutcome {
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
function mayReadOn (replaying: ReplayReader): boolean {
  const { replay } = replaying
  return replay.reached() <= replay.newest() && attemptsAfter(replaying) <= MOST_ATTEMPTS
}

/**
 * How many replays in a row ended too early. One that was full, and yet brought its subscriber forward, is none of
 * them.
 */
export function attemptsAfter ({ after, plan, replay, attempts }: ReplayReader): number {
  return replay.state() === 'full' && isAfter(after, plan.after, 'asc') ? 0 : attempts + 1
}

/** What is missing between here and the place from which the log goes on; what is behind that is the log's. */
function gapFrom (from: Instant, { after, replay }: ReplayReader, reason: Gap['reason']): Gap | undefined {
  const start = maxInstant(from, after.instant)
  return start > replay.newest() ? undefined : { from: start, to: replay.newest(), reason }
}
