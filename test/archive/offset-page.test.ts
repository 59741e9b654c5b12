import t from 'tap'
import { readPage } from '../../src/archive/keyset-page.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import { USUAL_HABITS, createMemorySource, dated } from '../contracts/memory-source.ts'
import { CALLER } from '../support/purposes.ts'
import { at } from '../support/timeline.ts'

t.test('a numbered page counts from a bound inside a second, not from the whole second that Kubiya is asked for', async (t) => {
  const source = createMemorySource(USUAL_HABITS)
  const items = Array.from({ length: 20 }, (_, n) => ({ id: `e${n}`, timestamp: formatInstant(at(n / 4)) }))
  source.keep(...items.map(dated))
  for (const [direction, window, first] of [
    ['desc', { end: at(4.3) }, 17],
    ['asc', { start: at(0.3) }, 2]
  ] as const) {
    const page = await readPage(source, { filter: {}, window, direction, page: 2, pageSize: 3 }, 10_000, CALLER)
    const step = direction === 'asc' ? 1 : -1
    t.same(page.ok && page.events.map(({ id }) => id), [3, 4, 5].map((n) => `e${first + n * step}`), direction)
  }
})
