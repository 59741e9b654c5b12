import type { AuditFilter } from '../../audit/filter.ts'
import { weightOf } from '../../audit/event.ts'
import { LATEST, maxInstant, minInstant, type Instant } from '../../audit/instant.ts'
import type { GapReason, NewEntry } from '../../audit/log-batch.ts'
import { metered, type Requester, type Reservation } from '../../audit/requester.ts'
import { compareSortKeys, type SortKey } from '../../audit/sort-key.ts'
import type { AuditSource, Failure } from '../../audit/source.ts'
import type { Clock } from '../../clock.ts'
import { bisecting } from '../../scan/bisection.ts'
import type { ScanStep } from '../../scan/scan-step.ts'
import { scan } from '../../scan/scanner.ts'
import { instantOf, type LogEntry } from '../log/event-log.ts'

/** A row of the past. Rows are sorted by `key`. */
export type BackfillRow = NewEntry & {
  readonly key: SortKey
  /** The row's offset, where it comes from the log. */
  readonly offset?: number
}

export interface PageReadOptions {
  readonly source: AuditSource
  readonly requester: Requester
  readonly filter: AuditFilter
  readonly from: Instant
  /** Kubiya is asked for what is older than this. What the log kept when the read began follows it in the last page. */
  readonly since: Instant
  readonly entries: readonly LogEntry[]
  /** The newest instant of the log when the read began. */
  readonly newest: Instant
  /** Most events that are read of an upstream that does not sort. */
  readonly scanLimit: number
  readonly clock: Clock
  /** Whether the poller reaches Kubiya. */
  readonly isUpstreamThere: () => boolean
  /** Resolves when the next poll has ended. */
  readonly nextPoll: () => Promise<void>
  /** Whether any subscriber still waits for the page. */
  readonly isAwaited: () => boolean
  /** Told whether the read waits for its requester's share of the budget. */
  readonly onHeldBack: (isHeldBack: boolean) => void
}

/**
 * - `ready`: all rows before `reached` are there, after `scanned` events were looked at.
 * - `failed`: Kubiya serves the poller but fails here, or one second is too large to be held.
 * - `abandoned`: no subscriber waits for the page any more.
 */
export type PageResult =
  | {
    readonly kind: 'ready'
    readonly rows: BackfillRow[]
    /** Of the rows from Kubiya. */
    readonly bytes: number
    readonly reached: Instant
    readonly scanned: number
  }
  | { readonly kind: 'failed', readonly reason: GapReason }
  | typeof ABANDONED

const ABANDONED = { kind: 'abandoned' } as const
const PAGE_ROWS = 1000
const PAGE_BYTES = 4 * 1024 * 1024
// Rows of one second may come in any order, so all of them are held until the second is complete.
const LARGEST_SECOND_BYTES = 32 * 1024 * 1024
const MOST_FAILURES = 8
const FIRST_BACK_OFF_MS = 400
const LONGEST_BACK_OFF_MS = 30_000
const BEYOND_ALL = LATEST + 1n
const AFTER_ALL_IDS = '\uffff'
const BEFORE_ALL_IDS = '\0'

/**
 * Reads one page of the past: some thousand rows, up to an instant that it determines. After a failure it waits and
 * continues. While the poller fails too, it sends no requests.
 */
export async function readPage (options: PageReadOptions): Promise<PageResult> {
  const { onHeldBack, requester, source } = options
  let reservation: Reservation | Failure = requester.reserve(PAGE_ROWS)
  while (!reservation.ok) {
    onHeldBack(true)
    await backOff(options, reservation, 1)
    if (!options.isAwaited()) return ABANDONED
    reservation = requester.reserve(PAGE_ROWS)
  }
  onHeldBack(false)
  try {
    return await scanPage(options, metered(source, reservation))
  } finally {
    reservation.end()
  }
}

/** The last page where the log keeps all that is due: Kubiya is not asked. */
export function pageOfLog (entries: readonly LogEntry[], since: Instant): PageResult {
  return { kind: 'ready', rows: rowsOfLog(entries, since).sort(byKey), bytes: 0, reached: BEYOND_ALL, scanned: 0 }
}

async function scanPage (options: PageReadOptions, source: AuditSource): Promise<PageResult> {
  const { filter, from, isAwaited, isUpstreamThere, requester, scanLimit, since } = options
  const page = createPageBuilder(options)
  let failures = 0
  for await (
    const step of scan(bisecting(source, { skipsRows: true }), {
      filter,
      window: { start: from, end: since - 1n },
      direction: 'asc',
      pageSize: PAGE_ROWS,
      scanLimit,
      purpose: { kind: 'caller', key: requester.key }
    })
  ) {
    if (step.ok) page.add(step)
    // After a failure, subscribers get what is there. The next page repeats the query.
    if (page.hasRows() && (!step.ok || page.isFull())) return page.ready()
    if (page.isTooLarge()) return { kind: 'failed', reason: 'replay-limit' }
    failures = failuresAfter(step, failures)
    if (failures > MOST_FAILURES && isUpstreamThere()) break
    if (!step.ok) await backOff(options, step, failures)
    if (!isAwaited()) return ABANDONED
  }
  return { kind: 'failed', reason: 'upstream-outage' }
}

/** In a row. A requester whose share is spent is no failure of Kubiya. */
function failuresAfter (step: ScanStep | Failure, before: number): number {
  if (step.ok) return 0
  return step.kind === 'share' ? before : before + 1
}

/** Collects the rows of a page until it ends before an instant up to which all rows are certain. */
function createPageBuilder ({ entries, from, newest, since }: PageReadOptions) {
  const rows: BackfillRow[] = []
  let reached = from
  let bytes = 0
  let scanned = 0

  return {
    add (step: ScanStep): void {
      rows.push(...rowsOf(step, newest), ...step.end ? rowsOfLog(entries, since) : [])
      bytes += step.rows.reduce((sum, { event }) => sum + weightOf(event), 0)
      scanned += step.scanned
      // Whole seconds are asked for: the scan may have reached a later instant than `since`.
      reached = step.end ? BEYOND_ALL : minInstant(step.reached ?? from, since)
    },
    hasRows: () => reached > from,
    isFull: () => reached === BEYOND_ALL || scanned >= PAGE_ROWS || bytes >= PAGE_BYTES,
    isTooLarge: () => bytes > LARGEST_SECOND_BYTES,
    ready (): PageResult {
      const certain = rows.filter(({ key }) => key.instant < reached).sort(byKey)
      return { kind: 'ready', rows: certain, bytes, reached, scanned }
    }
  }
}

/** Waits before the next attempt. */
async function backOff (options: PageReadOptions, { retryAfterMs = 0 }: Failure, failures: number): Promise<void> {
  const ceilingMs = Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** failures)
  const waitMs = Math.max(retryAfterMs, Math.random() * ceilingMs)
  await new Promise<void>((resolve) => { options.clock.setTimer(resolve, waitMs) })
  while (options.isAwaited() && !options.isUpstreamThere()) await options.nextPoll()
}

function rowsOf ({ rows, skipped }: ScanStep, newest: Instant): BackfillRow[] {
  const found = rows.map(({ event, key }): BackfillRow => ({ event, late: false, key }))
  if (skipped === undefined) return found
  const { from, reason, to = newest } = skipped
  return [...found, { gap: { from, to: maxInstant(from, to), reason }, key: { instant: from, id: AFTER_ALL_IDS } }]
}

/** An entry older than `since` is among the rows from Kubiya. */
function rowsOfLog (entries: readonly LogEntry[], since: Instant): BackfillRow[] {
  return entries.map((entry): BackfillRow => ({ ...entry, key: keyOf(entry) })).filter(({ key }) =>
    key.instant >= since
  )
}

/** A gap is found by its end: a stream that begins inside it must be told. */
function keyOf (entry: LogEntry): SortKey {
  const instant = instantOf(entry) ?? entry.highWater
  return { instant, id: 'gap' in entry ? BEFORE_ALL_IDS : entry.event.id }
}

function byKey (a: BackfillRow, b: BackfillRow): number {
  return compareSortKeys(a.key, b.key)
}
