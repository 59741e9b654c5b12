import { createHash } from 'node:crypto'
import type { AuditFilter } from './filter.ts'
import { EARLIEST, LATEST, type Instant } from './instant.ts'
import type { SortKey } from './sort-key.ts'
import type { Direction } from './source.ts'
import type { TimeRange } from './time-range.ts'

/** A position in the log of one epoch: everything before `offset` was given or skipped by the filter. */
export interface LogCursor {
  readonly kind: 'log'
  /** Which numbering `offset` belongs to; another one after a restart. */
  readonly epoch: string
  readonly offset: number
  /** The newest instant that the log had seen: where to resume when the numbering is gone. */
  readonly instant: Instant
}

/** A position in a replay that will go on from `log` once it has caught up. */
export interface ReplayCursor {
  readonly kind: 'replay'
  readonly log: LogCursor
  /** The last event given, or where the replay begins (with an empty id). */
  readonly after: SortKey
  /** What was given before the replay, or by others that were broken off; at most `MOST_GIVEN`. */
  readonly delivered?: readonly DeliveredRange[]
}

/** What entered the log before an offset, and stands no further than a place, was given, or skipped by the filter. */
export interface DeliveredRange {
  readonly before: number
  readonly upTo: SortKey
}

export const MOST_DELIVERED_RANGES = 4

/** Where the next page of a list or search begins, with all that the question was. */
export interface PageCursor {
  readonly kind: 'page'
  readonly operation: 'list' | 'search'
  readonly filter: AuditFilter
  readonly window: TimeRange
  readonly direction: Direction
  readonly pageSize: number
  readonly page: number
  /**
   * Matches behind `after` that belong to pages before this one: the scan ended before it got to the page asked for.
   */
  readonly skip: number
  /** The last place that was given; an empty id stands before (going down: behind) every event of its instant. */
  readonly after: SortKey
}

/** A position in a stream. */
export type StreamCursor = LogCursor | ReplayCursor

export type Cursor = StreamCursor | PageCursor

/**
 * Characters of the longest cursor: every filter at its longest still fits, and the whole fits Node's limit of a
 * request's head.
 */
export const LONGEST_CURSOR = 13_500

const VERSION = '1'
const EPOCH = /^[a-z0-9]{4,32}$/

/** The cursor of a replay: `delivered` is left out where it is empty. */
export function replayCursor (log: LogCursor, after: SortKey, delivered: readonly DeliveredRange[]): ReplayCursor {
  return { kind: 'replay', log, after, ...delivered.length > 0 && { delivered } }
}

/** URL-safe text: version, content, checksum. The checksum finds what was damaged or made up; it is no signature. */
export function encodeCursor (cursor: Cursor): string {
  const content = Buffer.from(JSON.stringify(pack(cursor), writeBigint)).toString('base64url')
  return `${VERSION}.${content}.${checksum(content)}`
}

/** `undefined` when version, checksum, epoch form or instants do not hold. */
export function decodeCursor (text: string): Cursor | undefined {
  if (text.length > LONGEST_CURSOR) return undefined
  const [version, content, sum, ...rest] = text.split('.')
  if (version !== VERSION || content === undefined || sum !== checksum(content) || rest.length > 0) return undefined
  try {
    return unpack(JSON.parse(Buffer.from(content, 'base64url').toString()) as unknown[])
  } catch {
    return undefined // Nothing that was encoded here: the checksum is no secret, so anyone can make one.
  }
}

function pack (cursor: Cursor): unknown[] {
  switch (cursor.kind) {
    case 'log': return ['l', cursor.epoch, cursor.offset, cursor.instant]
    case 'replay': return ['r', ...pack(cursor.log).slice(1), cursor.after.instant, cursor.after.id,
      ...(cursor.delivered ?? []).map(({ before, upTo }) => [before, upTo.instant, upTo.id])]
    case 'page': return ['p', cursor.operation, cursor.filter, cursor.window.start ?? null, cursor.window.end ?? null,
      cursor.direction, cursor.pageSize, cursor.page, cursor.skip, cursor.after.instant, cursor.after.id]
  }
}

function unpack (packed: unknown[]): Cursor {
  const [kind, ...rest] = packed
  if (kind === 'l') return unpackLog(rest)
  if (kind === 'r') {
    const delivered = rest.slice(5).map(unpackGiven)
    if (delivered.length > MOST_DELIVERED_RANGES) throw new RangeError('too much was given')
    return {
      kind: 'replay',
      log: unpackLog(rest.slice(0, 3)),
      after: unpackPlace(rest.slice(3)),
      ...delivered.length > 0 && { delivered }
    }
  }
  if (kind !== 'p') throw new TypeError('no kind of cursor')
  const [operation, filter, start, end, direction, pageSize, page, skip, ...after] = rest
  return {
    kind: 'page',
    operation: oneOf(operation, ['list', 'search']),
    filter: filter as AuditFilter, // The route checks it against the filter's schema (`followCursor`).
    window: {
      ...start !== null && { start: readInstant(start) },
      ...end !== null && { end: readInstant(end) }
    },
    direction: oneOf(direction, ['asc', 'desc']),
    pageSize: readCount(pageSize),
    page: readCount(page),
    skip: readCount(skip),
    after: unpackPlace(after)
  }
}

function unpackLog ([epoch, offset, instant]: unknown[]): LogCursor {
  if (typeof epoch !== 'string' || !EPOCH.test(epoch)) throw new TypeError('no epoch')
  return { kind: 'log', epoch, offset: readCount(offset), instant: readInstant(instant) }
}

function unpackPlace ([instant, id]: unknown[]): SortKey {
  if (typeof id !== 'string') throw new TypeError('no id')
  return { instant: readInstant(instant), id }
}

function unpackGiven (packed: unknown): DeliveredRange {
  if (!Array.isArray(packed)) throw new TypeError('nothing given')
  const [before, ...upTo] = packed as unknown[]
  return { before: readCount(before), upTo: unpackPlace(upTo) }
}

function readInstant (value: unknown): Instant {
  if (typeof value !== 'string' || !/^-?\d{1,21}$/.test(value)) throw new TypeError('no instant')
  const instant = BigInt(value)
  if (instant < EARLIEST || instant > LATEST) throw new RangeError('instant out of range')
  return instant
}

function readCount (value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new TypeError('no count')
  return value
}

function oneOf<T extends string> (value: unknown, allowed: T[]): T {
  const found = allowed.find((each) => each === value)
  if (found === undefined) throw new TypeError('unknown word')
  return found
}

function writeBigint (_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

function checksum (content: string): string {
  return createHash('sha256').update(VERSION).update(content).digest('base64url').slice(0, 8)
}
