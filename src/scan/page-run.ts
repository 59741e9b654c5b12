import type { Instant } from '../audit/instant.ts'
import { overlapFrom } from './page-overlap.ts'
import type { KeyedEvent } from '../audit/sort-key.ts'
import { tileAt, type Tile } from './page-covering.ts'

/** How far the reading under one and the same bound has come, in numbered pages. */
export interface Stretch {
  /** The row that the next page must hold. */
  readonly offset: number
  /** The row that no page may begin before: what is there cannot be read. */
  readonly leastStart: number
  /** Rows read from the start of the stretch. */
  readonly furthest: number
  /** Answers in a row that reached further and brought nothing new: an upstream that ignores page numbers. */
  readonly barren: number
  /** Whether it was begun again because rows had been removed; once is enough. */
  readonly isReread: boolean
  /** The last row of the answer before. */
  readonly last: KeyedEvent | undefined
  /** Ids met, with their instants; those without one may be met under any bound. */
  readonly met: Map<string, Instant | undefined>
}

export function newStretch (met: Iterable<readonly [string, Instant | undefined]> = []): Stretch {
  return { offset: 0, leastStart: 0, furthest: 0, barren: 0, isReread: false, last: undefined, met: new Map(met) }
}

/** Notes the rows; gives those that were not met before. */
export function meet (stretch: Stretch, rows: KeyedEvent[]): KeyedEvent[] {
  return rows.filter(({ event }) => {
    const isNew = !stretch.met.has(event.id)
    if (isNew) stretch.met.set(event.id, event.instant)
    return isNew
  })
}

/** The rows with the one that they follow on, where it is not among them: their order is judged from there. */
export function withPrevious (stretch: Stretch, rows: KeyedEvent[]): KeyedEvent[] {
  const isAdjacent = stretch.last !== undefined && rows[0] !== undefined && !stretch.met.has(rows[0].event.id)
  return isAdjacent && stretch.last !== undefined ? [stretch.last, ...rows] : rows
}

/** Whether rows were removed, so that this page lies behind a hole: pages overlap, so its first row should be known. */
export function hasSlipped (stretch: Stretch, rows: KeyedEvent[]): boolean {
  return stretch.offset > 0 && stretch.offset < stretch.furthest && !stretch.isReread &&
    rows[0] !== undefined && !stretch.met.has(rows[0].event.id)
}

export function reread (stretch: Stretch): Stretch {
  return { ...stretch, offset: 0, isReread: true, last: undefined }
}

/** Leaves out the row that was to come next. */
export function stepOver (stretch: Stretch): Stretch {
  const offset = stretch.offset + 1
  return { ...stretch, offset, leastStart: offset, furthest: Math.max(stretch.furthest, offset) }
}

/** The stretch after an answer: the next page begins with some of its rows, where that leads any further. */
export function advance (
  stretch: Stretch,
  tile: Tile,
  answered: number,
  rows: KeyedEvent[],
  fresh: number,
  pageSize: number
): Stretch {
  const read = tile.start + answered
  const overlapping = tile.start + overlapFrom(rows, Math.floor(pageSize / 4))
  const next = tileAt(overlapping, pageSize, stretch.leastStart)
  return {
    ...stretch,
    offset: next.start + next.size > read ? overlapping : read,
    furthest: Math.max(stretch.furthest, read),
    last: rows.at(-1) ?? stretch.last,
    // A page among the rows that were known from the start can bring nothing new.
    barren: fresh > 0 ? 0 : stretch.barren + (read > Math.max(stretch.furthest, stretch.met.size) ? 1 : 0)
  }
}
