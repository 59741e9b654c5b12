import { STATUS_BITS, UNDATED, USER_MESSAGE, positionAt, type Chunk } from './chunk.ts'
import type { Instant } from '../audit/instant.ts'

/** A reference to a row. It changes when a better row is found. */
export interface RowPlace {
  chunk: Chunk | undefined
  row: number
}

type Column = Float64Array | Uint32Array

export function statusAt ({ flags }: Chunk, row: number): number {
  return (flags[row] ?? 0) & STATUS_BITS
}

export function isUserMessageAt ({ flags }: Chunk, row: number): boolean {
  return ((flags[row] ?? 0) & USER_MESSAGE) !== 0
}

/** The instant of the row's event. `undefined`: there is no row, or its event has none. */
export function instantOf ({ chunk, row }: RowPlace): Instant | undefined {
  return chunk === undefined || !isDatedAt(chunk, row) ? undefined : positionAt(chunk, row)
}

/** Whether a row is earlier than another one, by instant and then by id. A row without an instant is neither. */
export function isEarlierRow (chunk: Chunk, row: number, other: Chunk, otherRow: number): boolean {
  const isDated = isDatedAt(chunk, row)
  return isDated === isDatedAt(other, otherRow) ? compareRows(chunk, row, other, otherRow) < 0 : isDated
}

/** Whether a row is later than another one, by instant and then by id. A row without an instant is neither. */
export function isLaterRow (chunk: Chunk, row: number, other: Chunk, otherRow: number): boolean {
  const isDated = isDatedAt(chunk, row)
  return isDated === isDatedAt(other, otherRow) ? compareRows(chunk, row, other, otherRow) > 0 : isDated
}

function isDatedAt ({ flags }: Chunk, row: number): boolean {
  return ((flags[row] ?? 0) & UNDATED) === 0
}

function compareRows (a: Chunk, rowOfA: number, b: Chunk, rowOfB: number): number {
  return difference(a.seconds, rowOfA, b.seconds, rowOfB) || difference(a.nanos, rowOfA, b.nanos, rowOfB) ||
    difference(a.keys, 2 * rowOfA, b.keys, 2 * rowOfB) || difference(a.keys, 2 * rowOfA + 1, b.keys, 2 * rowOfB + 1)
}

function difference (a: Column, atA: number, b: Column, atB: number): number {
  return (a[atA] ?? 0) - (b[atB] ?? 0)
}
