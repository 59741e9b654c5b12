import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { DICTIONARY_COLUMNS, type DictionaryColumn } from './columns.ts'
import type { IdKey } from './id-set.ts'

export const MOST_CHUNK_ROWS = 4096

/** What the flags of a row say. The two lowest bits are its status, an index of `STATUSES`. */
export const STATUS_BITS = 3
/** The event has no instant. Its position is that of its neighbour. */
export const UNDATED = 4
export const USER_MESSAGE = 8
/** The event contains the text of the question that this table was filled for. */
export const MATCHES_TEXT = 16

/** The codes of one column. Two bytes a row, four as soon as one of them needs more than two. */
export type Codes = Uint16Array | Uint32Array

/** Rows in the order in which they were added. The rows below `rows` never change, what lies beyond is undefined. */
export interface Chunk {
  readonly rows: number
  /** The range of the positions. */
  readonly least: Instant
  readonly most: Instant
  /** Positions: whole seconds since 1970, rounded down, and the rest in nanoseconds. */
  readonly seconds: Float64Array
  readonly nanos: Uint32Array
  readonly flags: Uint8Array
  /** Id keys, two halves a row. */
  readonly keys: Uint32Array
  /** How many rows the table had been given before this one. */
  readonly numbers: Uint32Array
  readonly codes: { readonly [Column in DictionaryColumn]: Codes }
  /** The other session of events that name two. `undefined`: no row of this chunk does. */
  readonly secondSessions: Codes | undefined
}

export interface Row {
  readonly position: Instant
  readonly flags: number
  readonly key: IdKey
  readonly number: number
  readonly codes: { readonly [Column in DictionaryColumn]: number }
  readonly secondSession: number
}

export interface ChunkWriter {
  append (row: Row): void
  /** Copies rows of another chunk of the same table, as many as there is room for. Returns how many. */
  copyRows (from: Chunk, rows: Uint16Array): number
  /** How many more rows there is room for. */
  room (): number
  /** The rows so far. Later rows are not in it. */
  snapshot (): Chunk
  /** Replaces the codes of a column by others that stand for the same texts. Snapshots keep the old ones. */
  replaceCodes (column: DictionaryColumn, recode: (codes: Codes, rows: number) => Codes): void
  bytes (): number
}

/** Rows of typed arrays with a fixed capacity: 41 bytes a row, more where codes need four bytes. */
export function createChunk (capacity: number): ChunkWriter {
  const seconds = new Float64Array(capacity)
  const nanos = new Uint32Array(capacity)
  const flags = new Uint8Array(capacity)
  const keys = new Uint32Array(2 * capacity)
  const numbers = new Uint32Array(capacity)
  const codes = Object.fromEntries(
    DICTIONARY_COLUMNS.map((column) => [column, new Uint16Array(capacity)])
  ) as unknown as Record<DictionaryColumn, Codes>
  let secondSessions: Codes | undefined
  let rows = 0
  // The rows with the least and the most position. Numbers are compared: big integers would take ten times as long.
  let leastRow = 0
  let mostRow = 0
  return { append, copyRows, room: () => capacity - rows, snapshot, replaceCodes, bytes }

  function append (row: Row): void {
    const { position } = row
    const second = floorToSecond(position)
    seconds[rows] = Number(second / NANOS_PER_SECOND)
    nanos[rows] = Number(position - second)
    flags[rows] = row.flags
    keys[2 * rows] = row.key.high
    keys[2 * rows + 1] = row.key.low
    numbers[rows] = row.number
    for (const column of DICTIONARY_COLUMNS) codes[column] = written(codes[column], rows, row.codes[column])
    if (row.secondSession !== 0 || secondSessions !== undefined) {
      secondSessions = written(secondSessions ?? new Uint16Array(capacity), rows, row.secondSession)
    }
    place(rows++)
  }

  function copyRows (from: Chunk, wanted: Uint16Array): number {
    const taken = wanted.subarray(0, capacity - rows)
    copy(from.seconds, seconds, taken, rows)
    copy(from.nanos, nanos, taken, rows)
    copy(from.flags, flags, taken, rows)
    copy(from.numbers, numbers, taken, rows)
    taken.forEach((row, at) => {
      keys[2 * (rows + at)] = from.keys[2 * row] ?? 0
      keys[2 * (rows + at) + 1] = from.keys[2 * row + 1] ?? 0
    })
    for (const column of DICTIONARY_COLUMNS) codes[column] = copyCodes(from.codes[column], codes[column], taken, rows)
    if (from.secondSessions !== undefined) {
      secondSessions = copyCodes(from.secondSessions, secondSessions ?? new Uint16Array(capacity), taken, rows)
    }
    for (const end = rows + taken.length; rows < end; rows++) place(rows)
    return taken.length
  }

  /** Notes the position of a new row. */
  function place (row: number): void {
    if (row === 0 || isEarlier(row, leastRow)) leastRow = row
    if (row === 0 || isEarlier(mostRow, row)) mostRow = row
  }

  function isEarlier (row: number, other: number): boolean {
    const a = seconds[row] ?? 0
    const b = seconds[other] ?? 0
    return a < b || (a === b && (nanos[row] ?? 0) < (nanos[other] ?? 0))
  }

  function snapshot (): Chunk {
    const [least, most] = [positionAt({ nanos, seconds }, leastRow), positionAt({ nanos, seconds }, mostRow)]
    return { rows, least, most, seconds, nanos, flags, keys, numbers, codes: { ...codes }, secondSessions }
  }

  function replaceCodes (column: DictionaryColumn, recode: (codes: Codes, rows: number) => Codes): void {
    codes[column] = recode(codes[column], rows)
    if (column === 'session' && secondSessions !== undefined) secondSessions = recode(secondSessions, rows)
  }

  function bytes (): number {
    const columns = [seconds, nanos, flags, keys, numbers, ...Object.values(codes), secondSessions]
    return columns.reduce((sum, column) => sum + (column?.byteLength ?? 0), 0)
  }
}

export function positionAt ({ nanos, seconds }: Pick<Chunk, 'nanos' | 'seconds'>, row: number): Instant {
  return BigInt(seconds[row] ?? 0) * NANOS_PER_SECOND + BigInt(nanos[row] ?? 0)
}

export function keyAt ({ keys }: Chunk, row: number): IdKey {
  return { high: keys[2 * row] ?? 0, low: keys[2 * row + 1] ?? 0 }
}

/** Writes a code. Returns the column, or a wider copy if the code needs four bytes. */
function written (column: Codes, row: number, code: number): Codes {
  const wide = code > 0xffff && column instanceof Uint16Array ? Uint32Array.from(column) : column
  wide[row] = code
  return wide
}

type Column = Float64Array | Uint32Array | Uint16Array | Uint8Array

/** Copies the values of some rows behind the `end` values of another column. */
function copy (from: Column, to: Column, rows: Uint16Array, end: number): void {
  for (let at = 0; at < rows.length; at++) to[end + at] = from[rows[at] ?? 0] ?? 0
}

/** Returns the column with the codes, or a wider one if they may need four bytes. */
function copyCodes (from: Codes, to: Codes, rows: Uint16Array, end: number): Codes {
  const wide = from instanceof Uint32Array && to instanceof Uint16Array ? Uint32Array.from(to) : to
  copy(from, wide, rows, end)
  return wide
}
