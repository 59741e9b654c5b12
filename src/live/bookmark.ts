import type { Announcement, Fresh } from '../audit/batch.ts'
import { NANOS_PER_MS, NANOS_PER_SECOND, earlier, floorToSecond, later, type Instant } from '../audit/instant.ts'
import type { Row } from '../audit/place.ts'
import type { Passage } from '../audit/walk.ts'
import { createPassages } from './passages.ts'

export interface BookmarkOptions {
  /** Where the first read begins. */
  readonly from: Instant
  readonly latenessMs: number
  /** Most events that are recognised when they are met again. */
  readonly mostKnown: number
}

/** What is new in an answer. Nothing of it counts as known before it is settled, so that what could not be announced is met again. */
export interface Find {
  readonly announcement: Announcement
  settle (): void
}

/** Where the tail stopped, and what it has seen near there. */
export interface Bookmark {
  /** The newest instant seen, never past now. */
  highWater (): Instant
  /** Where a read must begin to find everything that may have become visible since the last whole one. */
  wholeStart (): Instant
  /** How far the upstream's clock has gone at least, `quietMs` after the newest event came. */
  frontier (quietMs: number): Instant
  /** Where a read may begin that leaves late events to the next whole one; the last read began at this frontier. */
  recentStart (frontier: Instant): Instant
  /** Looks at the rows of an answer, and at what was passed by on the way to it: what is new, in order. */
  look (rows: readonly Row[], passed: Passage | undefined, now: Instant): Find
  /** A whole read has come to its end that began at `startedAt`, and at the `frontier` if that is to count. */
  completed (startedAt: Instant, frontier?: Instant): void
  /** What was passed by and would be met again. */
  passages (): readonly Passage[]
  /** How late an event may be and still be noticed, milliseconds, while that is less than it should be: more events came than can be known. */
  shortenedMs (): number | undefined
}

const RECENT = 5n * NANOS_PER_SECOND

/**
 * Why nothing is lost: an event that becomes visible at v has an instant of at least v − lateness. A whole read that began
 * at s saw all that was visible then, so what it missed became visible after s and has an instant of at least s − lateness.
 * The newest instant seen, but at most s, is where that is counted from: a quiet log is read from its last event on,
 * whatever the clocks say. Where that costs too much, after a burst, the time that has gone by since the newest event came
 * counts, too: the upstream's clock has gone on by as much at least.
 */
export function createBookmark (options: BookmarkOptions): Bookmark {
  const lateness = nanos(options.latenessMs)
  const known = new Map<string, Instant>()
  const passages = createPassages()
  let highWater = options.from
  let floor = options.from // Nothing before it is read again.
  let forgotten: Instant | undefined // Up to here events were forgotten that should still be known.

  return {
    highWater: () => highWater,
    wholeStart: () => floor,
    frontier: (quietMs) => highWater + nanos(quietMs),
    recentStart: (frontier) => later(floor, later(highWater, frontier) - RECENT),
    look,
    completed (startedAt, frontier = highWater) {
      floor = later(floor, earlier(later(highWater, frontier), startedAt) - lateness)
      // Reads begin at a whole second, and what has no instant of its own is in every answer that holds its neighbour.
      const oldest = floorToSecond(floor)
      for (const [id, instant] of known) if (instant < oldest) known.delete(id)
      passages.forgetBefore(oldest)
      if (forgotten !== undefined && forgotten <= highWater - lateness) forgotten = undefined
    },
    passages: passages.all,
    shortenedMs: () => forgotten === undefined ? undefined : Number((later(highWater, forgotten) - forgotten) / NANOS_PER_MS)
  }

  function look (rows: readonly Row[], passed: Passage | undefined, now: Instant): Find {
    const gap = passed === undefined ? undefined : passages.look(passed, now)
    const fresh = firstOfEach(rows).filter(({ event }) => !known.has(event.id))
    const reached = fresh.reduce((newest, { event }) => event.instant === undefined ? newest : later(newest, earlier(event.instant, now)), highWater)
    const events = fresh.map(({ event }): Fresh => ({ event, late: event.instant !== undefined && event.instant < highWater }))
    return { announcement: { entries: gap === undefined ? events : [{ gap }, ...events], highWater: earlier(reached, floor + lateness) }, settle }

    function settle (): void {
      highWater = later(highWater, reached)
      for (const { event, place } of rows) known.set(event.id, place.instant) // Anew each time: a neighbour's instant moves on with an event that has none.
      if (passed !== undefined) passages.keep(passed, now)
      forgetOldest()
    }
  }

  /** Keeps memory bounded at the price of a shorter window: what is forgotten must not be read again. */
  function forgetOldest (): void {
    for (const [id, instant] of known) {
      if (known.size <= options.mostKnown) return
      known.delete(id)
      floor = later(floor, earlier(instant + 1n, highWater)) // An event dated in the future must not blind the tail.
      forgotten = floor
    }
  }
}

function nanos (ms: number): bigint {
  return BigInt(Math.floor(ms)) * NANOS_PER_MS
}

function firstOfEach (rows: readonly Row[]): Row[] {
  const met = new Set<string>()
  return rows.filter(({ event }) => !met.has(event.id) && met.add(event.id))
}
