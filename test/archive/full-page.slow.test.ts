import t from 'tap'
import { createCli, createSdk, type Event, get } from '../support/kubiya-clients.ts'
import { item, startService } from '../support/support.ts'
import { downTo, ITEMS, lists, numbers, series, started } from './dated-lists.ts'

const COUNT = 12_345
const START_MS = Date.parse('2025-06-03T00:00:00Z')
const ALL = Array.from({ length: COUNT }, (_, n) => n)

for (const pageSize of [1000, 5000]) {
  t.test(`an export of 12 345 events with pages of ${pageSize} has every event once, in few calls`, async (t) => {
    const service = await startService(t)
    service.sandbox.publish(ALL.map((n) => item({ n, timestamp: new Date(START_MS + n * 1000).toISOString() })))
    await service.settled()
    const cli = createCli({ baseUrl: `${service.url}/api/v1` })
    const events = await cli.exported({ pageSize })
    t.same(events.map(({ n }) => n), ALL.toReversed())
    const calls = service.sandbox.requests.filter(({ path }) => path.endsWith('/items')).length
    t.ok(calls <= 30, `${calls} calls`)
  })
}

t.test('an export', async (t) => {
  t.test('has every event once, in few calls', async (t) => {
    const service = await started(t, series(2345))
    const cli = createCli({ baseUrl: `${service.url}/api/v1` })
    t.same(numbers(await cli.exported({ pageSize: 1000 })), downTo(2344, 0))
    t.ok(lists(service) <= 8, `${lists(service)} calls`)
  })

  t.test('goes on behind the page before while events arrive, and has no event twice', async (t) => {
    const service = await started(t, series(3000))
    const cli = createCli({ baseUrl: `${service.url}/api/v1` })
    let n = 5000
    const found = await cli.exported({ pageSize: 100 }, () => {
      service.sandbox.publish(Array.from({ length: 7 }, () => item({ n: n++ })))
    })
    t.same(numbers(found), downTo(2999, 0))
  })

  t.test('has every event of a filter that only this service applies', async (t) => {
    const service = await started(t, series(3000, (n) => ({ email: n % 30 === 0 ? 'rare@acme.test' : 'x' })), {
      SEARCH_SCAN_LIMIT: '1000'
    })
    const sdk = createSdk({ baseUrl: service.url, wait: async () => {} })
    const filter = { email: 'rare@acme.test', timestamp: { gte: '2025-01-01T00:00:00Z' } }
    const found: Event[] = []
    for (let page = 1, size = 40; size === 40; page++) {
      const events = await sdk.list({ filter, page, pageSize: 40 })
      found.push(...events)
      size = events.length
    }
    t.same(numbers(found), Array.from({ length: 100 }, (_, n) => 2970 - 30 * n))
  })
})

t.test('a page asked for by number alone begins at its row', async (t) => {
  const service = await started(t, series(4000))
  const pages: Array<[page: number, size: number]> = [[3, 1000], [2, 1500], [37, 100], [4, 997], [9, 450], [2, 3999]]
  for (const [page, size] of pages) {
    const events = await service.json(`${ITEMS}?page=${page}&page_size=${size}`)
    const first = 3999 - (page - 1) * size
    t.same(numbers(events), downTo(first, Math.max(0, first - size + 1)), `page ${page} of ${size}`)
  }
  t.same(await service.json(`${ITEMS}?page=5&page_size=1000`), [])
})

t.test('a page that cannot be filled is a failure, and the next request continues after its rows', async (t) => {
  t.test('where Kubiya fails on the way', async (t) => {
    const service = await started(t, series(5000))
    let calls = 0
    service.sandbox.faults.during({ kind: 'status', status: 500, when: ({ path }) => path.endsWith('/items') && ++calls > 2 })
    const path = `${ITEMS}?page_size=4000&sort=%7B%22timestamp%22:1%7D`
    const stopped = await get(`${service.url}${path}`, {})
    t.match(JSON.parse(stopped.text), { status: 503, errorCode: 'OVERLOADED', retryAfter: 1 })
    t.equal(stopped.headers['retry-after'], '1')
    service.sandbox.faults.clear()
    service.sandbox.resetRequests()
    t.same(numbers(await service.json(path)), Array.from({ length: 4000 }, (_, n) => n))
    t.ok(lists(service) <= 4, `${lists(service)} calls for the rest`)
  })

  t.test('where the first call fails, as that failure', async (t) => {
    const service = await started(t, series(10))
    service.sandbox.faults.during({ kind: 'status', status: 500 })
    t.match(JSON.parse((await get(`${service.url}${ITEMS}`, {})).text), { status: 502, errorCode: 'UPSTREAM_UNAVAILABLE' })
  })

  t.test("where the caller's share is spent, with the true wait", async (t) => {
    const service = await started(t, series(5000), { UPSTREAM_LIMIT_PER_MINUTE: '3' })
    const path = `${ITEMS}?page_size=4500`
    const stopped = await get(`${service.url}${path}`, {})
    const error = JSON.parse(stopped.text)
    t.match(error, { status: 429, errorCode: 'RATE_LIMITED' })
    t.ok(error.retryAfter >= 5 && error.retryAfter <= 60, String(error.retryAfter))
    t.equal(stopped.headers['retry-after'], '2')
  })

  t.test('where one row is larger than this service reads, as that failure and with few calls', async (t) => {
    const events = series(30, (n) => n === 15 ? { resource_text: 'x'.repeat(400_000) } : {})
    const service = await started(t, events, { UPSTREAM_MAX_BYTES: '300000' })
    const path = `${ITEMS}?page_size=25`
    for (let tries = 0; tries < 2; tries++) {
      const stopped = JSON.parse((await get(`${service.url}${path}`, {})).text)
      t.match(stopped, { status: 502, errorCode: 'UPSTREAM_INVALID', details: /ask for fewer rows/ })
    }
    t.equal((await service.json(`${ITEMS}?page_size=10`)).length, 10)
  })
})

t.test('a search that reaches the scan limit answers what it found, and says so', async (t) => {
  const service = await started(t, series(3000, (n) => ({ resource_text: n % 100 === 0 ? 'needle' : 'hay' })), {
    SEARCH_SCAN_LIMIT: '1000'
  })
  const some = await get(`${service.url}${ITEMS}?search_text=needle`, {})
  t.equal(some.headers['x-scan-complete'], 'false')
  t.equal(some.headers.link, undefined)
  const found = numbers(JSON.parse(some.text))
  t.ok(found.length >= 9 && found.length <= 20, String(found.length))
  t.same(found, Array.from({ length: found.length }, (_, n) => 2900 - 100 * n))
  const full = await get(`${service.url}${ITEMS}?search_text=needle&page_size=5`, {})
  t.equal(full.headers['x-scan-complete'], undefined)
  t.same(numbers(JSON.parse(full.text)), [2900, 2800, 2700, 2600, 2500])
})
