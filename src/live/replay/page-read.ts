import type { AuditFilter } from '../../audit/filter.ts'
import { weightOf } from '../../audit/event.ts'
import { LATEST, maxInstant, minInstant, type Instant } from '../../audit/instant.ts'
import type { GapReason, NewEntry } from '../../audit/log-batch.ts'
import { compareSortKeys, type SortKey } from '../../audit/sort-key.ts'
import type { AuditSource, Failure } from '../../audit/source.ts'
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

/** Rows of which all before `reached` are there. `bytes` and `scanned` are of those from Kubiya. */
export interface PageRows {
  readonly rows: readonly BackfillRow[]
  readonly reached: Instant
  readonly bytes: number
  readonly scanned: number
}

export interface PageReadOptions {
  /** Asked for what is older than `since`. */
  readonly source: AuditSource
  readonly filter: AuditFilter
  readonly from: Instant
  readonly since: Instant
  /** Most events that are read of an upstream that does not sort. */
  readonly scanLimit: number
  /** Asked between the requests: nobody waits for the page any more. */
  readonly isGivenUp: () => boolean
  /** Waits before the next attempt. The wait grows with the number of failures in a row. */
  readonly backOff: (failure: Failure, failures: number) => Promise<void>
  /** Whether the poller reaches Kubiya. */
  readonly isUpstreamThere: () => boolean
}

const PAGE_ROWS = 1000
const PAGE_BYTES = 4 * 1024 * 1024
// Rows of one second may come in any order, so all of them are held until the second is complete.
const LARGEST_SECOND_BYTES = 32 * 1024 * 1024
const MOST_FAILURES = 8
const BEYOND_ALL = LATEST + 1n
const AFTER_ALL_IDS = '\uffff'
const BEFORE_ALL_IDS = '\0'

/**
 * Reads some thousand rows, up to an instant that the read determines. The reason where there are none: Kubiya serves
 * the poller but fails here, or one second is too large to be held. `undefined`: the read was given up.
 */
export async function readPage (options: PageReadOptions): Promise<PageRows | GapReason | undefined> {
  const { filter, from, isUpstreamThere, scanLimit, since, source } = options
  const window = { start: from, end: since - 1n }
  const purpose = { kind: 'caller', key: '' } as const // The source knows who pays.
  const request = { filter, window, direction: 'asc', pageSize: PAGE_ROWS, scanLimit, purpose } as const
  let page = emptyPage(from)
  let failures = 0
  for await (const step of scan(bisecting(source, { skipsRows: true }), request)) {
    if (step.ok) page = withStep(page, step, since)
    // After a failure, subscribers get what is there. The next page repeats the query.
    if (page.reached > from && (!step.ok || isFull(page, since))) return page
    if (page.bytes > LARGEST_SECOND_BYTES) return 'replay-limit'
    failures = failuresAfter(step, failures)
    if (failures > MOST_FAILURES && isUpstreamThere()) break
    if (!step.ok) await options.backOff(step, failures)
    if (options.isGivenUp()) return undefined
  }
  return 'upstream-outage'
}

/** A page before its first row. */
export function emptyPage (from: Instant): PageRows {
  return { rows: [], reached: from, bytes: 0, scanned: 0 }
}

function withStep (page: PageRows, step: ScanStep, since: Instant): PageRows {
  const rows = step.rows.map(({ event, key }): BackfillRow => ({ event, late: false, key }))
  if (step.skipped !== undefined) {
    const { from, reason, to = since - 1n } = step.skipped
    rows.push({ gap: { from, to: maxInstant(from, to), reason }, key: { instant: from, id: AFTER_ALL_IDS } })
  }
  return {
    rows: [...page.rows, ...rows],
    // Whole seconds are asked for: the scan may have come past `since`.
    reached: step.end ? since : minInstant(step.reached ?? page.reached, since),
    bytes: page.bytes + step.rows.reduce((sum, { event }) => sum + weightOf(event), 0),
    scanned: page.scanned + step.scanned
  }
}

function isFull ({ bytes, reached, scanned }: PageRows, since: Instant): boolean {
  return reached === since || scanned >= PAGE_ROWS || bytes >= PAGE_BYTES
}

/** In a row. A share that is spent is no failure of Kubiya. */
function failuresAfter (step: ScanStep | Failure, before: number): number {
  if (step.ok) return 0
  return step.kind === 'share' ? before : before + 1
}

/** Adds the last rows: what the log keeps from an instant on. A gap is found by its end, also by streams inside it. */
export function withLog (page: PageRows, entries: readonly LogEntry[], since: Instant): PageRows {
  const rows = entries.map((entry): BackfillRow => {
    const instant = instantOf(entry) ?? entry.highWater
    return { ...entry, key: { instant, id: 'gap' in entry ? BEFORE_ALL_IDS : entry.event.id } }
  })
  return { ...page, rows: [...page.rows, ...rows.filter(({ key }) => key.instant >= since)], reached: BEYOND_ALL }
}

/** In their order, the rows before which none can be missing. */
export function certainRows ({ reached, rows }: PageRows): BackfillRow[] {
  return rows.filter(({ key }) => key.instant < reached).sort((a, b) => compareSortKeys(a.key, b.key))
}
