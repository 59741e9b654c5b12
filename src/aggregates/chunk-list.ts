import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { createChunk, keyAt, positionAt, rowAt, type Chunk, type ChunkWriter, type Row } from './chunk.ts'
import type { IdKey } from './id-set.ts'

export interface ChunkList {
  append (row: Row): void
  /** Drops the rows at or before an instant, all of them or only where that frees at least half of a chunk. */
  dropUpTo (last: Instant, which: 'all' | 'halves'): void
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

const SAMPLE_ROWS = 4096

/** All rows of a table. Rows are added at the end of the last chunk, in any order of time. */
export function createChunkList ({ capacity, onDropped }: ChunkListOptions): ChunkList {
  let chunks: StoredChunk[] = []
  let rows = 0
  return { append, dropUpTo, quantile, clear, snapshot, forRecoding, rows: () => rows, bytes }

  function append (row: Row): void {
    const last = chunks.at(-1)
    const open = last === undefined || last.writer.isFull() ? addChunk(capacity) : last
    open.writer.append(row)
    open.snapshot = undefined
    rows++
  }

  function addChunk (rowCount: number): StoredChunk {
    const chunk = { writer: createChunk(rowCount), snapshot: undefined }
    chunks.push(chunk)
    return chunk
  }

  function dropUpTo (last: Instant, which: 'all' | 'halves'): void {
    const before = chunks
    const remaining: Row[] = []
    chunks = []
    for (const stored of before) {
      const chunk = snapshotOf(stored)
      const keeps = chunk.least > last ? undefined : rowsAfter(chunk, last)
      const isKept = keeps === undefined || (which === 'halves' && 2 * countOf(keeps) > chunk.rows)
      if (isKept) chunks.push(stored)
      else part(chunk, keeps, remaining)
    }
    prepend(remaining)
  }

  function part (chunk: Chunk, keeps: Uint8Array, remaining: Row[]): void {
    for (let row = 0; row < chunk.rows; row++) {
      if (keeps[row] === 1) remaining.push(rowAt(chunk, row))
      else {
        onDropped(keyAt(chunk, row))
        rows--
      }
    }
  }

  /** Rows that are left of several chunks share new ones, which are as long as necessary. */
  function prepend (remaining: Row[]): void {
    const newer = chunks
    chunks = []
    remaining.sort((a, b) => a.number - b.number) // Numbers rise within each chunk.
    for (let start = 0; start < remaining.length; start += capacity) {
      const part = remaining.slice(start, start + capacity)
      const { writer } = addChunk(part.length)
      for (const row of part) writer.append(row)
    }
    chunks.push(...newer)
  }

  function quantile (share: number): Instant | undefined {
    const sample: Instant[] = []
    const step = Math.ceil(rows / SAMPLE_ROWS)
    let index = 0
    for (const chunk of snapshot()) {
      for (; index < chunk.rows; index += step) sample.push(positionAt(chunk, index))
      index -= chunk.rows
    }
    sample.sort((a, b) => a < b ? -1 : a > b ? 1 : 0)
    return sample[Math.floor(share * sample.length)]
  }

  function clear (): void {
    chunks = []
    rows = 0
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

/** One for each row after an instant, otherwise zero. Numbers are compared: big integers would take ten times as long. */
function rowsAfter ({ most, nanos, rows, seconds }: Chunk, last: Instant): Uint8Array {
  const isAfter = new Uint8Array(rows)
  if (most <= last) return isAfter
  const whole = floorToSecond(last)
  const [lastSecond, lastNanos] = [Number(whole / NANOS_PER_SECOND), Number(last - whole)]
  for (let row = 0; row < rows; row++) {
    const second = seconds[row] ?? 0
    if (second > lastSecond || (second === lastSecond && (nanos[row] ?? 0) > lastNanos)) isAfter[row] = 1
  }
  return isAfter
}

function countOf (marks: Uint8Array): number {
  return marks.reduce((sum, mark) => sum + mark, 0)
}
