import { LRUCache } from 'lru-cache'
import type { LogCursor } from '../audit/cursor.ts'
import { compileFilter, filterKey, type AuditFilter } from '../audit/filter.ts'
import { instantFromMs, type Instant } from '../audit/instant.ts'
import { isFinal } from '../audit/time-range.ts'
import type { Clock } from '../clock.ts'
import { createEventTable, type EventTable } from './event-table.ts'
import { PAGE_ROWS, createTableScan, type TableScan, type TableScanOptions } from './table-scan.ts'

export interface ExtraTablesOptions extends Pick<TableScanOptions, 'onError' | 'source'> {
  readonly clock: Pick<Clock, 'monotonicMs' | 'setTimer'>
  /** Kubiya's clock, milliseconds since 1970. */
  readonly upstreamNow: () => number
  /** How late an event may become visible. Until then a window that has ended is open. */
  readonly latenessMs: number
  /** How long a finished table answers a question whose window is still open, milliseconds. */
  readonly openTtlMs: number
  /** The most events that one table reads: with a text, and without one. */
  readonly searchScanLimit: number
  readonly scanLimit: number
  /** The end of the log. */
  readonly position: () => LogCursor
  /** Whether Kubiya refuses the poller's credential now. Then each question asks Kubiya. */
  readonly isRefused: () => boolean
}

export interface ExtraQuery {
  /** Kubiya may leave out what this does not match. */
  readonly filter: AuditFilter
  /** A text that is not part of `filter`: rows are marked by it. */
  readonly markedText: string | undefined
  readonly end: Instant | undefined
  /** How far back the question goes. */
  readonly start: Instant
}

/** A table that was filled for one question. */
export interface ExtraTable {
  readonly table: EventTable
  readonly scan: TableScan
  /** When its reading began: monotonic time, milliseconds. What became visible later may be missing. */
  readonly startedMs: number
  /** The end of the log at that time. */
  readonly position: LogCursor
}

/** Tables for what the live table does not hold: older windows, and texts. */
export interface ExtraTables {
  open (query: ExtraQuery): ExtraTable
  /** The table that was filled for a question, as far as its reading has come. */
  kept (query: ExtraQuery): ExtraTable | undefined
  clear (): void
}

const MOST_TABLES = 2
const KEPT_MS = 5 * 60_000

/** A repeated query continues the reading that the first one began. */
export function createExtraTables (options: ExtraTablesOptions): ExtraTables {
  const { clock, isRefused, latenessMs, openTtlMs, position, scanLimit, searchScanLimit, upstreamNow } = options
  const tables = new LRUCache<string, ExtraTable>({
    max: MOST_TABLES,
    ttl: KEPT_MS,
    ttlResolution: 0,
    perf: { now: clock.monotonicMs },
    dispose: ({ scan }) => scan.close()
  })
  return { open, kept: (query) => tables.get(keyOf(query)), clear: () => tables.clear() }

  function open (query: ExtraQuery): ExtraTable {
    const key = keyOf(query)
    const kept = tables.get(key)
    if (kept !== undefined && isUsable(kept, query)) return kept
    const made = create(query)
    tables.set(key, made)
    return made
  }

  function isUsable ({ scan, startedMs }: ExtraTable, { end, start }: ExtraQuery): boolean {
    const { coveredFrom, stop } = scan.progress()
    const isFinished = stop === 'row-limit' || (coveredFrom !== undefined && coveredFrom <= start)
    if (!isFinished) return true
    const isClosed = isFinal(end, instantFromMs(upstreamNow()), latenessMs)
    return !isRefused() && (isClosed || clock.monotonicMs() - startedMs < openTtlMs)
  }

  function create ({ end, filter, markedText }: ExtraQuery): ExtraTable {
    const rowLimit = filter.text === undefined && markedText === undefined ? scanLimit : searchScanLimit
    const table = createEventTable({ maxEvents: rowLimit + PAGE_ROWS })
    const matchesText = markedText === undefined ? undefined : compileFilter({ text: markedText })
    const scan = createTableScan({ ...options, table, filter, end, rowLimit, ...matchesText && { matchesText } })
    return { table, scan, startedMs: clock.monotonicMs(), position: position() }
  }
}

function keyOf ({ end, filter, markedText }: ExtraQuery): string {
  return JSON.stringify([filterKey(filter), markedText ?? null, String(end ?? '')])
}
