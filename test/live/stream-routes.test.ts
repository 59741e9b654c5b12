import { once } from 'node:events'
import t from 'tap'
import {
  burst,
  cursorOf,
  following,
  isEvent,
  isHello,
  lastEvent,
  numbers,
  series,
  type Item
} from '../support/listening.ts'
import { ago, evenDates, eventually, item, openStream, startService, startUpstream } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'

t.test('stream', async (t) => {
  t.test('a stream sends hello first, then each new event once, with a cursor', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    const [hello] = stream.frames
    t.match(hello, { type: 'hello', cursor: /./, resumed: false, heartbeat_seconds: 20 })
    service.sandbox.publish(burst(3))
    await stream.untilEvents(3)
    service.sandbox.publish(burst(2, 3))
    await stream.untilEvents(5)
    t.same(numbers(stream), series(5))
    t.equal(new Set(stream.frames.map((frame) => cursorOf(frame))).size, 6)
    const listed = (await service.json(`${EVENTS}?sort_direction=asc`)).items
    t.same(stream.events(), listed, 'the same events, with the same ids, as in the list')
  })

  t.test('a stream begins five minutes ago by default', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(
      item({ n: 1, timestamp: ago(6 * 60_000) }),
      item({ n: 2, timestamp: ago(4 * 60_000) }),
      item({ n: 3 })
    )
    const stream = service.stream()
    await stream.untilEvents(2)
    service.sandbox.publish(item({ n: 4 }))
    await stream.untilEvents(3)
    t.same(numbers(stream), [2, 3, 4])
  })

  t.test('a stream sends only events that match its filter', async (t) => {
    const service = await startService(t)
    const searches: Record<string, number[]> = {
      'category_type=ai': [1],
      'category_name=other': [2],
      'resource_type=Run': [3],
      'action_type=execute': [4],
      'session_id=s-9': [5],
      'email=user9@acme.test': [9],
      'tool_name=kubectl_restart': [10],
      'status=failed': [6],
      'status=success': [1, 2, 3, 4, 5, 8, 9, 10],
      'text=%D7%A9%D7%9C%D7%95%D7%9D': [8],
      'category_type=ai&status=failed': []
    }
    const streams = await Promise.all(
      Object.keys(searches).map(async (search) => ({ search, stream: await following(service, `?${search}`) }))
    )
    const all = await following(service)
    const now = Date.now()
    const fields: Item[] = [
      { category_type: 'ai' },
      { category_name: 'other' },
      { resource_type: 'Run' },
      { action_type: 'execute' },
      { extra: { session_id: 's-9' } },
      { action_successful: false },
      { action_successful: null },
      { resource_text: 'אמר שלום' },
      { email: 'user9@acme.test' },
      { extra: { tool_name: 'kubectl_restart' } }
    ]
    service.sandbox.publish(
      fields.map((each, index) => item({ n: index + 1, timestamp: new Date(now + index).toISOString(), ...each }))
    )
    service.sandbox.publish(
      item({
        n: 99,
        category_type: 'ai',
        category_name: 'other',
        resource_type: 'Run',
        action_type: 'execute',
        extra: { session_id: 's-9', tool_name: 'kubectl_restart' },
        email: 'user9@acme.test',
        action_successful: false,
        timestamp: new Date(now + 50).toISOString(),
        resource_text: 'שלום'
      })
    )
    await all.untilEvents(11)
    for (const { search, stream } of streams) {
      const wanted = search === 'status=success' ? searches[search] ?? [] : [...searches[search] ?? [], 99]
      await stream.untilEvents(wanted.length)
      t.same(numbers(stream), wanted, search)
    }
  })

  t.test('a stream accepts its subprotocol, or none', async (t) => {
    const service = await startService(t)
    const spoken = service.stream('', ['other.v2', 'kubiya-audit.v1'])
    await spoken.until(isHello)
    t.equal(spoken.socket.protocol, 'kubiya-audit.v1')
    const silent = await following(service)
    t.equal(silent.socket.protocol, '')
  })

  t.test('a stream ends with an end frame after its timeout', async (t) => {
    const service = await startService(t)
    const stream = service.stream('?timeout_minutes=0.005')
    t.same(await stream.closed, { code: 1000, reason: 'timeout' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'timeout', reconnect: false, cursor: /./ })
  })

  t.test('a stream ends at STREAM_MAX_AGE_MS, and may reconnect', async (t) => {
    const service = await startService(t, { STREAM_MAX_AGE_MS: '300' })
    const stream = service.stream()
    t.same(await stream.closed, { code: 1001, reason: 'max-age' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'max-age', reconnect: true, cursor: /./ })
  })

  t.test('a verbose stream sends a status after each poll, and others do not', async (t) => {
    const service = await startService(t)
    const [verbose, plain] = [await following(service, '?verbose=true'), await following(service)]
    let count = 0
    await verbose.until((frame) => frame.type === 'status' && ++count === 5)
    t.match(verbose.frames.find(({ type }) => type === 'status'), {
      upstream: 'ok',
      since: /^\d{4}-.*Z$/,
      lag_ms: Number
    })
    t.notOk(plain.frames.some(({ type }) => type === 'status'))
  })

  t.test('a heartbeat has a cursor after the events that the filter skipped', async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '100' })
    const [quiet, all] = [await following(service, '?category_type=never'), await following(service)]
    t.match(await quiet.until(({ type }) => type === 'heartbeat'), { cursor: /./, upstream: 'ok', lag_ms: Number })
    await service.settled()
    const early = quiet.frames.length
    service.sandbox.publish(burst(10))
    await all.untilEvents(10)
    const passed = quiet.frames.length
    await quiet.until((frame) => frame.type === 'heartbeat' && quiet.frames.indexOf(frame) > passed)
    const [before, after] = [quiet.frames[early - 1], quiet.frames.at(-1)]
    t.not(cursorOf(before), cursorOf(after))
    t.match(quiet.frames[0], { heartbeat_seconds: 0.1 })
    const resumed = await following(service, `?since=${cursorOf(after)}`)
    service.sandbox.publish(item({ n: 777 }))
    await resumed.untilEvents(1)
    t.same(numbers(resumed), [777], 'nothing of what was skipped comes again')
  })

  t.test('a stream closes on a client message, or on one that is too large', async (t) => {
    const service = await startService(t)
    const [talker, shouter, neighbour] = [await following(service), await following(service), await following(service)]
    talker.socket.send('hello')
    t.same(await talker.closed, { code: 4400, reason: 'clients send no messages' })
    shouter.socket.send('x'.repeat(65_537))
    t.equal((await shouter.closed).code, 1009)
    neighbour.socket.ping()
    await once(neighbour.socket, 'pong')
    service.sandbox.publish(item({ n: 1 }))
    await neighbour.untilEvents(1)
  })

  t.test('an invalid stream request is refused before the upgrade', async (t) => {
    const service = await startService(t)
    await service.settled()
    const cursor = (await service.json(EVENTS)).live_cursor
    const page = await (async () => {
      service.sandbox.publish(burst(3))
      return (await service.json(`${EVENTS}?page_size=1`)).pagination.next.split('=')[1]
    })()
    const wide = ['action_type', 'category_name', 'category_type', 'email', 'resource_type', 'tool_name']
    const wideValue = encodeURIComponent('語'.repeat(256)) // 768 bytes; six of them exceed 4 096 as JSON.
    const cases: Array<[string, string, string[]]> = [
      ['?nonsense=1&status=x', 'invalid-parameter', ['nonsense', 'status']],
      ['?token=x', 'invalid-parameter', ['token']],
      ['?access_token=x', 'invalid-parameter', ['access_token']],
      ['?text=', 'invalid-parameter', ['text']],
      ['?timeout_minutes=0', 'invalid-parameter', ['timeout_minutes']],
      ['?timeout_minutes=soon', 'invalid-parameter', ['timeout_minutes']],
      ['?verbose=maybe', 'invalid-parameter', ['verbose']],
      ['?end_time=now', 'invalid-parameter', ['end_time']],
      ['?page=1', 'invalid-parameter', ['page']],
      [`?${wide.map((name) => `${name}=${wideValue}`).join('&')}`, 'invalid-parameter', wide],
      ['?start_time=soon', 'invalid-time', ['start_time']],
      [`?since=${cursor}&start_time=-1h`, 'invalid-parameter', ['since']],
      ['?since=made-up', 'invalid-cursor', ['since']],
      [`?since=${cursor.slice(0, -1)}`, 'invalid-cursor', ['since']],
      [`?since=${page}`, 'invalid-cursor', ['since']]
    ]
    for (const [search, code, parameters] of cases) {
      const { status, headers, body } = await service.stream(search).refused
      t.equal(status, 400, search)
      t.equal(headers['content-type'], 'application/problem+json; charset=utf-8')
      t.match(body, { code, status: 400, request_id: headers['x-request-id'] }, search)
      t.same(body.errors?.map(({ parameter }) => parameter).sort(), parameters, search)
    }
    const plain = await service.get('/api/v1/audit/stream', { accept: 'application/json' })
    t.equal(plain.status, 406)
  })

  t.test('a stream is refused over the limit, until another one ends', async (t) => {
    const service = await startService(t, { MAX_SUBSCRIBERS: '2' })
    const [first] = [await following(service), await following(service)]
    const { status, headers, body } = await service.stream().refused
    t.equal(status, 503)
    t.equal(body.code, 'overloaded')
    t.ok(Number(headers['retry-after']) >= 1)
    t.equal((await service.get('/livez')).status, 200)
    first.socket.close()
    await first.closed
    await eventually('a place is free', async () => await service.subscribers() === 1)
    await following(service)
  })
})

t.test('replay', async (t) => {
  for (const [where, agoMs] of [['the log', 4 * 60_000], ['Kubiya, older than the log', 3 * 3_600_000]] as const) {
    t.test(`a replay from ${where} joins the live log without loss or duplicates at high speed`, async (t) => {
      const service = await startService(t, {}, { pageCap: 100 })
      const start = ago(agoMs)
      const dateOf = evenDates(agoMs - 1000, 350)
      const past = series(300).map((n) => item({ n, timestamp: dateOf(n) }))
      service.sandbox.publish(past)
      let n = 300
      const timer = setInterval(() => {
        service.sandbox.publish(series(3).map(() => item({ n: n++, timestamp: ago(0) })))
      }, 3)
      t.teardown(() => clearInterval(timer))
      await eventually('some have come', () => n > 400)
      const streams = [service.stream(`?start_time=${start}`), service.stream(`?start_time=${start}`)]
      const later = service.stream(`?start_time=${start}`)
      await streams[0]?.untilEvents(600)
      clearInterval(timer)
      for (const stream of [...streams, later]) {
        await stream.untilEvents(n)
        t.same(numbers(stream).toSorted((a, b) => a - b), series(n))
        t.ok(stream.frames.every(({ type }) => type !== 'gap'))
      }
      service.sandbox.publish(item({ n }))
      await later.untilEvents(n + 1)
      t.equal(later.events().length, n + 1, 'and nothing more')
    })
  }

  t.test('a replay is in the order of instants', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const base = Date.now() - 3_600_000
    const past = series(300).map((n) => item({ n, timestamp: new Date(base + n * 100).toISOString() }))
    service.sandbox.publish(past.toSorted((a, b) => Number(a.n) % 7 - Number(b.n) % 7))
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(300)
    t.same(numbers(stream), series(300))
  })

  t.test('a replay delivers exact duplicates twice, and not again live', async (t) => {
    const service = await startService(t)
    const twin = item({ n: 1, timestamp: ago(3_600_000) })
    service.sandbox.publish(twin, twin)
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(2)
    const live = item({ n: 2 })
    service.sandbox.publish(
      live,
      live,
      item({ n: 3, email: 'a@acme.test', timestamp: live.timestamp, resource_text: 'same' }),
      item({ n: 3, email: 'b@acme.test', timestamp: live.timestamp, resource_text: 'same' })
    )
    await stream.untilEvents(6)
    service.sandbox.publish(item({ n: 4 }))
    await stream.untilEvents(7)
    t.same(numbers(stream).sort(), [1, 1, 2, 2, 3, 3, 4])
    t.equal(new Set(stream.events().map(({ id }) => id)).size, 7)
  })

  t.test('a replay stops at its limit with one gap, which a list can read, and continues live', async (t) => {
    const service = await startService(t, { REPLAY_LIMIT: '100' }, { pageCap: 50 })
    const dateOf = evenDates(3_600_000, 1000)
    service.sandbox.publish(series(400).map((n) => item({ n, timestamp: dateOf(n) })))
    const stream = service.stream('?start_time=-2h')
    const gap = await stream.until(({ type }) => type === 'gap')
    t.match(gap, { reason: 'replay-limit', from: /Z$/, to: /Z$/, cursor: /./ })
    service.sandbox.publish(item({ n: 1000 }))
    await stream.untilEvents(101)
    t.same(numbers(stream), [...series(100), 1000])
    t.equal(stream.frames.filter(({ type }) => type === 'gap').length, 1)
    if (gap.type !== 'gap') return
    const missing = await service.json(
      `${EVENTS}?start_time=${gap.from}&end_time=${gap.to}&limit=1000&sort_direction=asc`
    )
    const listed = missing.items.map(({ n }: Item) => n)
    t.ok(series(300, 100).every((n) => listed.includes(n)), 'the gap\'s window holds all that is missing')
  })

  for (const ignore of [[], ['sort', 'bounds']] as const) {
    t.test(`a cut replay accounts for all, if Kubiya ignores ${ignore.join(' and ') || 'nothing'}`, async (t) => {
      const service = await startService(t, { REPLAY_LIMIT: '100' }, { pageCap: 50, ignore: new Set(ignore) })
      const past = new Map(series(400).map((n) => [n, Date.now() - 3_600_000 + n * 1000]))
      service.sandbox.publish([...past].map(([n, ms]) => item({ n, timestamp: new Date(ms).toISOString() })))
      const stream = service.stream('?start_time=-2h')
      const gap = await stream.until(({ type }) => type === 'gap')
      if (gap.type !== 'gap') return t.fail('no gap came')
      const given = numbers(stream)
      t.ok(given.length > 0 && given.length <= 100, `${given.length} were given`)
      t.equal(new Set(given).size, given.length)
      const isMissing = (ms: number) => ms >= Date.parse(gap.from) && ms <= Date.parse(gap.to)
      t.same([...past].filter(([n, ms]) => !given.includes(n) && !isMissing(ms)).map(([n]) => n), [])
    })
  }

  t.test('a replay waits during an outage of Kubiya, and is delivered after it', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(item({ n: 1, timestamp: ago(3_600_000) }))
    const live = await following(service)
    await service.settled()
    const end = service.sandbox.faults.during({ kind: 'status', status: 500 })
    await live.until((frame) => frame.type === 'status' && frame.upstream === 'degraded')
    const stream = service.stream('?start_time=-2h')
    const frame = await stream.until(({ type }) => type === 'status')
    t.match(stream.frames[0], { type: 'hello', resumed: false })
    t.match(frame, { upstream: 'degraded' })
    end()
    await stream.untilEvents(1)
    t.same(numbers(stream), [1])
  })
})

t.test('resume', async (t) => {
  t.test('a resume with since continues exactly after the cursor', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    await service.settled()
    const behind = await following(service)
    service.sandbox.publish(burst(20))
    await stream.untilEvents(20)
    const frames = stream.frames.filter(isEvent)
    for (const index of [0, 7, 18, 19]) {
      const resumed = await following(service, `?since=${cursorOf(frames[index])}`)
      t.match(resumed.frames[0], { resumed: true, cursor: String })
      await resumed.untilEvents(19 - index)
      t.same(numbers(resumed), series(19 - index, index + 1))
    }
    service.sandbox.publish(item({ n: 20 }))
    const late = await following(service, `?since=${cursorOf(frames[19])}`)
    await late.untilEvents(1)
    t.same(numbers(late), [20])
    await behind.untilEvents(21)
  })

  t.test('a resume from the live_cursor of a list has no hole between page and stream', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '0' })
    const group = await following(service)
    let n = 0
    const timer = setInterval(() => service.sandbox.publish(item({ n: n++, timestamp: ago(0) })), 5)
    t.teardown(() => clearInterval(timer))
    for (let round = 0; round < 5; round++) {
      await group.untilEvents(group.events().length + 20)
      const page = await service.json(`${EVENTS}?limit=5000`)
      const stream = service.stream(`?since=${page.live_cursor}`)
      await stream.untilEvents(20)
      const seen = new Map([...page.items, ...stream.events()].map(({ id, n }: Item) => [id, n]))
      t.same([...seen.values()].sort((a, b) => a - b), series(seen.size), `round ${round}`)
    }
    clearInterval(timer)
  })

  t.test('a resume within a replay repeats nothing and omits nothing', async (t) => {
    const service = await startService(t)
    const dateOf = evenDates(3_600_000, 1000)
    service.sandbox.publish(series(50).map((n) => item({ n, timestamp: dateOf(n) })))
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(50)
    const middle = cursorOf(stream.frames.filter(isEvent)[19])
    const resumed = service.stream(`?since=${middle}`)
    service.sandbox.publish(item({ n: 50 }))
    await resumed.untilEvents(31)
    t.same(numbers(resumed), series(31, 20))
  })

  t.test('a resume after a restart loses nothing, and repeats have the same id', async (t) => {
    const sandbox = await startUpstream(t)
    const before = await startService(t, { LATENESS_MS: '5000' }, {}, sandbox)
    const stream = await following(before)
    const dateOf = evenDates(30_000, 1000)
    sandbox.publish(series(30).map((n) => item({ n, timestamp: dateOf(n) })))
    await stream.untilEvents(30)
    const cursor = cursorOf(lastEvent(stream))
    await before.close()
    sandbox.publish(burst(10, 30))
    const after = await startService(t, { LATENESS_MS: '5000' }, {}, sandbox)
    const resumed = after.stream(`?since=${cursor}`)
    await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 39)
    t.match(resumed.frames[0], { type: 'hello', resumed: false })
    const known = new Map(stream.events().map(({ id, n }) => [n, id]))
    const got = numbers(resumed)
    t.ok(series(10, 30).every((n) => got.filter((each) => each === n).length === 1), 'all that came meanwhile, once')
    t.ok(got.length < 25, 'not the whole past')
    t.ok(resumed.events().every(({ id, n }) => n >= 30 || known.get(n) === id), 'repeats bear the same id')
  })

  t.test('a resume from an evicted position replays from Kubiya', async (t) => {
    const service = await startService(t, { HISTORY_EVENTS: '10', LATENESS_MS: '1000' })
    const stream = await following(service)
    await service.settled()
    const dateOf = evenDates(20_000, 500)
    for (let n = 0; n < 40; n += 10) {
      service.sandbox.publish(series(10, n).map((each) => item({ n: each, timestamp: dateOf(each) })))
      await stream.untilEvents(n + 10)
    }
    const first = stream.frames.find(isEvent)
    const resumed = service.stream(`?since=${cursorOf(first)}`)
    await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 39)
    t.match(resumed.frames[0], { type: 'hello', resumed: false })
    const known = new Map(stream.events().map(({ id, n }) => [n, id]))
    t.same([...new Set(numbers(resumed).filter((n) => n > 0))].sort((a, b) => a - b), series(39, 1))
    t.ok(resumed.events().every(({ id, n }) => known.get(n) === id))
    t.equal(new Set(resumed.events().map(({ id }) => id)).size, resumed.events().length)
    service.sandbox.publish(item({ n: 40 }))
    await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 40)
  })

  t.test('a resume from inside a batch larger than the log loses nothing', async (t) => {
    const service = await startService(t, { HISTORY_EVENTS: '10', LATENESS_MS: '1000' })
    const stream = await following(service)
    await service.settled()
    const dateOf = evenDates(20_000, 500)
    service.sandbox.publish(series(40).map((n) => item({ n, timestamp: dateOf(n) })))
    await stream.untilEvents(40)
    t.same(numbers(stream), series(40))
    const resumed = service.stream(`?since=${cursorOf(stream.frames.find(isEvent))}`)
    await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 39)
    t.same(numbers(resumed).filter((n) => n > 0), series(39, 1))
    t.notOk(resumed.frames.some(({ type }) => type === 'gap'))
  })

  t.test('a cursor beyond the end of the log is refused', async (t) => {
    const sandbox = await startUpstream(t)
    const service = await startService(t, {}, {}, sandbox)
    const stream = await following(service)
    sandbox.publish(burst(3))
    await stream.untilEvents(3)
    const cursor = cursorOf(lastEvent(stream))
    const [version, content = '', sum] = cursor.split('.')
    const forged = `${version}.${content.replace(/.$/, (last) => last === 'A' ? 'B' : 'A')}.${sum}`
    t.equal((await service.stream(`?since=${forged}`).refused).body.code, 'invalid-cursor')
  })
})

t.test('a shutdown ends every stream with an end frame, a cursor and 1001', async (t) => {
  const sandbox = await startUpstream(t)
  const service = await startService(t, { DRAIN_MS: '300' }, {}, sandbox)
  const streams = await Promise.all(series(20).map(() => following(service)))
  sandbox.publish(item({ n: 1 }))
  await Promise.all(streams.map((stream) => stream.untilEvents(1)))
  await service.close()
  for (const stream of streams) {
    t.same(await stream.closed, { code: 1001, reason: 'shutdown' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'shutdown', reconnect: true, cursor: /./ })
  }
  const again = await startService(t, {}, {}, sandbox)
  const resumed = again.stream(`?since=${cursorOf(streams[0]?.frames.at(-1))}`)
  sandbox.publish(item({ n: 2 }))
  await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 2)
  t.pass('and the cursor is good for the next process')
})

t.test('an upgrade on an unknown path has the same 404 as a request', async (t) => {
  const service = await startService(t)
  const elsewhere = openStream(`${service.url.replace('http', 'ws')}/api/v1/audit/nowhere`)
  t.teardown(() => elsewhere.socket.terminate())
  const { status, headers, body } = await elsewhere.refused
  t.equal(status, 404)
  t.equal(body.code, 'not-found')
  t.equal(body.request_id, headers['x-request-id'])
})
