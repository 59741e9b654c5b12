import type { LogCursor } from '../../audit/cursor.ts'
import { weightOf, type AuditEvent } from '../../audit/event.ts'
import { compileFilter } from '../../audit/filter.ts'
import {
  EARLIEST,
  NANOS_PER_SECOND,
  floorToSecond,
  instantFromMs,
  maxInstant,
  minInstant,
  type Instant
} from '../../audit/instant.ts'
import type { RecentPageQuery } from '../../audit/recent-events.ts'
import { compareKeyedEvents, isAfter, type KeyedEvent } from '../../audit/sort-key.ts'
import type { TimeRange } from '../../audit/time-range.ts'
import { pauseIfDue } from '../../audit/time-slice.ts'
import { instantOf, type LogEntry, type LogReader } from '../log/event-log.ts'

export interface RecentRowsOptions {
  readonly log: Pick<LogReader, 'end' | 'read' | 'startOffset'>
  /** From this instant on the log is complete, until the poller knows better. */
  readonly start: Instant
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** The rows of one page, and how far back the log was read for them. */
export interface Selection {
  readonly rows: readonly KeyedEvent[]
  readonly hasMore: boolean
  readonly scanned: number
  readonly window: TimeRange
  readonly position: LogCursor
  /** The earliest instant that the selection rests on. */
  readonly from: Instant
}

/** The dated events of the log in the order of their instants, and since when none of them is missing. */
export interface RecentRows {
  /** Takes the rows of a page. `undefined`: the log is not complete for them. */
  select (query: RecentPageQuery): Promise<Selection | undefined>
  /** The log holds every event from this instant on. */
  completeSince (): Instant
  /** Every event from this instant on will enter the log. */
  resetTo (start: Instant): void
  /** The log has evicted this entry. */
  evicted (entry: LogEntry): void
}

type Row = KeyedEvent & { readonly offset: number }

/** The log at one position. It does not change while a selection pauses. */
interface View {
  readonly position: LogCursor
  readonly startOffset: number
  readonly completeSince: Instant
  /** Oldest first. */
  readonly rows: readonly Row[]
  readonly undated: readonly UndatedRow[]
}

interface UndatedRow {
  readonly event: AuditEvent
  readonly offset: number
}

// Events dated past now would end the completeness for as long as they are dated ahead.
const MOST_AHEAD = 100
const MOST_AHEAD_BYTES = 1024 * 1024
const MOST_STALE_SHARE = 1 / 4

const compareRows = compareKeyedEvents('asc')

/**
 * Indexes the log by instant. The index follows the log when a query comes: without queries it costs nothing.
 *
 * The log is complete since C. C lies behind each gap, each evicted event, and behind the second of the neighbour of an
 * evicted event without an instant. An evicted event dated past now is kept here and does not move C.
 */
export function createRecentRows ({ log, now, start }: RecentRowsOptions): RecentRows {
  let since = start
  let ahead: Row[] = [] // Evicted, but dated past now, or next to an event that is. Oldest first.
  let view: View | undefined

  return { select, completeSince: () => upToDate().completeSince, resetTo, evicted }

  function resetTo (newStart: Instant): void {
    since = newStart
    ahead = []
    view = undefined
  }

  function evicted (entry: LogEntry): void {
    // The view must not keep much of what the log gave up for its bound.
    if (view !== undefined && entry.offset - view.startOffset > view.rows.length * MOST_STALE_SHARE) view = undefined
    if ('gap' in entry) return raise(entry.gap.to)
    const instant = instantOf(entry) ?? endOfSecond(entry.notAfter ?? entry.newest)
    if (instant <= instantFromMs(now())) return raise(instant)
    ahead = [...ahead, rowOf(entry.event, instant, entry.offset)].sort(compareRows)
    for (const oldest of ahead) {
      if (ahead.length <= MOST_AHEAD && weightOfAll(ahead) <= MOST_AHEAD_BYTES) return
      raise(oldest.key.instant)
    }
  }

  /** Something at this instant is missing from the log. */
  function raise (missing: Instant): void {
    since = maxInstant(since, missing + 1n)
    ahead = ahead.filter(({ key }) => key.instant >= since)
  }

  function upToDate (): View {
    const [position, startOffset] = [log.end(), log.startOffset()]
    if (view?.position === position && view.startOffset === startOffset) return view
    view = follow(view, position, startOffset)
    return view
  }

  /** The next view: without what was evicted, and with what has entered. */
  function follow (last: View | undefined, position: LogCursor, startOffset: number): View {
    const fresh = log.read(Math.max(startOffset, last?.position.offset ?? 0), Infinity) ?? []
    for (const entry of fresh) if ('gap' in entry) raise(entry.gap.to)
    const isKept = ({ offset }: { offset: number }) => offset >= startOffset
    const dated = fresh.flatMap((entry) =>
      'event' in entry && entry.event.instant !== undefined ? rowOf(entry.event, entry.event.instant, entry.offset) : []
    )
    const undated = fresh.flatMap((entry) =>
      'event' in entry && entry.event.instant === undefined ? { event: entry.event, offset: entry.offset } : [])
    const kept = (last?.rows ?? []).filter(isKept)
    return {
      position,
      startOffset,
      completeSince: since,
      rows: merge(merge(kept, dated), ahead.filter(isDated)),
      undated: [...(last?.undated ?? []).filter(isKept), ...undated, ...ahead.filter((row) => !isDated(row))]
    }
  }

  async function select (query: RecentPageQuery): Promise<Selection | undefined> {
    const { completeSince, position, rows, undated } = upToDate()
    const window = query.window()
    const range = rangeToRead(query, window)
    // Oldest first, the first row decides; newest first, the last one does.
    const isWhole = range.start !== undefined && range.start >= completeSince
    if (query.direction === 'asc' && !isWhole) return undefined
    const accepts = compileFilter(query.filter)
    // Nobody knows the place of an event without an instant among the others.
    for (const { event } of undated) {
      if (accepts(event.item)) return undefined
      await pauseIfDue()
    }
    const from = isWhole ? range.start ?? completeSince : completeSince
    const found = await take(query, rows, { ...range, start: from }, (event) => accepts(event.item))
    if (!found.hasMore && !isWhole) return undefined
    return { ...found, window, position, from: found.hasMore && query.direction === 'desc' ? found.last : from }
  }
}

/** The part of the window that earlier pages did not hold. */
function rangeToRead ({ after, direction }: RecentPageQuery, window: TimeRange): TimeRange {
  if (after === undefined) return window
  const { end = after.instant, start = after.instant } = window
  return direction === 'asc'
    ? { ...window, start: maxInstant(start, after.instant) }
    : { ...window, end: minInstant(end, after.instant) }
}

/** Walks the range until the page and one match more are found, in time slices. */
async function take (
  { after, count, direction, skip }: RecentPageQuery,
  rows: readonly Row[],
  { end, start = EARLIEST }: TimeRange,
  accepts: (event: AuditEvent) => boolean
): Promise<{ rows: KeyedEvent[], hasMore: boolean, scanned: number, last: Instant }> {
  const [low, high] = [firstFrom(rows, start), end === undefined ? rows.length : firstFrom(rows, end + 1n)]
  const taken: KeyedEvent[] = []
  let matches = 0
  let scanned = 0
  for (let step = 0; step < high - low; step++) {
    const row = rows[direction === 'asc' ? low + step : high - 1 - step]
    if (row === undefined) break
    const pause = pauseIfDue()
    if (pause !== undefined) await pause
    if (after !== undefined && !isAfter(row.key, after, direction)) continue
    scanned++
    if (!accepts(row.event)) continue
    matches++
    if (matches > skip + count) return { rows: taken, hasMore: true, scanned, last: row.key.instant }
    if (matches > skip) taken.push({ event: row.event, key: row.key })
  }
  return { rows: taken, hasMore: false, scanned, last: start }
}

/** The index of the first row at or after an instant: binary search. */
function firstFrom (rows: readonly KeyedEvent[], instant: Instant): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((rows[middle]?.key.instant ?? instant) < instant) low = middle + 1
    else high = middle
  }
  return low
}

/** Puts rows in order among rows that are in order. New events mostly belong to the end. */
function merge (rows: readonly Row[], more: readonly Row[]): readonly Row[] {
  if (more.length === 0) return rows
  const sorted = [...more].sort(compareRows)
  const [oldest] = sorted
  const border = oldest === undefined ? rows.length : firstFrom(rows, oldest.key.instant)
  return [...rows.slice(0, border), ...[...rows.slice(border), ...sorted].sort(compareRows)]
}

/** Kubiya answers an event without an instant in each window that contains a part of its second. */
function endOfSecond (instant: Instant): Instant {
  return floorToSecond(instant) + NANOS_PER_SECOND - 1n
}

function rowOf (event: AuditEvent, instant: Instant, offset: number): Row {
  return { event, key: { instant, id: event.id }, offset }
}

function isDated ({ event }: Row): boolean {
  return event.instant !== undefined
}

function weightOfAll (rows: readonly Row[]): number {
  return rows.reduce((sum, { event }) => sum + weightOf(event), 0)
}
