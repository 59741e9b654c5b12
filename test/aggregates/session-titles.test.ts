import t from 'tap'
import { createEventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import { countSessions } from '../../src/aggregates/sessions.ts'
import { identify } from '../../src/audit/event-id.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import { at } from '../support/timeline.ts'

/** What happened in one session: seconds, text, and whether a user wrote it. */
type Said = readonly [seconds: number, text: string, isUser: boolean]

function tableOf (...said: readonly Said[]) {
  const table = createEventTable({ maxEvents: 100 })
  const items = said.map(([seconds, text, isUser]) => ({
    timestamp: formatInstant(at(seconds)),
    resource_text: text,
    extra: { session_id: 's', is_user_message: isUser }
  }))
  for (const event of identify(items)) table.add(event, event.instant ?? at(0))
  return table
}

async function sessionOf (parts: readonly TablePart[]) {
  const { items: [session] } = await countSessions(parts, {}, { orderBy: 'end_time', pageSize: 1 })
  return session
}

const CONVERSATION: readonly Said[] = [[10, 'agent begins', false], [20, 'first question', true], [30, 'answer', false],
  [40, 'second question', true], [50, 'goodbye', false]]

t.test('a session has the same title in each window, and its figures are those of the window', async (t) => {
  const table = tableOf(...CONVERSATION)
  for (const [start, end, events] of [[0, 60, 5], [25, 60, 3], [45, 60, 1], [0, 15, 1], [30, 40, 2]] as const) {
    const session = await sessionOf([{ snapshot: table.snapshot(), window: { start: at(start), end: at(end) } }])
    t.match(session, { title: 'first question', events }, `from ${start} to ${end}`)
  }
})

t.test('of two tables, the title is the earlier message of a user', async (t) => {
  const newer = tableOf(...CONVERSATION.slice(2))
  const older = tableOf(...CONVERSATION.slice(0, 2))
  const parts = [
    { snapshot: newer.snapshot(), window: { start: at(30), end: at(60) } },
    { snapshot: older.snapshot(), window: { start: at(0), end: at(29) } }
  ]
  t.match(await sessionOf(parts), { title: 'first question', events: 5 })
  t.match(await sessionOf(parts.slice(0, 1)), { title: 'second question', events: 3 }, 'the older one was not read')
})
