import { NANOS_PER_SECOND, floorToSecond, maxInstant, minInstant, type Instant } from '../audit/instant.ts'
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
  isFull (): boolean
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
  let least: Instant = 0n
  let most: Instant = 0n
  return { append, isFull: () => rows === capacity, snapshot, replaceCodes, bytes }

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
    least = rows === 0 ? position : minInstant(least, position)
    most = rows === 0 ? position : maxInstant(most, position)
    rows++
  }

  function snapshot (): Chunk {
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

/** A row with its codes, for another chunk of the same table. */
export function rowAt (chunk: Chunk, row: number): Row {
  const codeAt = (codes: Codes | undefined) => codes?.[row] ?? 0
  const { codes, flags, numbers, secondSessions } = chunk
  return {
    position: positionAt(chunk, row),
    flags: flags[row] ?? 0,
    key: keyAt(chunk, row),
    number: numbers[row] ?? 0,
    codes: {
      category_type: codeAt(codes.category_type),
      category_name: codeAt(codes.category_name),
      resource_type: codeAt(codes.resource_type),
      action_type: codeAt(codes.action_type),
      email: codeAt(codes.email),
      session: codeAt(codes.session),
      tool: codeAt(codes.tool),
      agent: codeAt(codes.agent)
    },
    secondSession: codeAt(secondSessions)
  }
}

export function positionAt ({ nanos, seconds }: Chunk, row: number): Instant {
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
