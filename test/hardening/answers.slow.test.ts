import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { ago, evenDates, eventually, item, startService, type Service } from '../support/support.ts'
import { dial, head } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const KB = 1024
const LONG_AGO_MS = 3_600_000 // The poller does not read as far back.
const MB = 1024 * KB

/** Asks for a list and reads nothing of it. */
async function leaveUnread (t: Test, service: Service, path: string, coding: string) {
  const socket = dial(service.url)
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  socket.pause()
  socket.write(head(path, { connection: 'keep-alive', 'accept-encoding': coding }))
  return socket
}

for (const coding of ['identity', 'gzip']) {
  t.test(`answers that nobody reads (${coding}) cause 503 until the reader has gone`, async (t) => {
    const service = await startService(t, { CACHE_MAX_BYTES: '1048576' }, {}, undefined, undefined, {
      answers: { maxBytes: 20 * MB, maxWaitMs: 20 }
    })
    await service.settled()
    const warm = `${EVENTS}?page_size=1&start_time=-5h&end_time=-4h`
    t.equal((await service.get(warm)).status, 200)
    service.sandbox.publish(
      Array.from({ length: 500 }, () => item({ resource_text: noise(30 * KB), timestamp: ago(LONG_AGO_MS) }))
    )
    const readers = await Promise.all([1, 2].map((n) => leaveUnread(t, service, `${EVENTS}?limit=${400 + n}`, coding)))
    let asked = 0
    const cold = () => service.get(`${EVENTS}?category_name=nobody-${asked++}`)
    let refused: Response | undefined
    await eventually('there is no room', async () => {
      const answer = await cold()
      if (answer.status === 503) refused = answer
      return answer.status === 503
    })
    t.match(await refused?.json(), { code: 'overloaded' })
    t.ok(Number(refused?.headers.get('retry-after')) >= 1)
    t.equal((await service.get('/livez')).status, 200)
    t.match((await service.get(warm)).headers.get('cache-status'), /; hit;/)
    for (const reader of readers) reader.destroy()
    await eventually('there is room again', async () => (await cold()).status === 200)
  })
}

/** Text that does not compress. */
function noise (bytes: number): string {
  return randomBytes(bytes * 3 / 4).toString('base64')
}

t.test('an answer ends at its bound, next has the rest, and no event is lost', async (t) => {
  const service = await startService(t, {}, {}, undefined, undefined, { answers: { maxAnswerBytes: 64 * KB } })
  await service.settled()
  const dateOf = evenDates(LONG_AGO_MS, -1000)
  const items = Array.from(
    { length: 7 },
    (_, n) => item({ n, resource_text: 'x'.repeat(25 * KB), timestamp: dateOf(n) })
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
