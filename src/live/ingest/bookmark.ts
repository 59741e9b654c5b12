import type { Announcement, NewEntry } from '../../audit/log-batch.ts'
import {
  NANOS_PER_MS,
  NANOS_PER_SECOND,
  minInstant,
  floorToSecond,
  maxInstant,
  type Instant
} from '../../audit/instant.ts'
import type { KeyedEvent } from '../../audit/sort-key.ts'
import type { SkippedRange } from '../../scan/skipped-range.ts'
import { createSkippedRanges } from './skipped-ranges.ts'

export interface BookmarkOptions {
  /** Where the first read begins. */
  readonly from: Instant
  /** When the first read begins, by the upstream's clock; what it misses becomes visible later. */
  readonly startedAt?: Instant
  readonly latenessMs: number
  /** Most events that are recognised when they are met again. */
  readonly mostKnown: number
}

/**
 * What is new in an answer. Nothing of it counts as known before it is settled, so that what could not be announced is
 * met again.
 */
export interface NewEntries {
  readonly announcement: Announcement
  commit (): void
}

/** Where the poller stopped, and what it has seen near there. */
export interface Bookmark {
  /** The newest instant seen, never past now. */
  highWater (): Instant
  /** Where a read must begin to find everything that may have become visible since the last whole one. */
  lookbackStart (): Instant
  /** How far the upstream's clock has gone at least, `quietMs` after the newest event came. */
  frontier (quietMs: number): Instant
  /** Where a read may begin that leaves late events to the next whole one; the last read began at this frontier. */
  recentStart (frontier: Instant): Instant
  /** Looks at the rows of an answer, and at what was passed by on the way to it: what is new, in order. */
  diff (rows: readonly KeyedEvent[], passed: SkippedRange | undefined, now: Instant): NewEntries
  /** A whole read has come to its end that began at `startedAt`, and at the `frontier` if that is to count. */
  advance (startedAt: Instant, frontier?: Instant): void
  /** What was passed by and would be met again. */
  skippedRanges (): readonly SkippedRange[]
  /**
   * How late an event may be and still be noticed, milliseconds, while that is less than it should be: more events came
   * than can be known.
   */
  reducedLatenessMs (): number | undefined
}

const RECENT = 5n * NANOS_PER_SECOND

/**
 * The invariant: no event that is still to be published has an instant before `floor`.
 *
 *     floor = min(max(highWater, frontier), startedAt) − lateness
 *
 *           floor                      highWater    startedAt      now
 *     ────────┼────────────────────────────┼────────────┼───────────┼──▶ instant
 *             └── read again: late events ─┴─────────── may appear ─┘
 *
 * - An event that becomes visible at v has an instant of at least v − lateness.
 * - A full read that started at s returned all that was visible at s. What it missed became visible after s, so its
 *   instant is at least s − lateness.
 * - `highWater` is the newest instant seen, at most s: a quiet log is read from its last event on, whatever the clocks
 *   say.
 * - `frontier` is `highWater` plus the time since the newest event came. The upstream's clock has gone on by as much.
 *   It counts where the window takes several answers, after a burst.
 */
export function createBookmark (options: BookmarkOptions): Bookmark {
  const lateness = nanos(options.latenessMs)
  const known = new Map<string, Instant>()
  const skippedRanges = createSkippedRanges()
  let highWater = options.from
  const firstMark = options.startedAt ?? options.from
  let floor = options.from // Nothing before it is read again.
  let forgotten: Instant | undefined // Up to here events were forgotten that should still be known.

  return {
    highWater: () => highWater,
    lookbackStart: () => floor,
    frontier: (quietMs) => highWater + nanos(quietMs),
    recentStart: (frontier) => maxInstant(floor, maxInstant(highWater, frontier) - RECENT),
    diff,
    advance (startedAt, frontier = highWater) {
      floor = maxInstant(floor, minInstant(maxInstant(highWater, frontier), startedAt) - lateness)
      // Reads begin at a whole second, and what has no instant of its own is in every answer that holds its neighbour.
      const oldest = floorToSecond(floor)
      for (const [id, instant] of known) if (instant < oldest) known.delete(id)
      skippedRanges.forgetBefore(oldest)
      if (forgotten !== undefined && forgotten <= highWater - lateness) forgotten = undefined
    },
    skippedRanges: skippedRanges.all,
    reducedLatenessMs: () =>
      forgotten === undefined ? undefined : Number((maxInstant(highWater, forgotten) - forgotten) / NANOS_PER_MS)
  }

  function diff (rows: readonly KeyedEvent[], passed: SkippedRange | undefined, now: Instant): NewEntries {
    const gap = passed === undefined ? undefined : skippedRanges.look(passed, now)
    const fresh = firstOfEach(rows).filter(({ event }) => !known.has(event.id))
    const reached = fresh.reduce(
      (newest, { event }) => event.instant === undefined ? newest : maxInstant(newest, minInstant(event.instant, now)),
      highWater
    )
    const events = fresh.map(({ event }): NewEntry => ({
      event,
      late: event.instant !== undefined && event.instant < highWater
    }))
    return {
      announcement: {
        entries: gap === undefined ? events : [{ gap }, ...events],
        highWater: minInstant(reached, maxInstant(firstMark, floor + lateness))
      },
      commit
    }

    function commit (): void {
      highWater = maxInstant(highWater, reached)
      // Set each time: an event without an instant has its neighbour's, which may change.
      for (const { event, key } of rows) known.set(event.id, key.instant)
      if (passed !== undefined) skippedRanges.keep(passed, now)
      forgetOldest()
    }
  }

  /** Keeps memory bounded at the price of a shorter window: what is forgotten must not be read again. */
  function forgetOldest (): void {
    for (const [id, instant] of known) {
      if (known.size <= options.mostKnown) return
      known.delete(id)
      // An event dated in the future must not blind the poller.
      floor = maxInstant(floor, minInstant(instant + 1n, highWater))
      forgotten = floor
    }
  }
}

function nanos (ms: number): bigint {
  return BigInt(Math.floor(ms)) * NANOS_PER_MS
}

function firstOfEach (rows: readonly KeyedEvent[]): KeyedEvent[] {
  const met = new Set<string>()
  return rows.filter(({ event }) => !met.has(event.id) && met.add(event.id))
}
