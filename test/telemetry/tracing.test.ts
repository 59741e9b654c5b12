import t from 'tap'
import { startCollector } from '../support/collector.ts'
import { openEventStream } from '../support/event-stream.ts'
import { ago, eventually, item, startService } from '../support/support.ts'

process.env.OTEL_BSP_SCHEDULE_DELAY = '20' // Spans are told of at once.

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'
const SERVER = 2
const CLIENT = 3

t.test('a request is a span of its traceparent, with its upstream requests as children', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, {
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.endpoint}/`,
    POLL_INTERVAL_MS: '60000',
    POLL_MAX_INTERVAL_MS: '60000'
  })
  await service.settled()
  t.equal(
    (await service.get(`${EVENTS}?text_is_not_told=secret-words`, { traceparent: `00-${TRACE}-${PARENT}-01` })).status,
    400
  )
  t.equal(
    (await service.get(`${EVENTS}?action_type=secret-words`, { traceparent: `00-${TRACE}-${PARENT}-01` })).status,
    200
  )
  const span = await collector.span(({ attributes, kind }) =>
    kind === SERVER && attributes['http.response.status_code'] === 200 && attributes['http.route'] === EVENTS
  )
  t.match(span, {
    name: `GET ${EVENTS}`,
    traceId: TRACE,
    parentSpanId: PARENT,
    status: 0,
    attributes: { 'http.request.method': 'GET', 'url.path': EVENTS },
    resource: { 'service.name': 'kubiya-audit-bff', 'service.version': /^\d+\./ }
  })
  const call = await collector.span(({ kind, parentSpanId }) => kind === CLIENT && parentSpanId === span.spanId)
  t.match(call, {
    traceId: TRACE,
    attributes: {
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      purpose: 'caller',
      'http.response.status_code': '200'
    }
  })
  t.equal(service.sandbox.requests.at(-1)?.headers.traceparent, `00-${TRACE}-${call.spanId}-01`)
  t.ok(
    await collector.span(({ attributes }) =>
      attributes['http.response.status_code'] === '400' || attributes['http.response.status_code'] === 400
    )
  )
  t.notMatch(JSON.stringify(collector.spans), /secret-words/)
  t.notMatch(JSON.stringify(collector.spans), new RegExp(service.sandbox.apiKey))

  const line = service.logs.find(({ msg, path, status }) => msg === 'request' && path === EVENTS && status === 200)
  t.match(line, { trace_id: TRACE, span_id: span.spanId })
  t.ok(
    service.logs.some(({ msg, span_id: id, trace_id: trace }) =>
      msg === 'upstream request completed' && trace === TRACE && id === call.spanId
    ),
    'and what is logged on the way'
  )
})

t.test('a request without a valid traceparent starts a trace', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  for (const traceparent of ['', 'nonsense', `00-${'0'.repeat(32)}-${PARENT}-01`]) {
    await service.get('/livez', { traceparent })
  }
  await eventually('all are told of', () => collector.spans.filter(({ name }) => name === 'GET /livez').length === 3)
  const spans = collector.spans.filter(({ name }) => name === 'GET /livez')
  t.equal(new Set(spans.map(({ traceId }) => traceId)).size, 3)
  t.ok(spans.every(({ parentSpanId, traceId }) => parentSpanId === undefined && traceId !== '0'.repeat(32)))
})

t.test('a cache hit has its Cache-Status in the span, and no child', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  await service.get(EVENTS)
  await service.get(EVENTS)
  const isOf = ({ attributes }: { attributes: Record<string, unknown> }) => attributes['http.route'] === EVENTS
  await eventually('both are told of', () => collector.spans.filter(isOf).length === 2)
  const [, hit] = collector.spans.filter(isOf)
  t.match(JSON.stringify(hit?.attributes['http.response.header.cache-status']), /kubiya-audit-bff; hit/)
  t.same(collector.spans.filter(({ parentSpanId }) => parentSpanId === hit?.spanId), [])
})

t.test('a poll is a trace of its own, with its requests, and a failure names its error type', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  const poll = await collector.span(({ name, status }) => name === 'poll' && status === 0)
  t.equal(poll.parentSpanId, undefined)
  t.ok(
    await collector.span(({ attributes, kind, parentSpanId }) =>
      kind === CLIENT && parentSpanId === poll.spanId && attributes.purpose === 'poller'
    )
  )
  await service.stream().until(({ type }) => type === 'hello') // Without an subscribers there is a poll a minute.
  service.sandbox.faults.during({ kind: 'status', status: 503 })
  const failed = await collector.span(({ name, status }) => name === 'poll' && status === 2)
  t.equal(failed.attributes['error.type'], 'unavailable')
  t.match(await collector.span(({ kind, parentSpanId }) => kind === CLIENT && parentSpanId === failed.spanId), {
    status: 2,
    attributes: { 'error.type': 'unavailable' }
  })
  t.equal((await service.get(`${EVENTS}?page_size=3`)).status, 502)
  t.match(await collector.span(({ attributes, kind }) => kind === SERVER && attributes['error.type'] === '502'), {
    status: 2
  })
})

t.test('a poll belongs to no request in passthrough, although a request started the poller', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, AUTH_MODE: 'passthrough' })
  t.equal(
    (await service.get(EVENTS, {
      authorization: `UserKey ${service.sandbox.apiKey}`,
      traceparent: `00-${TRACE}-${PARENT}-01`
    })).status,
    200
  )
  t.not((await collector.span(({ name }) => name === 'poll')).traceId, TRACE)
})

t.test('the span of a stream ends when the stream has begun', async (t) => {
  const collector = await startCollector(t)
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint })
  service.sandbox.publish(item({ timestamp: ago(1000) }))
  await service.stream().untilEvents(1)
  const sse = openEventStream(`${service.url}${STREAM}`)
  t.teardown(() => sse.terminate())
  await sse.untilEvents(1)
  const statusOf = (attributes: Record<string, unknown>) => Number(attributes['http.response.status_code'])
  t.equal((await collector.span(({ attributes }) => statusOf(attributes) === 101)).name, `GET ${STREAM}`)
  t.equal(
    (await collector.span(({ attributes, name }) => statusOf(attributes) === 200 && name.endsWith('stream'))).name,
    `GET ${STREAM}`
  )
})

t.test('an unreachable collector delays nothing and is logged once', async (t) => {
  const service = await startService(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' })
  t.equal((await service.get(EVENTS)).status, 200)
  const lines = () => service.logs.filter(({ msg }) => /^span export failed/.test(String(msg)))
  await eventually('it is said', () => lines().length > 0)
  t.equal((await service.get(EVENTS)).status, 200)
  await service.close()
  t.equal(lines().length, 1)
})

t.test('without OTEL_EXPORTER_OTLP_ENDPOINT there are no traceparent headers and no trace ids in logs', async (t) => {
  const service = await startService(t)
  await service.get(EVENTS, { traceparent: `00-${TRACE}-${PARENT}-01` })
  t.ok(service.sandbox.requests.length > 0)
  t.ok(service.sandbox.requests.every(({ headers }) => headers.traceparent === undefined))
  t.ok(service.logs.every((line) => line.trace_id === undefined))
})
