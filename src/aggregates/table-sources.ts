import { EARLIEST, maxInstant, type Instant } from '../audit/instant.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { coverageOf, rowsLookedAt, type Coverage } from './coverage.ts'
import type { TablePart, TableSnapshot } from './event-table.ts'
import type { ExtraTable } from './extra-tables.ts'
import type { LiveTable } from './live-table.ts'
import type { ScanProgress } from './table-scan.ts'

/** A table with the part of the window that it answers. */
export interface TableSource extends Pick<ScanProgress, 'coveredFrom' | 'stop'> {
  readonly snapshot: TableSnapshot
  readonly window: TimeRange
  /** How many events were looked at. */
  readonly scanned: number
  /** When its events were read: monotonic time, milliseconds. */
  readonly readMs: number
}

/** What all sources together answer. */
export interface JoinedSources {
  readonly parts: readonly TablePart[]
  readonly coverage: Coverage
  /** When the oldest part was read: monotonic time, milliseconds. */
  readonly readMs: number
}

/** `readMs`: when the poll began that the events of the window are known from. */
export function liveSource (table: LiveTable, window: TimeRange, readMs: number): TableSource {
  const snapshot = table.snapshot()
  const scanned = rowsLookedAt(snapshot, window)
  return { snapshot, window, coveredFrom: table.coveredFrom(), stop: table.progress().stop, scanned, readMs }
}

export function extraSource ({ scan, startedMs, table }: ExtraTable, window: TimeRange): TableSource {
  return { snapshot: table.snapshot(), window, ...scan.progress(), readMs: startedMs }
}

/** The rows of all sources that were read, the newest source first. */
export function joinSources (window: TimeRange, sources: readonly TableSource[], asOf: Instant): JoinedSources {
  const read = sources.flatMap(({ coveredFrom, ...rest }) =>
    coveredFrom === undefined ? [] : { ...rest, coveredFrom })
  const parts = read.map((each): TablePart => ({ snapshot: each.snapshot, window: coveredPart(each) }))
  const from = read.reduce((_, each) => coveredPart(each).start, EARLIEST)
  const coverage = coverageOf({
    window,
    reach: { from, stop: sources.at(-1)?.stop },
    asOf,
    scanned: read.reduce((sum, { scanned }) => sum + scanned, 0),
    gaps: read.flatMap(({ snapshot }) => snapshot.gaps)
  })
  return { parts, coverage, readMs: Math.min(...read.map((each) => each.readMs)) }
}

function coveredPart ({ coveredFrom, window }: Pick<TableSource, 'window'> & { readonly coveredFrom: Instant }) {
  return { ...window, start: maxInstant(window.start ?? EARLIEST, coveredFrom) }
}
