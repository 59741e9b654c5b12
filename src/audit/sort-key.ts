import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'
import type { Direction } from './source.ts'

/** A place in the one order of events: by instant, then by id (code units). */
export interface SortKey {
  readonly instant: Instant
  readonly id: string
}

/** An event with its place: its own instant and id, or next to its upstream neighbour if it has no instant. */
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

/** For `sort`: by place, in the direction given. */
export function compareKeyedEvents (direction: Direction): (a: KeyedEvent, b: KeyedEvent) => number {
  return direction === 'asc' ? (a, b) => compareSortKeys(a.key, b.key) : (a, b) => compareSortKeys(b.key, a.key)
}

/** Whether an instant lies strictly before another in the direction given. */
export function isBefore (instant: Instant, other: Instant, direction: Direction): boolean {
  return direction === 'asc' ? instant < other : instant > other
}

/** Whether a place lies beyond another in the direction given. An empty id stands before all of its instant. */
export function isAfter (place: SortKey, after: SortKey, direction: Direction): boolean {
  if (after.id === '') return !isBefore(place.instant, after.instant, direction)
  return direction === 'asc' ? compareSortKeys(place, after) > 0 : compareSortKeys(place, after) < 0
}

/**
 * Gives the events of one answer their places. One without an instant stays where the upstream put it: right behind, in
 * time, the dated event that it stands next to; so its place is the same in whichever direction it is met.
 */
export function withSortKeys (events: AuditEvent[], direction: Direction, otherwise: Instant = 0n): KeyedEvent[] {
  const inTime = direction === 'asc' ? events : events.toReversed()
  const firstInstant = inTime.find((event) => event.instant !== undefined)?.instant ?? otherwise
  let anchor: SortKey = { instant: firstInstant, id: '' }
  let undated = 0
  const rows = inTime.map((event) => {
    if (event.instant === undefined) return { event, key: behind(anchor, undated++) }
    anchor = { instant: event.instant, id: event.id }
    undated = 0
    return { event, key: anchor }
  })
  return direction === 'asc' ? rows : rows.reverse()
}

/** A place between this one and every other that follows it: NUL is in no id. */
function behind ({ instant, id }: SortKey, count: number): SortKey {
  return { instant, id: `${id}\0${String(count).padStart(6, '0')}` }
}
