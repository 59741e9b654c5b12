import { narrate, type Narrative } from '../audit/narrative.ts'
import { parseInstant } from '../audit/instant.ts'
import type { JsonObject } from '../audit/exact-json.ts'
import type { PublishedEvent } from '../client/types.ts'

/** An event in the list. */
export interface EventRow {
  readonly kind: 'event'
  readonly id: string
  /** Nanoseconds since 1970. An event without one has that of the newest row when it came. */
  readonly instant: bigint
  readonly event: PublishedEvent
  readonly isLate: boolean
  readonly bytes: number
}

/** Events of an interval may be missing. It stands behind the events that came before it. */
export interface GapRow extends Gap {
  readonly kind: 'gap'
  readonly id: string
  readonly instant: bigint
}

export interface Gap {
  readonly from: string
  readonly to: string
  readonly reason: string
}

/** The connection was lost and is back. Nothing is missing unless a gap says so. */
export interface ReconnectRow {
  readonly kind: 'reconnect'
  readonly id: string
  readonly instant: bigint
  readonly atMs: number
}

export type Row = EventRow | GapRow | ReconnectRow

export interface RowLogOptions {
  readonly maxRows: number
  /** What the events count in all, in UTF-16 code units of their values. */
  readonly maxBytes: number
}

/** What arrived while the view was frozen. */
export interface Pending {
  readonly events: number
  readonly failed: number
  /** Rows of the frozen view that the log has evicted meanwhile. */
  readonly evicted: number
}

/** The rows of the list, oldest first, bounded. A view of them can be frozen while new rows arrive. */
export interface RowLog {
  /** Adds an event; false where it is there already. */
  add (event: PublishedEvent, isLate: boolean): boolean
  /** Adds an event of a page, also to a frozen view: the reader has asked for it. */
  addListed (event: PublishedEvent): boolean
  addGap (gap: Gap): void
  /** Adds an interval that a page could not be read for. It stands at its end, once. */
  addListedGap (gap: Gap): void
  addReconnect (atMs: number): void
  /** The rows to show, oldest first. Do not keep it: it changes. */
  view (): readonly Row[]
  freeze (): void
  unfreeze (): void
  isFrozen (): boolean
  pending (): Pending
  ids (): Iterable<string>
  /** How many rows were evicted since the start. */
  evicted (): number
}

const EVICTED_AT_ONCE = 1 / 100
const NOTHING_PENDING: Pending = { events: 0, failed: 0, evicted: 0 }
const COST_OF_A_VALUE = 16

/**
 * An empty log. A new row mostly belongs to the end: that costs no search. A late one is put in its place by instant
 * and id. The bound evicts the oldest rows, a hundredth at once.
 */
export function createRowLog ({ maxBytes, maxRows }: RowLogOptions): RowLog {
  const rows: Row[] = []
  const known = new Set<string>()
  let frozen: Row[] | undefined
  let pending = NOTHING_PENDING
  let bytes = 0
  let evicted = 0
  let marks = 0

  return {
    add (event, isLate) {
      const row = accept(event, isLate)
      if (row !== undefined && frozen !== undefined) pending = countOf(pending, row)
      return row !== undefined
    },
    addListed (event) {
      const row = accept(event, false)
      if (row !== undefined && frozen !== undefined) insertInto(frozen, row)
      return row !== undefined
    },
    addGap: (gap) => { insert({ kind: 'gap', ...mark(), ...gap }) },
    addListedGap (gap) {
      const id = `~${gap.from}/${gap.to}/${gap.reason}`
      if (known.has(id)) return
      known.add(id)
      const row: GapRow = { kind: 'gap', id, instant: parseInstant(gap.to) ?? 0n, ...gap }
      insert(row)
      if (frozen !== undefined) insertInto(frozen, row)
    },
    addReconnect: (atMs) => { insert({ kind: 'reconnect', ...mark(), atMs }) },
    view: () => frozen ?? rows,
    freeze () { frozen ??= [...rows] },
    unfreeze () {
      frozen = undefined
      pending = NOTHING_PENDING
    },
    isFrozen: () => frozen !== undefined,
    pending: () => pending,
    ids: () => known,
    evicted: () => evicted
  }

  /** `undefined`: it is there already. */
  function accept (event: PublishedEvent, isLate: boolean): EventRow | undefined {
    if (known.has(event.id)) return undefined
    const instant = parseInstant(event.timestamp) ?? rows.at(-1)?.instant ?? 0n
    const row: EventRow = { kind: 'event', id: event.id, instant, event, isLate, bytes: weightOf(event) }
    known.add(row.id)
    bytes += row.bytes
    insert(row)
    return row
  }

  function insert (row: Row): void {
    insertInto(rows, row)
    if (rows.length > maxRows || bytes > maxBytes) evict()
  }

  function evict (): void {
    const count = Math.max(1, Math.floor(rows.length * EVICTED_AT_ONCE))
    for (const row of rows.splice(0, count)) {
      known.delete(row.id)
      if (row.kind === 'event') bytes -= row.bytes
    }
    evicted += count
    if (frozen !== undefined) pending = { ...pending, evicted: pending.evicted + count }
  }

  /** A mark stands directly behind the newest row: `~` is after the first character of a computed id. */
  function mark (): { id: string, instant: bigint } {
    return { id: `~${String(marks++).padStart(9, '0')}`, instant: rows.at(-1)?.instant ?? 0n }
  }
}

const narratives = new WeakMap<PublishedEvent, Narrative>()

/** What an event says. It is derived once. */
export function narrativeOf (event: PublishedEvent): Narrative {
  const known = narratives.get(event)
  if (known !== undefined) return known
  const narrative = narrate(event as JsonObject)
  narratives.set(event, narrative)
  return narrative
}

/** `undefined`: the event has no clear outcome. */
export function statusOf (event: PublishedEvent): 'success' | 'failed' | undefined {
  const { action_successful: isSuccessful } = event
  return typeof isSuccessful === 'boolean' ? isSuccessful ? 'success' : 'failed' : undefined
}

export function compareRows (a: Row, b: Row): number {
  if (a.instant !== b.instant) return a.instant < b.instant ? -1 : 1
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

function insertInto (rows: Row[], row: Row): void {
  const last = rows.at(-1)
  if (last === undefined || compareRows(last, row) < 0) rows.push(row)
  else rows.splice(placeOf(rows, row), 0, row)
}

/** The index of the first row behind this one: binary search. */
function placeOf (rows: readonly Row[], row: Row): number {
  let [low, high] = [0, rows.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    const at = rows[middle]
    if (at !== undefined && compareRows(at, row) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function countOf (pending: Pending, { event }: EventRow): Pending {
  const isFailed = statusOf(event) === 'failed'
  return { ...pending, events: pending.events + 1, failed: pending.failed + (isFailed ? 1 : 0) }
}

/** What an event weighs: the length of its texts and keys, and a part for each value. It may be deeper than the stack. */
function weightOf (event: PublishedEvent): number {
  let weight = 0
  const left: unknown[] = [event]
  while (left.length > 0) {
    const value = left.pop()
    weight += COST_OF_A_VALUE
    if (typeof value === 'string') weight += value.length
    if (typeof value !== 'object' || value === null) continue
    for (const [key, inner] of Object.entries(value)) {
      weight += key.length
      left.push(inner)
    }
  }
  return weight
}
