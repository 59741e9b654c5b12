import {
  EARLIEST,
  NANOS_PER_SECOND,
  instantFromMs,
  maxInstant,
  type Instant
} from '../audit/instant.ts'
import type { Batch } from '../audit/log-batch.ts'
import type { Requester } from '../audit/requester.ts'
import { repeat, type Clock } from '../clock.ts'
import { createEventTable, type TableSnapshot } from './event-table.ts'
import { createTableScan, type ScanProgress, type TableScanOptions } from './table-scan.ts'

export interface LiveTableOptions extends Pick<TableScanOptions, 'onError' | 'source'> {
  readonly clock: Clock
  /** Kubiya's clock, milliseconds since 1970. */
  readonly upstreamNow: () => number
  /** How far back the table reaches. */
  readonly hours: number
  readonly maxEvents: number
  /** Called when no question came for ten minutes. */
  readonly onIdle: () => void
  /** Called once an hour, for a check of the counts. */
  readonly onHour: () => void
}

/** The events of the last hours: each once, from the poller as soon as they enter the log, and older ones by a scan. */
export interface LiveTable {
  /** Adds what has entered the log. */
  append (batch: Batch): void
  /** Reads back to an instant, or as far as the table reaches. Waits at most `waitMs`. */
  fill (start: Instant, requester: Requester, waitMs: number): Promise<ScanProgress>
  progress (): ScanProgress
  /** Every event from here on is in the table. `undefined`: nothing is certain yet. */
  coveredFrom (): Instant | undefined
  snapshot (): TableSnapshot
  usage (): { readonly events: number, readonly bytes: number }
  /** Records a use: the idle time starts again. */
  touch (): void
  close (): void
}

const HOUR = 3600n * NANOS_PER_SECOND
const HOUR_MS = 3_600_000
const CHECK_MS = 60_000
const IDLE_MS = 10 * 60_000

export function createLiveTable (options: LiveTableOptions): LiveTable {
  const { clock, hours, maxEvents, onError, onHour, onIdle, upstreamNow } = options
  let evictedUpTo: Instant | undefined // The table has evicted all events that are not newer.
  const table = createEventTable({ maxEvents, onEvicted: (newest) => { raise(newest) } })
  const scan = createTableScan({ ...options, table, filter: {}, rowLimit: maxEvents, hasRoom: () => !hasEvictedPast() })
  let usedMs = clock.monotonicMs()
  let maintainedMs = usedMs
  const stopChecks = repeat(clock, check, CHECK_MS)

  return {
    append,
    fill: (start, requester, waitMs) => scan.advance(start, requester, waitMs),
    progress: scan.progress,
    coveredFrom,
    snapshot: table.snapshot,
    usage: table.usage,
    touch: () => { usedMs = clock.monotonicMs() },
    close
  }

  function append ({ entries, highWater }: Batch): void {
    for (const entry of entries) {
      if ('gap' in entry) table.addGap(entry.gap)
      else table.add(entry.event, entry.event.instant ?? entry.notAfter ?? highWater)
    }
  }

  function coveredFrom (): Instant | undefined {
    const { coveredFrom: scanned } = scan.progress()
    return scanned === undefined || evictedUpTo === undefined ? scanned : maxInstant(scanned, evictedUpTo + 1n)
  }

  /** Whether the scan has reached events that the table has no room for. */
  function hasEvictedPast (): boolean {
    const { coveredFrom: scanned } = scan.progress()
    return evictedUpTo !== undefined && scanned !== undefined && scanned <= evictedUpTo
  }

  function raise (newest: Instant): void {
    evictedUpTo = evictedUpTo === undefined ? newest : maxInstant(evictedUpTo, newest)
  }

  function check (): void {
    const nowMs = clock.monotonicMs()
    if (nowMs - usedMs >= IDLE_MS) return onIdle()
    if (nowMs - maintainedMs < HOUR_MS) return
    maintainedMs = nowMs
    const limit = horizonOf(upstreamNow(), hours)
    if ((scan.progress().coveredFrom ?? limit) < limit) raise(limit - 1n)
    table.dropBefore(limit).then(table.compact).then(onHour).catch(onError)
  }

  function close (): void {
    stopChecks()
    scan.close()
  }
}

/** How far back the table is filled at most: a whole hour, so that it stays the same for an hour. */
export function horizonOf (nowMs: number, hours: number): Instant {
  const now = instantFromMs(nowMs)
  return maxInstant(EARLIEST, now - now % HOUR - BigInt(hours) * HOUR)
}
