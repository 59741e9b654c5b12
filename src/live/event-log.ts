import type { Batch, FreshEvent } from '../audit/batch.ts'
import type { LogCursor } from '../audit/cursor.ts'
import type { AuditEvent } from '../audit/event.ts'
import { later, type Instant } from '../audit/instant.ts'

export interface LogEntry extends FreshEvent {
  readonly offset: number
  /** The tail's high-water mark when it entered. */
  readonly highWater: Instant
}

export interface EventLogOptions {
  readonly epoch: string
  /** Every event that is visible from this instant on will have entered once the tail has filled the log. */
  readonly reachesBackTo: Instant
  readonly maxEvents: number
  readonly maxBytes: number
}

/** The numbered events of the recent past, oldest first, bounded in number and bytes. */
export interface EventLog {
  append (batch: Batch): void
  /** The place behind the newest entry. */
  head (): LogCursor
  /** The cursor that stands before the entry with this offset. */
  cursorAt (offset: number): LogCursor
  /** Offset of the oldest entry that is kept. */
  oldest (): number
  /** Up to `most` entries from an offset on; `undefined` when that place was evicted or is none of this log's. */
  read (offset: number, most: number): LogEntry[] | undefined
  /** Whether every event from this instant on is kept. */
  reachesBackTo (instant: Instant): boolean
  /** Whether an entry since a position matches; true where that cannot be told any more. */
  hasNew (since: { epoch: string, offset: number }, matches: (event: AuditEvent) => boolean): boolean
}

export function createEventLog (options: EventLogOptions): EventLog {
  const { epoch, maxBytes, maxEvents } = options
  const entries: LogEntry[] = []
  let first = 0
  let bytes = 0
  let reachesBack = options.reachesBackTo
  let highWater = options.reachesBackTo

  return {
    append,
    head: () => cursorAt(first + entries.length),
    cursorAt,
    oldest: () => first,
    read,
    reachesBackTo: (instant) => instant >= reachesBack,
    hasNew (since, matches) {
      if (since.epoch !== epoch || since.offset < first) return true
      return entries.slice(since.offset - first).some(({ event }) => matches(event))
    }
  }

  function append (batch: Batch): void {
    // A follower that starts late learns from its first batch where the numbering stands.
    if (entries.length === 0) first = batch.first
    if (batch.epoch !== epoch || batch.first !== first + entries.length) throw new Error('a batch is missing or doubled')
    batch.events.forEach((fresh, index) => {
      entries.push({ ...fresh, offset: batch.first + index, highWater: batch.highWater })
      bytes += fresh.event.json.length
    })
    highWater = later(highWater, batch.highWater)
    evict()
  }

  function evict (): void {
    let evicted = 0
    while (entries.length - evicted > maxEvents || bytes > maxBytes) {
      const event = entries[evicted++]?.event
      if (event === undefined) break
      bytes -= event.json.length
      if (event.instant !== undefined) reachesBack = later(reachesBack, event.instant + 1n)
    }
    entries.splice(0, evicted)
    first += evicted
  }

  function cursorAt (offset: number): LogCursor {
    return { kind: 'log', epoch, offset, instant: entries[offset - 1 - first]?.highWater ?? highWater }
  }

  function read (offset: number, most: number): LogEntry[] | undefined {
    if (offset < first || offset > first + entries.length) return undefined
    return entries.slice(offset - first, offset - first + most)
  }
}
