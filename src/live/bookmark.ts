import type { Announcement } from '../audit/batch.ts'
import { NANOS_PER_MS, NANOS_PER_SECOND, earlier, floorToSecond, later, type Instant } from '../audit/instant.ts'
import type { Row } from '../audit/place.ts'

export interface BookmarkOptions {
  /** Where the first read begins. */
  readonly from: Instant
  readonly latenessMs: number
  /** Most events that are recognised when they are met again. */
  readonly mostKnown: number
}

/** Where the tail stopped, and what it has seen near there. */
export interface Bookmark {
  /** The newest instant seen, never past now. */
  highWater (): Instant
  /** Where a read must begin to find everything that may have become visible since the last whole one. */
  wholeStart (): Instant
  /** Where a read may begin that leaves late events to the next whole one. */
  recentStart (): Instant
  /** Takes the rows of one answer: what is new among them, in order. */
  absorb (rows: Row[], now: Instant): Announcement
  /** A whole read that began at `startedAt` has come to its end. */
  completed (startedAt: Instant): void
}

const RECENT = 5n * NANOS_PER_SECOND

/**
 * Why nothing is lost: an event that becomes visible at v has an instant of at least v − lateness. A whole read that began
 * at s saw all that was visible then, so what it missed became visible after s and has an instant of at least s − lateness.
 * `mark`, the newest instant seen but at most s, is where that is counted from; it follows the upstream's instants alone,
 * so that a quiet log is read from its last event on, whatever the clocks say.
 */
export function createBookmark (options: BookmarkOptions): Bookmark {
  const lateness = BigInt(options.latenessMs) * NANOS_PER_MS
  const known = new Map<string, Instant>()
  let highWater = options.from
  let floor = options.from // Nothing before it is read again.

  return {
    highWater: () => highWater,
    wholeStart: () => floor,
    recentStart: () => later(floor, highWater - RECENT),
    absorb,
    completed (startedAt) {
      floor = later(floor, earlier(highWater, startedAt) - lateness)
      // Reads begin at a whole second, and what has no instant of its own is in every answer that holds its neighbour.
      const oldest = floorToSecond(floor)
      for (const [id, instant] of known) if (instant < oldest) known.delete(id)
    }
  }

  function absorb (rows: Row[], now: Instant): Announcement {
    const before = highWater
    const fresh = rows.filter(({ event, place }) => {
      const isNew = !known.has(event.id)
      known.set(event.id, place.instant) // Anew each time: a neighbour's instant moves on with an event that has none.
      return isNew
    })
    for (const { event } of fresh) {
      if (event.instant !== undefined) highWater = later(highWater, earlier(event.instant, now))
    }
    forgetOldest()
    return { events: fresh.map(({ event }) => ({ event, late: event.instant !== undefined && event.instant < before })), highWater }
  }

  /** Keeps memory bounded at the price of a shorter window: what is forgotten must not be read again. */
  function forgetOldest (): void {
    for (const [id, instant] of known) {
      if (known.size <= options.mostKnown) return
      known.delete(id)
      floor = later(floor, earlier(instant + 1n, highWater)) // An event dated in the future must not blind the tail.
    }
  }
}
