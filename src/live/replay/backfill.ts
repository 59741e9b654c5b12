import type { Clock } from '../../clock.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import { weightOf } from '../../audit/event.ts'
import type { AuditFilter } from '../../audit/filter.ts'
import { maxInstant, minInstant, type Instant } from '../../audit/instant.ts'
import type { NewEntry } from '../../audit/log-batch.ts'
import { metered, type Requester, type Reservation } from '../../audit/requester.ts'
import { compareSortKeys, isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../../audit/source.ts'
import { bisecting } from '../../scan/bisection.ts'
import type { ScanStep } from '../../scan/scan-step.ts'
import { scan } from '../../scan/scanner.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'
import { instantOf, type LogEntry } from '../log/event-log.ts'

export interface BackfillOptions {
  readonly source: AuditSource
  /** Whose share of the request budget it uses. */
  readonly requester: Requester
  readonly filter: AuditFilter
  readonly from: Instant
  /** Rows up to this key are left out: the subscriber has had them. */
  readonly after?: SortKey | undefined
  /** What the log keeps now: all entries from `since` on. Kubiya is asked for what is older. */
  readonly kept: { readonly since: Instant, readonly entries: readonly LogEntry[] }
  /** The end of the log now, before Kubiya is asked. */
  readonly until: LogCursor
  /** The newest instant of the log now. */
  readonly newest: Instant
  /** Most events, counted from `countFrom`: what is older, a returning subscriber has mostly had. */
  readonly mostEvents: number
  readonly countFrom: Instant
  /** Most events that are scanned. */
  readonly mostScanned: number
  /** Most events that are read of an upstream that does not sort. */
  readonly scanLimit: number
  /** Most upstream answers. */
  readonly mostAnswers: number
  readonly clock: Clock
  /** Whether the poller reaches Kubiya. */
  readonly isUpstreamThere: () => boolean
  /** Resolves when the next poll has ended. */
  readonly nextPoll: () => Promise<void>
  /** Called after each answer. Returns whether there is room for more rows. */
  readonly onGrowth: () => boolean
  readonly onError: (error: unknown) => void
}

/** A row of the past. Rows are sorted by `key`. */
export type BackfillRow = NewEntry & {
  readonly key: SortKey
  /** The row's offset, where it comes from the log. */
  readonly offset?: number
}

/**
 * How far a backfill is.
 * - `reading`: more rows may come.
 * - `done`: these are all.
 * - `cut`: there is more than its limits allow.
 * - `full`: it holds as many bytes as it may. Another backfill can read on behind it.
 * - `failed`: Kubiya could not be read.
 * - `forgotten`: its rows were dropped to free memory. A subscriber that has not had them all begins another one.
 */
export type BackfillState = 'reading' | 'done' | 'cut' | 'full' | 'failed' | 'forgotten'

/** The past, read from Kubiya for any number of subscribers. */
export interface Backfill {
  /** Where the log takes over: everything that the backfill can miss enters behind it. */
  readonly until: LogCursor
  /** The newest instant of the log when the backfill began. */
  newest (): Instant
  /** The rows so far, oldest first. More are added at the end. */
  rows (): readonly BackfillRow[]
  state (): BackfillState
  /** Once it was cut or has failed: events from this instant on may be missing. */
  reached (): Instant
  /** Calls `listener` when there are more rows, or an end. Returns the function to leave. */
  follow (listener: () => void): () => void
}

/** A backfill, as its owner sees it. */
export interface OwnedBackfill extends Backfill {
  /** Bytes of the rows from Kubiya. */
  bytes (): number
  /** Whether it waits for its requester's share of the budget. Other requesters have shares of their own. */
  isHeldBack (): boolean
  /** Drops the rows and stops reading. */
  forget (): void
}

const PAGE_SIZE = 1000
// Rows of one second may come in any order, so all of them are held until the second is complete.
const LARGEST_SECOND_BYTES = 32 * 1024 * 1024
const MOST_FAILURES = 8
const FIRST_BACK_OFF_MS = 400
const LONGEST_BACK_OFF_MS = 30_000
const AFTER_ALL_IDS = '\uffff'
const BEFORE_ALL_IDS = '\0'

/**
 * Reads from Kubiya the past that the log does not keep, then adds what the log keeps. After a failure it waits and
 * continues from where it stopped. While the poller fails too, it sends no requests. It gives up when Kubiya serves the
 * poller but fails here.
 */
export function createBackfill (options: BackfillOptions): OwnedBackfill {
  const { after, filter, from, isUpstreamThere, kept, newest, nextPoll, onError, source, until } = options
  const listeners = new Set<() => void>()
  let rows: BackfillRow[] = []
  let pending: BackfillRow[] = [] // Older rows may still come.
  let state: BackfillState = 'reading'
  let reached = from
  let bytes = 0
  let counted = 0
  let scanned = 0
  let answers = 0
  let isHeldBack = false

  read().catch((error: unknown) => {
    onError(error)
    finish('failed')
  })
  return {
    until,
    newest: () => newest,
    rows: () => rows,
    state: () => state,
    reached: () => reached,
    bytes: () => bytes,
    isHeldBack: () => isHeldBack,
    follow,
    forget
  }

  function follow (listener: () => void): () => void {
    listeners.add(listener)
    return () => { listeners.delete(listener) }
  }

  function forget (): void {
    rows = []
    pending = []
    bytes = 0
    finish('forgotten')
  }

  function isReading (): boolean {
    return state === 'reading'
  }

  function finish (as: BackfillState): void {
    state = as
    for (const listener of listeners) listener()
  }

  async function read (): Promise<void> {
    if (kept.since <= from) return conclude()
    const reservation = await reserve()
    if (reservation === undefined) return
    try {
      await readFrom(metered(source, reservation))
    } finally {
      reservation.end()
    }
  }

  async function reserve (): Promise<Reservation | undefined> {
    while (isReading()) {
      const reservation = options.requester.reserve(PAGE_SIZE)
      isHeldBack = !reservation.ok
      if (reservation.ok) return reservation
      await recovery(reservation, 1)
    }
    return undefined
  }

  async function readFrom (past: AuditSource): Promise<void> {
    let failures = 0
    const purpose: Purpose = { kind: 'caller', key: options.requester.key }
    for await (
      const step of scan(bisecting(past, { skipsRows: true }), {
        filter,
        window: { start: from, end: kept.since - 1n },
        direction: 'asc',
        pageSize: PAGE_SIZE,
        scanLimit: options.scanLimit,
        purpose
      })
    ) {
      if (!isReading()) return
      if (!step.ok) {
        if (step.kind !== 'share') failures++
        if (failures > MOST_FAILURES && isUpstreamThere()) return finish('failed')
        await recovery(step, failures)
        if (!isReading()) return
        continue
      }
      failures = 0
      take(step)
      if (!isReading()) return
      if (step.end) return conclude()
      if (isEnough()) return finish('cut')
      for (const listener of listeners) listener()
    }
  }

  async function recovery ({ retryAfterMs = 0 }: Failure, failures: number): Promise<void> {
    const ceilingMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures)
    const waitMs = Math.max(retryAfterMs, Math.random() * ceilingMs)
    await new Promise<void>((resolve) => { options.clock.setTimer(resolve, waitMs) })
    while (isReading() && !isUpstreamThere()) await nextPoll()
  }

  function take (step: ScanStep): void {
    const fresh = after === undefined ? step.rows : step.rows.filter(({ key }) => isAfter(key, after, 'asc'))
    const found = fresh.map(({ event, key }): BackfillRow => ({ event, late: false, key }))
    if (step.skipped !== undefined) found.push(gapRow(step.skipped))
    answers++
    scanned += step.scanned
    bytes += fresh.reduce((sum, { event }) => sum + weightOf(event), 0)
    const all = [...pending, ...found].sort(byKey)
    const isCertain = ({ key }: BackfillRow) => step.end || (step.reached !== undefined && key.instant < step.reached)
    const firstUncertain = all.findIndex((row) => !isCertain(row))
    const settled = firstUncertain === -1 ? all : all.slice(0, firstUncertain)
    pending = all.slice(settled.length)
    rows.push(...settled)
    counted += settled.filter(({ key }) => key.instant >= options.countFrom).length
    // Whole seconds are asked for: the scan may have reached a later instant than `kept.since`.
    if (step.reached !== undefined) reached = minInstant(step.reached, kept.since)
    const isRoom = options.onGrowth() || (rows.length === 0 && bytes <= LARGEST_SECOND_BYTES)
    if (!isRoom && !step.end && isReading()) finish('full')
  }

  /** What the log keeps comes last. An entry older than `kept.since` is among the rows from Kubiya. */
  function conclude (): void {
    const entries = kept.entries.map((entry): BackfillRow => ({ ...entry, key: keyOf(entry) }))
    rows.push(...entries.filter(({ key }) => key.instant >= kept.since).sort(byKey))
    finish('done')
  }

  /** It is cut only where everything before is certain to be there. */
  function isEnough (): boolean {
    return counted >= options.mostEvents || scanned >= options.mostScanned || answers >= options.mostAnswers
  }

  function gapRow ({ from, reason, to = newest }: SkippedRange): BackfillRow {
    return { gap: { from, to: maxInstant(from, to), reason }, key: { instant: from, id: AFTER_ALL_IDS } }
  }
}

function byKey (a: BackfillRow, b: BackfillRow): number {
  return compareSortKeys(a.key, b.key)
}

/** A gap is found by its end: a stream that begins inside it must be told. */
function keyOf (entry: LogEntry): SortKey {
  const instant = instantOf(entry) ?? entry.highWater
  return { instant, id: 'gap' in entry ? BEFORE_ALL_IDS : entry.event.id }
}
