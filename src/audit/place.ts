import type { AuditEvent } from './event.ts'
import type { Instant } from './instant.ts'
import type { Direction } from './source.ts'

/** A place in the one order of events: by instant, then by id (code units). */
export interface Place {
  readonly instant: Instant
  readonly id: string
}

/** An event with its place: its own instant, or its upstream neighbour's if it has none. */
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

/** Gives the events of one answer their places; those without an instant stay behind their neighbour. */
export function placeRows (events: AuditEvent[], otherwise: Instant = 0n): Row[] {
  let instant = events.find((event) => event.instant !== undefined)?.instant ?? otherwise
  return events.map((event) => {
    instant = event.instant ?? instant
    return { event, place: { instant, id: event.id } }
  })
}
