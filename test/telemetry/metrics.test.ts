import { once } from 'node:events'
import { connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import t from 'tap'
import { openEventStream } from '../support/event-stream.ts'
import { readFigures, scrape } from '../support/figures.ts'
import { SMALLEST_LOG, ago, eventually, item, openStream, startService, startUpstream } from '../support/support.ts'
import { until } from './scraped.ts'

const EVENTS = '/api/v1/audit/events'
const SEARCH = '/api/v1/audit/events/search'
const STREAM = '/api/v1/audit/stream'

const answers = (route: string, status: number) =>
  `http_request_duration_seconds_count{route="${route}",status="${status}"}`

const results = (result: string) => `cache_lookups_total{result="${result}"}`

t.test('answers are counted once each, by route and status', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(item({ id: 'one' }))
  const etag = (await service.get(EVENTS)).headers.get('etag') ?? ''
  await service.get(EVENTS, { 'if-none-match': etag })
  await fetch(service.url + EVENTS, { method: 'HEAD' })
  await service.get(`${EVENTS}?page=0`)
  await service.get(`${EVENTS}?page=0`)
  await service.get(`${SEARCH}?text=message`)
  await service.get(`${EVENTS}/one`)
  await service.get(`${EVENTS}/two`)
  for (const path of ['/nowhere', '/nowhere/else', '/nowhere?at=all']) await service.get(path)
  await service.get('/livez')
  await service.get(`${STREAM}?since=nonsense`)
  await service.get('/%c3%28')
  const figures = await until(service, answers('/api/v1/audit/stream', 400), 1)
  t.equal(figures.of(answers(EVENTS, 200)), 2, 'a GET and a HEAD')
  t.equal(figures.of(answers(EVENTS, 304)), 1)
  t.equal(figures.of(answers(EVENTS, 400)), 2)
  t.equal(figures.of(answers(SEARCH, 200)), 1)
  t.equal(figures.of(answers(`${EVENTS}/:id`, 200)), 1)
  t.equal(figures.of(answers(`${EVENTS}/:id`, 404)), 1)
  t.equal(figures.of(answers('/livez', 200)), 1)
  t.equal(figures.of(answers('none', 404)), 3, 'whatever clients make up is one label')
  t.equal(figures.of(answers('none', 400)), 1, 'a path that cannot be read')
  const buckets = figures.all('http_request_duration_seconds_bucket').filter((series) =>
    series.includes(`route="${EVENTS}"`) && series.includes('le="+Inf"') && series.includes('status="200"')
  )
  t.equal(figures.of(buckets[0] ?? ''), 2)
  t.ok(figures.of(`http_request_duration_seconds_sum{route="${EVENTS}",status="200"}`) > 0)
})

t.test('malformed requests are counted with the route `none`', async (t) => {
  const service = await startService(t)
  const { hostname, port } = new URL(service.url)
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write('NONSENSE\r\n\r\n')
  t.match(await textOf(socket), /^HTTP\/1\.1 400 /)
  await until(service, answers('none', 400), 1)
})

t.test('cache lookups are counted by result, and collapsed ones besides', async (t) => {
  const service = await startService(t, {
    ...SMALLEST_LOG,
    CACHE_OPEN_TTL_MS: '0',
    CACHE_STALE_MS: '0',
    POLL_INTERVAL_MS: '60000',
    POLL_MAX_INTERVAL_MS: '60000'
  })
  service.sandbox.publish(item(), item({ id: 'kept', timestamp: ago(3_600_000) })) // The log holds the first one alone.
  await service.settled()
  const closed = `${EVENTS}?start_time=-7d&end_time=-10m`
  await service.get(closed)
  let figures = await scrape(service)
  t.equal(figures.of(results('miss')), 1)
  t.equal(figures.of('cache_entries'), 1)
  t.ok(figures.of('cache_bytes') > 100)
  const delay = service.sandbox.faults.during({ kind: 'delay', delayMs: 300 })
  await Promise.all(Array.from({ length: 5 }, () => service.get(`${EVENTS}/kept`)))
  delay()
  await service.get(`${EVENTS}/kept`)
  figures = await scrape(service)
  t.equal(figures.of(results('miss')), 6)
  t.equal(figures.of('cache_collapsed_total'), 4)
  t.equal(figures.of(results('hit')), 1)

  await service.get(EVENTS)
  await service.get(EVENTS)
  t.equal((await scrape(service)).of(results('stale')), 1, 'asked again, for nothing is fresh here')
  const out = service.sandbox.faults.during({ kind: 'status', status: 500 })
  t.equal((await service.get(EVENTS)).status, 200)
  t.equal((await service.get(`${EVENTS}?page_size=7`)).status, 502)
  out()
  figures = await scrape(service)
  t.equal(figures.of(results('stale-if-error')), 1)
  t.equal(figures.of(results('failed')), 1)
  t.equal(figures.of('cache_evictions_total'), 0)
})

t.test('forced cache lookups are counted', async (t) => {
  const service = await startService(t)
  await service.get(EVENTS)
  await eventually('a second is over', async () => {
    await service.get(EVENTS, { 'cache-control': 'no-cache' })
    return (await scrape(service)).of(results('request')) === 1
  })
})

t.test('background refreshes and evictions are counted', async (t) => {
  const service = await startService(t, {
    ...SMALLEST_LOG,
    CACHE_OPEN_TTL_MS: '0',
    CACHE_MAX_BYTES: '6000',
    POLL_INTERVAL_MS: '60000',
    POLL_MAX_INTERVAL_MS: '60000'
  })
  service.sandbox.publish(item())
  await service.settled()
  await service.get(EVENTS)
  await service.get(EVENTS)
  t.equal((await scrape(service)).of(results('stale-while-revalidate')), 1)
  for (let size = 1; size <= 6; size++) await service.get(`${EVENTS}?page_size=${size}`)
  const figures = await scrape(service)
  t.ok(figures.of('cache_evictions_total') > 0)
  t.ok(figures.of('cache_bytes') <= 6000)
  t.equal(figures.of('cache_capacity_bytes'), 6000)
})

t.test('upstream requests are counted by outcome, each try by itself, and the budget is shown', async (t) => {
  const service = await startService(t, {
    KUBIYA_REQUESTS_PER_MINUTE: '400',
    KUBIYA_REQUESTS_PER_DAY: '8000',
    POLL_INTERVAL_MS: '60000',
    POLL_MAX_INTERVAL_MS: '60000'
  })
  await service.settled()
  const asked = (purpose: string, outcome: string) =>
    `upstream_request_duration_seconds_count{purpose="${purpose}",outcome="${outcome}"}`
  const before = await scrape(service)
  service.sandbox.faults.next({ kind: 'status', status: 503 }, 2)
  t.equal((await service.get(EVENTS)).status, 200)
  service.sandbox.faults.next({ kind: 'html' })
  t.equal((await service.get(`${EVENTS}?page_size=9`)).status, 502)
  const figures = await scrape(service)
  t.equal(figures.of(asked('caller', 'unavailable')), 2)
  t.equal(
    figures.of(asked('caller', 'ok')) + figures.of(asked('caller', 'invalid')),
    2,
    'a third try, and one that was not the protocol'
  )
  t.equal(service.sandbox.asked, 4)
  t.equal(figures.of('upstream_budget_requests_capacity{span="minute"}'), 100)
  t.equal(figures.of('upstream_budget_requests_capacity{span="day"}'), 2000)
  t.equal(
    before.of('upstream_budget_requests_left{span="day"}') - figures.of('upstream_budget_requests_left{span="day"}'),
    4
  )
})

t.test('polls are counted: events, batches, late events, duplicates, lag and outcomes', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(Array.from({ length: 30 }, () => item({ timestamp: ago(60_000) })))
  await service.settled()
  const stream = service.stream()
  await stream.until(({ type }) => type === 'hello')
  service.sandbox.publish(Array.from({ length: 5 }, () => item()))
  await stream.untilEvents(35)
  service.sandbox.publish(item({ timestamp: ago(30_000) }))
  await stream.untilEvents(36)
  const polled = service.sandbox.asked
  await eventually('more polls', () => service.sandbox.asked > polled + 2)
  let figures = await scrape(service)
  t.equal(figures.of('poll_events_total'), 36)
  t.equal(figures.of('poll_batch_events_sum'), 36)
  t.equal(figures.of('poll_late_events_total'), 1)
  t.equal(figures.of('event_lag_seconds_count'), 6, 'what was there at the start has no lag')
  t.ok(figures.of('event_lag_seconds_sum') >= 30 && figures.of('event_lag_seconds_sum') < 60)
  t.ok(figures.of('poll_duplicates_total') >= 36 * 2)
  t.ok(figures.of('poll_duration_seconds_count{outcome="ok"}') >= 4)
  t.equal(figures.of('upstream_state{state="ok"}'), 1)
  t.ok(figures.of('last_good_poll_age_seconds') < 20)
  t.equal(figures.of('lateness_seconds'), 120)

  service.sandbox.faults.during({ kind: 'status', status: 401 })
  figures = await until(service, 'upstream_state{state="unauthorized"}', 1)
  t.equal(figures.of('upstream_state{state="ok"}'), 0)
  t.ok(figures.of('poll_duration_seconds_count{outcome="unauthorized"}') >= 1)
  const age = figures.of('last_good_poll_age_seconds')
  await eventually('it ages', async () => (await scrape(service)).of('last_good_poll_age_seconds') > age)
})

t.test('streams are counted by transport: open, begun and ended, with their deliveries', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(Array.from({ length: 3 }, () => item({ timestamp: ago(60_000) })))
  await service.settled()
  const sockets = Array.from({ length: 4 }, () => service.stream())
  const filtered = service.stream('?action_type=none')
  const sse = [openEventStream(`${service.url}${STREAM}`), openEventStream(`${service.url}${STREAM}`)]
  t.teardown(() => sse.forEach((each) => each.terminate()))
  await Promise.all([...sockets, ...sse].map((each) => each.untilEvents(3)))
  await filtered.until(({ type }) => type === 'hello')
  service.sandbox.publish(Array.from({ length: 7 }, () => item()))
  await Promise.all([...sockets, ...sse].map((each) => each.untilEvents(10)))
  let figures = await scrape(service)
  t.equal(figures.of('subscribers{transport="websocket"}'), 5)
  t.equal(figures.of('subscribers{transport="sse"}'), 2)
  t.equal(figures.of('streams_total{transport="websocket"}'), 5)
  t.equal(figures.of('delivered_events_total{transport="websocket"}'), 40)
  t.equal(figures.of('delivered_events_total{transport="sse"}'), 20)
  t.equal(figures.of(answers(STREAM, 200)), 0, 'how long a stream lasts is no answer\'s duration')

  sockets[0]?.socket.close(1000)
  sockets[1]?.socket.close(3999)
  sockets[2]?.socket.terminate()
  sockets[3]?.socket.send('not wanted')
  sse[0]?.terminate()
  await until(service, 'subscribers{transport="websocket"}', 1)
  figures = await until(service, 'subscribers{transport="sse"}', 1)
  const ended = (transport: string, code: string) =>
    figures.of(`stream_endings_total{transport="${transport}",code="${code}"}`)
  t.equal(ended('websocket', '1000'), 1)
  t.equal(ended('websocket', 'other'), 1, 'a client\'s number is no label')
  t.equal(ended('websocket', '1006'), 1)
  t.equal(ended('websocket', '4400'), 1)
  t.equal(ended('sse', '1006'), 1)
  t.equal(figures.of('streams_total{transport="websocket"}'), 5)
})

t.test('stream endings are counted by close code, for both transports', async (t) => {
  const service = await startService(t, { STREAM_MAX_AGE_MS: '100' })
  const socket = service.stream()
  const sse = openEventStream(`${service.url}${STREAM}`)
  t.teardown(() => sse.terminate())
  await Promise.all([socket.closed, sse.closed])
  await until(service, 'stream_endings_total{transport="sse",code="1001"}', 1)
  await until(service, 'stream_endings_total{transport="websocket",code="1001"}', 1)
})

t.test('gaps are counted by reason, for each subscriber', async (t) => {
  const service = await startService(t, { UPSTREAM_MAX_BYTES: '4096' })
  await service.settled()
  const streams = [service.stream(), service.stream()]
  await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'hello')))
  service.sandbox.publish(item({ resource_text: 'x'.repeat(10_000) }))
  await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'gap')))
  await until(service, 'gaps_total{reason="too-large"}', 2)
})

t.test('labels stay few, whatever clients send', async (t) => {
  const service = await startService(t, { MAX_SUBSCRIBERS: '50' })
  for (let index = 0; index < 20; index++) {
    await service.get(`/made/up/${index}`)
    await service.get(`${EVENTS}/id-${index}`)
    await fetch(`${service.url}${EVENTS}`, { method: ['PUT', 'PATCH', 'DELETE'][index % 3] ?? '' })
    const stream = service.stream(`?action_type=a${index}`)
    await stream.until(({ type }) => type === 'hello')
    stream.socket.close(4000 + index)
    await stream.closed
  }
  const figures = await scrape(service)
  const counted = figures.all('http_request_duration_seconds_count')
  t.same(counted.filter((series) => !/route="(none|\/api\/v1\/audit\/events(\/:id)?|\/metrics)"/.test(series)), [])
  t.ok(counted.length <= 5, counted.join())
  t.equal(figures.all('stream_endings_total').length, 22)
})

t.test('metrics need no credential and have no limit', async (t) => {
  const service = await startService(t, {
    AUTH_MODE: 'token',
    AUTH_TOKENS: 'a-token-of-sixteen-characters',
    RATE_LIMIT_PER_MINUTE: '1',
    RATE_LIMIT_TOTAL_PER_MINUTE: '1',
    MAX_SUBSCRIBERS: '0'
  })
  const headers = { authorization: 'Bearer a-token-of-sixteen-characters' }
  await service.get(EVENTS, headers)
  t.equal((await service.get(EVENTS, headers)).status, 429)
  const response = await fetch(service.metricsUrl)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/)
  t.equal(response.headers.get('cache-control'), 'no-store')
  const text = await response.text()
  t.equal(readFigures(text).of(answers(EVENTS, 429)), 1)
  t.notMatch(text, /a-token-of-sixteen/)
  for (
    const name of [
      'process_resident_memory_bytes',
      'process_cpu_seconds_total',
      'nodejs_eventloop_lag_p99_seconds',
      'nodejs_heap_size_used_bytes'
    ]
  ) t.ok(readFigures(text).of(name) > 0, name)
  t.match(text, /^kubiya_audit_bff_info\{version="\d+\.\d+\.\d+",sandbox="false"\} 1$/m)
})

t.test('METRICS_PORT serves the metrics alone, until the service has drained', async (t) => {
  const service = await startService(t, { METRICS_PORT: '0', DRAIN_MS: '1000' })
  t.not(new URL(service.metricsUrl).port, new URL(service.url).port)
  t.equal((await service.get('/metrics')).status, 404)
  t.equal((await fetch(service.metricsUrl)).status, 200)
  const elsewhere = await fetch(service.metricsUrl.replace('/metrics', EVENTS))
  t.equal(elsewhere.status, 404)
  t.equal(elsewhere.headers.get('content-type'), 'application/problem+json; charset=utf-8')
  const streams = Array.from({ length: 3 }, () => service.stream())
  await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'hello')))
  const closed = service.close()
  await Promise.race(streams.map((stream) => stream.until(({ type }) => type === 'end')))
  t.ok((await scrape(service)).of('stream_endings_total{transport="websocket",code="1001"}') >= 1)
  await closed
  await t.rejects(fetch(service.metricsUrl))
})

t.test('metrics of several tenants are summed, and the budget is that of the scarcest tenant', async (t) => {
  const upstream = await startUpstream(t, { apiKey: 'key-of-one' })
  const service = await startService(
    t,
    {
      AUTH_MODE: 'passthrough',
      KUBIYA_REQUESTS_PER_MINUTE: '400',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000'
    },
    {},
    upstream
  )
  t.equal((await scrape(service)).of('tenants'), 0)
  upstream.publish(item({ timestamp: ago(1000) }))
  const headers = { authorization: 'UserKey key-of-one' }
  t.equal((await service.get(EVENTS, headers)).status, 200)
  const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}`, [], headers)
  t.teardown(() => stream.socket.terminate())
  await stream.untilEvents(1)
  const figures = await scrape(service)
  t.equal(figures.of('tenants'), 1)
  t.equal(figures.of('subscribers{transport="websocket"}'), 1)
  t.equal(figures.of('delivered_events_total{transport="websocket"}'), 1)
  t.equal(figures.of('upstream_budget_requests_capacity{span="minute"}'), 100)
  t.ok(figures.of('upstream_budget_requests_left{span="minute"}') < 100)
  t.notMatch(await (await fetch(service.metricsUrl)).text(), /key-of-one/)
})
