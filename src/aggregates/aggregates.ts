import type { LogCursor } from '../audit/cursor.ts'
import type { AuditFilter } from '../audit/filter.ts'
import { EARLIEST, NANOS_PER_MS, instantFromMs, type Instant } from '../audit/instant.ts'
import type { Batch } from '../audit/log-batch.ts'
import type { Requester } from '../audit/requester.ts'
import type { Failure } from '../audit/source.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { createExtraTables, type ExtraQuery, type ExtraTable, type ExtraTablesOptions } from './extra-tables.ts'
import { createLiveTable, horizonOf, type LiveTable, type LiveTableOptions } from './live-table.ts'
import { createRecount } from './recount.ts'
import type { ScanStop } from './table-scan.ts'
import { extraSource, joinSources, liveSource, type JoinedSources, type TableSource } from './table-sources.ts'

/** How new the poller's events are. Times are monotonic, milliseconds. */
export interface FreshFeed {
  readonly ok: true
  /** When the poll began that the events from the requested instant on are known from. */
  readonly readMs: number
  /** When the last good poll began. */
  readonly polledMs: number
  /** Why the events are no newer: the poll on demand failed. */
  readonly failure?: Failure
}

export interface AggregatesOptions
  extends Omit<LiveTableOptions, 'onHour' | 'onIdle'>, Omit<ExtraTablesOptions, 'clock'> {
  /**
   * Waits until the poller's events from an instant on are as new as those of a list. `undefined`: the poller vouches
   * for nothing now. A failure is a refused credential.
   */
  readonly freshFeed: (from: Instant) => Promise<FreshFeed | Failure | undefined>
  /** The longest wait for a reading, milliseconds. */
  readonly waitMs: number
  /** Whether at least half of the request budget is left. */
  readonly hasHalfOfBudget: () => boolean
  /** Called once an hour while the table is in use. */
  readonly onHour: (table: LiveTable) => void
}

/** The events that a question is about. */
export interface EventsQuery {
  /** Kubiya may leave out what this does not match. The live table holds the other events, too. */
  readonly filter: AuditFilter
  /** A text that is not part of `filter`: rows are marked by it. */
  readonly markedText: string | undefined
  readonly window: TimeRange
}

/** The rows of an answer. */
export interface Gathered extends JoinedSources {
  readonly ok: true
  readonly window: TimeRange
  /** Whether Kubiya was not asked for it. */
  readonly isFromMemory: boolean
  /** Entries of the log behind it are not in the answer. */
  readonly position: LogCursor
  readonly failure?: Failure
}

/** Gathers the rows that counts need: the last hours from memory, everything else from Kubiya. */
export interface Aggregates {
  /** Takes the rows from memory. `undefined`: Kubiya has to be asked. */
  fromMemory (query: EventsQuery): Promise<Gathered | Failure | undefined>
  /** Reads what is missing, on the requester's account, for a bounded time. */
  fromKubiya (query: EventsQuery, requester: Requester): Promise<Gathered | Failure>
  /**
   * Begins to read all rows of the table from Kubiya again: rarely, and not while the request budget is short. The
   * table stays in use until the new one is complete.
   */
  beginRecount (): boolean
  /** Takes what has entered the log. */
  append (batch: Batch): void
  /** Drops all events: a refused credential has read them. */
  clear (): void
  usage (): { readonly events: number, readonly bytes: number }
}

/** Which part of a window is counted in the live table, and which one in a table of its own. */
interface Plan {
  readonly live: TimeRange | undefined
  readonly extra: TimeRange | undefined
}

const LEAST_BETWEEN_RECOUNTS_MS = 15 * 60_000
const NO_USAGE = { events: 0, bytes: 0 }
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }
const TIMEOUT: Failure = { ok: false, kind: 'timeout' }

export function createAggregates (options: AggregatesOptions): Aggregates {
  const { clock, freshFeed, hasHalfOfBudget, hours, onError, onHour, position, upstreamNow, waitMs } = options
  const extraTables = createExtraTables(options)
  let live: LiveTable | undefined
  let clears = 0
  let isRecountDue = false
  let recountedMs = -Infinity
  const recount = createRecount({ clock, maxMs: LEAST_BETWEEN_RECOUNTS_MS, createTable, onError, onRead: replace })

  return {
    fromMemory,
    fromKubiya,
    beginRecount,
    append (batch) {
      live?.append(batch)
      recount.append(batch)
    },
    clear () {
      clears++
      drop()
    },
    usage
  }

  function drop (): void {
    live?.close()
    live = undefined
    recount.end()
    isRecountDue = false
    extraTables.clear()
  }

  function replace (table: LiveTable): void {
    live?.close()
    live = table
  }

  function usage () {
    const { bytes, events } = live?.usage() ?? NO_USAGE
    return { events, bytes: bytes + recount.bytes() }
  }

  function beginRecount (): boolean {
    const nowMs = clock.monotonicMs()
    if (nowMs - recountedMs < LEAST_BETWEEN_RECOUNTS_MS || !hasHalfOfBudget()) return false
    recountedMs = nowMs
    isRecountDue = true
    extraTables.clear()
    return true
  }

  async function fromMemory (query: EventsQuery): Promise<Gathered | Failure | undefined> {
    const table = live
    const { extra, live: window } = planOf(query, horizon())
    if (table === undefined || window === undefined || extra !== undefined || !covers(table, window)) return undefined
    table.touch()
    const feed = await freshFeed(window.start ?? EARLIEST)
    if (feed?.ok !== true) return feed
    if (table !== live || !covers(table, window)) return undefined
    return gathered(query.window, feed, [liveSource(table, window, feed.readMs)], true)
  }

  async function fromKubiya (query: EventsQuery, requester: Requester): Promise<Gathered | Failure> {
    const endMs = clock.monotonicMs() + waitMs
    const { extra, live: window } = planOf(query, horizon())
    if (window === undefined) return fromExtra(query, requester, endMs)
    const table = await openTable(requester, endMs)
    table.touch()
    const feed = await freshFeed(window.start ?? EARLIEST)
    if (feed === undefined) return fromExtra(query, requester, endMs)
    if (!feed.ok) return feed
    const { stop } = await table.fill(window.start ?? EARLIEST, requester, leftMs(endMs))
    const older = extra !== undefined && covers(table, window)
      ? [extraSource(await readExtra({ ...query, window: extra }, requester, endMs), extra)]
      : []
    if (table !== live) return UNAVAILABLE // A refused credential, or a recount has ended.
    const refusal = [stop, ...older.map((each) => each.stop)].find(isRefusal)
    if (refusal !== undefined) return failureOf(refusal)
    if (table.coveredFrom() === undefined) return fromEarlier(query, stop) ?? failureOf(stop)
    return gathered(query.window, feed, [liveSource(table, window, feed.readMs), ...older], false)
  }

  /** The table of the last hours. A recount that is due comes first. */
  async function openTable (requester: Requester, endMs: number): Promise<LiveTable> {
    const recountedFrom = isRecountDue ? live?.coveredFrom() : undefined
    isRecountDue = false
    if (recountedFrom !== undefined) await recount.start(recountedFrom, requester, leftMs(endMs))
    live ??= createTable()
    return live
  }

  /** Counts in a table of its own. Nothing of the poller's is in it. */
  async function fromExtra (query: EventsQuery, requester: Requester, endMs: number): Promise<Gathered | Failure> {
    const before = clears
    const extra = await readExtra(query, requester, endMs)
    const answer = gatheredFrom(extra, query.window) ?? failureOf(extra.scan.progress().stop)
    return answer.ok && clears !== before ? UNAVAILABLE : answer // A refused credential may have read it.
  }

  /** What was read for this question while the poller vouched for nothing. With a small budget the table needs long. */
  function fromEarlier (query: EventsQuery, stop: ScanStop | undefined): Gathered | undefined {
    const extra = extraTables.kept(extraQueryOf(query))
    return extra && gatheredFrom(extra, query.window, stop)
  }

  /** `stop`: why there is no more. It tells when there will be. */
  function gatheredFrom (extra: ExtraTable, window: TimeRange, stop = extra.scan.progress().stop): Gathered | undefined {
    const source = { ...extraSource(extra, window), stop }
    if (source.coveredFrom === undefined || isRefusal(source.stop)) return undefined
    const feed: FreshFeed = { ok: true, readMs: extra.startedMs, polledMs: extra.startedMs }
    return { ...gathered(window, feed, [source], false), position: extra.position }
  }

  async function readExtra (query: EventsQuery, requester: Requester, endMs: number): Promise<ExtraTable> {
    const asked = extraQueryOf(query)
    const extra = extraTables.open(asked)
    await extra.scan.advance(asked.start, requester, leftMs(endMs))
    return extra
  }

  function horizon (): Instant | undefined {
    return hours === 0 ? undefined : horizonOf(upstreamNow(), hours)
  }

  function createTable (): LiveTable {
    const table = createLiveTable({
      ...options,
      onHour: () => onHour(table),
      onIdle () {
        if (table === live) drop()
      }
    })
    return table
  }

  /** Synchronous: the rows and the position in the log are of one moment. */
  function gathered (
    window: TimeRange,
    { failure, polledMs }: FreshFeed,
    sources: readonly TableSource[],
    isFromMemory: boolean
  ): Gathered {
    const asOf = instantFromMs(upstreamNow()) - BigInt(Math.ceil(clock.monotonicMs() - polledMs)) * NANOS_PER_MS
    return { ok: true, window, ...joinSources(window, sources, asOf), isFromMemory, position: position(), ...failure && { failure } }
  }

  function leftMs (endMs: number): number {
    return Math.max(0, endMs - clock.monotonicMs())
  }
}

function extraQueryOf ({ window: { end, start = EARLIEST }, ...query }: EventsQuery): ExtraQuery {
  return { ...query, end, start }
}

/** `horizon`: where the live table begins. `undefined`: there is none. */
function planOf ({ filter, markedText, window }: EventsQuery, horizon: Instant | undefined): Plan {
  const { end, start = EARLIEST } = window
  const hasText = filter.text !== undefined || markedText !== undefined
  if (horizon === undefined || hasText || (end !== undefined && end < horizon)) return { live: undefined, extra: window }
  if (start >= horizon) return { live: window, extra: undefined }
  return { live: { ...window, start: horizon }, extra: { ...window, end: horizon - 1n } }
}

function covers (table: LiveTable, { start = EARLIEST }: TimeRange): boolean {
  const from = table.coveredFrom()
  return from !== undefined && from <= start
}

/** Nobody may see what a refused credential has read. */
function isRefusal (stop: ScanStop | undefined): boolean {
  return typeof stop === 'object' && (stop.kind === 'unauthorized' || stop.kind === 'forbidden')
}

function failureOf (stop: ScanStop | undefined): Failure {
  return typeof stop === 'object' ? stop : TIMEOUT
}
