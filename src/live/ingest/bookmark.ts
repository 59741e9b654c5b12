import type { AuditEvent } from '../../audit/event.ts'
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
  /** The instant from which the first read begins. */
  readonly from: Instant
  /** When the first read begins, by the upstream's clock. An event that it misses becomes visible later. */
  readonly startedAt?: Instant
  readonly latenessMs: number
  /** The most events that are remembered, so that they are not published again. */
  readonly mostKnown: number
}

/** The new entries of an answer. They are known only after `commit`: entries that could not be published stay new. */
export interface NewEntries {
  readonly announcement: Announcement
  commit (): void
}

/** The poller's position in the upstream log, and the events near it that were published. */
export interface Bookmark {
  /** The newest published instant, at most now. */
  highWater (): Instant
  /** The start of a full read: everything that may have become visible since the last full read is after it. */
  lookbackStart (): Instant
  /** A lower bound on the upstream's clock, `quietMs` after the newest event arrived. */
  frontier (quietMs: number): Instant
  /** The start of a read that leaves late events to the next full read. `frontier`: that of the last read. */
  recentStart (frontier: Instant): Instant
  /** The new entries of an answer, in order. `skipped`: the rows before it or in it that could not be read. */
  diff (rows: readonly KeyedEvent[], skipped: SkippedRange | undefined, now: Instant): NewEntries
  /** Ends a full read that began at `startedAt`. A `frontier` counts only if it is passed. */
  advance (startedAt: Instant, frontier?: Instant): void
  /** Rows that could not be read, and that the next full read meets again. */
  skippedRanges (): readonly SkippedRange[]
  /**
   * How late an event may be and still be published, milliseconds. `undefined`: as late as configured. It is less after
   * more events than `mostKnown`.
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
 * - `highWater` is the newest published instant, at most s. A quiet log is read from its last event on, whatever the
 *   clocks show.
 * - `frontier` is `highWater` plus the time since the newest event arrived: the upstream's clock has advanced by as much.
 *   It counts only while the window takes several answers, as after a burst.
 */
export function createBookmark (options: BookmarkOptions): Bookmark {
  const lateness = nanos(options.latenessMs)
  const known = new Map<string, Instant>()
  const skippedRanges = createSkippedRanges()
  let highWater = options.from
  const firstMark = options.startedAt ?? options.from
  let floor = options.from // Nothing before it is read again.
  let forgotten: Instant | undefined // Events up to this instant were forgotten too early, for lack of room.

  return {
    highWater: () => highWater,
    lookbackStart: () => floor,
    frontier: (quietMs) => highWater + nanos(quietMs),
    recentStart: (frontier) => maxInstant(floor, maxInstant(highWater, frontier) - RECENT),
    diff,
    advance (startedAt, frontier = highWater) {
      floor = maxInstant(floor, minInstant(maxInstant(highWater, frontier), startedAt) - lateness)
      // Reads begin at a whole second. An event without an instant is in every answer that contains its neighbour.
      const oldest = floorToSecond(floor)
      for (const [id, instant] of known) if (instant < oldest) known.delete(id)
      skippedRanges.forgetBefore(oldest)
      if (forgotten !== undefined && forgotten <= highWater - lateness) forgotten = undefined
    },
    skippedRanges: skippedRanges.all,
    reducedLatenessMs: () =>
      forgotten === undefined ? undefined : Number((maxInstant(highWater, forgotten) - forgotten) / NANOS_PER_MS)
  }

  function diff (rows: readonly KeyedEvent[], skipped: SkippedRange | undefined, now: Instant): NewEntries {
    const gap = skipped === undefined ? undefined : skippedRanges.newGap(skipped, now)
    const fresh = distinct(rows).filter(({ event }) => !known.has(event.id))
    const reached = fresh.reduce(
      (newest, { event }) => event.instant === undefined ? newest : maxInstant(newest, minInstant(event.instant, now)),
      highWater
    )
    const nextInstants = nextInstantsOf(rows)
    const events = fresh.map(({ event }): NewEntry => event.instant === undefined
      ? { event, late: false, notAfter: nextInstants.get(event) ?? now }
      : { event, late: event.instant < highWater })
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
      if (skipped !== undefined) skippedRanges.add(skipped, now)
      forgetOldest()
    }
  }

  /** Bounds memory at the price of a shorter window: a forgotten event must not be read again. */
  function forgetOldest (): void {
    for (const [id, instant] of known) {
      if (known.size <= options.mostKnown) return
      known.delete(id)
      // An event dated in the future must not move the floor past now.
      floor = maxInstant(floor, minInstant(instant + 1n, highWater))
      forgotten = floor
    }
  }
}

function nanos (ms: number): bigint {
  return BigInt(Math.floor(ms)) * NANOS_PER_MS
}

/** For each event without an instant, the instant of the first dated event that follows it. */
function nextInstantsOf (rows: readonly KeyedEvent[]): ReadonlyMap<AuditEvent, Instant> {
  const next = new Map<AuditEvent, Instant>()
  let instant: Instant | undefined
  for (const { event } of rows.toReversed()) {
    if (event.instant !== undefined) instant = event.instant
    else if (instant !== undefined) next.set(event, instant)
  }
  return next
}

function distinct (rows: readonly KeyedEvent[]): KeyedEvent[] {
  const met = new Set<string>()
  return rows.filter(({ event }) => !met.has(event.id) && met.add(event.id))
}
