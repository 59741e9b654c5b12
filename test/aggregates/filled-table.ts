import type { Test } from 'tap'
import { DICTIONARY_COLUMNS } from '../../src/aggregates/columns.ts'
import { MOST_DICTIONARY_BYTES } from '../../src/aggregates/dictionary.ts'
import { MOST_OPEN_BYTES, MOST_ROW_BYTES, createEventTable, type EventTable } from '../../src/aggregates/event-table.ts'
import { MOST_TITLE_BYTES } from '../../src/aggregates/session-titles.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { numberedEvent } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

export const MOST_TEXT_BYTES = DICTIONARY_COLUMNS.length * MOST_DICTIONARY_BYTES + MOST_TITLE_BYTES

/** An event whose texts are in no other event, in every column. */
export function uniqueItem (n: number, textOf: (n: number) => string): JsonObject {
  return {
    email: textOf(n),
    category_type: textOf(n + 1e6),
    category_name: textOf(n + 2e6),
    resource_type: textOf(n + 3e6),
    action_type: textOf(n + 4e6),
    session_id: textOf(n + 5e6),
    resource_text: textOf(n + 6e6).padEnd(200, '✅'),
    extra: { session_id: textOf(n + 7e6), tool_name: textOf(n + 8e6), teammate_name: textOf(n + 9e6) }
  }
}

export function filled (maxEvents: number, count: number, textOf: (n: number) => string): EventTable {
  const table = createEventTable({ maxEvents })
  for (let n = 0; n < count; n++) table.add(numberedEvent(n, at(n), uniqueItem(n, textOf)), at(n))
  return table
}

export function checkBytes (t: Test, table: EventTable, maxEvents: number): void {
  const { bytes } = table.usage()
  const most = maxEvents * MOST_ROW_BYTES + MOST_OPEN_BYTES + MOST_TEXT_BYTES
  t.ok(bytes <= most, `${bytes} of at most ${most} bytes`)
  t.ok(bytes > MOST_TEXT_BYTES / 2, `${bytes} bytes are hostile indeed`)
}
