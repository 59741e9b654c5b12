import { randomInt } from 'node:crypto'
import type { AuditEvent } from '../audit/event.ts'
import { maxInstant, type Instant } from '../audit/instant.ts'
import { narrate } from '../audit/narrative.ts'
import type { TimeRange } from '../audit/time-range.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { MATCHES_TEXT, MOST_CHUNK_ROWS, UNDATED, USER_MESSAGE, type Chunk } from './chunk.ts'
import { createChunkList } from './chunk-list.ts'
import { DICTIONARY_COLUMNS, columnsOf, type DictionaryColumn, type EventColumns } from './columns.ts'
import { FIRST_CODE, createDictionary, type Dictionary, type DictionaryWriter } from './dictionary.ts'
import { createGapList, type Interval } from './gap-list.ts'
import { createIdSet, idKeyOf, type IdSet } from './id-set.ts'
import { createRecoding } from './recode.ts'
import { createSessionTitles, type SessionSides } from './session-titles.ts'

/** The counted events of one tenant, as rows of typed arrays in memory. */
export interface EventTable {
  /**
   * Adds an event once. `position`: its instant, or where an event without one stands. `matchesText`: whether it
   * contains the text of the question that the table is filled for.
   *
   * `false`: its id is in the table, or it stands at or before the newest row that was dropped for `maxEvents`.
   */
  add (event: AuditEvent, position: Instant, matchesText?: boolean): boolean
  /** An interval, both ends included, that could not be read. Counts over it are not complete. */
  addGap (gap: Interval): void
  /**
   * Drops the gaps and most rows before an instant, in slices of time. A chunk that is mostly newer keeps its older
   * rows.
   */
  dropBefore (instant: Instant): Promise<void>
  /** Drops all rows and gaps. The numbers of rows continue. */
  clear (): void
  /** Drops texts that no row has, in slices of time. Rows may be added and dropped meanwhile. */
  compact (): Promise<void>
  /** The rows at this moment. Later adds, drops and compactions do not change it. */
  snapshot (): TableSnapshot
  /** `bytes`: typed arrays, dictionaries and titles, estimated. */
  usage (): { readonly events: number, readonly bytes: number }
}

export interface TableSnapshot {
  /** Tells tables apart: numbers of rows mean something in one table only. */
  readonly id: number
  readonly chunks: readonly Chunk[]
  readonly dictionaries: { readonly [Column in DictionaryColumn]: Dictionary }
  readonly sessions: SessionSides
  /** Rows at or before it were dropped. Chunks may still contain some of them. */
  readonly evictedUpTo: Instant | undefined
  /** Rows that were ever added. The number of each row of this snapshot is below it. */
  readonly sequence: number
  /** Disjoint, in the order of time. */
  readonly gaps: readonly Interval[]
}

/** A part of an answer: a table, and the window of its rows. The windows of two parts have no instant in common. */
export interface TablePart {
  readonly snapshot: TableSnapshot
  readonly window: TimeRange
  /** Only rows with a number below it count: those that the table had when a cursor was made. */
  readonly sequence?: number
  /** Whether the table was filled for this answer alone. */
  readonly isExtra?: boolean
}

export interface EventTableOptions {
  /**
   * Beyond it the oldest rows are dropped, about a sixteenth of all. They count no more from then on. Their memory is
   * freed little by little while further rows are added.
   */
  readonly maxEvents: number
  /** Called after rows were dropped for `maxEvents`. The table holds all rows after this instant. */
  readonly onEvicted?: (newest: Instant) => void
  /** What recognises events that are added again. */
  readonly ids?: IdSet
  /** Most rows of a chunk. */
  readonly chunkRows?: number
}

const EVICTED_SHARE = 1 / 16
/** Rows that are looked at for each added row while evicted rows are freed. Twice as many as would be enough. */
const SWEPT_PER_ROW = 32
/** How often chunks that were added during a compaction are recoded ahead. */
const COMPACTION_ROUNDS = 3

const MOST_IDS = 2 ** 47 // `randomInt` allows no more.

/**
 * The widest row: 41 bytes, 20 where every code needs four bytes, and its id in a set that has just grown. While evicted
 * rows are freed, there are a thirty-second part more rows than `maxEvents`.
 */
export const MOST_ROW_BYTES = 84
/** The two chunks that are not full, and the least set of ids. */
export const MOST_OPEN_BYTES = 512 * 1024

/**
 * A columnar table. It takes at most `maxEvents` × `MOST_ROW_BYTES`, `MOST_OPEN_BYTES`, and for texts eight times
 * `MOST_DICTIONARY_BYTES` and once `MOST_TITLE_BYTES`.
 */
export function createEventTable (options: EventTableOptions): EventTable {
  const { chunkRows = MOST_CHUNK_ROWS, ids = createIdSet(), maxEvents, onEvicted } = options
  const gaps = createGapList()
  const rows = createChunkList({ capacity: Math.min(chunkRows, MOST_CHUNK_ROWS), onDropped: (key) => ids.remove(key) })
  let dictionaries = emptyDictionaries()
  let titles = createSessionTitles()
  const id = randomInt(MOST_IDS)
  let sequence = 0
  let evictedUpTo: Instant | undefined
  let rowsToSweep = 0
  let compaction: Promise<void> | undefined

  return { add, addGap: gaps.add, dropBefore, clear, compact, snapshot, usage }

  function add (event: AuditEvent, position: Instant, matchesText = false): boolean {
    if (evictedUpTo !== undefined && position <= evictedUpTo) return false
    const key = idKeyOf(event.id)
    if (!ids.add(key)) return false
    const columns = columnsOf(event)
    const flags = columns.status | (event.instant === undefined ? UNDATED : 0) |
      (columns.isUserMessage ? USER_MESSAGE : 0) | (matchesText ? MATCHES_TEXT : 0)
    const codes = encode(columns)
    const secondSession = dictionaries.session.encode(columns.secondSession)
    rows.append({ position, flags, key, number: sequence++, codes, secondSession })
    if (codes.session >= FIRST_CODE) {
      // An event without an instant stands behind the event whose instant it has.
      const place = event.instant === undefined ? position + 1n : position
      const source = { position: place, key, isUserMessage: columns.isUserMessage }
      titles.offer(codes.session, source, () => narrate(event.item).text)
    }
    if (rows.rows() > maxEvents && !rows.isSweeping()) evict()
    sweepSome()
    return true
  }

  function encode ({ texts }: EventColumns): Record<DictionaryColumn, number> {
    return {
      category_type: dictionaries.category_type.encode(texts.category_type),
      category_name: dictionaries.category_name.encode(texts.category_name),
      resource_type: dictionaries.resource_type.encode(texts.resource_type),
      action_type: dictionaries.action_type.encode(texts.action_type),
      email: dictionaries.email.encode(texts.email),
      session: dictionaries.session.encode(texts.session),
      tool: dictionaries.tool.encode(texts.tool),
      agent: dictionaries.agent.encode(texts.agent)
    }
  }

  function evict (): void {
    const oldest = rows.quantile(EVICTED_SHARE)
    if (oldest === undefined) return
    evictedUpTo = maxInstant(evictedUpTo ?? oldest, oldest)
    rows.beginSweep(evictedUpTo, 'all')
    rowsToSweep = 0
    onEvicted?.(evictedUpTo)
  }

  /** Bounds the work of one row: at most one full chunk is swept, and the rows that follow pay for it. */
  function sweepSome (): void {
    if (!rows.isSweeping()) return
    for (rowsToSweep += SWEPT_PER_ROW; rowsToSweep > 0;) {
      const swept = rows.sweep()
      if (swept === 0) return
      rowsToSweep -= swept
    }
  }

  async function dropBefore (instant: Instant): Promise<void> {
    gaps.dropBefore(instant)
    while (rows.sweep() > 0) await pauseIfDue()
    rows.beginSweep(instant - 1n, 'halves')
    while (rows.sweep() > 0) await pauseIfDue()
  }

  function clear (): void {
    ids.clear()
    gaps.clear()
    rows.clear()
    dictionaries = emptyDictionaries()
    titles = createSessionTitles()
    evictedUpTo = undefined
  }

  function compact (): Promise<void> {
    compaction ??= compactAll().finally(() => { compaction = undefined })
    return compaction
  }

  /** Chunks are recoded in slices of time. Then all codes are replaced in one step, with those of rows since. */
  async function compactAll (): Promise<void> {
    for (const column of DICTIONARY_COLUMNS) {
      const before = dictionaries[column]
      const { codeOf, dictionary, prepare, recode } = createRecoding(before)
      for (let round = 0; round < COMPACTION_ROUNDS; round++) {
        for (const chunk of rows.snapshot()) {
          prepare(chunk, column)
          await pauseIfDue()
        }
      }
      if (dictionaries[column] !== before) return // The table was emptied meanwhile.
      for (const chunk of rows.forRecoding()) chunk.replaceCodes(column, recode)
      dictionaries = { ...dictionaries, [column]: dictionary }
      if (column === 'session') titles.recode(codeOf)
      await pauseIfDue()
    }
  }

  function snapshot (): TableSnapshot {
    return {
      chunks: rows.snapshot(),
      dictionaries: mapColumns((column) => dictionaries[column].snapshot()),
      sessions: titles.snapshot(),
      evictedUpTo,
      id,
      sequence,
      gaps: gaps.list()
    }
  }

  function usage () {
    const ofTexts = DICTIONARY_COLUMNS.reduce((sum, column) => sum + dictionaries[column].bytes(), titles.bytes())
    return { events: rows.rows(), bytes: rows.bytes() + ids.bytes() + ofTexts }
  }
}

function emptyDictionaries (): Record<DictionaryColumn, DictionaryWriter> {
  return mapColumns(() => createDictionary())
}

function mapColumns<Value> (valueOf: (column: DictionaryColumn) => Value): Record<DictionaryColumn, Value> {
  const entries = DICTIONARY_COLUMNS.map((column) => [column, valueOf(column)])
  return Object.fromEntries(entries) as Record<DictionaryColumn, Value>
}
