import type { AuditFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { isWithin, type TimeRange } from '../audit/time-range.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { MATCHES_TEXT, MOST_CHUNK_ROWS, STATUS_BITS, type Chunk, type Codes } from './chunk.ts'
import { FAILED, SUCCESS, type DictionaryColumn } from './columns.ts'
import type { TablePart, TableSnapshot } from './event-table.ts'

const COLUMN_OF_FIELD = {
  category_type: 'category_type',
  category_name: 'category_name',
  resource_type: 'resource_type',
  action_type: 'action_type',
  email: 'email',
  session_id: 'session',
  tool_name: 'tool'
} as const satisfies Partial<Record<keyof AuditFilter, DictionaryColumn>>
const FILTERED_FIELDS = Object.keys(COLUMN_OF_FIELD) as Array<keyof typeof COLUMN_OF_FIELD>

/** The indices of selected rows. The first `count` of them are valid, and only until the next chunk. */
export interface SelectedRows {
  readonly indices: Uint16Array
  readonly count: number
}

export type Visit = (chunk: Chunk, selected: SelectedRows) => void

/**
 * Selects the rows of a part by its window and a filter, chunk by chunk, in slices of time. A row matches exactly the
 * filters that its event matches (audit/filter.ts); a `text` was judged when the row was added. Chunks without a
 * selected row are not visited.
 *
 * Returns whether the rows are exact. `false`: a filter names a text that a full dictionary may not hold.
 */
export async function selectRows (part: TablePart, filter: AuditFilter, visit: Visit): Promise<boolean> {
  const { matches, isExact } = compileMatches(part.snapshot, filter)
  if (matches === undefined) return isExact
  const indices = new Uint16Array(MOST_CHUNK_ROWS)
  const range = heldWindow(part)
  const window = secondsOf(range)
  for (const chunk of part.snapshot.chunks) {
    let count = part.sequence === undefined ? chunk.rows : rowsBelow(chunk, part.sequence)
    count = withinWindow(chunk, range, window, indices, count)
    for (const match of matches) count = match(chunk, indices, count)
    if (count > 0) visit(chunk, { indices, count })
    await pauseIfDue()
  }
  return isExact
}

/** The window, without the rows that were dropped and that a chunk may still contain. */
function heldWindow ({ snapshot: { evictedUpTo }, window }: TablePart): TimeRange {
  if (evictedUpTo === undefined || (window.start !== undefined && window.start > evictedUpTo)) return window
  return { ...window, start: evictedUpTo + 1n }
}

/** Keeps the indices of matching rows at the front. Returns how many there are. */
type Match = (chunk: Chunk, indices: Uint16Array, count: number) => number

/** `matches` is `undefined` if no row can match. */
function compileMatches (
  { dictionaries }: TableSnapshot,
  filter: AuditFilter
): { readonly matches: readonly Match[] | undefined, readonly isExact: boolean } {
  const matches: Match[] = []
  for (const field of FILTERED_FIELDS) {
    const text = filter[field]
    if (text === undefined) continue
    const column = COLUMN_OF_FIELD[field]
    const code = dictionaries[column].codeOf(text)
    if (code === undefined) return { matches: undefined, isExact: !dictionaries[column].isCapped }
    matches.push(column === 'session' ? ofSession(code) : ofCode(column, code))
  }
  const { status, text } = filter
  if (status !== undefined) matches.push(withFlags(STATUS_BITS, status === 'success' ? SUCCESS : FAILED))
  if (text !== undefined) matches.push(withFlags(MATCHES_TEXT, MATCHES_TEXT))
  return { matches, isExact: true }
}

function ofCode (column: DictionaryColumn, wanted: number): Match {
  return (chunk, indices, count) => keepEqual(chunk.codes[column], wanted, indices, count)
}

function keepEqual (codes: Codes, wanted: number, indices: Uint16Array, count: number): number {
  let kept = 0
  for (let at = 0; at < count; at++) {
    const row = indices[at] ?? 0
    if (codes[row] === wanted) indices[kept++] = row
  }
  return kept
}

function ofSession (wanted: number): Match {
  return ({ codes, secondSessions }, indices, count) => {
    if (secondSessions === undefined) return keepEqual(codes.session, wanted, indices, count)
    let kept = 0
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      if (codes.session[row] === wanted || secondSessions[row] === wanted) indices[kept++] = row
    }
    return kept
  }
}

function withFlags (mask: number, wanted: number): Match {
  return ({ flags }, indices, count) => {
    let kept = 0
    for (let at = 0; at < count; at++) {
      const row = indices[at] ?? 0
      if (((flags[row] ?? 0) & mask) === wanted) indices[kept++] = row
    }
    return kept
  }
}

/** A window in seconds and nanoseconds, to compare without big integers. A missing bound is infinite. */
interface SecondsWindow {
  readonly startSecond: number
  readonly startNanos: number
  readonly endSecond: number
  readonly endNanos: number
}

function secondsOf ({ end, start }: TimeRange): SecondsWindow {
  const secondOf = (instant: Instant) => Number(floorToSecond(instant) / NANOS_PER_SECOND)
  const nanosOf = (instant: Instant) => Number(instant - floorToSecond(instant))
  return {
    startSecond: start === undefined ? -Infinity : secondOf(start),
    startNanos: start === undefined ? 0 : nanosOf(start),
    endSecond: end === undefined ? Infinity : secondOf(end),
    endNanos: end === undefined ? 0 : nanosOf(end)
  }
}

/** Writes the indices of the rows within the window, of the first `rows` rows. Returns how many there are. */
function withinWindow (
  chunk: Chunk,
  range: TimeRange,
  window: SecondsWindow,
  indices: Uint16Array,
  rows: number
): number {
  if ((range.end !== undefined && chunk.least > range.end) || (range.start !== undefined && chunk.most < range.start)) {
    return 0
  }
  const isWhole = isWithin(chunk.least, range) && isWithin(chunk.most, range)
  const { nanos, seconds } = chunk
  let count = 0
  for (let row = 0; row < rows; row++) {
    if (isWhole || isRowWithin(seconds[row] ?? 0, nanos[row] ?? 0, window)) indices[count++] = row
  }
  return count
}

function isRowWithin (second: number, nanos: number, window: SecondsWindow): boolean {
  const { endNanos, endSecond, startNanos, startSecond } = window
  return (second > startSecond || (second === startSecond && nanos >= startNanos)) &&
    (second < endSecond || (second === endSecond && nanos <= endNanos))
}

/** How many rows of a chunk have a number below `sequence`. Numbers rise within a chunk. */
function rowsBelow ({ numbers, rows }: Chunk, sequence: number): number {
  let [low, high] = [0, rows]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((numbers[middle] ?? 0) < sequence) low = middle + 1
    else high = middle
  }
  return low
}
