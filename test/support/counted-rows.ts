import { createEventTable, type EventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { Instant } from '../../src/audit/instant.ts'
import type { TimeRange } from '../../src/audit/time-range.ts'
import { at } from './timeline.ts'

const KEYED_DIGITS = 10
const DIGEST_CHARACTERS = 22

/** An event whose id has a number in the place of its digest: a hundred thousand of them are cheap. */
export function numberedEvent (number: number, instant: Instant | undefined, item: JsonObject = {}): AuditEvent {
  const digest = String(number).padStart(KEYED_DIGITS, '0').padEnd(DIGEST_CHARACTERS, '-')
  return { id: `kab1.${instant ?? 'none'}.${digest}`, instant, item, json: '' }
}

export type CountedRow = readonly [seconds: number | undefined, item?: JsonObject]

/** A table with a row for each item, in this order. An item without seconds has no instant, and stands at zero. */
export function tableOf (rows: readonly CountedRow[], chunkRows?: number): EventTable {
  const table = createEventTable({ maxEvents: 100_000, ...chunkRows !== undefined && { chunkRows } })
  rows.forEach(([seconds, item], number) => {
    table.add(numberedEvent(number, seconds === undefined ? undefined : at(seconds), item), at(seconds ?? 0))
  })
  return table
}

/** One part of an answer: the rows within a window. */
export function partOf (rows: readonly CountedRow[], window: TimeRange = {}): TablePart {
  return { snapshot: tableOf(rows).snapshot(), window }
}
