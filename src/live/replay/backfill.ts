import { replayCursor, type DeliveredRange, type LogCursor } from '../../audit/cursor.ts'
import type { AuditFilter } from '../../audit/filter.ts'
import { EARLIEST, NANOS_PER_SECOND, floorToSecond, maxInstant, type Instant } from '../../audit/instant.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import type { GapReason } from '../../audit/log-batch.ts'
import type { Requester } from '../../audit/requester.ts'
import { isAfter } from '../../audit/sort-key.ts'
import type { LogReader } from '../log/event-log.ts'
import type { PreparedFrame } from '../transport/frames.ts'
import { createBatchBuilder, prepareBatch } from '../transport/prepared-batch.ts'
import type { BackfillPage, BackfillPages } from './backfill-pages.ts'
import type { BackfillRow } from './page-read.ts'
import { FULL, LOST, WAIT, YIELD, type Stage, type StageResult } from './stage.ts'
import type { BackfillPlan } from './start-position.ts'

export interface BackfillOptions {
  readonly pages: BackfillPages
  readonly plan: BackfillPlan
  readonly log: LogReader
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  /** Encodes a row, once for every subscriber with the same `until`. */
  readonly frameOf: (row: BackfillRow, until: LogCursor, delivered: readonly DeliveredRange[]) => PreparedFrame
  readonly batchBytes: number
  /** Most events that are delivered. */
  readonly limit: number
  /** Nothing older than this instant will enter the log any more. */
  readonly lowWatermark: () => Instant
  readonly requester?: Requester | undefined
  /** Called when a page has been read. */
  readonly wake: () => void
}

const SCANNED_PER_DELIVERED = 10
const MOST_SCANNED_FOR_ALL = 10_000
const COARSE = 10n * NANOS_PER_SECOND

/** The past from Kubiya, page by page, from the oldest row to the newest. */
export function createBackfill (options: BackfillOptions): Stage {
  const { batchBytes, frameOf, limit, log, lowWatermark, matches, pages, plan } = options
  const wake = () => options.wake() // A function of its own: a page knows its waiters by it.
  const undated = new Set<string>() // Kubiya may answer them with any page.
  let after = plan.after
  let at = 0 // Rows of the page that were delivered or skipped.
  let counted = 0
  let scanned = 0
  let from = startOf(after.instant)
  const newest = log.newestInstant()
  let page = openPage(plan.until)
  const until = plan.until ?? page.until

  return {
    next,
    position: () => replayCursor(until, after, plan.delivered),
    close: () => pages.leave(page, wake)
  }

  /** Subscribers that return together begin at one instant, and so share their pages. */
  function startOf (instant: Instant): Instant {
    if (instant >= log.completeSince()) return instant
    return maxInstant(EARLIEST, instant - ((instant % COARSE) + COARSE) % COARSE)
  }

  /** A stream that returns does so with many others, each with its filter: their first pages serve every filter. */
  function openPage (position: LogCursor | undefined): BackfillPage {
    const filter = plan.isReturn && scanned < MOST_SCANNED_FOR_ALL ? {} : options.filter
    return pages.open({ filter, from, until: position, requester: options.requester }, wake)
  }

  function next (room: number): StageResult {
    const { state } = page
    if (state.kind === 'reading') return WAIT
    if (state.kind === 'failed') return endWith(state.reason, from)
    const rows = pages.rows(page)
    if (rows === undefined) return LOST
    const batch = createBatchBuilder(room, batchBytes)
    let stop: StageResult | undefined
    for (let row = rows[at]; stop === undefined && row !== undefined && batch.judge(row); row = rows[at]) {
      if (isDue(row)) stop = deliver(row)
      if (stop === undefined) pass(row)
    }
    if (batch.frames.length > 0) return prepareBatch(batch.frames)
    return stop ?? (at < rows.length ? YIELD : turnPage(state))

    function deliver (row: BackfillRow): StageResult | undefined {
      const counts = 'event' in row && row.key.instant >= plan.countFrom
      if (counts && counted === limit) return endWith('replay-limit', row.key.instant)
      if (!batch.add(frameOf(row, until, plan.delivered))) return FULL
      if (counts) counted++
      if ('event' in row && row.event.instant === undefined) undated.add(row.event.id)
      return undefined
    }
  }

  function pass ({ key }: BackfillRow): void {
    at++
    if (isAfter(key, after, 'asc')) after = key
  }

  function turnPage (ended: { readonly reached: Instant, readonly scanned: number }): StageResult {
    from = maxInstant(from, ended.reached) // A page that began earlier may not come as far.
    scanned += ended.scanned
    if (from > newest) return { kind: 'end', until }
    if (scanned >= SCANNED_PER_DELIVERED * limit) return endWith('replay-limit', from)
    at = 0
    page = openPage(until)
    return YIELD
  }

  /**
   * Exactly one stage delivers an event. The backfill delivers what entered the log before `until`, and what is too old
   * to enter. The log delivers what enters behind `until`.
   */
  function isDue (row: BackfillRow): boolean {
    if (row.key.instant < from || !isAfter(row.key, plan.after, 'asc')) return false
    if (row.offset !== undefined && row.offset >= until.offset) return false
    if ('gap' in row) return true
    if (undated.has(row.event.id) || !matches(row.event.item)) return false
    const offset = row.offset ?? log.offsetOf(row.event.id)
    if (offset === undefined) return row.key.instant < floorToSecond(lowWatermark())
    const wasDelivered = ({ before, upTo }: DeliveredRange) => offset < before && !isAfter(row.key, upTo, 'asc')
    return offset < until.offset && !plan.delivered.some(wasDelivered)
  }

  /** Names what is missing before `until`. What enters behind it is delivered by the log. */
  function endWith (reason: GapReason, missingFrom: Instant): StageResult {
    const start = maxInstant(missingFrom, after.instant)
    return start > newest
      ? { kind: 'end', until }
      : { kind: 'end', until, gap: { from: start, to: newest, reason } }
  }
}
