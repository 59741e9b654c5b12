import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { createChunk, keyAt, positionAt, type Chunk, type ChunkWriter, type Row } from './chunk.ts'
import type { IdKey } from './id-set.ts'

export interface ChunkList {
  append (row: Row): void
  /** Begins to drop the rows at or before an instant, all of them or only where that frees at least half of a chunk. */
  beginSweep (last: Instant, which: SweepKind): void
  /** Goes on with the dropping by one chunk. Returns how many rows it looked at. Zero: nothing is left to do. */
  sweep (): number
  isSweeping (): boolean
  /** A position at or before which there is a share of the rows: roughly, but at least one row. */
  quantile (share: number): Instant | undefined
  clear (): void
  /** The chunks, in the order in which they were added. Later changes do not change them. */
  snapshot (): readonly Chunk[]
  /** The chunks, to replace their codes. */
  forRecoding (): readonly ChunkWriter[]
  rows (): number
  bytes (): number
}

export type SweepKind = 'all' | 'halves'

export interface ChunkListOptions {
  /** Most rows of a chunk. */
  readonly capacity: number
  readonly onDropped: (key: IdKey) => void
}

interface StoredChunk {
  readonly writer: ChunkWriter
  /** `undefined`: the chunk has changed since. */
  snapshot: Chunk | undefined
}

/** The dropping of old rows, which stands before the chunk `at`. Chunks that are added meanwhile are swept as well. */
interface Sweep {
  readonly last: Instant
  readonly which: SweepKind
  at: number
  /** Takes the rows that are left of the chunks behind it. It is the chunk before `at`. */
  remainder: StoredChunk | undefined
}

const SAMPLE_ROWS = 4096

/**
 * All rows of a table. Rows are added at the end of the last chunk, in any order of time. What is left of a swept chunk
 * joins the remainder before it, so the numbers of rows rise from chunk to chunk.
 */
export function createChunkList ({ capacity, onDropped }: ChunkListOptions): ChunkList {
  let chunks: StoredChunk[] = []
  let rows = 0
  let sweeping: Sweep | undefined
  return {
    append,
    beginSweep,
    sweep,
    isSweeping: () => sweeping !== undefined,
    quantile,
    clear,
    snapshot,
    forRecoding,
    rows: () => rows,
    bytes
  }

  function append (row: Row): void {
    const last = chunks.at(-1)
    const open = last === undefined || last.writer.room() === 0 ? addChunk(chunks.length, capacity) : last
    open.writer.append(row)
    open.snapshot = undefined
    rows++
  }

  function addChunk (place: number, rowCount: number): StoredChunk {
    const chunk = { writer: createChunk(rowCount), snapshot: undefined }
    chunks.splice(place, 0, chunk)
    return chunk
  }

  function beginSweep (last: Instant, which: SweepKind): void {
    sweeping = { last, which, at: 0, remainder: undefined }
  }

  function sweep (): number {
    const stored = sweeping && chunks[sweeping.at]
    if (sweeping === undefined || stored === undefined) {
      sweeping = undefined
      return 0
    }
    const chunk = snapshotOf(stored)
    const left = chunk.least > sweeping.last ? undefined : rowsAfter(chunk, sweeping.last)
    const isKept = left === undefined || (sweeping.which === 'halves' && 2 * left.length > chunk.rows)
    if (!isKept) moveRemaining(sweeping, chunk, left)
    else {
      closeRemainder(sweeping)
      sweeping.at++
    }
    return chunk.rows
  }

  /** Replaces the chunk at which a sweep is by what is left of it. */
  function moveRemaining (sweep: Sweep, chunk: Chunk, left: Uint16Array): void {
    chunks.splice(sweep.at, 1)
    drop(chunk, left)
    for (let moved = 0; moved < left.length;) {
      sweep.remainder ??= addChunk(sweep.at++, capacity)
      const { remainder } = sweep
      moved += remainder.writer.copyRows(chunk, left.subarray(moved))
      remainder.snapshot = undefined
      if (remainder.writer.room() === 0) sweep.remainder = undefined
    }
  }

  function drop (chunk: Chunk, left: Uint16Array): void {
    for (let row = 0, next = 0; row < chunk.rows; row++) {
      if (left[next] === row) next++
      else onDropped(keyAt(chunk, row))
    }
    rows -= chunk.rows - left.length
  }

  /** No rows will join the remainder any more: it needs no memory for them. */
  function closeRemainder (sweep: Sweep): void {
    if (sweep.remainder === undefined) return
    const chunk = snapshotOf(sweep.remainder)
    chunks.splice(sweep.at - 1, 1)
    addChunk(sweep.at - 1, chunk.rows).writer.copyRows(chunk, Uint16Array.from({ length: chunk.rows }, (_, row) => row))
    sweep.remainder = undefined
  }

  function quantile (share: number): Instant | undefined {
    const step = Math.ceil(rows / SAMPLE_ROWS)
    const sample: Array<readonly [chunk: Chunk, row: number]> = []
    let row = 0
    for (const chunk of snapshot()) {
      for (; row < chunk.rows; row += step) sample.push([chunk, row])
      row -= chunk.rows
    }
    const seconds = Float64Array.from(sample, ([{ nanos, seconds }, row]) => (seconds[row] ?? 0) + (nanos[row] ?? 0) / 1e9)
    const chosen = seconds.slice().sort()[Math.floor(share * sample.length)]
    const found = chosen === undefined ? undefined : sample[seconds.indexOf(chosen)]
    return found && positionAt(...found)
  }

  function clear (): void {
    chunks = []
    rows = 0
    sweeping = undefined
  }

  function snapshot (): readonly Chunk[] {
    return chunks.map(snapshotOf)
  }

  function forRecoding (): readonly ChunkWriter[] {
    for (const chunk of chunks) chunk.snapshot = undefined
    return chunks.map(({ writer }) => writer)
  }

  function bytes (): number {
    return chunks.reduce((sum, { writer }) => sum + writer.bytes(), 0)
  }
}

function snapshotOf (chunk: StoredChunk): Chunk {
  chunk.snapshot ??= chunk.writer.snapshot()
  return chunk.snapshot
}

/** The rows after an instant. Numbers are compared: big integers would take ten times as long. */
function rowsAfter ({ most, nanos, rows, seconds }: Chunk, last: Instant): Uint16Array {
  const after = new Uint16Array(most <= last ? 0 : rows)
  if (most <= last) return after
  const whole = floorToSecond(last)
  const [lastSecond, lastNanos] = [Number(whole / NANOS_PER_SECOND), Number(last - whole)]
  let count = 0
  for (let row = 0; row < rows; row++) {
    const second = seconds[row] ?? 0
    if (second > lastSecond || (second === lastSecond && (nanos[row] ?? 0) > lastNanos)) after[count++] = row
  }
  return after.subarray(0, count)
}
