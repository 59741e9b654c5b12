import { replayCursor, type DeliveredRange, type LogCursor } from '../../audit/cursor.ts'
import { floorToSecond, maxInstant, type Instant } from '../../audit/instant.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import type { Gap } from '../../audit/log-batch.ts'
import { isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { EventLog } from '../log/event-log.ts'
import type { PreparedFrame } from '../transport/frames.ts'
import { createBatchBuilder, prepareBatch } from '../transport/prepared-batch.ts'
import type { Backfill, BackfillRow } from './backfill.ts'
import { createMatchBudget } from './match-budget.ts'
import { FULL, LOST, WAIT, YIELD, type BackfillProgress, type Stage, type StageResult } from './stage.ts'
import type { BackfillPlan } from './start-position.ts'

export interface BackfillReaderOptions {
  readonly backfill: Backfill
  readonly plan: BackfillPlan
  readonly progress: BackfillProgress
  readonly log: EventLog
  readonly matches: (item: JsonObject) => boolean
  /** Encodes a row, once for every subscriber with the same `until`. */
  readonly frameOf: (row: BackfillRow, until: LogCursor, delivered: readonly DeliveredRange[]) => PreparedFrame
  readonly batchBytes: number
  /** Most events that are delivered. */
  readonly limit: number
  /** Nothing older than this instant will enter the log any more. */
  readonly lowWatermark: () => Instant
  /** Called when the backfill has more, or has ended. */
  readonly wake: () => void
}

const MOST_ATTEMPTS = 2

/** Reads the rows of a backfill from the oldest to the newest and delivers those that are due. */
export function createBackfillReader (options: BackfillReaderOptions): Stage<'backfill'> {
  const { backfill, batchBytes, frameOf, limit, log, lowWatermark, matches, plan } = options
  const until = plan.until ?? backfill.until
  const leave = backfill.follow(options.wake)
  let at = 0 // Rows that were delivered or skipped.
  let after = plan.after
  let { counted } = options.progress

  return { kind: 'backfill', next, position: () => replayCursor(until, after, plan.delivered), close: leave }

  function next (room: number): StageResult {
    const rows = backfill.rows()
    const batch = createBatchBuilder(room, batchBytes)
    const matchBudget = createMatchBudget()
    let stop: StageResult | undefined
    for (let row = rows[at]; stop === undefined && row !== undefined && !matchBudget.isSpent(); row = rows[at]) {
      matchBudget.spend(row)
      if (isDue(row)) stop = take(row)
      if (stop === undefined) pass(row)
    }
    if (batch.frames.length > 0) return prepareBatch(batch.frames)
    return stop ?? (at < rows.length ? YIELD : ending())

    function take (row: BackfillRow): StageResult | undefined {
      const counts = 'event' in row && row.key.instant >= plan.countFrom
      if (counts && counted === limit) return { kind: 'end', until, gap: gapFrom(row.key.instant, 'replay-limit') }
      if (!batch.add(frameOf(row, until, plan.delivered))) return FULL
      if (counts) counted++
      return undefined
    }
  }

  function pass ({ key }: BackfillRow): void {
    at++
    if (isAfter(key, after, 'asc')) after = key
  }

  /**
   * Exactly one stage delivers an event. The backfill delivers what entered the log before `until`, and what is too old
   * to enter. The log delivers what enters behind `until`.
   */
  function isDue (row: BackfillRow): boolean {
    if (!isAfter(row.key, plan.after, 'asc')) return false
    if (row.offset !== undefined && row.offset >= until.offset) return false
    if ('gap' in row) return true
    if (!matches(row.event.item)) return false
    const offset = row.offset ?? log.offsetOf(row.event.id)
    if (offset === undefined) return row.key.instant < floorToSecond(lowWatermark())
    return offset < until.offset && !wasDelivered(offset, row.key)
  }

  function wasDelivered (offset: number, key: SortKey): boolean {
    return plan.delivered.some(({ before, upTo }) => offset < before && !isAfter(key, upTo, 'asc'))
  }

  function ending (): StageResult {
    switch (backfill.state()) {
      case 'reading': return WAIT
      case 'done': return { kind: 'end', until }
      case 'forgotten': return LOST
      case 'failed': return { kind: 'end', until, gap: gapFrom(backfill.reached(), 'upstream-outage') }
      case 'full':
      case 'cut': return mayContinue()
        ? { kind: 'cut', rest: rest(), progress: { counted, attempts: attemptsSoFar() } }
        : { kind: 'end', until, gap: gapFrom(backfill.reached(), 'replay-limit') }
    }
  }

  /** Whether something is left, and another backfill may deliver it. */
  function mayContinue (): boolean {
    return backfill.reached() <= backfill.newest() && attemptsSoFar() <= MOST_ATTEMPTS
  }

  /** A backfill that was full, and yet made progress for its subscriber, does not count. */
  function attemptsSoFar (): number {
    return backfill.state() === 'full' && isAfter(after, plan.after, 'asc') ? 0 : options.progress.attempts + 1
  }

  function rest (): BackfillPlan {
    return { ...plan, isExact: false, isReturn: true, after, until }
  }

  /** What is missing before `until`. What enters behind it is delivered by the log. */
  function gapFrom (from: Instant, reason: Gap['reason']): Gap | undefined {
    const start = maxInstant(from, after.instant)
    return start > backfill.newest() ? undefined : { from: start, to: backfill.newest(), reason }
  }
}
