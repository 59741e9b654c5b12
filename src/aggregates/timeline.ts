import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, floorToSecond, maxInstant, minInstant, type Instant } from '../audit/instant.ts'
import { STATUS_BITS, UNDATED, positionAt, type Chunk } from './chunk.ts'
import { columnOf, type CountedField } from './columns.ts'
import { FIRST_CODE, type Dictionary } from './dictionary.ts'
import type { TablePart } from './event-table.ts'
import { selectRows, type SelectedRows } from './selection.ts'
import { createFieldTally, dictionaryOf, fieldCounts, isCapped, type FieldTally } from './tally.ts'

/** The widths that a timeline chooses from, in seconds: from one second to 30 days. */
export const INTERVALS_SECONDS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000
] as const

export type TimelineField = CountedField | 'none'

/** A row of numbers of the timeline. The value `""` stands for the rest: further values, and missing ones. */
export interface TimelineSeries {
  readonly value: string
  readonly events: number
}

/** A bucket contains its start and not its end. */
export interface TimelineBucket {
  readonly start_time: Instant
  readonly end_time: Instant
  readonly events: number
  /** One number for each series. */
  readonly counts: readonly number[]
  /** The bucket reaches beyond the window. */
  readonly partial?: true
}

export interface TimelineCounts {
  readonly interval_seconds: number
  readonly by: TimelineField
  readonly series: readonly TimelineSeries[]
  readonly buckets: readonly TimelineBucket[]
  /** Whether values were not held. Their events are in the rest. */
  readonly capped?: true
}

export interface TimelineOptions {
  /** A whole number of seconds. */
  readonly intervalSeconds: number
  /** The window, both ends included. */
  readonly start: Instant
  readonly end: Instant
  readonly by: TimelineField
  /** Most series, without the rest. */
  readonly top: number
}

/** The smallest width with which `buckets` buckets cover the span. If none does, the greatest width. */
export function intervalFor (spanSeconds: number, buckets: number): number {
  return INTERVALS_SECONDS.find((seconds) => seconds * buckets >= spanSeconds) ?? 2_592_000
}

/** How many buckets a window has. They begin at multiples of their width since 1970. */
export function bucketCount (start: Instant, end: Instant, intervalSeconds: number): number {
  return end < start ? 0 : bucketOf(end, intervalSeconds) - bucketOf(start, intervalSeconds) + 1
}

/**
 * Counts the dated events of all parts that match a filter, in buckets without a hole between them. The owner bounds
 * the number of buckets.
 */
export async function countTimeline (
  parts: readonly TablePart[],
  filter: AuditFilter,
  options: TimelineOptions
): Promise<TimelineCounts> {
  const { by, end, intervalSeconds, start } = options
  const within = parts.map((part) => ({ ...part, window: narrowed(part, options) }))
  const { capped, series } = await countSeries(within, filter, options)
  const first = bucketOf(start, intervalSeconds)
  const buckets = bucketCount(start, end, intervalSeconds)
  const grid = createGrid({ first, buckets, width: series.length, intervalSeconds })
  for (const part of within) {
    const seriesIn = by === 'none' ? undefined : readerOf(part, by, series)
    await selectRows(part, filter, (chunk, selected) => grid.count(chunk, selected, seriesIn?.(chunk)))
  }
  return { interval_seconds: intervalSeconds, by, series, buckets: bucketsOf(grid, options), ...capped && { capped } }
}

/** The first and the last dated event that match. `undefined`: there is none. */
export async function eventExtent (
  parts: readonly TablePart[],
  filter: AuditFilter
): Promise<{ readonly first: Instant, readonly last: Instant } | undefined> {
  let extent: { readonly first: Instant, readonly last: Instant } | undefined
  for (const part of parts) {
    await selectRows(part, filter, (chunk, { count, indices }) => {
      for (let at = 0; at < count; at++) {
        const row = indices[at] ?? 0
        if (!isDated(chunk, row)) continue
        const position = positionAt(chunk, row)
        extent = {
          first: minInstant(extent?.first ?? position, position),
          last: maxInstant(extent?.last ?? position, position)
        }
      }
    })
  }
  return extent
}

function narrowed ({ window }: TablePart, { end, start }: TimelineOptions) {
  return { start: maxInstant(window.start ?? start, start), end: minInstant(window.end ?? end, end) }
}

/** The values with the most dated events, and the rest if it has events. */
async function countSeries (
  parts: readonly TablePart[],
  filter: AuditFilter,
  { by, top }: TimelineOptions
): Promise<{ readonly series: readonly TimelineSeries[], readonly capped: boolean }> {
  if (by === 'none') return { series: [], capped: false }
  const tallies: FieldTally[] = []
  let isExact = true
  for (const part of parts) {
    const tally = createFieldTally(part.snapshot, by)
    const isPartExact = await selectRows(part, filter, (chunk, selected) => {
      tally.count(chunk, datedOnly(chunk, selected))
    })
    isExact &&= isPartExact
    tallies.push(tally)
  }
  const { missing_events: missing, other_events: others, values } = await fieldCounts(tallies, top)
  const series = values.map(({ events, value }) => ({ value, events }))
  const rest = missing + others
  return {
    series: rest === 0 ? series : [...series, { value: '', events: rest }],
    capped: !isExact || tallies.some(isCapped)
  }
}

function datedOnly (chunk: Chunk, { count, indices }: SelectedRows): SelectedRows {
  let kept = 0
  for (let at = 0; at < count; at++) {
    const row = indices[at] ?? 0
    if (isDated(chunk, row)) indices[kept++] = row
  }
  return { indices, count: kept }
}

function isDated ({ flags }: Chunk, row: number): boolean {
  return ((flags[row] ?? 0) & UNDATED) === 0
}

/** The series of each code. All codes without one belong to the rest. */
function seriesOfCodes ({ codeOf, size }: Dictionary, series: readonly TimelineSeries[]): Uint16Array {
  const ofCode = new Uint16Array(size).fill(series.findIndex(({ value }) => value === ''))
  series.forEach(({ value }, place) => {
    const code = codeOf(value)
    if (code !== undefined) ofCode[code] = place
  })
  return ofCode
}

function readerOf ({ snapshot }: TablePart, by: CountedField, series: readonly TimelineSeries[]) {
  const ofCode = seriesOfCodes(dictionaryOf(snapshot, by), series)
  return (chunk: Chunk) => seriesAt(chunk, by, ofCode)
}

/** The series of a row. */
type SeriesAt = (row: number) => number

function seriesAt ({ codes, flags }: Chunk, by: CountedField, ofCode: Uint16Array): SeriesAt {
  const column = columnOf(by)
  if (column === undefined) return (row) => ofCode[FIRST_CODE + ((flags[row] ?? 0) & STATUS_BITS)] ?? 0
  const values = codes[column]
  return (row) => ofCode[values[row] ?? 0] ?? 0
}

interface Grid {
  count (chunk: Chunk, selected: SelectedRows, seriesOf: SeriesAt | undefined): void
  bucket (index: number): { readonly events: number, readonly counts: readonly number[] }
}

interface GridOptions {
  readonly first: number
  readonly buckets: number
  /** The number of series. */
  readonly width: number
  readonly intervalSeconds: number
}

function createGrid ({ buckets, first, intervalSeconds, width }: GridOptions): Grid {
  const events = new Uint32Array(buckets)
  const counts = new Uint32Array(buckets * width)
  return { count, bucket }

  function count (chunk: Chunk, selected: SelectedRows, seriesOf: SeriesAt | undefined): void {
    const { count, indices } = datedOnly(chunk, selected)
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      const bucket = Math.floor((chunk.seconds[row] ?? 0) / intervalSeconds) - first
      increment(events, bucket)
      if (seriesOf !== undefined) increment(counts, bucket * width + seriesOf(row))
    }
  }

  function bucket (index: number) {
    return { events: events[index] ?? 0, counts: Array.from(counts.subarray(index * width, (index + 1) * width)) }
  }
}

function bucketsOf (grid: Grid, { end, intervalSeconds, start }: TimelineOptions): TimelineBucket[] {
  const width = BigInt(intervalSeconds) * NANOS_PER_SECOND
  const first = BigInt(bucketOf(start, intervalSeconds)) * width
  return Array.from({ length: bucketCount(start, end, intervalSeconds) }, (_, index) => {
    const from = first + BigInt(index) * width
    const to = from + width
    const isPartial = from < start || to - 1n > end
    return { start_time: from, end_time: to, ...grid.bucket(index), ...isPartial && { partial: true as const } }
  })
}

function bucketOf (instant: Instant, intervalSeconds: number): number {
  return Math.floor(Number(floorToSecond(instant) / NANOS_PER_SECOND) / intervalSeconds)
}

function increment (counts: Uint32Array, place: number): void {
  counts[place] = (counts[place] ?? 0) + 1
}
