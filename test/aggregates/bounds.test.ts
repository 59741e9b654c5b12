import t, { type Test } from 'tap'
import { DICTIONARY_COLUMNS } from '../../src/aggregates/columns.ts'
import { LONGEST_VALUE, MOST_DICTIONARY_BYTES, MOST_VALUES } from '../../src/aggregates/dictionary.ts'
import { MOST_OPEN_BYTES, MOST_ROW_BYTES, createEventTable, type EventTable } from '../../src/aggregates/event-table.ts'
import { MOST_TITLE_BYTES, createSessionTitles } from '../../src/aggregates/session-titles.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { numberedEvent } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

const MOST_TEXT_BYTES = DICTIONARY_COLUMNS.length * MOST_DICTIONARY_BYTES + MOST_TITLE_BYTES

/** An event whose texts are in no other event, in every column. */
function uniqueItem (n: number, textOf: (n: number) => string): JsonObject {
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

function filled (maxEvents: number, count: number, textOf: (n: number) => string): EventTable {
  const table = createEventTable({ maxEvents })
  for (let n = 0; n < count; n++) table.add(numberedEvent(n, at(n), uniqueItem(n, textOf)), at(n))
  return table
}

function checkBytes (t: Test, table: EventTable, maxEvents: number): void {
  const { bytes } = table.usage()
  const most = maxEvents * MOST_ROW_BYTES + MOST_OPEN_BYTES + MOST_TEXT_BYTES
  t.ok(bytes <= most, `${bytes} of at most ${most} bytes`)
  t.ok(bytes > MOST_TEXT_BYTES / 2, `${bytes} bytes are hostile indeed`)
}

t.test('a table keeps its bound on memory with more than 100 000 different values in every column', async (t) => {
  const table = filled(MOST_VALUES + 1, MOST_VALUES + 1, (n) => `${n}`.padEnd(40, 'x'))
  checkBytes(t, table, MOST_VALUES + 1)
  const { by, capped, sessions, totals } = await countSummary([{ snapshot: table.snapshot(), window: {} }], {}, { top: 2 })
  t.equal(capped, true)
  t.same([totals.events, by.email.distinct, by.email.other_events], [MOST_VALUES + 1, MOST_VALUES, MOST_VALUES - 1])
  t.same([sessions.count, sessions.events_per_session.max], [MOST_VALUES / 2, 1], 'each event names two sessions')
})

t.test('a table keeps its bound on memory with the longest values, and holds none that is longer', async (t) => {
  checkBytes(t, filled(8000, 8000, (n) => `${n}`.padEnd(LONGEST_VALUE, '✅')), 8000)
  const rest = 'x'.repeat(64 * 1024)
  const { bytes, events } = filled(1000, 1000, (n) => `${n}${rest}`).usage()
  t.equal(events, 1000)
  t.ok(bytes < 1000 * MOST_ROW_BYTES + MOST_OPEN_BYTES, `${bytes} bytes`)
})

t.test('titles take no more bytes than they may, and sessions with a title may still get a better one', async (t) => {
  const titles = createSessionTitles()
  const offer = (session: number, seconds: number, text: string) =>
    titles.offer(session, { position: at(seconds), key: { high: 0, low: session }, isUserMessage: false }, () => text)
  for (let session = 0; session < 60_000; session++) offer(session, 1, '✅'.repeat(300))
  t.ok(titles.bytes() <= MOST_TITLE_BYTES && titles.bytes() > 0.9 * MOST_TITLE_BYTES, `${titles.bytes()} bytes`)
  t.equal(titles.snapshot().sideOf(59_999), undefined)
  offer(7, 0, 'first')
  t.equal(titles.snapshot().sideOf(7)?.title, 'first')
})
