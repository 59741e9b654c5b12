import { once } from 'node:events'
import t from 'tap'
import { numbers, series, streamContract } from '../contracts/stream.ts'
import { openEventStream } from '../support/event-stream.ts'
import { ago, evenDates, item, startService } from '../support/support.ts'
import { PATH, overEvents, overWebSocket } from '../support/transports.ts'

streamContract(t, 'a WebSocket', overWebSocket)
streamContract(t, 'an event stream', overEvents)

t.test('both transports send the same frames', async (t) => {
  const service = await startService(t, { HEARTBEAT_MS: '60000' })
  const [socket, events] = [overWebSocket(service), overEvents(service)]
  for (const stream of [socket, events]) await stream.until(({ type }) => type === 'hello')
  const dateOf = evenDates(1000, 1)
  service.sandbox.publish(
    series(100).map((n) => item({ n, resource_text: `é עברית ✅\u2028 ${n}`, timestamp: dateOf(n) }))
  )
  for (const stream of [socket, events]) await stream.untilEvents(100)
  t.same(events.frames.filter(({ type }) => type === 'event'), socket.frames.filter(({ type }) => type === 'event'))
  for (const stream of [socket, events]) stream.terminate()
})

t.test('event stream', async (t) => {
  const service = await startService(t)
  await service.settled()
  const open = (query = '', headers: Record<string, string> = {}) => {
    const stream = openEventStream(`${service.url}${PATH}${query}`, headers)
    t.teardown(stream.terminate)
    return stream
  }

  t.test('an event stream has its media type, headers against caching and buffering, and common headers', async (t) => {
    const { status, headers } = await open('', { 'x-request-id': 'me-1' }).opened
    t.equal(status, 200)
    t.match(headers, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store, no-transform',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'x-request-id': 'me-1'
    })
  })

  t.test('an event stream is sent if Accept admits it', async (t) => {
    for (
      const accept of [undefined, '*/*', 'text/event-stream', 'text/*', 'application/json, text/event-stream;q=0.5']
    ) {
      const { status } = await open('', accept === undefined ? {} : { accept }).opened
      t.equal(status, 200, accept ?? 'nothing said')
    }
    for (const accept of ['application/json', 'text/html', 'text/event-stream;q=0']) {
      const stream = open('', { accept })
      const { headers, status } = await stream.opened
      t.equal(status, 406, accept)
      t.match(headers['content-type'], /^application\/problem\+json/)
      t.match(await stream.body, { code: 'not-acceptable', status: 406 })
    }
  })

  t.test('an event stream names each frame and its cursor, and the retry', async (t) => {
    const stream = open('?verbose=true')
    service.sandbox.publish(item())
    await stream.until(({ type }) => type === 'event')
    await stream.until(({ type }) => type === 'status')
    t.same(stream.dispatched.map(({ type }) => type), stream.frames.map(({ type }) => type))
    let last = ''
    stream.frames.forEach((frame, index) => {
      last = 'cursor' in frame ? frame.cursor : last
      t.equal(stream.dispatched[index]?.lastEventId, last)
    })
    const retryMs = stream.retryMs() ?? 0
    t.ok(retryMs >= 1000 && retryMs <= 5000)
  })

  t.test('an event stream resumes after Last-Event-ID, whatever the parameters', async (t) => {
    const first = open('?text=resumable')
    await first.until(({ type }) => type === 'hello')
    const dateOf = evenDates(100, 1)
    service.sandbox.publish(series(3).map((n) => item({ n, resource_text: 'resumable', timestamp: dateOf(n) })))
    await first.untilEvents(3)
    const cursors = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : [])
    for (
      const query of [
        '',
        '&start_time=-1h',
        `&since=${cursors[2]}`,
        `&since=${cursors[2]}&start_time=-1h`,
        '&since=junk'
      ]
    ) {
      const stream = open(`?text=resumable${query}`, { 'last-event-id': cursors[0] ?? '' })
      await stream.untilEvents(2)
      t.same(numbers(stream), [1, 2], query)
    }
    const since = open(`?text=resumable&since=${cursors[1]}`, { 'last-event-id': '' })
    await since.untilEvents(1)
    t.same(numbers(since), [2], 'an empty one is none')
  })

  t.test('an invalid event stream request is refused before the stream begins', async (t) => {
    for (const [query, headers, code] of [
      ['?since=junk', {}, 'invalid-cursor'],
      ['', { 'last-event-id': 'junk' }, 'invalid-cursor'],
      ['?page=1', {}, 'invalid-parameter'],
      ['?start_time=yesterday', {}, 'invalid-time'],
      ['?since=junk&start_time=-1h', {}, 'invalid-parameter']
    ] as const) {
      const stream = open(query, headers)
      t.equal((await stream.opened).status, 400, query)
      t.equal((await stream.body).code, code)
    }
  })

  t.test('an event of a stream is one event, whatever its text contains', async (t) => {
    const text = 'x\n\nevent: gap\ndata: {}\r\rid: 1\u2028\u2029\u0085:'
    const stream = open('?category_name=injection')
    await stream.until(({ type }) => type === 'hello')
    service.sandbox.publish(
      item({ category_name: 'injection', resource_text: text, timestamp: ago(10) }),
      item({ category_name: 'injection' })
    )
    await stream.untilEvents(2)
    t.equal(stream.events()[0]?.resource_text, text)
    t.same(stream.dispatched.map(({ type }) => type), stream.frames.map(({ type }) => type))
    t.notOk(stream.frames.some(({ type }) => type === 'gap'))
  })
})

t.test('a misbehaving WebSocket is closed with the close code', async (t) => {
  const service = await startService(t)
  const connect = async () => {
    const stream = service.stream()
    await stream.until(({ type }) => type === 'hello')
    return stream
  }
  const neighbour = await connect()

  const flooding = await connect()
  for (let n = 0; n < 1000; n++) flooding.socket.ping()
  t.equal((await flooding.closed).code, 4429, 'pings without end')

  const crumbling = await connect()
  for (let n = 0; n < 100; n++) crumbling.socket.send('', { fin: false })
  t.equal((await crumbling.closed).code, 1008, 'fragments without end')

  const patient = await connect()
  for (let n = 0; n < 20; n++) {
    patient.socket.ping()
    await once(patient.socket, 'pong')
  }
  service.sandbox.publish(item())
  for (const stream of [neighbour, patient]) await stream.untilEvents(1)
  t.pass('the others are well')
})
