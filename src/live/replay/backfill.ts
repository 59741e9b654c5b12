import { weightOf } from '../../audit/event.ts'
import type { Clock } from '../../clock.ts'
import { metered, type Requester, type Reservation } from '../../audit/requester.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import type { AuditFilter } from '../../audit/filter.ts'
import { minInstant, type Instant } from '../../audit/instant.ts'
import { compareSortKeys, isAfter, type SortKey } from '../../audit/sort-key.ts'
import type { AuditSource, Failure, Purpose } from '../../audit/source.ts'
import { bisecting } from '../../scan/bisection.ts'
import type { ScanStep } from '../../scan/scan-step.ts'
import { scan } from '../../scan/scanner.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'
import type { KeptRows, Replay, ReplayRow, ReplayState } from './replay.ts'

export interface BackfillOptions {
  readonly source: AuditSource
  /** Whose share it is. */
  readonly requester: Requester
  readonly filter: AuditFilter
  readonly from: Instant
  /** What lies in front of this place, or at it, is not held: the subscriber has had it. */
  readonly after?: SortKey | undefined
  /** What the log has for itself, from this instant on: Kubiya is asked for what comes before. */
  readonly kept: KeptRows
  /** The log's head now, before Kubiya is asked. */
  readonly place: LogCursor
  /** The log's newest instant now. */
  readonly newest: Instant
  /** Most events that are given … */
  readonly mostEvents: number
  /** … and counted from here: what lies before it is what a returning subscriber mostly has. */
  readonly countFrom: Instant
  /** Most events that are looked through. */
  readonly mostScanned: number
  /** Most events that are read of an upstream that does not sort. */
  readonly scanLimit: number
  /** Most upstream answers. */
  readonly mostAnswers: number
  readonly clock: Clock
  /** Whether the poller gets on with Kubiya. */
  readonly isUpstreamThere: () => boolean
  /** Resolves when the next poll has ended. */
  readonly nextPoll: () => Promise<void>
  /** Told how many bytes of rows came to be held; tells whether there is room for more. */
  readonly onGrowth: (bytes: number) => boolean
  readonly onError: (error: unknown) => void
}

/** A replay from Kubiya. */
export interface Backfill extends Replay {
  bytes (): number
  /** Whether it waits for its asker's share. Others have a share of their own. */
  isHeldBack (): boolean
  /** Drops the rows and reads no further. */
  forget (): void
}

const PAGE_SIZE = 1000
// Rows of one second may come in any order: none is given before all are read.
const LARGEST_SECOND_BYTES = 32 * 1024 * 1024
const MOST_FAILURES = 8
const FIRST_BACK_OFF_MS = 400
const LONGEST_BACK_OFF_MS = 30_000
const AFTER_ALL_IDS = '\uffff'

/**
 * Reads the past anew, as far as the log does not have it, and passes it on as it comes. After a failure it waits and
 * goes on where it stood; while the poller does not get on with Kubiya either, it asks nothing. It gives up when Kubiya
 * serves the poller but not this.
 */
export function createBackfill (options: BackfillOptions): Backfill {
  const { after, filter, from, isUpstreamThere, kept, newest, nextPoll, onError, place, source } = options
  const listeners = new Set<() => void>()
  let rows: ReplayRow[] = []
  let pending: ReplayRow[] = [] // Met, but something may still come before it.
  let state: ReplayState = 'reading'
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
    place,
    newest: () => newest,
    rows: () => rows,
    version: () => 0,
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

  function finish (as: ReplayState): void {
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
    const wanted = after === undefined ? step.rows : step.rows.filter(({ key }) => isAfter(key, after, 'asc'))
    const met = wanted.map(({ event, key }): ReplayRow => ({ event, late: false, place: key }))
    if (step.skipped !== undefined) met.unshift(gapRow(step.skipped))
    const growth = wanted.reduce((sum, { event }) => sum + weightOf(event), 0)
    answers++
    scanned += step.scanned
    bytes += growth
    const all = [...pending, ...met].sort((a, b) => compareSortKeys(a.place, b.place))
    const certain = step.end
      ? all.length
      : all.findIndex((row) => step.reached === undefined || row.place.instant >= step.reached)
    const settled = all.splice(0, certain === -1 ? all.length : certain)
    pending = all
    rows.push(...settled)
    counted += settled.filter((row) => row.place.instant >= options.countFrom).length
    // Whole seconds are asked for: it may lie behind.
    if (step.reached !== undefined) reached = minInstant(step.reached, kept.since)
    const isRoom = options.onGrowth(growth) || (rows.length === 0 && bytes <= LARGEST_SECOND_BYTES)
    if (!isRoom && !step.end && isReading()) finish('full')
  }

  function conclude (): void {
    rows.push(...kept.rows)
    finish('done')
  }

  /** Cut only where it is certain that everything before was given. */
  function isEnough (): boolean {
    return counted >= options.mostEvents || scanned >= options.mostScanned || answers >= options.mostAnswers
  }

  function gapRow (passed: SkippedRange): ReplayRow {
    const to = passed.to ?? newest
    return {
      gap: { ...passed, to: to < passed.from ? passed.from : to },
      place: { instant: passed.from, id: AFTER_ALL_IDS }
    }
  }
}
