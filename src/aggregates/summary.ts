import type { AuditFilter } from '../audit/filter.ts'
import { maxInstant, minInstant, type Instant } from '../audit/instant.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { UNDATED, positionAt, type Chunk } from './chunk.ts'
import { COUNTED_FIELDS, type CountedField } from './columns.ts'
import type { TablePart } from './event-table.ts'
import { selectRows, type SelectedRows } from './selection.ts'
import { createSessionSpans, joinSpans, type JoinedSpans, type SessionSpans } from './session-spans.ts'
import { sortedNumbers } from './sorted-numbers.ts'
import {
  NO_EVENTS,
  createFieldTally,
  fieldCounts,
  isCapped,
  sumOf,
  totalOf,
  type FieldCounts,
  type FieldTally,
  type Tally
} from './tally.ts'

/** The counts of `/summary`. Numbers of a distribution are `null` where there is nothing to distribute. */
export interface SummaryCounts {
  readonly totals: Tally & {
    /** From 0 to 1, of the events whose outcome is known. */
    readonly success_rate: number | null
    readonly users: number
    readonly sessions: number
    readonly undated: number
  }
  readonly by: { readonly [Field in CountedField]: FieldCounts }
  readonly sessions: {
    readonly count: number
    readonly events_without_session: number
    readonly events_per_session: Distribution & { readonly mean: number | null }
    readonly duration_seconds: Distribution
  }
  /** Of the dated events. */
  readonly first_event: Instant | null
  readonly last_event: Instant | null
  /** Whether values were not held: `distinct`, `users` and `sessions` are then lower bounds. */
  readonly capped?: true
}

export interface Distribution {
  /** Of an even number of values: the mean of the two in the middle. */
  readonly median: number | null
  /** By the nearest rank. */
  readonly p95: number | null
  readonly max: number | null
}

interface PartCounts {
  readonly fields: { readonly [Field in CountedField]: FieldTally }
  readonly spans: SessionSpans
  readonly dated: DatedCounts
  readonly isExact: boolean
}

/** Counts the events of all parts that match a filter. At most `top` values of each field are listed. */
export async function countSummary (
  parts: readonly TablePart[],
  filter: AuditFilter,
  { top }: { readonly top: number }
): Promise<SummaryCounts> {
  const counted: PartCounts[] = []
  for (const part of parts) counted.push(await countPart(part, filter))
  const by: Partial<Record<CountedField, FieldCounts>> = {}
  for (const field of COUNTED_FIELDS) {
    by[field] = await fieldCounts(counted.map(({ fields }) => fields[field]), top)
    await pauseIfDue()
  }
  const spans = await joinSpans(counted.map((each) => each.spans))
  const totals = counted.reduce((sum, { fields }) => sumOf(sum, totalOf(fields.status)), NO_EVENTS)
  const known = totals.success + totals.failed
  const isPartCapped = ({ fields, isExact }: PartCounts) => !isExact || Object.values(fields).some(isCapped)
  const capped = spans.isCapped || counted.some(isPartCapped)
  return {
    totals: {
      ...totals,
      success_rate: known === 0 ? null : totals.success / known,
      users: by.email?.distinct ?? 0,
      sessions: spans.events.length,
      undated: counted.reduce((sum, { dated }) => sum + dated.undated(), 0)
    },
    by: by as Record<CountedField, FieldCounts>,
    sessions: await sessionCounts(spans),
    first_event: extreme(counted.map(({ dated }) => dated.first()), minInstant),
    last_event: extreme(counted.map(({ dated }) => dated.last()), maxInstant),
    ...capped && { capped }
  }
}

async function countPart (part: TablePart, filter: AuditFilter): Promise<PartCounts> {
  const { snapshot } = part
  const tallies = COUNTED_FIELDS.map((field) => [field, createFieldTally(snapshot, field)] as const)
  const spans = createSessionSpans(snapshot)
  const dated = createDatedCounts()
  const isExact = await selectRows(part, filter, (chunk, selected) => {
    for (const [, tally] of tallies) tally.count(chunk, selected)
    spans.count(chunk, selected)
    dated.count(chunk, selected)
  })
  return { fields: Object.fromEntries(tallies) as Record<CountedField, FieldTally>, spans, dated, isExact }
}

interface DatedCounts {
  count (chunk: Chunk, selected: SelectedRows): void
  undated (): number
  first (): Instant | undefined
  last (): Instant | undefined
}

function createDatedCounts (): DatedCounts {
  let undated = 0
  let first: Instant | undefined
  let last: Instant | undefined
  return { count, undated: () => undated, first: () => first, last: () => last }

  /** Finds the first and the last row with numbers, and makes an instant only of these two. */
  function count (chunk: Chunk, { count, indices }: SelectedRows): void {
    const { flags, nanos, seconds } = chunk
    let [least, most] = [-1, -1]
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      if (((flags[row] ?? 0) & UNDATED) !== 0) {
        undated++
        continue
      }
      if (least < 0 || isEarlier(row, least)) least = row
      if (most < 0 || isEarlier(most, row)) most = row
    }
    if (least < 0) return
    first = minInstant(first ?? positionAt(chunk, least), positionAt(chunk, least))
    last = maxInstant(last ?? positionAt(chunk, most), positionAt(chunk, most))

    function isEarlier (row: number, other: number): boolean {
      const a = seconds[row] ?? 0
      const b = seconds[other] ?? 0
      return a < b || (a === b && (nanos[row] ?? 0) < (nanos[other] ?? 0))
    }
  }
}

async function sessionCounts (
  { durations, events, eventsWithoutSession, sum }: JoinedSpans
): Promise<SummaryCounts['sessions']> {
  const { length } = events
  return {
    count: length,
    events_without_session: eventsWithoutSession,
    events_per_session: { mean: length === 0 ? null : sum / length, ...await distributionOf(events) },
    duration_seconds: await distributionOf(durations)
  }
}

async function distributionOf (values: Float64Array): Promise<Distribution> {
  const sorted = await sortedNumbers(values)
  const { length } = sorted
  if (length === 0) return { median: null, p95: null, max: null }
  const ranked = (rank: number) => sorted[rank - 1] ?? 0
  return {
    median: (ranked(Math.ceil(length / 2)) + ranked(Math.floor(length / 2) + 1)) / 2,
    p95: ranked(Math.ceil(length * 95 / 100)),
    max: ranked(length)
  }
}

function extreme (
  instants: ReadonlyArray<Instant | undefined>,
  better: (a: Instant, b: Instant) => Instant
): Instant | null {
  return instants.reduce<Instant | null>((best, each) =>
    each === undefined ? best : best === null ? each : better(best, each), null)
}
