import { EARLIEST, LATEST, maxInstant, minInstant, type Instant } from '../audit/instant.ts'
import type { TimeRange } from '../audit/time-range.ts'
import type { TableSnapshot } from './event-table.ts'
import type { Interval } from './gap-list.ts'
import type { ScanProgress } from './table-scan.ts'

/** What an answer really counted. */
export interface Coverage {
  /** Whether that is the whole window, and every event of it could be read. */
  readonly complete: boolean
  /** Events that were looked at. */
  readonly scanned: number
  /** The stretch that was counted. `start` is later than the window's where the reading has not gone further back. */
  readonly start: Instant | undefined
  readonly end: Instant
  /** When the last good poll began, by Kubiya's clock. */
  readonly asOf: Instant
  /** How long from now until more will have been read. `undefined`: never, or nothing is missing. */
  readonly retryAfterMs: number | undefined
  /** Intervals of the stretch with events that could not be read. */
  readonly skipped: readonly Interval[]
}

/** How far a window was read, and why not further. */
export interface Reach extends Pick<ScanProgress, 'stop'> {
  /** The window from here on was read. */
  readonly from: Instant
}

const GOES_ON_MS = 1000
const FAILED_MS = 5000

export interface CoverageParts {
  readonly window: TimeRange
  readonly reach: Reach
  readonly asOf: Instant
  readonly scanned: number
  readonly gaps: readonly Interval[]
}

export function coverageOf ({ asOf, gaps, reach, scanned, window }: CoverageParts): Coverage {
  const start = window.start ?? EARLIEST
  const end = window.end ?? LATEST
  const isWhole = reach.from <= start
  const counted = { from: maxInstant(start, reach.from), to: end }
  const skipped = gaps.filter(({ from, to }) => from <= counted.to && to >= counted.from).map(({ from, to }) => (
    { from: maxInstant(from, counted.from), to: minInstant(to, minInstant(end, maxInstant(asOf, from))) }
  ))
  return {
    complete: isWhole && skipped.length === 0,
    scanned,
    start: isWhole ? window.start : reach.from,
    end: window.end ?? asOf,
    asOf,
    retryAfterMs: isWhole ? undefined : retryAfterMs(reach),
    skipped
  }
}

function retryAfterMs ({ stop }: Reach): number | undefined {
  if (stop === 'row-limit') return undefined
  if (stop === undefined || stop === 'unasked') return GOES_ON_MS
  return stop.retryAfterMs ?? FAILED_MS
}

/** How many rows a window makes a count look at. */
export function rowsLookedAt ({ chunks }: TableSnapshot, { end = LATEST, start = EARLIEST }: TimeRange): number {
  return chunks.filter(({ least, most }) => most >= start && least <= end).reduce((sum, { rows }) => sum + rows, 0)
}
