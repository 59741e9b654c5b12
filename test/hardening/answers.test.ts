import t from 'tap'
import { ago, item, startService } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'
const KB = 1024
const LONG_AGO_MS = 3_600_000 // The poller does not read as far back.

t.test('an answer ends at its bound, next has the rest, and no event is lost', async (t) => {
  const service = await startService(t, {}, {}, undefined, undefined, { answers: { maxAnswerBytes: 64 * KB } })
  await service.settled()
  const items = Array.from(
    { length: 7 },
    (_, n) => item({ n, resource_text: 'x'.repeat(25 * KB), timestamp: ago(LONG_AGO_MS + n * 1000) })
  )
  service.sandbox.publish(items)
  for (
    const query of ['limit=7', 'page_size=4', 'page_size=4&text=x', 'page_size=4&page=1', 'limit=7&sort_direction=asc']
  ) {
    const seen: number[] = []
    let path = query.includes('text') ? `${EVENTS}/search?${query}` : `${EVENTS}?${query}`
    for (let pages = 0; path !== '' && pages < 6; pages++) {
      const page = await service.json(path)
      t.ok(page.items.length <= 2, 'three would be larger')
      seen.push(...page.items.map((each: { n: number }) => each.n))
      path = page.pagination.next ?? ''
    }
    t.same(query.endsWith('asc') ? seen.reverse() : seen, [0, 1, 2, 3, 4, 5, 6], query)
  }
})

t.test('an event that is larger than an answer may be is sent alone', async (t) => {
  const service = await startService(t, {}, {}, undefined, undefined, { answers: { maxAnswerBytes: 64 * KB } })
  await service.settled()
  service.sandbox.publish([
    item({ n: 1, timestamp: ago(LONG_AGO_MS + 2000) }),
    item({ n: 2, resource_text: 'x'.repeat(100 * KB), timestamp: ago(LONG_AGO_MS) })
  ])
  const first = await service.json(`${EVENTS}?page_size=2`)
  t.same(first.items.map((each: { n: number }) => each.n), [2])
  t.same((await service.json(first.pagination.next)).items.map((each: { n: number }) => each.n), [1])
  const numbered = await service.json(`${EVENTS}?page_size=1&page=2`)
  t.same(numbered.items.map((each: { n: number }) => each.n), [1])
})
