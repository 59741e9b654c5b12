import t from 'tap'
import { LONGEST_VALUE } from '../../src/aggregates/dictionary.ts'
import { MOST_OPEN_BYTES, MOST_ROW_BYTES } from '../../src/aggregates/event-table.ts'
import { MOST_TITLE_BYTES, createSessionTitles } from '../../src/aggregates/session-titles.ts'
import { at } from '../support/timeline.ts'
import { filled, checkBytes } from './filled-table.ts'

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
