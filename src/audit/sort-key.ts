import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'
import type { Direction } from './source.ts'

/** A position in the total order of events: by instant, then by id (in code units). */
export interface SortKey {
  readonly instant: Instant
  readonly id: string
}

/** An event with its sort key: its instant and id, or a position after its upstream neighbour if it has no instant. */
export interface KeyedEvent {
  readonly event: AuditEvent
  readonly key: SortKey
}

/** Negative when `a` is before `b` in time order. */
export function compareSortKeys (a: SortKey, b: SortKey): number {
  if (a.instant !== b.instant) return a.instant < b.instant ? -1 : 1
  if (a.id === b.id) return 0
  return a.id < b.id ? -1 : 1
}

/** A comparison for `sort`: by sort key in a direction. */
export function compareKeyedEvents (direction: Direction): (a: KeyedEvent, b: KeyedEvent) => number {
  return direction === 'asc' ? (a, b) => compareSortKeys(a.key, b.key) : (a, b) => compareSortKeys(b.key, a.key)
}

/** Whether an instant is strictly before another in this direction. */
export function isBefore (instant: Instant, other: Instant, direction: Direction): boolean {
  return direction === 'asc' ? instant < other : instant > other
}

/** Whether a sort key is after another in this direction. An empty id is before every event of its instant. */
export function isAfter (key: SortKey, after: SortKey, direction: Direction): boolean {
  if (after.id === '') return !isBefore(key.instant, after.instant, direction)
  return direction === 'asc' ? compareSortKeys(key, after) > 0 : compareSortKeys(key, after) < 0
}

/**
 * Adds sort keys to the events of one answer. An event without an instant keeps the position that the upstream gave it:
 * directly after, in time, the dated event next to it. So its key is the same in both directions.
 */
export function withSortKeys (events: AuditEvent[], direction: Direction, otherwise: Instant = 0n): KeyedEvent[] {
  const inTime = direction === 'asc' ? events : events.toReversed()
  const firstInstant = inTime.find((event) => event.instant !== undefined)?.instant ?? otherwise
  let anchor: SortKey = { instant: firstInstant, id: '' }
  let undated = 0
  const rows = inTime.map((event) => {
    if (event.instant === undefined) return { event, key: keyAfter(anchor, undated++) }
    anchor = { instant: event.instant, id: event.id }
    undated = 0
    return { event, key: anchor }
  })
  return direction === 'asc' ? rows : rows.reverse()
}

/** A sort key between this one and every later one: no id contains NUL. */
function keyAfter ({ instant, id }: SortKey, count: number): SortKey {
  return { instant, id: `${id}\0${String(count).padStart(6, '0')}` }
}
