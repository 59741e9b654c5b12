import t from 'tap'
import { MOST_VALUES } from '../../src/aggregates/dictionary.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import { filled, checkBytes } from './filled-table.ts'

t.test('a table keeps its bound on memory with more than 100 000 different values in every column', async (t) => {
  const table = filled(MOST_VALUES + 1, MOST_VALUES + 1, (n) => `${n}`.padEnd(40, 'x'))
  checkBytes(t, table, MOST_VALUES + 1)
  const { by, capped, sessions, totals } = await countSummary([{ snapshot: table.snapshot(), window: {} }], {}, { top: 2 })
  t.equal(capped, true)
  t.same([totals.events, by.email.distinct, by.email.other_events], [MOST_VALUES + 1, MOST_VALUES, MOST_VALUES - 1])
  t.same([sessions.count, sessions.events_per_session.max], [MOST_VALUES / 2, 1], 'each event names two sessions')
})
