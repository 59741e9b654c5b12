import t from 'tap'
import WebSocket from 'ws'
import { socketAddress, streamAddress } from '../../src/client/url.ts'
import { backOffMs } from '../../src/client/back-off.ts'
import { isAuditStreamError, openAuditStream } from '../../src/client/client.ts'
import type { AuditStreamError } from '../../src/client/types.ts'
import { createSeenIds } from '../../src/client/seen-ids.ts'
import { QUICK, consume, numberOf } from './consumer.ts'
import { event, hello, say, startFake } from './fake.ts'
import { layWire } from './wire.ts'
import { ago, evenDates, eventually, item, startService, startUpstream, type Service } from '../support/support.ts'
import { series, burst } from './burst.ts'

const EVENTS = '/api/v1/audit/events'

function group (service: Service, count: number): Promise<void> {
  return eventually(`there are ${count} subscribers`, async () => await service.subscribers() === count)
}

function failureOf (error: unknown): AuditStreamError {
  if (!isAuditStreamError(error)) throw new Error('an AuditStreamError was expected', { cause: error })
  return error
}

t.test('client stream', async (t) => {
  t.test('a stream delivers each event once, the same as in the list, for a filter', async (t) => {
    const service = await startService(t)
    const consumer = consume(t, {
      url: service.url,
      filter: { category_type: 'agents', text: 'message' },
      startTime: '-15m'
    })
    service.sandbox.publish(burst(3), item({ category_type: 'ai' }))
    await consumer.untilEvents(3)
    service.sandbox.publish(item({ category_type: 'ai' }), burst(2, 3))
    await consumer.untilEvents(5)
    t.same(consumer.numbers(), series(5))
    t.same(consumer.events, (await service.json(`${EVENTS}?category_type=agents&sort_direction=asc`)).items)
    t.match(consumer.hellos, [{ type: 'hello', resumed: false, heartbeat_seconds: 20 }])
    t.same(consumer.losses, [])
  })

  t.test('a stream uses the WebSocket of its options', async (t) => {
    const service = await startService(t)
    const consumer = consume(t, { url: service.url, WebSocket })
    await group(service, 1)
    service.sandbox.publish(burst(2))
    await consumer.untilEvents(2)
    t.same(consumer.numbers(), series(2))
  })

  t.test('a stream sends no request before its first event is requested', async (t) => {
    const service = await startService(t)
    const wire = await layWire(t, service.url)
    const stream = openAuditStream({ ...QUICK, url: wire.url })
    await service.settled()
    t.equal(wire.connections(), 0)
    t.equal(stream.cursor, undefined)
    const first = stream.next()
    service.sandbox.publish(item({ n: 1 }))
    t.match(await first, { done: false, value: { n: 1 } })
    t.equal(wire.connections(), 1)
    await stream.return()
  })

  t.test('a stream continues after a list, without the listed events', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(burst(3))
    await service.settled()
    const page = await service.json(EVENTS)
    service.sandbox.publish(burst(2, 3))
    const consumer = consume(t, {
      url: service.url,
      since: page.live_cursor,
      known: page.items.map(({ id }: { id: string }) => id)
    })
    await consumer.untilEvents(2)
    t.same(consumer.numbers(), [3, 4])
  })

  t.test('a stream has a cursor after the last taken event, from which another stream continues', async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '50' })
    service.sandbox.publish(burst(3))
    let heartbeats = 0
    const stream = openAuditStream({ ...QUICK, url: service.url, onStatus: () => { heartbeats++ } })
    t.match(await stream.next(), { value: { n: 0 } })
    t.match(await stream.next(), { value: { n: 1 } })
    const { cursor } = stream
    const before = heartbeats
    await eventually('heartbeats bring cursors behind the third event', () => heartbeats > before + 1)
    t.equal(stream.cursor, cursor, 'the third has not been taken')
    await stream.return()
    const consumer = consume(t, { url: service.url, since: cursor })
    await consumer.untilEvents(1)
    t.same(consumer.numbers(), [2])
  })

  t.test('a stream updates its cursor if no event matches', async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '50' })
    const { stream } = consume(t, { url: service.url, filter: { text: 'nowhere to be found' } })
    await eventually('it is greeted', () => stream.cursor !== undefined)
    const { cursor } = stream
    service.sandbox.publish(burst(3))
    await eventually('a heartbeat brings another cursor', () => stream.cursor !== cursor)
  })

  t.test('a stream has the newest cursor before the first pending event', async (t) => {
    const heartbeat = (cursor: string) => ({ type: 'heartbeat', cursor, upstream: 'ok', lag_ms: 0 })
    const fake = await startFake(
      t,
      (socket) =>
        say(socket, hello('a'), event('1', 'b'), heartbeat('c'), event('2', 'd'), event('3', 'e'), heartbeat('f'))
    )
    let heartbeats = 0
    const stream = openAuditStream({ ...QUICK, url: fake.url, onStatus: () => { heartbeats++ } })
    t.teardown(() => stream.return())
    const cursors = []
    await stream.next()
    await eventually('all has come', () => heartbeats === 2)
    for (let taken = 1; taken < 4; taken++) {
      cursors.push(stream.cursor)
      if (taken < 3) await stream.next()
    }
    t.same(cursors, ['c', 'd', 'f'])
  })

  t.test('a stream answers simultaneous calls of next in order', async (t) => {
    const service = await startService(t)
    const stream = openAuditStream({ ...QUICK, url: service.url })
    const taken = [stream.next(), stream.next(), stream.next()]
    await group(service, 1)
    service.sandbox.publish(burst(2))
    t.match(await Promise.all(taken.slice(0, 2)), [{ value: { n: 0 } }, { value: { n: 1 } }])
    await stream.return()
    t.same(await taken[2], { done: true, value: undefined })
  })
})

t.test('lost connection', async (t) => {
  t.test('a stream reconnects and continues exactly, however often it is cut', async (t) => {
    const service = await startService(t)
    const wire = await layWire(t, service.url)
    const consumer = consume(t, { url: wire.url, remembered: 0 })
    for (const round of series(10)) {
      service.sandbox.publish(burst(50, 50 * round))
      await consumer.untilEvents(50 * round + 1)
      wire.cut()
    }
    await consumer.untilEvents(500)
    t.same(consumer.numbers(), series(500))
    t.ok(wire.connections() > 5, `${wire.connections()} connections`)
    t.ok(consumer.losses.every(({ reason, waitMs }) => reason === 'closed' && waitMs <= 50))
    t.ok(consumer.hellos.slice(1).every(({ resumed }) => resumed))
  })

  t.test('a stream delivers no event twice after a restart, but does without remembered ids', async (t) => {
    const sandbox = await startUpstream(t)
    const before = await startService(t, {}, {}, sandbox)
    const wire = await layWire(t, before.url)
    const [consumer, forgetful] = [consume(t, { url: wire.url }), consume(t, { url: wire.url, remembered: 0 })]
    await group(before, 2)
    sandbox.publish(burst(20))
    await Promise.all([consumer.untilEvents(20), forgetful.untilEvents(20)])
    await before.close()
    sandbox.publish(burst(20, 20))
    const after = await startService(t, {}, {}, sandbox)
    wire.lead(after.url)
    await consumer.untilEvents(40)
    sandbox.publish(burst(20, 40))
    await Promise.all([consumer.untilEvents(60), forgetful.untilEvents(61)])
    t.same(consumer.numbers(), series(60))
    t.same(new Set(forgetful.numbers()), new Set(series(60)))
    t.equal(consumer.losses[0]?.reason, 'shutdown')
    t.same(consumer.hellos.map(({ resumed }) => resumed).at(-1), false)
  })

  t.test('a stream reconnects after max-age', async (t) => {
    const service = await startService(t, { STREAM_MAX_AGE_MS: '100' })
    const consumer = consume(t, { url: service.url, remembered: 0 })
    for (const round of series(5)) {
      service.sandbox.publish(burst(10, 10 * round))
      await eventually('it comes back', () => consumer.losses.length > round)
    }
    await consumer.untilEvents(50)
    t.same(consumer.numbers(), series(50))
    t.ok(consumer.losses.every(({ reason }) => reason === 'max-age'))
  })

  t.test('a stream tries again if no service listens yet', async (t) => {
    const wire = await layWire(t, 'http://127.0.0.1:1')
    const consumer = consume(t, { url: wire.url })
    await eventually('some tries have failed', () => consumer.losses.length > 2)
    t.match(consumer.losses[0], { reason: 'failed', status: undefined })
    const service = await startService(t)
    service.sandbox.publish(item({ n: 1 }))
    wire.lead(service.url)
    await consumer.untilEvents(1)
    t.same(consumer.numbers(), [1])
  })

  t.test('a stream waits for retry_after if the service is full', async (t) => {
    const service = await startService(t, { MAX_SUBSCRIBERS: '0' })
    const consumer = consume(t, { url: service.url })
    await eventually('it was refused', () => consumer.losses.length === 1)
    const [{ reason, status, waitMs = 0 } = {}] = consumer.losses
    t.same({ reason, status }, { reason: 'failed', status: 503 })
    t.ok(waitMs >= 10_000 && waitMs <= 10_050, `${waitMs} ms`)
    await consumer.stream.return()
    t.equal(await consumer.ended, undefined)
  })

  t.test('a stream backs off from a service that sends hello, or more, and fails', async (t) => {
    const falls = (socket: { terminate (): void }) => socket.terminate()
    const fake = await startFake(t,
      ...series(8).map(() => (socket: Parameters<typeof say>[0]) => { say(socket, hello('c')); socket.close(1011) }),
      (socket) => { say(socket, hello('c'), event('a', 'd')); socket.close(1011) },
      falls)
    const bounds = { leastMs: 1, mostMs: 64 }
    const consumer = consume(t, { url: fake.url, backOff: bounds })
    await eventually('it came back', () => consumer.losses.length >= 10)
    const waits = consumer.losses.map(({ waitMs }) => waitMs)
    t.ok(waits.slice(0, 8).every((waitMs, attempt) => waitMs <= 2 ** attempt), waits.join(' '))
    t.ok(waits.slice(8, 10).every((waitMs) => waitMs >= 32), waits.join(' '))
    t.equal(consumer.losses[0]?.code, 1011)
    t.same(fake.asked.slice(0, 10).map((query) => query.get('since')), [null, ...Array(8).fill('c'), 'd'])
  })
})

t.test('slow consumer', async (t) => {
  t.test('a slow consumer holds at most maxPending events, and receives all', async (t) => {
    const service = await startService(t)
    const stream = openAuditStream({ ...QUICK, url: service.url, maxPending: 10, remembered: 0 })
    t.teardown(() => stream.return())
    const first = stream.next()
    await group(service, 1)
    service.sandbox.publish(burst(100))
    const taken = [await first]
    await group(service, 0)
    while (taken.length < 10) taken.push(await stream.next())
    t.equal(await service.subscribers(), 0, 'not before the last of them is taken')
    taken.push(await stream.next())
    await group(service, 0)
    while (taken.length < 100) taken.push(await stream.next())
    t.same(taken.map(({ value }) => value && numberOf(value)), series(100))
  })

  t.test('a slow consumer stays connected while it holds less', async (t) => {
    const service = await startService(t)
    const stream = openAuditStream({ ...QUICK, url: service.url })
    const first = stream.next()
    await group(service, 1)
    service.sandbox.publish(burst(100))
    await first
    const fence = consume(t, { url: service.url })
    await fence.untilEvents(100)
    t.equal(await service.subscribers(), 2)
    await stream.return()
  })
})

t.test('end of the stream', async (t) => {
  t.test('break ends the stream and closes the connection', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(burst(3))
    const stream = openAuditStream({ ...QUICK, url: service.url })
    for await (const event of stream) if (numberOf(event) === 1) break
    t.same(await stream.next(), { done: true, value: undefined })
    await group(service, 0)
  })

  t.test('abort ends the stream while an event is awaited', async (t) => {
    const service = await startService(t)
    const controller = new AbortController()
    const consumer = consume(t, { url: service.url, signal: controller.signal })
    await group(service, 1)
    controller.abort()
    t.equal(await consumer.ended, undefined)
    await group(service, 0)
  })

  t.test('an aborted signal ends the stream at once, without a request', async (t) => {
    const service = await startService(t)
    const wire = await layWire(t, service.url)
    t.equal(await consume(t, { url: wire.url, signal: AbortSignal.abort() }).ended, undefined)
    t.equal(wire.connections(), 0)
  })

  t.test('abort drops pending events', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(burst(3))
    const controller = new AbortController()
    const stream = openAuditStream({ ...QUICK, url: service.url, signal: controller.signal })
    t.match(await stream.next(), { value: { n: 0 } })
    controller.abort()
    t.same(await stream.next(), { done: true, value: undefined })
  })

  t.test('abort ends the stream during a back-off', async (t) => {
    const controller = new AbortController()
    const wire = await layWire(t, 'http://127.0.0.1:1')
    const consumer = consume(t, {
      url: wire.url,
      signal: controller.signal,
      backOff: { leastMs: 1e9, mostMs: 1e9 },
      onReconnect: () => controller.abort()
    })
    t.equal(await consumer.ended, undefined)
  })

  t.test('an end frame without reconnect ends the stream after its events', async (t) => {
    const fake = await startFake(t, (socket) => {
      say(socket, hello('a'), event('1', 'b'), event('2', 'c'), {
        type: 'end',
        reason: 'timeout',
        reconnect: false,
        cursor: 'd'
      })
      socket.close(1000)
    })
    const consumer = consume(t, { url: fake.url })
    t.equal(await consumer.ended, undefined)
    t.same(consumer.events, [{ id: '1' }, { id: '2' }])
    t.equal(consumer.stream.cursor, 'd')
    t.equal(fake.asked.length, 1)
  })

  t.test('an end frame with reconnect does not end the stream', async (t) => {
    const fake = await startFake(t, (socket) => {
      say(socket, hello('a'), event('1', 'b'), { type: 'end', reason: 'slow', reconnect: true, cursor: 'c' })
      socket.close(4408)
    }, (socket) => say(socket, hello('c'), event('2', 'd')))
    const consumer = consume(t, { url: fake.url })
    await consumer.untilEvents(2)
    t.match(consumer.losses, [{ reason: 'slow' }])
    t.equal(fake.asked[1]?.get('since'), 'c')
  })
})

t.test('final errors', async (t) => {
  t.test('an invalid parameter is thrown, with the whole problem', async (t) => {
    const service = await startService(t)
    const consumer = consume(t, {
      url: service.url,
      filter: { status: 'odd' as 'failed' },
      startTime: '-15m',
      since: ''
    })
    const failure = failureOf(await consumer.ended)
    t.match(failure, { name: 'AuditStreamError', code: 'invalid-parameter', status: 400, problem: { request_id: /./ } })
    t.equal(failure.message, failure.detail)
    t.same(failure.problem?.errors?.map(({ parameter }) => parameter), ['status', 'since'])
    t.same(await consumer.stream.next(), { done: true, value: undefined }, 'once')
    t.same(consumer.losses, [])
  })

  t.test('an invalid time, an invalid cursor and an unknown route are thrown', async (t) => {
    const service = await startService(t)
    t.match(failureOf(await consume(t, { url: service.url, startTime: 'yesterday' }).ended), {
      code: 'invalid-time',
      status: 400
    })
    t.match(failureOf(await consume(t, { url: service.url, since: '1.made-up' }).ended), {
      code: 'invalid-cursor',
      status: 400
    })
    t.match(failureOf(await consume(t, { url: `${service.url}/elsewhere/` }).ended), { code: 'not-found', status: 404 })
  })

  t.test('a cursor that the service no longer accepts is thrown, after the earlier events', async (t) => {
    const service = await startService(t)
    const fake = await startFake(t, (socket) => { say(socket, hello('1.old'), event('1', '1.older')); socket.close() })
    const wire = await layWire(t, fake.url)
    const stream = openAuditStream({ ...QUICK, url: wire.url, onReconnect: () => wire.lead(service.url) })
    const first = await stream.next()
    t.same(first.value, { id: '1' })
    t.match(failureOf(await stream.next().catch((error: unknown) => error)), { code: 'invalid-cursor' })
  })

  t.test('unauthorized and forbidden are thrown, also during a stream', async (t) => {
    const told = await startFake(t, (socket) => {
      say(socket, hello('a'), { type: 'end', reason: 'unauthorized', reconnect: true, cursor: 'a' })
      socket.close(4401)
    })
    t.match(failureOf(await consume(t, { url: told.url }).ended), {
      code: 'unauthorized',
      status: undefined,
      problem: undefined
    })
    const cut = await startFake(t, (socket) => socket.close(4401))
    t.match(failureOf(await consume(t, { url: cut.url }).ended), { code: 'unauthorized' })
  })

  t.test('a message that is not a frame is thrown as invalid-frame', async (t) => {
    const fake = await startFake(t, (socket) => socket.send('hello, world'))
    t.match(failureOf(await consume(t, { url: fake.url }).ended), { code: 'invalid-frame' })
  })

  t.test('an error of a hook is thrown', async (t) => {
    const service = await startService(t)
    const thrown = new Error('of the hook')
    t.equal(await consume(t, { url: service.url, onHello: () => { throw thrown } }).ended, thrown)
    await group(service, 0)
  })

  t.test('an answer of another server is not thrown', async (t) => {
    const answers = [
      new Response('<h1>404</h1>', { status: 404, headers: { 'content-type': 'text/html' } }),
      new Response('{', { headers: { 'content-type': 'application/problem+json' } })
    ]
    const wire = await layWire(t, 'http://127.0.0.1:1')
    const consumer = consume(t, { url: wire.url, fetch: async () => answers.shift() ?? Response.error() })
    await eventually('it tries on', () => consumer.losses.length > 3)
    t.same(consumer.losses.slice(0, 3).map(({ status }) => status), [404, undefined, 0])
  })

  t.test('an invalid URL and a missing WebSocket are thrown at once', async (t) => {
    t.throws(() => openAuditStream({ ...QUICK, url: 'nowhere' }), TypeError)
    t.throws(() => openAuditStream({ ...QUICK, url: '/' }), TypeError, 'relative to nothing')
    if (!('WebSocket' in globalThis)) { t.throws(() => openAuditStream({ url: 'http://127.0.0.1' }), /set the option `WebSocket`/) }
    const refusing = class {
      constructor () {
        throw new Error('not here')
      }
    } as never
    t.match(await consume(t, { url: 'http://127.0.0.1', WebSocket: refusing }).ended, { message: 'not here' })
  })
})

t.test('hooks', async (t) => {
  t.test('onGap reports missing events', async (t) => {
    const service = await startService(t, { REPLAY_LIMIT: '5' })
    const dateOf = evenDates(3_600_000, 60_000)
    service.sandbox.publish(series(20).map((n) => item({ n, timestamp: dateOf(n) })))
    const consumer = consume(t, { url: service.url, startTime: '-2h' })
    await eventually('a gap is told', () => consumer.gaps.length === 1)
    t.match(consumer.gaps, [{ type: 'gap', reason: 'replay-limit', from: /Z$/, to: /Z$/ }])
    await consumer.untilEvents(5)
    t.same(consumer.numbers(), series(5))
  })

  t.test('onStatus reports the state, and by heartbeats what changed during a lost connection', async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '50' })
    const wire = await layWire(t, service.url)
    const consumer = consume(t, { url: wire.url })
    const fares = () => consumer.statuses.at(-1)?.upstream
    await eventually('it is well', () => fares() === 'ok')
    const end = service.sandbox.faults.during({ kind: 'status', status: 401 })
    await eventually('it is told of the key', () => fares() === 'unauthorized')
    end()
    t.ok(consumer.statuses.some(({ type }) => type === 'status'))
    t.ok(consumer.statuses.some(({ type }) => type === 'heartbeat'))
  })

  t.test('onStatus reports each poll with verbose', async (t) => {
    const service = await startService(t)
    const consumer = consume(t, { url: service.url, verbose: true })
    await eventually('polls are told', () => consumer.statuses.length > 3)
    t.ok(consumer.statuses.every(({ type }) => type === 'status'))
  })

  t.test('hooks ignore unknown frames', async (t) => {
    const fake = await startFake(t, (socket) => {
      say(socket, hello('a'), { type: 'expiring', at: ago(0) }, { type: 'news', cursor: 'b' }, event('1', 'c'), {
        type: 'news',
        cursor: 'd'
      })
      socket.close()
    }, (socket) => say(socket, hello('d'), event('2', 'e')))
    const consumer = consume(t, { url: fake.url })
    await consumer.untilEvents(2)
    t.same([consumer.gaps, consumer.statuses], [[], []])
    t.equal(fake.asked[1]?.get('since'), 'd', 'but their cursor counts')
  })
})

t.test('backOffMs doubles up to its bound, with jitter', async (t) => {
  const bounds = { leastMs: 250, mostMs: 30_000 }
  t.same(series(10).map((attempt) => backOffMs(attempt, bounds, () => 1)), [
    250,
    500,
    1000,
    2000,
    4000,
    8000,
    16_000,
    30_000,
    30_000,
    30_000
  ])
  t.same([0, 0.5].map((random) => backOffMs(2, bounds, () => random)), [0, 500])
  t.same(
    [3, 4, 9].map((attempt) => backOffMs(attempt, bounds, () => 0)),
    [1000, 2000, 15_000],
    'at least half from the fourth on'
  )
  t.equal(backOffMs(5000, bounds, () => 1), 30_000)
  t.equal(backOffMs(5000, { leastMs: 0, mostMs: 50 }, () => 1), 0)
  t.equal(backOffMs(40, { leastMs: 1e9, mostMs: 1e12 }, () => 1), 2 ** 31 - 1, 'no timer is longer')
})

t.test('seen ids are at least as many as set, and at most twice as many', async (t) => {
  const isNew = createSeenIds(100, ['known'])
  t.notOk(isNew('known'))
  for (const n of series(1000)) {
    t.ok(isNew(`id ${n}`) && !isNew(`id ${n}`) && !isNew(`id ${Math.max(0, n - 99)}`), `id ${n}`)
  }
  t.ok(isNew('id 700'), 'is long forgotten')
  const forgets = createSeenIds(0, [])
  t.ok(forgets('id') && forgets('id'))
})

t.test('streamAddress has the filter and the start, or a cursor instead of the start', async (t) => {
  const options = {
    url: 'https://example.com/tools/audit/?x#y',
    filter: { text: 'a&b=é', status: 'failed' as const },
    startTime: '-15m',
    verbose: true
  }
  t.equal(
    String(streamAddress(options, undefined)),
    'https://example.com/tools/audit/api/v1/audit/stream?text=a%26b%3D%C3%A9&status=failed&start_time=-15m&verbose=true'
  )
  t.equal(
    String(streamAddress(options, '1.c')),
    'https://example.com/tools/audit/api/v1/audit/stream?text=a%26b%3D%C3%A9&status=failed&since=1.c&verbose=true'
  )
  t.equal(
    String(streamAddress({ url: new URL('wss://example.com:8443') }, undefined)),
    'https://example.com:8443/api/v1/audit/stream'
  )
  t.equal(
    socketAddress(streamAddress({ url: 'http://http.example' }, undefined)),
    'ws://http.example/api/v1/audit/stream'
  )
})
