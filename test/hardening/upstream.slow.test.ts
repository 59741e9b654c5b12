import t from 'tap'
import type { Fault } from '../../src/sandbox/sandbox.ts'
import { nextPolls, startFollowed } from '../support/followed-service.ts'
import { ago, evenDates, eventually, item, startService } from '../support/support.ts'

// What may come from Kubiya, each with one who listens: nothing is lost, nothing comes twice, the order holds.

const EVENTS = '/api/v1/audit/events'
const series = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

const failing: Record<string, Fault> = {
  'a 500': { kind: 'status', status: 500 },
  'a 503': { kind: 'status', status: 503 },
  'a reset': { kind: 'reset' },
  'no answer': { kind: 'hang' },
  'headers and then silence': { kind: 'headers-then-silence' },
  'a byte now and then': { kind: 'trickle', everyMs: 50 },
  'truncated JSON': { kind: 'truncated' },
  HTML: { kind: 'html' },
  'an empty body': { kind: 'empty-body' },
  'an object': { kind: 'body', body: '{}' },
  'a redirect': { kind: 'redirect', location: 'http://127.0.0.1:1/' }
}

const SILENT = new Set<Fault['kind']>(['hang', 'headers-then-silence', 'trickle'])

t.test('the poller delivers a burst of 5 000 completely and in order, with one request in flight', async (t) => {
  const { has, service } = await startFollowed(t, { POLL_PAGE_SIZE: '100' })
  const numbers = Array.from({ length: 5000 }, (_, n) => n)
  const dateOf = evenDates(20_000, 1)
  service.sandbox.publish(numbers.map((n) => item({ n, id: `e-${n}`, timestamp: dateOf(n) })))
  await has(numbers)
  t.equal(service.sandbox.mostInFlight(), 1)
})

t.test('the poller delivers 1 500 events of one instant through a page cap of 100', async (t) => {
  const { service, stream } = await startFollowed(t, {}, { pageCap: 100 })
  const numbers = Array.from({ length: 1500 }, (_, n) => n)
  const timestamp = ago(0)
  service.sandbox.publish(numbers.map((n) => item({ n, timestamp })))
  await stream.untilEvents(1500)
  service.sandbox.publish(item({ n: 1500, timestamp: ago(-2) }))
  await stream.untilEvents(1501)
  t.same(stream.events().map(({ n }) => n).sort((a, b) => a - b), [...numbers, 1500])
  t.equal(service.sandbox.mostInFlight(), 1)
})

for (const size of [51, 500]) {
  t.test(`a burst of ${size} is delivered completely and in order, within one poll`, async (t) => {
    const { has, service } = await startFollowed(t, { POLL_PAGE_SIZE: '100' })
    const dateOf = evenDates(20_000, 1)
    service.sandbox.publish(series(size).map((n) => item({ n, id: `e-${n}`, timestamp: dateOf(n) })))
    await has(series(size))
    t.equal(service.sandbox.mostInFlight(), 1, 'one question at a time')
  })
}

t.test('a page cap below the page size ends no read early', async (t) => {
  const { has, service } = await startFollowed(t, {}, { pageCap: 30 })
  const dateOf = evenDates(1000, 1)
  service.sandbox.publish(series(200).map((n) => item({ n, timestamp: dateOf(n) })))
  await has(series(200))
})

t.test('400 events of one instant are delivered across pages, and then the next event', async (t) => {
  const { service, stream } = await startFollowed(t, { POLL_PAGE_SIZE: '100' })
  const timestamp = ago(2000)
  service.sandbox.publish(series(400).map((n) => item({ n, timestamp })))
  await stream.untilEvents(400)
  service.sandbox.publish(item({ n: 400 }))
  await stream.untilEvents(401)
  await nextPolls(service)
  t.same(stream.events().map(({ n }) => n).sort((a, b) => a - b), series(401))
  t.equal(stream.events().at(-1)?.n, 400)
})

t.test('items that differ in one field, or in none, are two events', async (t) => {
  const { has, service } = await startFollowed(t)
  const timestamp = ago(1000)
  const twin = item({ n: 1, timestamp, resource_text: 'twin' })
  service.sandbox.publish(twin, { ...twin })
  service.sandbox.publish(
    item({ n: 2, timestamp: ago(500), resource_text: 'same', email: 'a@acme.test' }),
    item({ n: 2, timestamp: ago(499), resource_text: 'same', email: 'b@acme.test' })
  )
  await has([1, 1, 2, 2])
})

t.test('timestamps in any form are ordered by instant', async (t) => {
  const { has, service } = await startFollowed(t)
  const base = new Date(Math.floor(Date.now() / 1000) * 1000 - 5000)
  const second = base.toISOString().slice(0, 19)
  const inParis = new Date(base.getTime() + 2 * 3_600_000).toISOString().slice(0, 19)
  service.sandbox.publish(
    [
      `${second}Z`,
      `${second}.123456Z`,
      `${inParis}.2+02:00`,
      `${second}.5Z`,
      `${second}.5000001`,
      `${second}.999999999Z`
    ].map((timestamp, n) => item({ n, timestamp })).toReversed()
  )
  await has(series(6))
})

for (const seconds of [5, 59]) {
  t.test(`an event that is ${seconds} s late is delivered once, marked late, in order of arrival`, async (t) => {
    const { has, service, stream } = await startFollowed(t)
    service.sandbox.publish(item({ n: 0 }))
    await stream.untilEvents(1)
    service.sandbox.publish(item({ n: 1, timestamp: ago(seconds * 1000) }))
    await stream.untilEvents(2)
    service.sandbox.publish(item({ n: 2 }))
    await has([0, 1, 2])
    t.same(stream.frames.flatMap((frame) => frame.type === 'event' ? [frame.late] : []), [undefined, true, undefined])
  })
}

t.test('events that arrive between two pages of a scan shift nothing', async (t) => {
  const service = await startService(t)
  const dateOf = evenDates(10_000, 1)
  service.sandbox.publish(series(100).map((n) => item({ n, timestamp: dateOf(n) })))
  await service.settled()
  const met: number[] = []
  let next: string | null = `${EVENTS}?page_size=10`
  while (next !== null) {
    const page: { items: Array<{ n: number }>, pagination: { next: string | null } } = await service.json(next)
    met.push(...page.items.map(({ n }) => n))
    next = page.pagination.next
    service.sandbox.publish(item({ n: -1 }), item({ n: -2, timestamp: ago(5000) }))
  }
  const old = met.filter((n) => n >= 0)
  t.same(old, series(100).toReversed())
})

for (const ignored of ['filter', 'sort', 'bounds', 'page'] as const) {
  t.test(`an answer is right, and one line is logged, if Kubiya ignores ${ignored}`, async (t) => {
    const service = await startService(t, {}, { ignore: new Set([ignored]) })
    const dateOf = evenDates(30_000, 1000)
    service.sandbox.publish(
      series(30).map((n) =>
        item({ n, category_name: n % 2 === 0 ? 'even' : 'odd', timestamp: dateOf(n) })
      ),
      item({ n: 99, category_name: 'even', timestamp: ago(7_200_000) })
    )
    await service.settled()
    const wanted = series(15).map((n) => n * 2)
    for (let times = 0; times < 2; times++) {
      const page = await service.json(
        `${EVENTS}?category_name=even&start_time=-1h&sort_direction=asc&page_size=${20 + times}`
      )
      if (ignored === 'page') t.ok(page.items.every(({ n }: { n: number }) => wanted.includes(n)))
      else t.same(page.items.map(({ n }: { n: number }) => n), wanted)
    }
    t.ok(service.logs.filter(({ quirk }) => quirk !== undefined).length <= 2)
  })
}

for (const [what, fault] of Object.entries(failing)) {
  t.test(`${what} is a failure: streams stay and report it, lists are a problem, and nothing is lost`, async (t) => {
    const { has, service, stream } = await startFollowed(t, {
      UPSTREAM_TIMEOUT_MS: SILENT.has(fault.kind) ? '1000' : '10000',
      UPSTREAM_MAX_BYTES: '1000000',
      CACHE_STALE_IF_ERROR_MS: '0',
      CACHE_STALE_MS: '0'
    })
    service.sandbox.faults.during(fault)
    const dateOf = evenDates(100, 1)
    service.sandbox.publish(series(5).map((n) => item({ n, timestamp: dateOf(n) })))
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'degraded')
    const response = await service.get(EVENTS)
    t.ok([502, 504].includes(response.status), `${response.status}`)
    t.match(response.headers.get('content-type'), 'application/problem+json')
    service.sandbox.faults.clear()
    service.sandbox.resetRequests()
    await has(series(5))
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'ok')
    await eventually('no request is left over', () => service.sandbox.inFlight() <= 1)
  })
}

t.test('an empty list in any form is empty', async (t) => {
  for (
    const [shape, empty] of [['array', 'array'], ['items', 'array'], ['data', 'null'], ['array', '204'], [
      'items',
      'items-null'
    ]] as const
  ) {
    const service = await startService(t, {}, { shape, empty })
    await service.settled()
    t.same((await service.json(EVENTS)).items, [], `${shape} ${empty}`)
  }
})

t.test('unusual items among others pass through, and change nothing else', async (t) => {
  const { service, stream } = await startFollowed(t)
  const dateOf = evenDates(100, 1)
  const odd = [
    '{"n":1,"timestamp":"NOW","extra":null,"version":"one"}',
    '{"n":2,"timestamp":"NOW","__proto__":{"polluted":true},"constructor":1}',
    '{"n":3,"timestamp":"NOW","big":12345678901234567890,"lone":"\\ud800"}',
    `{"n":4,"timestamp":"NOW","resource_text":"${'x'.repeat(500_000)}"}`
  ]
  odd.forEach((text, at) => service.sandbox.publishRaw(text.replace('NOW', dateOf(at))))
  service.sandbox.publish(item({ n: 5 }))
  await stream.untilEvents(5)
  t.same(stream.events().map(({ n }) => n), [1, 2, 3, 4, 5])
  t.equal(({} as Record<string, unknown>).polluted, undefined)
  const text = await (await service.get(EVENTS)).text()
  t.match(text, '12345678901234567890')
  t.match(text, '"__proto__"')
})

t.test('a 401 is reported, stops stale responses, causes few requests, and ends by itself', async (t) => {
  const { service, stream } = await startFollowed(t)
  service.sandbox.publish(item({ n: 0 }))
  await stream.untilEvents(1)
  t.equal((await service.get(EVENTS)).status, 200)
  service.sandbox.faults.during({ kind: 'status', status: 401 })
  await stream.until((frame) => frame.type === 'status' && frame.upstream === 'unauthorized')
  const response = await service.get(EVENTS)
  t.equal(response.status, 502)
  t.match(await response.json(), { code: 'upstream-unauthorized' })
  t.equal(stream.socket.readyState, 1)
})

t.test('clocks that differ and events of the future lose nothing', async (t) => {
  const { service, stream } = await startFollowed(t, {}, { clockSkewMs: 300_000 })
  service.sandbox.publish(item({ n: 0, timestamp: ago(-300_000) }))
  await stream.untilEvents(1)
  service.sandbox.publish(item({ n: 1, timestamp: ago(-600_000) }))
  await stream.untilEvents(2)
  service.sandbox.publish(item({ n: 2, timestamp: ago(-300_000) }))
  await stream.untilEvents(3)
  t.same(stream.events().map(({ n }) => n), [0, 1, 2])
})

t.test('readyz reports the age of the last good poll', async (t) => {
  const { service } = await startFollowed(t)
  const ready = await service.json('/readyz')
  t.match(ready.upstream, { state: 'ok', last_good_poll: String, lag_ms: Number })
  t.ok(Math.abs(Date.now() - Date.parse(ready.upstream.last_good_poll) - ready.upstream.lag_ms) < 5000)
  service.sandbox.faults.during({ kind: 'hang' })
  await eventually('the last good poll is old', async () => (await service.json('/readyz')).upstream.lag_ms > 500)
  const [before, after] = [await service.json('/readyz'), await service.json('/readyz')]
  t.equal(after.upstream.last_good_poll, before.upstream.last_good_poll, 'a poll without an answer is not good')
  t.ok(after.upstream.lag_ms >= before.upstream.lag_ms)
})

t.test('an unreadable row is skipped and reported', async (t) => {
  const { service, stream } = await startFollowed(t, { UPSTREAM_MAX_BYTES: '200000' })
  service.sandbox.publish(
    item({ n: 0, timestamp: ago(300) }),
    item({ n: 1, timestamp: ago(200), resource_text: 'x'.repeat(400_000) }),
    item({ n: 2, timestamp: ago(100) })
  )
  const gap = await stream.until(({ type }) => type === 'gap')
  t.match(gap, { reason: 'too-large' })
  await stream.untilEvents(2)
  t.same(stream.events().map(({ n }) => n), [0, 2])
})
