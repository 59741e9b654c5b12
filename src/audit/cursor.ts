import { createHash } from 'node:crypto'
import type { AuditFilter } from './filter.ts'
import { isJsonObject } from './exact-json.ts'
import { EARLIEST, LATEST, type Instant } from './instant.ts'
import { NARRATIVE_KINDS, type NarrativeKind } from './narrative.ts'
import type { SortKey } from './sort-key.ts'
import type { Direction } from './source.ts'
import type { TimeRange } from './time-range.ts'

/** A position in the log of one epoch: every entry before `offset` was delivered or did not match the filter. */
export interface LogCursor {
  readonly kind: 'log'
  /** The numbering that `offset` belongs to. Each start of the service begins a new one. */
  readonly epoch: string
  readonly offset: number
  /** The newest instant in the log: where to resume after the epoch has ended. */
  readonly instant: Instant
}

/** A position in a replay. The stream continues from `log` after the replay. */
export interface ReplayCursor {
  readonly kind: 'replay'
  readonly log: LogCursor
  /** The sort key of the last delivered event, or the start of the replay (with an empty id). */
  readonly after: SortKey
  /** What was delivered before this replay, also by replays that were interrupted; at most `MOST_DELIVERED_RANGES`. */
  readonly delivered?: readonly DeliveredRange[]
}

/**
 * Every entry whose offset is less than `before` and whose sort key is at most `upTo` was delivered, or did not match
 * the filter.
 */
export interface DeliveredRange {
  readonly before: number
  readonly upTo: SortKey
}

export const MOST_DELIVERED_RANGES = 4

/** Where the next page of a list or search begins, with the whole query. */
export interface PageCursor {
  readonly kind: 'page'
  /** `session`: a page of one session's events, oldest first. */
  readonly operation: 'list' | 'search' | 'session'
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  readonly pageSize: number
  readonly page: number
  /** Matches after `after` that belong to earlier pages: the scan ended before it reached the requested page. */
  readonly skip: number
  /**
   * The sort key of the last event on the page before. An empty id means a position before every event of the instant
   * (in descending order: after every event of the instant).
   */
  readonly after: SortKey
  /** Of a session: the kind of all entries. */
  readonly entryKind?: NarrativeKind
}

/** Where the next page of sessions begins, with the whole query. */
export interface SessionsCursor {
  readonly kind: 'sessions'
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly orderBy: string
  readonly outcome: string | undefined
  readonly pageSize: number
  /** The last session of the page before: its value in this order, and its id. */
  readonly after: { readonly value: bigint, readonly id: string }
  /** The rows of the table that count: those of the first page. Another table has another number. */
  readonly pin: { readonly table: number, readonly rows: number } | undefined
}

/** Where an export continues, with the whole query. */
export interface ExportCursor {
  readonly kind: 'export'
  readonly filter: AuditFilter
  /** Its end is set: a later part must not grow. */
  readonly window: TimeRange
  readonly direction: Direction
  /** The sort key of the last exported event, or a position with an empty id, as in a `PageCursor`. */
  readonly after: SortKey
  /** Whether rows before `after` could not be read. Then no later part makes the export complete. */
  readonly hasSkipped: boolean
}

/** A position in a stream. */
export type StreamCursor = LogCursor | ReplayCursor

export type Cursor = StreamCursor | PageCursor | SessionsCursor | ExportCursor

/** The longest cursor, in characters. The longest filter fits into it, and it fits Node's limit of a request's head. */
export const LONGEST_CURSOR = 13_500

const VERSION = '1'
const SORT_VALUE = /^-?\d{1,24}$/
const EPOCH = /^[a-z0-9]{4,32}$/

/** Creates the cursor of a replay. An empty `delivered` is omitted. */
export function replayCursor (log: LogCursor, after: SortKey, delivered: readonly DeliveredRange[]): ReplayCursor {
  return { kind: 'replay', log, after, ...delivered.length > 0 && { delivered } }
}

/** URL-safe text: version, content, checksum. The checksum detects a damaged cursor. It is not a signature. */
export function encodeCursor (cursor: Cursor): string {
  const content = Buffer.from(JSON.stringify(pack(cursor), writeBigint)).toString('base64url')
  return `${VERSION}.${content}.${checksum(content)}`
}

/** `undefined`: the version, the checksum or a value is invalid. */
export function decodeCursor (text: string): Cursor | undefined {
  if (text.length > LONGEST_CURSOR) return undefined
  const [version, content, sum, ...rest] = text.split('.')
  if (version !== VERSION || content === undefined || sum !== checksum(content) || rest.length > 0) return undefined
  try {
    return unpack(JSON.parse(Buffer.from(content, 'base64url').toString()) as unknown[])
  } catch {
    return undefined // Not encoded here. The checksum is not a secret, so anyone can compute one.
  }
}

/** Decodes a position in a stream. `undefined`: any other text. */
export function decodeStreamCursor (text: string): StreamCursor | undefined {
  const cursor = decodeCursor(text)
  return cursor?.kind === 'log' || cursor?.kind === 'replay' ? cursor : undefined
}

function pack (cursor: Cursor): unknown[] {
  switch (cursor.kind) {
    case 'log': return ['l', cursor.epoch, cursor.offset, cursor.instant]
    case 'replay': return ['r', ...pack(cursor.log).slice(1), cursor.after.instant, cursor.after.id,
      ...(cursor.delivered ?? []).map(({ before, upTo }) => [before, upTo.instant, upTo.id])]
    case 'page': return packPage(cursor)
    case 'sessions': return ['s', cursor.filter, ...packWindow(cursor.window), cursor.orderBy,
      cursor.outcome ?? null, cursor.pageSize, cursor.after.value, cursor.after.id,
      ...cursor.pin === undefined ? [] : [cursor.pin.table, cursor.pin.rows]]
    case 'export': return ['e', cursor.filter, ...packWindow(cursor.window),
      cursor.direction, cursor.hasSkipped ? 1 : 0, cursor.after.instant, cursor.after.id]
  }
}

function packPage (cursor: PageCursor): unknown[] {
  const { after, direction, entryKind, filter, operation, page, pageSize, skip, window } = cursor
  const kinds = entryKind === undefined ? [] : [entryKind]
  const bounds = packWindow(window)
  return ['p', operation, filter, ...bounds, direction, pageSize, page, skip, after.instant, after.id, ...kinds]
}

function packWindow ({ end, start }: TimeRange): unknown[] {
  return [start ?? null, end ?? null]
}

function unpack (packed: unknown[]): Cursor {
  const [kind, ...rest] = packed
  if (kind === 'l') return unpackLog(rest)
  if (kind === 'r') {
    const delivered = rest.slice(5).map(unpackDeliveredRange)
    if (delivered.length > MOST_DELIVERED_RANGES) throw new RangeError('too many delivered ranges')
    return {
      kind: 'replay',
      log: unpackLog(rest.slice(0, 3)),
      after: unpackSortKey(rest.slice(3)),
      ...delivered.length > 0 && { delivered }
    }
  }
  if (kind === 's') return unpackSessions(rest)
  if (kind === 'e') return unpackExport(rest)
  if (kind === 'p') return unpackPage(rest)
  throw new TypeError('unknown kind of cursor')
}

function unpackPage (packed: unknown[]): PageCursor {
  const [operation, filter, start, end, direction, pageSize, page, skip, instant, id, entryKind] = packed
  return {
    kind: 'page',
    operation: oneOf(operation, ['list', 'search', 'session']),
    filter: unpackFilter(filter),
    window: unpackWindow(start, end),
    direction: oneOf(direction, ['asc', 'desc']),
    pageSize: readCount(pageSize),
    page: readCount(page),
    skip: readCount(skip),
    after: unpackSortKey([instant, id]),
    ...entryKind !== undefined && { entryKind: oneOf(entryKind, NARRATIVE_KINDS) }
  }
}

function unpackSessions (packed: unknown[]): SessionsCursor {
  const [filter, start, end, orderBy, outcome, pageSize, value, id, table, rows] = packed
  if (typeof orderBy !== 'string' || typeof id !== 'string') throw new TypeError('invalid order or id')
  if (typeof value !== 'string' || !SORT_VALUE.test(value)) throw new TypeError('invalid value')
  return {
    kind: 'sessions',
    filter: unpackFilter(filter),
    window: unpackWindow(start, end),
    orderBy,
    outcome: typeof outcome === 'string' ? outcome : undefined,
    pageSize: readCount(pageSize),
    after: { value: BigInt(value), id },
    pin: table === undefined ? undefined : { table: readCount(table), rows: readCount(rows) }
  }
}

function unpackExport ([filter, start, end, direction, hasSkipped, ...after]: unknown[]): ExportCursor {
  if (end === null) throw new TypeError('an export has an end')
  return {
    kind: 'export',
    filter: unpackFilter(filter),
    window: unpackWindow(start, end),
    direction: oneOf(direction, ['asc', 'desc']),
    after: unpackSortKey(after),
    hasSkipped: readCount(hasSkipped) > 0
  }
}

/** The route checks the fields against the filter's schema. */
function unpackFilter (filter: unknown): AuditFilter {
  if (!isJsonObject(filter)) throw new TypeError('invalid filter')
  return filter as AuditFilter
}

function unpackWindow (start: unknown, end: unknown): TimeRange {
  return { ...start !== null && { start: readInstant(start) }, ...end !== null && { end: readInstant(end) } }
}

function unpackLog ([epoch, offset, instant]: unknown[]): LogCursor {
  if (typeof epoch !== 'string' || !EPOCH.test(epoch)) throw new TypeError('invalid epoch')
  return { kind: 'log', epoch, offset: readCount(offset), instant: readInstant(instant) }
}

function unpackSortKey ([instant, id]: unknown[]): SortKey {
  if (typeof id !== 'string') throw new TypeError('invalid id')
  return { instant: readInstant(instant), id }
}

function unpackDeliveredRange (packed: unknown): DeliveredRange {
  if (!Array.isArray(packed)) throw new TypeError('invalid delivered range')
  const [before, ...upTo] = packed as unknown[]
  return { before: readCount(before), upTo: unpackSortKey(upTo) }
}

function readInstant (value: unknown): Instant {
  if (typeof value !== 'string' || !/^-?\d{1,21}$/.test(value)) throw new TypeError('invalid instant')
  const instant = BigInt(value)
  if (instant < EARLIEST || instant > LATEST) throw new RangeError('instant out of range')
  return instant
}

function readCount (value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('invalid count')
  return value
}

function oneOf<T extends string> (value: unknown, allowed: readonly T[]): T {
  const found = allowed.find((each) => each === value)
  if (found === undefined) throw new TypeError('unknown value')
  return found
}

function writeBigint (_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

function checksum (content: string): string {
  return createHash('sha256').update(VERSION).update(content).digest('base64url').slice(0, 8)
}
