import type { Clock } from '../../clock.ts'
import type { Batch, NewEntry } from '../../audit/log-batch.ts'
import type { BytePool } from '../../audit/byte-pool.ts'
import type { LogCursor } from '../../audit/cursor.ts'
import { weightOf, type AuditEvent } from '../../audit/event.ts'
import { minInstant, maxInstant, type Instant } from '../../audit/instant.ts'
import { createEvictedRanges } from './evicted-ranges.ts'
import { createOffsetIndex } from './offset-index.ts'

export type LogEntry = NewEntry & {
  readonly offset: number
  /** The high-water mark behind this entry: it only rises, and never past that of its batch. */
  readonly highWater: Instant
  /** No entry up to this one has a newer instant. It only rises. */
  readonly newest: Instant
}

export interface EventLogOptions {
  readonly epoch: string
  /** An instant to begin at, until the poller knows better. */
  readonly start: Instant
  readonly maxEvents: number
  readonly maxBytes: number
  /** What all logs hold together, where there are several. */
  readonly pool?: BytePool
  /** For how long, by the log's newest instant, offsets of evicted events are remembered at least. */
  readonly remembers: Instant
  /** Most offsets that are remembered. */
  readonly mostRemembered: number
  /** Called for each entry that is evicted, oldest first, before its offset leaves the log. */
  readonly onEvicted?: (entry: LogEntry) => void
}

const BYTES_OF_A_GAP = 100
const LONGEST_LOOK_MS = 20

/** The numbered events of the recent past, oldest first, as their readers see them. */
export interface LogReader {
  /** The position behind the newest entry: the same object as long as it is the same position. */
  end (): LogCursor
  /** Offset of the oldest entry that is kept. */
  startOffset (): number
  /** The cursor that stands before the entry with this offset. */
  cursorAt (offset: number): LogCursor
  /** The first offset that can hold this instant or a later one. */
  offsetFrom (instant: Instant): number
  /** Which offset an event had when it entered, also for some time after it was evicted. */
  offsetOf (id: string): number | undefined
  /** Up to `most` entries from an offset on; `undefined` when that offset was evicted, or is beyond the end. */
  read (offset: number, most: number): LogEntry[] | undefined
  /** The newest instant of all that have entered. */
  newestInstant (): Instant
  /** From which instant on every event is kept. */
  completeSince (): Instant
  /**
   * The first and the last instant of the events that were evicted between two offsets; `undefined` where none is
   * known.
   */
  evictedBetween (from: number, to: number): { readonly from: Instant, readonly to: Instant } | undefined
}

/** The log as its only writer sees it. It is bounded in number and bytes. */
export interface EventLog extends LogReader {
  /** Every event that is visible from this instant on will have entered once the poller has filled the log. */
  resetTo (start: Instant): void
  /** Takes a batch; gives its entries. */
  append (batch: Batch): LogEntry[]
  /** Gives back its bytes of the pool; it takes nothing any more. */
  close (): void
}

/** An empty log. Memory: the events as published count; each holds about as much again as data. */
export function createEventLog (options: EventLogOptions): EventLog {
  const { epoch, maxBytes, maxEvents } = options
  const entries: LogEntry[] = []
  const roll = createOffsetIndex({ span: options.remembers, most: options.mostRemembered })
  const evictions = createEvictedRanges()
  const share = options.pool?.join({ shrink })
  let first = 0
  let bytes = 0
  let reachesBack = options.start
  let highWater = options.start
  let newest = options.start
  let evictedMark = options.start // The high-water mark in front of the oldest entry.
  let head: LogCursor | undefined

  return {
    resetTo (start) {
      reachesBack = start
      highWater = start
      newest = start
      evictedMark = start
      head = undefined
    },
    append,
    end: () => (head ??= newCursor(first + entries.length)),
    cursorAt,
    startOffset: () => first,
    offsetFrom,
    offsetOf: roll.offsetOf,
    read,
    newestInstant: () => newest,
    completeSince: () => reachesBack,
    evictedBetween: evictions.between,
    close: () => share?.leave()
  }

  function append (batch: Batch): LogEntry[] {
    // A follower that starts late learns from its first batch where the numbering stands.
    if (entries.length === 0) first = batch.first
    if (batch.epoch !== epoch || batch.first !== first + entries.length) {
      throw new Error('a batch is missing or duplicated')
    }
    // Entry by entry: whoever stops inside a batch must not resume behind what the rest of it holds.
    const appended = batch.entries.map((fresh, index) => {
      highWater = maxInstant(highWater, minInstant(instantOf(fresh) ?? highWater, batch.highWater))
      newest = maxInstant(newest, instantOf(fresh) ?? newest)
      bytes += bytesOf(fresh)
      if ('event' in fresh) roll.add(fresh.event.id, batch.first + index, highWater)
      return { ...fresh, offset: batch.first + index, highWater, newest: maxInstant(newest, highWater) }
    })
    highWater = maxInstant(highWater, batch.highWater)
    entries.push(...appended)
    head = undefined
    evict(maxBytes)
    share?.hold(bytes)
    return appended
  }

  function shrink (by: number): number {
    evict(bytes - by)
    return bytes
  }

  function evict (mostBytes: number): void {
    let evicted = 0
    while (entries.length - evicted > maxEvents || bytes > mostBytes) {
      const entry = entries[evicted++]
      if (entry === undefined) break
      const instant = instantOf(entry)
      bytes -= bytesOf(entry)
      evictedMark = entry.highWater
      options.onEvicted?.(entry)
      if (instant === undefined) continue
      reachesBack = maxInstant(reachesBack, instant + 1n)
      evictions.add(entry.offset, instant)
    }
    entries.splice(0, evicted)
    first += evicted
  }

  /** Binary search: `newest` only rises. */
  function offsetFrom (instant: Instant): number {
    let [low, high] = [0, entries.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((entries[middle]?.newest ?? instant) < instant) low = middle + 1
      else high = middle
    }
    return first + low
  }

  function cursorAt (offset: number): LogCursor {
    return offset === head?.offset ? head : newCursor(offset)
  }

  function newCursor (offset: number): LogCursor {
    return { kind: 'log', epoch, offset, instant: markAt(offset) }
  }

  function markAt (offset: number): Instant {
    if (offset === first + entries.length) return highWater
    return offset > first ? entries[offset - 1 - first]?.highWater ?? highWater : evictedMark
  }

  function read (offset: number, most: number): LogEntry[] | undefined {
    if (offset < first || offset > first + entries.length) return undefined
    return entries.slice(offset - first, offset - first + most)
  }
}

/** Whether an event since a position matches; true where that cannot be told any more, or not soon. */
export function hasNewSince (
  log: Pick<LogReader, 'end' | 'read'>,
  { monotonicMs }: Pick<Clock, 'monotonicMs'>,
  since: Pick<LogCursor, 'epoch' | 'offset'>,
  matches: (event: AuditEvent) => boolean
): boolean {
  const entries = since.epoch === log.end().epoch ? log.read(since.offset, Infinity) : undefined
  if (entries === undefined) return true
  const endMs = monotonicMs() + LONGEST_LOOK_MS
  return entries.some((entry) => 'event' in entry && (monotonicMs() > endMs || matches(entry.event)))
}

/** The instant that an entry is found by; a gap's is its end: whoever begins inside it must hear of it. */
export function instantOf (fresh: NewEntry): Instant | undefined {
  return 'gap' in fresh ? fresh.gap.to : fresh.event.instant
}

function bytesOf (fresh: NewEntry): number {
  return 'gap' in fresh ? BYTES_OF_A_GAP : weightOf(fresh.event)
}
