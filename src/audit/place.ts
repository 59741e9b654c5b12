import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'
import type { Direction } from './source.ts'

/** A place in the one order of events: by instant, then by id (code units). */
export interface Place {
  readonly instant: Instant
  readonly id: string
}

/** An event with its place: its own instant and id, or next to its upstream neighbour if it has no instant. */
export interface Row {
  readonly event: AuditEvent
  readonly place: Place
}

/** Negative when `a` is before `b` in time order. */
export function comparePlaces (a: Place, b: Place): number {
  if (a.instant !== b.instant) return a.instant < b.instant ? -1 : 1
  if (a.id === b.id) return 0
  return a.id < b.id ? -1 : 1
}

/** For `sort`: by place, in the direction given. */
export function compareRows (direction: Direction): (a: Row, b: Row) => number {
  return direction === 'asc' ? (a, b) => comparePlaces(a.place, b.place) : (a, b) => comparePlaces(b.place, a.place)
}

/** Whether an instant lies strictly before another in the direction given. */
export function isBefore (instant: Instant, other: Instant, direction: Direction): boolean {
  return direction === 'asc' ? instant < other : instant > other
}

/** Whether a place lies beyond another in the direction given. An empty id stands before all of its instant. */
export function isBeyond (place: Place, after: Place, direction: Direction): boolean {
  if (after.id === '') return !isBefore(place.instant, after.instant, direction)
  return direction === 'asc' ? comparePlaces(place, after) > 0 : comparePlaces(place, after) < 0
}

/**
 * Gives the events of one answer their places. One without an instant stays where the upstream put it: right behind, in
 * time, the dated event that it stands next to; so its place is the same in whichever direction it is met.
 */
export function placeRows (events: AuditEvent[], direction: Direction, otherwise: Instant = 0n): Row[] {
  const inTime = direction === 'asc' ? events : events.toReversed()
  const firstInstant = inTime.find((event) => event.instant !== undefined)?.instant ?? otherwise
  let anchor: Place = { instant: firstInstant, id: '' }
  let undated = 0
  const rows = inTime.map((event) => {
    if (event.instant === undefined) return { event, place: behind(anchor, undated++) }
    anchor = { instant: event.instant, id: event.id }
    undated = 0
    return { event, place: anchor }
  })
  return direction === 'asc' ? rows : rows.reverse()
}

/** A place between this one and every other that follows it: NUL is in no id. */
function behind ({ instant, id }: Place, count: number): Place {
  return { instant, id: `${id}\0${String(count).padStart(6, '0')}` }
}
