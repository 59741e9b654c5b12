import t, { type Test } from 'tap'
import type { ReceivedRequest } from '../../src/sandbox/sandbox.ts'
import { ago, evenDates, eventually, item, openStream, startService, type Service } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'
const [FIRST, SECOND] = ['first-token-0123456789', 'second-token-0123456789']
const TWO = { AUTH_MODE: 'token', AUTH_TOKENS: `${FIRST},${SECOND}` }
const as = (token: string) => ({ authorization: `Bearer ${token}`, 'accept-encoding': 'identity' })
const HOUR_MS = 3_600_000

let windows = 0

/** A question that nobody has asked before, about an hour in which nothing happened. */
function emptyWindow (): string {
  const startMs = Date.UTC(2020, 0, 1) + windows++ * HOUR_MS
  return `${EVENTS}?start_time=${new Date(startMs).toISOString()}&end_time=${
    new Date(startMs + HOUR_MS - 1000).toISOString()
  }`
}

const isFromCaller = ({ query }: ReceivedRequest) => query.pageSize !== 1000
const statuses = (answers: readonly Response[]) => answers.map(({ status }) => status)
const count = (answers: readonly Response[], status: number) =>
  statuses(answers).filter((each) => each === status).length

/** A stream that is live, for one caller. */
async function listen (t: Test, service: Service, token: string) {
  const stream = openStream(`${service.url.replace('http', 'ws')}/api/v1/audit/stream`, [], as(token))
  t.teardown(() => stream.socket.terminate())
  await stream.until(({ type }) => type === 'hello')
  return stream
}

async function ready (service: Service): Promise<void> {
  service.sandbox.publish(item({ timestamp: ago(1000) }))
  await service.settled()
}

t.test('a caller at full speed leaves others their requests, and events arrive', async (t) => {
  const service = await startService(t, {
    ...TWO,
    KUBIYA_REQUESTS_PER_MINUTE: '600',
    POLL_INTERVAL_MS: '500',
    POLL_MAX_INTERVAL_MS: '500',
    UPSTREAM_TIMEOUT_MS: '4000'
  })
  await ready(service)
  const stream = await listen(t, service, SECOND)
  const greedy: Promise<Response>[] = []
  const flood = setInterval(() => {
    for (let n = 0; n < 5; n++) {
      greedy.push(service.get(n % 2 === 0 ? emptyWindow() : `${EVENTS}/unknown-${windows++}`, as(FIRST)))
    }
  }, 100)
  t.teardown(() => clearInterval(flood))
  await eventually('the first is held back', () => greedy.length > 150)
  const answers: Response[] = []
  for (let n = 0; n < 20; n++) {
    const [answer] = await Promise.all([
      service.get(emptyWindow(), as(SECOND)),
      new Promise((resolve) => {
        setTimeout(resolve, 400)
      })
    ])
    answers.push(answer)
  }
  service.sandbox.publish(item({ resource_text: 'while it is asked so much' }))
  await stream.until((frame) => frame.type === 'event' && frame.event.resource_text === 'while it is asked so much')
  clearInterval(flood)
  const refused = (await Promise.all(greedy)).filter(({ status }) => status === 503)
  t.ok(count(answers, 200) >= 18, `${count(answers, 200)} of 20`)
  t.ok(refused.length > 50, 'while there was not enough for both')
  t.ok(refused.every(({ headers }) => Number(headers.get('retry-after')) >= 1))
})

t.test('slow queries of one caller delay neither another caller nor the poller', async (t) => {
  const service = await startService(t, TWO)
  await ready(service)
  const stream = await listen(t, service, SECOND)
  let release = () => {}
  const until = new Promise<void>((resolve) => { release = resolve })
  t.teardown(() => release())
  const isSlow = (asked: ReceivedRequest) =>
    isFromCaller(asked) && new URLSearchParams(asked.search).get('filter')?.includes('"slow') === true
  service.sandbox.faults.during({ kind: 'held', until, when: isSlow })
  const slow = Array.from({ length: 20 }, (_, n) => service.get(`${emptyWindow()}&category_type=slow-${n}`, as(FIRST)))
  await eventually('they are under way', () => service.sandbox.requests.filter(isSlow).length >= 4)
  const startedMs = performance.now()
  t.equal((await service.get(emptyWindow(), as(SECOND))).status, 200)
  service.sandbox.publish(item({ resource_text: 'meanwhile' }))
  await stream.until((frame) => frame.type === 'event' && frame.event.resource_text === 'meanwhile')
  t.comment(`${Math.round(performance.now() - startedMs)} ms`)
  t.ok(service.sandbox.requests.filter(isSlow).length <= 8, 'half of the connections are left')
  release()
  t.same([...new Set(statuses(await Promise.all(slow)))], [200], 'all of them are answered in the end')
})

t.test('a slow poll delays no caller, and hanging callers delay no poll', async (t) => {
  const service = await startService(t, { UPSTREAM_TIMEOUT_MS: '2000' })
  await ready(service)
  const stream = service.stream()
  await stream.until(({ type }) => type === 'hello')
  const stop = service.sandbox.faults.during({ kind: 'hang', when: isFromCaller })
  const hanging = Array.from({ length: 40 }, () => service.get(emptyWindow()))
  service.sandbox.publish(item({ resource_text: 'in spite of it' }))
  await stream.until((frame) => frame.type === 'event' && frame.event.resource_text === 'in spite of it')
  t.ok((await Promise.all(hanging)).every(({ status }) => [503, 504].includes(status)))
  stop()
  service.sandbox.faults.next({ kind: 'hang', when: (asked) => !isFromCaller(asked) })
  const answers = await Promise.all(Array.from({ length: 8 }, () => service.get(emptyWindow())))
  t.same([...new Set(statuses(answers))], [200])
})

t.test('per-caller limit on requests to Kubiya', async (t) => {
  t.test('the per-caller limit is a 429 for that caller only, and cached responses are still served', async (t) => {
    const service = await startService(t, {
      ...TWO,
      UPSTREAM_LIMIT_PER_MINUTE: '5',
      CACHE_OPEN_TTL_MS: '0',
      CACHE_STALE_MS: '0'
    })
    await ready(service)
    const kept = await service.get(EVENTS, as(FIRST))
    t.equal(kept.status, 200)
    const answers = await Promise.all(Array.from({ length: 20 }, () => service.get(emptyWindow(), as(FIRST))))
    t.ok(count(answers, 200) >= 3 && count(answers, 200) <= 4, 'the first list may have taken two')
    t.equal(count(answers, 200) + count(answers, 429), 20)
    const refused = answers.find(({ status }) => status === 429)
    t.match(await refused?.json(), { code: 'rate-limited', retry_after: Number })
    t.ok(Number(refused?.headers.get('retry-after')) >= 1 && Number(refused?.headers.get('retry-after')) <= 13)
    const stale = await service.get(EVENTS, as(FIRST))
    t.equal(stale.status, 200)
    t.match(stale.headers.get('cache-status'), /stale-if-error/)
    t.equal((await service.get(emptyWindow(), as(SECOND))).status, 200)
  })

  t.test('the per-caller limit ends an answer in the middle, and next continues it', async (t) => {
    const service = await startService(t, { UPSTREAM_LIMIT_PER_MINUTE: '3' })
    const dateOf = evenDates(HOUR_MS, -1000)
    service.sandbox.publish(Array.from({ length: 5000 }, (_, n) => item({ timestamp: dateOf(n) })))
    await ready(service)
    const { pagination, search_summary: summary } = await service.json(`${EVENTS}/search?text=nowhere`)
    t.match(summary, { complete: false })
    t.ok(summary.scanned >= 2000 && summary.scanned <= 3001, `${summary.scanned} were looked at`)
    t.match(pagination, { has_more: true, next: String })
    t.equal((await service.get(pagination.next)).status, 429)
  })

  t.test('the per-caller limit charges the caller that asked first, or caused a refresh', async (t) => {
    const service = await startService(t, { ...TWO, UPSTREAM_LIMIT_PER_MINUTE: '2', CACHE_OPEN_TTL_MS: '50' })
    await ready(service)
    let release = () => {}
    service.sandbox.faults.next({
      kind: 'held',
      until: new Promise<void>((resolve) => {
        release = resolve
      }),
      when: isFromCaller
    })
    const path = emptyWindow()
    const first = service.get(path, as(FIRST))
    await eventually('it is asked', () => service.sandbox.requests.some(isFromCaller))
    const second = service.get(path, as(SECOND))
    release()
    t.same(statuses(await Promise.all([first, second])), [200, 200])
    t.equal((await service.get(emptyWindow(), as(FIRST))).status, 200)
    t.equal((await service.get(emptyWindow(), as(FIRST))).status, 429, 'its two are spent')
    t.equal((await service.get(EVENTS, as(SECOND))).status, 200, 'the other has both yet')
    const before = service.sandbox.requests.filter(isFromCaller).length
    for (let n = 0; n < 15; n++) {
      await new Promise((resolve) => { setTimeout(resolve, 60) }) // Stale each time.
      t.equal((await service.get(EVENTS, as(SECOND))).status, 200)
    }
    const refreshes = service.sandbox.requests.filter(isFromCaller).length - before
    t.ok(refreshes <= 2, `${refreshes} refreshes`)
  })
})

t.test('limits are taken before Kubiya is called', async (t) => {
  async function withPast (t: Test, environment: Record<string, string>, events = 1000): Promise<Service> {
    const service = await startService(t, { ...TWO, HISTORY_EVENTS: '1', ...environment })
    const dateOf = evenDates(HOUR_MS, -1)
    service.sandbox.publish(Array.from({ length: events }, (_, n) => item({ timestamp: dateOf(n) })))
    await service.settled()
    return service
  }
  const searches = (service: Service, n: number) =>
    Promise.all(
      Array.from({ length: n }, (_, i) =>
        service.get(`${EVENTS}/search?limit=1000&text=message&end_time=-${30 + i}s`, as(FIRST)))
    )

  t.test('sixty simultaneous searches of a thousand events do not read sixty thousand', async (t) => {
    const service = await withPast(t, { EVENTS_LIMIT_PER_MINUTE: '1000' })
    const answers = await searches(service, 60)
    t.ok(count(answers, 200) >= 1 && count(answers, 200) <= 2, `${count(answers, 200)} were answered`)
    t.equal(count(answers, 200) + count(answers, 429), 60)
    t.ok(answers.every((answer) => answer.status === 200 || Number(answer.headers.get('retry-after')) >= 1))
  })

  t.test('unread events are refunded: after failures, empty answers and disconnects', async (t) => {
    const service = await withPast(t, { EVENTS_LIMIT_PER_MINUTE: '1000' }, 10)
    service.sandbox.faults.next({ kind: 'status', status: 400 }, 3)
    for (let n = 0; n < 3; n++) {
      t.equal((await service.get(`${EVENTS}/search?text=a&end_time=-${n}s`, as(FIRST))).status, 502)
    }
    for (let n = 0; n < 20; n++) t.equal((await service.get(emptyWindow(), as(FIRST))).status, 200)
    const isHeld = ({ search }: ReceivedRequest) => search.includes('held')
    let release = () => {}
    service.sandbox.faults.next({
      kind: 'held',
      until: new Promise<void>((resolve) => {
        release = resolve
      }),
      when: isHeld
    })
    const gone = new AbortController()
    const left = fetch(`${service.url}${EVENTS}/search?text=b&category_type=held`, {
      headers: as(FIRST),
      signal: gone.signal
    })
    await eventually('it is asked', () => service.sandbox.requests.some(isHeld))
    gone.abort()
    await t.rejects(left)
    t.equal((await service.get(`${EVENTS}/search?text=c`, as(FIRST))).status, 429, 'it is still under way')
    release()
    await eventually(
      'it is given back',
      async () => (await service.get(`${EVENTS}/search?text=c`, as(FIRST))).status === 200
    )
  })

  t.test('read events are charged, also if nothing matched', async (t) => {
    const service = await withPast(t, { EVENTS_LIMIT_PER_MINUTE: '1500', SEARCH_SCAN_LIMIT: '5000' }, 3000)
    let searched = 0
    service.sandbox.faults.during({
      kind: 'status',
      status: 400,
      when: ({ search }) => search.includes('1000') && ++searched === 2
    })
    t.equal(
      (await service.get(`${EVENTS}/search?text=nowhere&end_time=-1m`, as(FIRST))).status,
      502,
      'after a thousand'
    )
    t.equal((await service.get(`${EVENTS}/search?text=nowhere`, as(FIRST))).status, 429)
  })
})

t.test('an unknown id costs few requests with a short budget, and the 404 says what was searched', async (t) => {
  const service = await startService(t, { ...TWO, KUBIYA_REQUESTS_PER_MINUTE: '100' })
  const dateOf = evenDates(HOUR_MS, -1000)
  service.sandbox.publish(Array.from({ length: 12_000 }, (_, n) => item({ timestamp: dateOf(n) })))
  await service.settled()
  const asked = async (id: string) => {
    const before = service.sandbox.requests.filter(isById).length
    const answer = await service.get(`${EVENTS}/${id}`, as(FIRST))
    return {
      answer,
      problem: await answer.json() as { scanned: number, complete: boolean },
      byId: service.sandbox.requests.filter(isById).length - before
    }
  }
  const isById = ({ path }: ReceivedRequest) => path.includes('/unknown-')
  const before = service.sandbox.asked
  const outcomes = []
  for (let n = 0; n < 3; n++) outcomes.push(await asked(`unknown-${n}`))
  t.ok(outcomes.every(({ answer }) => answer.status === 404))
  const scans = outcomes.map(({ problem }) => problem.scanned)
  t.comment(`${scans.join(', ')} events, ${service.sandbox.asked - before} requests`)
  t.ok(scans.slice(1).every((scanned) => scanned >= 2990 && scanned <= 3000), 'three pages')
  t.ok(outcomes.every(({ problem }) => problem.complete === false))
  t.equal((await asked('unknown-1')).byId, 0, 'it is kept')
})

t.test('a caller that disconnects leaves the queue, and another that waits for the same stays', async (t) => {
  const service = await startService(t, {
    ...TWO,
    KUBIYA_REQUESTS_PER_MINUTE: '120',
    POLL_INTERVAL_MS: '60000',
    POLL_MAX_INTERVAL_MS: '60000',
    UPSTREAM_TIMEOUT_MS: '20000'
  })
  await ready(service)
  const paths = Array.from({ length: 30 }, () => `${emptyWindow()}&category_type=waiting`)
  const isWaiting = ({ search }: ReceivedRequest) => search.includes('waiting')
  const gone = new AbortController()
  const waiting = paths.map((path) =>
    fetch(`${service.url}${path}`, { headers: as(FIRST), signal: gone.signal }).catch(() => undefined)
  )
  await eventually('the first have gone', () => service.sandbox.requests.filter(isWaiting).length >= 10)
  const last = paths[20] ?? ''
  const both = service.get(last, as(SECOND))
  gone.abort()
  await Promise.all(waiting)
  t.equal((await both).status, 200)
  t.ok(
    service.sandbox.requests.filter(isWaiting).length < 25,
    `${service.sandbox.requests.filter(isWaiting).length} of 30 were asked for`
  )
})
