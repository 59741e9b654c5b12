import { once } from 'node:events'
import t from 'tap'
import type { Frame } from '../src/live/frames.ts'
import type { Asked, Fault } from '../src/sandbox/sandbox.ts'
import { ago, eventually, item, openStream, startService, startUpstream, type Service, type Stream } from './support.ts'

type Item = Record<string, any>

const EVENTS = '/api/v1/audit/events'
const isEvent = (frame: Frame) => frame.type === 'event'
const isHello = (frame: Frame) => frame.type === 'hello'

function numbers (stream: Stream): number[] {
  return stream.events().map(({ n }) => n)
}

function series (count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

/** Items n, n + 1 …, a millisecond apart, the last of them now. */
function burst (count: number, from = 0, fields: Item = {}): Item[] {
  const nowMs = Date.now()
  return series(count).map((index) => item({ n: from + index, timestamp: new Date(nowMs - count + 1 + index).toISOString(), ...fields }))
}

function cursorOf (frame: Frame | undefined): string {
  if (frame === undefined || !('cursor' in frame)) throw new Error('a frame with a cursor was expected')
  return frame.cursor
}

/** The number of each event, and whether it was called late. */
function lateness (stream: Stream): unknown[] {
  return stream.frames.flatMap((frame) => frame.type === 'event' ? [[(frame.event as Item).n, frame.late]] : [])
}

function lastEvent (stream: Stream): Frame | undefined {
  return stream.frames.findLast(isEvent)
}

/** What the poller and replays asked: oldest first. */
function polls (requests: readonly Asked[]): Asked[] {
  return requests.filter(({ query }) => (query.sort as Item | undefined)?.timestamp === 1)
}

async function following (service: Service, search = ''): Promise<Stream> {
  const stream = service.stream(search)
  await stream.until(isHello)
  return stream
}

t.test('a stream', async (t) => {
  t.test('says hello first, then gives each new event once, with a cursor', async (t) => {
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

  t.test('begins five minutes ago by default', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(item({ n: 1, timestamp: ago(6 * 60_000) }), item({ n: 2, timestamp: ago(4 * 60_000) }), item({ n: 3 }))
    const stream = service.stream()
    await stream.untilEvents(2)
    service.sandbox.publish(item({ n: 4 }))
    await stream.untilEvents(3)
    t.same(numbers(stream), [2, 3, 4])
  })

  t.test('gives only what its filter lets through, each filter its own', async (t) => {
    const service = await startService(t)
    const searches: Record<string, number[]> = {
      'category_type=ai': [1],
      'category_name=other': [2],
      'resource_type=Run': [3],
      'action_type=execute': [4],
      'session_id=s-9': [5],
      'status=failed': [6],
      'status=success': [1, 2, 3, 4, 5, 8],
      'text=%D7%A9%D7%9C%D7%95%D7%9D': [8],
      'category_type=ai&status=failed': []
    }
    const streams = await Promise.all(Object.keys(searches).map(async (search) => ({ search, stream: await following(service, `?${search}`) })))
    const all = await following(service)
    const now = Date.now()
    const fields: Item[] = [{ category_type: 'ai' }, { category_name: 'other' }, { resource_type: 'Run' }, { action_type: 'execute' }, { extra: { session_id: 's-9' } }, { action_successful: false }, { action_successful: null }, { resource_text: 'אמר שלום' }]
    service.sandbox.publish(fields.map((each, index) => item({ n: index + 1, timestamp: new Date(now + index).toISOString(), ...each })))
    service.sandbox.publish(item({ n: 99, category_type: 'ai', category_name: 'other', resource_type: 'Run', action_type: 'execute', extra: { session_id: 's-9' }, action_successful: false, timestamp: new Date(now + 50).toISOString(), resource_text: 'שלום' }))
    await all.untilEvents(9)
    for (const { search, stream } of streams) {
      const wanted = search === 'status=success' ? searches[search] ?? [] : [...searches[search] ?? [], 99]
      await stream.untilEvents(wanted.length)
      t.same(numbers(stream), wanted, search)
    }
  })

  t.test('speaks its subprotocol, or none', async (t) => {
    const service = await startService(t)
    const spoken = service.stream('', ['other.v2', 'kubiya-audit.v1'])
    await spoken.until(isHello)
    t.equal(spoken.socket.protocol, 'kubiya-audit.v1')
    const silent = await following(service)
    t.equal(silent.socket.protocol, '')
  })

  t.test('ends with a word after its timeout', async (t) => {
    const service = await startService(t)
    const stream = service.stream('?timeout_minutes=0.005')
    t.same(await stream.closed, { code: 1000, reason: 'timeout' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'timeout', may_return: false, cursor: /./ })
  })

  t.test('ends at the greatest age, to come back', async (t) => {
    const service = await startService(t, { STREAM_MAX_AGE_MS: '300' })
    const stream = service.stream()
    t.same(await stream.closed, { code: 1001, reason: 'max-age' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'max-age', may_return: true, cursor: /./ })
  })

  t.test('adds a status after each poll when verbose, and none otherwise', async (t) => {
    const service = await startService(t)
    const [verbose, plain] = [await following(service, '?verbose=true'), await following(service)]
    let count = 0
    await verbose.until((frame) => frame.type === 'status' && ++count === 5)
    t.match(verbose.frames.find(({ type }) => type === 'status'), { upstream: 'ok', since: /^\d{4}-.*Z$/, lag_ms: Number })
    t.notOk(plain.frames.some(({ type }) => type === 'status'))
  })

  t.test('beats with a cursor that has passed what its filter skipped', async (t) => {
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

  t.test('takes no message from a client, and none that is too big', async (t) => {
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

  t.test('is refused before the upgrade where its parameters are wrong', async (t) => {
    const service = await startService(t)
    await service.settled()
    const cursor = (await service.json(EVENTS)).live_cursor
    const page = await (async () => {
      service.sandbox.publish(burst(3))
      return (await service.json(`${EVENTS}?page_size=1`)).pagination.next.split('=')[1]
    })()
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

  t.test('is refused when there are too many, until one leaves', async (t) => {
    const service = await startService(t, { MAX_SUBSCRIBERS: '2' })
    const [first] = [await following(service), await following(service)]
    const { status, headers, body } = await service.stream().refused
    t.equal(status, 503)
    t.equal(body.code, 'overloaded')
    t.ok(Number(headers['retry-after']) >= 1)
    t.equal((await service.get('/livez')).status, 200)
    first.socket.close()
    await first.closed
    await eventually('a place is free', async () => (await (await service.get('/readyz')).json() as Item).subscribers === 1)
    await following(service)
  })
})

t.test('a replay', async (t) => {
  for (const [where, agoMs] of [['the log', 4 * 60_000], ['Kubiya, older than the log', 3 * 3_600_000]] as const) {
    t.test(`from ${where} is joined to live without hole or repeat while events arrive at speed`, async (t) => {
      const service = await startService(t, {}, { pageCap: 100 })
      const start = ago(agoMs)
      const past = series(600).map((n) => item({ n, timestamp: ago(agoMs - 1000 - n * 350) }))
      service.sandbox.publish(past)
      let n = 600
      const timer = setInterval(() => {
        service.sandbox.publish(series(3).map(() => item({ n: n++, timestamp: ago(0) })))
      }, 3)
      t.teardown(() => clearInterval(timer))
      await eventually('some have come', () => n > 700)
      const streams = [service.stream(`?start_time=${start}`), service.stream(`?start_time=${start}`)]
      const later = service.stream(`?start_time=${start}`)
      await streams[0]?.untilEvents(1000)
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

  t.test('comes in order of instant', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const base = Date.now() - 3_600_000
    const past = series(300).map((n) => item({ n, timestamp: new Date(base + n * 100).toISOString() }))
    service.sandbox.publish(past.toSorted((a, b) => Number(a.n) % 7 - Number(b.n) % 7))
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(300)
    t.same(numbers(stream), series(300))
  })

  t.test('gives twins twice, and they do not come again live', async (t) => {
    const service = await startService(t)
    const twin = item({ n: 1, timestamp: ago(3_600_000) })
    service.sandbox.publish(twin, twin)
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(2)
    const live = item({ n: 2 })
    service.sandbox.publish(live, live, item({ n: 3, email: 'a@acme.test', timestamp: live.timestamp, resource_text: 'same' }), item({ n: 3, email: 'b@acme.test', timestamp: live.timestamp, resource_text: 'same' }))
    await stream.untilEvents(6)
    service.sandbox.publish(item({ n: 4 }))
    await stream.untilEvents(7)
    t.same(numbers(stream).sort(), [1, 1, 2, 2, 3, 3, 4])
    t.equal(new Set(stream.events().map(({ id }) => id)).size, 7)
  })

  t.test('stops after its limit with one gap that a list can be asked for, and goes on live', async (t) => {
    const service = await startService(t, { REPLAY_LIMIT: '100' }, { pageCap: 50 })
    service.sandbox.publish(series(400).map((n) => item({ n, timestamp: ago(3_600_000 - n * 1000) })))
    const stream = service.stream('?start_time=-2h')
    const gap = await stream.until(({ type }) => type === 'gap')
    t.match(gap, { reason: 'replay-limit', from: /Z$/, to: /Z$/, cursor: /./ })
    service.sandbox.publish(item({ n: 1000 }))
    await stream.untilEvents(101)
    t.same(numbers(stream), [...series(100), 1000])
    t.equal(stream.frames.filter(({ type }) => type === 'gap').length, 1)
    if (gap.type !== 'gap') return
    const missing = await service.json(`${EVENTS}?start_time=${gap.from}&end_time=${gap.to}&limit=1000&sort_direction=asc`)
    const listed = missing.items.map(({ n }: Item) => n)
    t.ok(series(300, 100).every((n) => listed.includes(n)), 'the gap\'s window holds all that is missing')
  })

  for (const ignore of [[], ['sort', 'bounds']] as const) {
    t.test(`that is cut accounts for everything, with what it gives and with its gap, where Kubiya ignores ${ignore.join(' and ') || 'nothing'}`, async (t) => {
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

  t.test('waits while Kubiya is down, and comes when it is back', async (t) => {
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

t.test('resuming', async (t) => {
  t.test('with since goes on exactly where the cursor stood', async (t) => {
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

  t.test('with a live cursor of a list has no hole between page and stream', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '0' })
    const audience = await following(service)
    let n = 0
    const timer = setInterval(() => service.sandbox.publish(item({ n: n++, timestamp: ago(0) })), 5)
    t.teardown(() => clearInterval(timer))
    for (let round = 0; round < 5; round++) {
      await audience.untilEvents(audience.events().length + 20)
      const page = await service.json(`${EVENTS}?limit=5000`)
      const stream = service.stream(`?since=${page.live_cursor}`)
      await stream.untilEvents(20)
      const seen = new Map([...page.items, ...stream.events()].map(({ id, n }: Item) => [id, n]))
      t.same([...seen.values()].sort((a, b) => a - b), series(seen.size), `round ${round}`)
    }
    clearInterval(timer)
  })

  t.test('in the middle of a replay repeats nothing and leaves nothing out', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(series(50).map((n) => item({ n, timestamp: ago(3_600_000 - n * 1000) })))
    const stream = service.stream('?start_time=-2h')
    await stream.untilEvents(50)
    const middle = cursorOf(stream.frames.filter(isEvent)[19])
    const resumed = service.stream(`?since=${middle}`)
    service.sandbox.publish(item({ n: 50 }))
    await resumed.untilEvents(31)
    t.same(numbers(resumed), series(31, 20))
  })

  t.test('after a restart goes on by instant: nothing is lost, and what repeats has the same id', async (t) => {
    const sandbox = await startUpstream(t)
    const before = await startService(t, { LATENESS_MS: '5000' }, {}, sandbox)
    const stream = await following(before)
    sandbox.publish(series(30).map((n) => item({ n, timestamp: ago(30_000 - n * 1000) })))
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

  t.test('from a place that the history has lost replays from Kubiya', async (t) => {
    const service = await startService(t, { HISTORY_EVENTS: '10', LATENESS_MS: '1000' })
    const stream = await following(service)
    await service.settled()
    for (let n = 0; n < 40; n += 10) {
      service.sandbox.publish(series(10, n).map((each) => item({ n: each, timestamp: ago(20_000 - each * 500) })))
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

  t.test('from inside a batch that was larger than the history loses nothing', async (t) => {
    const service = await startService(t, { HISTORY_EVENTS: '10', LATENESS_MS: '1000' })
    const stream = await following(service)
    await service.settled()
    service.sandbox.publish(series(40).map((n) => item({ n, timestamp: ago(20_000 - n * 500) })))
    await stream.untilEvents(40)
    t.same(numbers(stream), series(40))
    const resumed = service.stream(`?since=${cursorOf(stream.frames.find(isEvent))}`)
    await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 39)
    t.same(numbers(resumed).filter((n) => n > 0), series(39, 1))
    t.notOk(resumed.frames.some(({ type }) => type === 'gap'))
  })

  t.test('with a cursor from beyond the log\'s end is refused as made up', async (t) => {
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

t.test('all who are live', async (t) => {
  t.test('get the same order, however many come and whenever they join', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const early = await following(service)
    const joined: Stream[] = []
    for (let round = 0; round < 10; round++) {
      service.sandbox.publish(burst(30, round * 30), item({ n: 1000 + round, timestamp: ago(2000) }))
      joined.push(service.stream())
      await early.untilEvents((round + 1) * 31)
    }
    for (const [joinedIn, stream] of joined.entries()) {
      await stream.untilEvents(310)
      t.same(numbers(stream).toSorted((a, b) => a - b), numbers(early).toSorted((a, b) => a - b))
      const isLater = (n: number) => (n >= 1000 ? n - 1000 : Math.floor(n / 30)) > joinedIn
      t.same(numbers(stream).filter(isLater), numbers(early).filter(isLater), 'what came live to both came in one order')
    }
    const second = await following(service)
    await second.untilEvents(310)
    const times = second.events().map(({ timestamp }) => String(timestamp))
    t.same(times, times.toSorted(), 'what is past comes in order of instant')
  })

  t.test('cost no more upstream calls, 500 with 50 filters, than one does, and one poll is in flight', async (t) => {
    const service = await startService(t, { POLL_INTERVAL_MS: '100', POLL_MAX_INTERVAL_MS: '100' })
    const only = await following(service, '?verbose=true')
    await service.settled()
    const alone = await callsOfPolls(10)
    const streams = await Promise.all(series(500).map((n) => following(service, `?category_type=kind-${n % 50}`)))
    const together = await callsOfPolls(10)
    t.ok(alone.calls <= 12, `${alone.calls} calls in ten polls for one`)
    t.ok(together.calls <= 12, `${together.calls} calls in ten polls for 500`)
    t.ok(together.leastPauseMs > 50, `polls for 500 begin ${together.leastPauseMs} ms apart at least`)
    service.sandbox.publish(series(50).map((n) => item({ n, category_type: `kind-${n}` })))
    await only.untilEvents(50)
    await Promise.all(streams.map((stream) => stream.untilEvents(1)))
    t.ok(streams.every((stream, index) => stream.events()[0]?.n === index % 50 && stream.events().length === 1))
    t.equal(service.sandbox.mostInFlight(), 1)

    /** Each poll is told by a status to whoever wants to know. */
    async function callsOfPolls (polls: number): Promise<{ calls: number, leastPauseMs: number }> {
      const told = () => only.frames.filter(({ type }) => type === 'status').length
      service.sandbox.resetRequests()
      const before = told()
      await eventually('polls have gone by', () => told() >= before + polls)
      const times = service.sandbox.requests.map(({ at }) => at)
      const extra = told() - before - polls
      return { calls: times.length - extra, leastPauseMs: Math.min(...times.slice(1).map((at, index) => at - (times[index] ?? 0))) }
    }
  })

  t.test('never have more than one poll in flight, however slow Kubiya is', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    await service.settled()
    const end = service.sandbox.faults.during({ kind: 'delay', delayMs: 200 })
    service.sandbox.publish(burst(5))
    await stream.untilEvents(5)
    await eventually('several polls have gone by', () => service.sandbox.asked >= 5)
    end()
    t.equal(service.sandbox.mostInFlight(), 1)
  })
})

t.test('the tail', async (t) => {
  t.test('brings a burst of 5 000 in one instant through a page cap of 100', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const stream = await following(service)
    await service.settled()
    const timestamp = ago(0)
    service.sandbox.publish(series(5000).map((n) => item({ n, timestamp })))
    await stream.untilEvents(5000)
    service.sandbox.publish(item({ n: 5000, timestamp: ago(-2) }))
    await stream.untilEvents(5001)
    t.same(numbers(stream).toSorted((a, b) => a - b), series(5001))
    t.equal(service.sandbox.mostInFlight(), 1)
  })

  t.test('brings a burst of 2 000 in order, without waiting for its tick', async (t) => {
    const service = await startService(t, { POLL_INTERVAL_MS: '1000', POLL_MAX_INTERVAL_MS: '1000' }, { pageCap: 100 })
    const stream = await following(service, '?verbose=true')
    await service.settled()
    service.sandbox.publish(burst(2000))
    await stream.untilEvents(2000)
    t.same(numbers(stream), series(2000))
    const tellsBetween = stream.frames.slice(stream.frames.findIndex(isEvent), stream.frames.findLastIndex(isEvent)).filter(({ type }) => type === 'status')
    t.ok(tellsBetween.length <= 1, `twenty pages are one poll, not ${tellsBetween.length + 1}`)
  })

  t.test('brings what is visible late once, and says that it is late', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    service.sandbox.publish(item({ n: 1 }))
    await stream.untilEvents(1)
    service.sandbox.publish(item({ n: 2, timestamp: ago(5000) }))
    await stream.untilEvents(2)
    service.sandbox.publish(item({ n: 3, timestamp: ago(59_000) }))
    await stream.untilEvents(3)
    service.sandbox.publish(item({ n: 4 }))
    await stream.untilEvents(4)
    const polled = service.sandbox.asked
    await eventually('the window is read again', () => service.sandbox.asked > polled + 4)
    t.same(numbers(stream), [1, 2, 3, 4])
    t.same(stream.frames.filter(isEvent).map((frame) => 'late' in frame ? frame.late : undefined), [undefined, true, true, undefined])
  })

  for (const clockSkewMs of [600_000, -600_000]) {
    t.test(`brings everything where our clock is ten minutes ${clockSkewMs > 0 ? 'behind' : 'ahead of'} Kubiya's`, async (t) => {
      const service = await startService(t, {}, { clockSkewMs })
      const theirs = (ms: number) => ago(ms - clockSkewMs)
      const stream = await following(service)
      await service.settled()
      service.sandbox.publish(item({ n: 1, timestamp: theirs(0) }))
      await stream.untilEvents(1)
      service.sandbox.publish(item({ n: 2, timestamp: theirs(20_000) }))
      await stream.untilEvents(2)
      service.sandbox.publish(item({ n: 3, timestamp: theirs(0) }))
      await stream.untilEvents(3)
      t.same(lateness(stream), [[1, undefined], [2, true], [3, undefined]])
      const recent = await following(service, '?start_time=-1m')
      await recent.untilEvents(3)
      t.same((await service.json(`${EVENTS}?start_time=-1m`)).items.map(({ n }: Item) => n), [3, 1, 2], 'relative times are meant by Kubiya\'s clock, too')
    })
  }

  t.test('is stopped by no event that is dated in the future, and does not lose it', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    await service.settled()
    service.sandbox.publish(item({ n: 1, timestamp: ago(-86_400_000) }))
    await stream.untilEvents(1)
    service.sandbox.publish(item({ n: 2 }))
    await stream.untilEvents(2)
    service.sandbox.publish(item({ n: 3, timestamp: ago(20_000) }), item({ n: 4 }))
    await stream.untilEvents(4)
    t.same(numbers(stream), [1, 2, 3, 4])
    t.same(lateness(stream).slice(2), [[3, true], [4, undefined]], 'what is dated now is not late')
  })

  t.test('announces an event without an instant once, whatever comes after it', async (t) => {
    const service = await startService(t, { LATENESS_MS: '200' })
    const undated = item({ n: 100, timestamp: 'unreadable' })
    service.sandbox.faults.during({ kind: 'mutate', change: (rows) => rows.length === 0 ? rows : [...rows, undated] })
    const stream = await following(service)
    await service.settled()
    service.sandbox.publish(item({ n: 1, timestamp: ago(9000) }))
    await stream.untilEvents(2)
    for (const n of [2, 3, 4]) {
      service.sandbox.publish(item({ n, timestamp: ago(12_000 - n * 3000) }))
      await stream.untilEvents(n + 1)
      const { asked } = service.sandbox
      await eventually('its window was read again', () => service.sandbox.asked > asked + 3)
    }
    t.same(numbers(stream), [1, 100, 2, 3, 4])
  })

  t.test('reads its window again and again without repeating anything', async (t) => {
    const service = await startService(t)
    const twin = item({ n: 1 })
    const stream = await following(service)
    service.sandbox.publish(twin, twin, burst(50, 10))
    await stream.untilEvents(52)
    service.sandbox.resetRequests()
    await eventually('ten more polls', () => service.sandbox.asked > 10)
    const [poll] = polls(service.sandbox.requests)
    t.ok(Date.now() - Date.parse((poll?.query.filter as Item).timestamp.gte) > 100_000, 'each reads the lateness window')
    t.equal(stream.events().length, 52)
  })

  const failures: Fault[] = [
    { kind: 'status', status: 500 }, { kind: 'status', status: 429 }, { kind: 'hang' }, { kind: 'html' }, { kind: 'truncated' },
    { kind: 'empty-body' }, { kind: 'reset' }, { kind: 'body', body: '{}' }, { kind: 'redirect', location: 'http://127.0.0.1:9/' }
  ]
  for (const fault of failures) {
    t.test(`loses nothing to ${'status' in fault ? fault.status : 'body' in fault ? fault.body : fault.kind}`, async (t) => {
      const service = await startService(t, fault.kind === 'hang' ? { UPSTREAM_TIMEOUT_MS: '1000' } : {}, { pageCap: 20 })
      const stream = await following(service)
      await service.settled()
      service.sandbox.publish(burst(5))
      await stream.untilEvents(5)
      const end = service.sandbox.faults.during(fault)
      service.sandbox.publish(burst(50, 5))
      const bad = await stream.until(({ type }) => type === 'status')
      t.match(bad, { upstream: fault.kind === 'status' && fault.status === 429 ? 'throttled' : 'degraded', since: /Z$/, lag_ms: Number })
      t.equal((await service.get('/readyz')).status, 200, 'an outage makes nothing unready')
      service.sandbox.publish(burst(5, 55))
      t.equal(stream.events().length, 5, 'a failure is no news')
      end()
      await stream.untilEvents(60)
      await stream.until((frame) => frame.type === 'status' && frame.upstream === 'ok')
      t.same(numbers(stream).toSorted((a, b) => a - b), series(60))
      t.same(stream.frames.flatMap((frame) => frame.type === 'status' ? [frame.upstream] : []).slice(1), ['ok'])
    })
  }

  t.test('is not taken in by an answer that is empty', async (t) => {
    for (const empty of ['array', 'null', '204', 'items-null'] as const) {
      const service = await startService(t, {}, { empty })
      const stream = await following(service)
      await service.settled()
      await eventually('polls', () => service.sandbox.asked > 3)
      service.sandbox.publish(item({ n: 1 }))
      await stream.untilEvents(1)
      t.notOk(stream.frames.some(({ type }) => type === 'status'), empty)
    }
  })

  t.test('says "unauthorized" when the key is refused, and no stale answer is given then', async (t) => {
    const service = await startService(t)
    await service.settled()
    await service.json(EVENTS)
    const end = service.sandbox.faults.during({ kind: 'status', status: 401 })
    const stream = await following(service)
    const status = await stream.until(({ type }) => type === 'status')
    t.match(status, { upstream: 'unauthorized' })
    service.sandbox.resetRequests()
    const answer = await service.get(EVENTS)
    t.equal(answer.status, 502)
    t.equal((await answer.json() as Item).code, 'upstream-unauthorized')
    t.match(await (await service.get('/readyz')).json(), { upstream: { state: 'unauthorized' } })
    const other = await startService(t)
    await following(other)
    await eventually('a poller that is well has gone on', () => other.sandbox.asked > 20)
    t.ok(service.sandbox.asked <= 1, 'the poller tries once a minute')
    end()
  })

  t.test('keeps within its request budget, slows down and says so', async (t) => {
    const service = await startService(t, { KUBIYA_REQUESTS_PER_MINUTE: '8' })
    const stream = service.stream()
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'throttled')
    const free = await startService(t, { KUBIYA_REQUESTS_PER_MINUTE: '0' })
    await following(free)
    await eventually('without a budget it asks as often as it likes', () => free.sandbox.asked > 20)
    t.ok(service.sandbox.asked <= 3, `${service.sandbox.asked} requests meanwhile`)
    t.match(await (await service.get('/readyz')).json(), { status: 'ready', upstream: { state: 'throttled' } })
  })

  t.test('asks in smaller pages for what is larger than it reads at once', async (t) => {
    const service = await startService(t, { UPSTREAM_MAX_BYTES: '30000' })
    const stream = await following(service)
    await service.settled()
    service.sandbox.publish(burst(60, 0, { note: 'x'.repeat(2000) }))
    await stream.untilEvents(60)
    t.same(numbers(stream), series(60))
  })

  t.test('obeys Retry-After', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    await service.settled()
    service.sandbox.faults.next({ kind: 'status', status: 429, headers: { 'retry-after': '2' } })
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'throttled')
    service.sandbox.publish(item({ n: 1 }))
    await stream.untilEvents(1)
    const times = service.sandbox.requests.map(({ at }) => at)
    const refused = service.sandbox.requests.findIndex(({ status }) => status === 429)
    const waitedMs = (times[refused + 1] ?? 0) - (times[refused] ?? 0)
    t.ok(waitedMs > 1900, `${waitedMs} ms`)
  })

  t.test('gets along with an upstream that ignores sort and bounds', async (t) => {
    const service = await startService(t, {}, { pageCap: 100, ignore: new Set(['sort', 'bounds']) })
    service.sandbox.publish(series(350).map((n) => item({ n: 1000 + n, timestamp: ago(86_400_000 + n * 1000) })))
    const stream = await following(service)
    service.sandbox.publish(burst(150))
    await stream.untilEvents(150)
    t.same(numbers(stream).toSorted((a, b) => a - b), series(150))
  })

  t.test('passes by an element that is no event', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    service.sandbox.faults.during({ kind: 'mutate', change: (rows) => [null, 'text', 7, ...rows, []] })
    service.sandbox.publish(item({ n: 1 }), item({ n: 2, timestamp: ago(-1), version: '1', extra: null }))
    await stream.untilEvents(2)
    t.same(numbers(stream), [1, 2])
  })
})

t.test('a slow reader gets everything in order once it wakes, and holds nobody up', async (t) => {
  const service = await startService(t, { SUBSCRIBER_BACKLOG_BYTES: '4096', LATENESS_MS: '200' })
  const [slow, quick] = [await following(service), await following(service)]
  await service.settled()
  slow.socket.pause()
  const note = 'x'.repeat(50_000)
  const total = 400
  for (let n = 0; n < total; n += 40) {
    service.sandbox.publish(burst(40, n, { note }))
    await quick.untilEvents(n + 40)
  }
  t.ok(slow.events().length < total, `${slow.events().length} events had come when it woke`)
  slow.socket.resume()
  await slow.untilEvents(total)
  t.same(numbers(slow), series(total))
  t.same(numbers(quick), series(total))
  service.sandbox.publish(item({ n: total }))
  await slow.untilEvents(total + 1)
})

t.test('a shutdown ends every stream with a word, a cursor and 1001', async (t) => {
  const sandbox = await startUpstream(t)
  const service = await startService(t, { DRAIN_MS: '300' }, {}, sandbox)
  const streams = await Promise.all(series(20).map(() => following(service)))
  sandbox.publish(item({ n: 1 }))
  await Promise.all(streams.map((stream) => stream.untilEvents(1)))
  await service.close()
  for (const stream of streams) {
    t.same(await stream.closed, { code: 1001, reason: 'shutdown' })
    t.match(stream.frames.at(-1), { type: 'end', reason: 'shutdown', may_return: true, cursor: /./ })
  }
  const again = await startService(t, {}, {}, sandbox)
  const resumed = again.stream(`?since=${cursorOf(streams[0]?.frames.at(-1))}`)
  sandbox.publish(item({ n: 2 }))
  await resumed.until((frame) => frame.type === 'event' && (frame.event as Item).n === 2)
  t.pass('and the cursor is good for the next process')
})

t.test('an upgrade of something that is not there is answered as any request', async (t) => {
  const service = await startService(t)
  const elsewhere = openStream(`${service.url.replace('http', 'ws')}/api/v1/audit/nowhere`)
  t.teardown(() => elsewhere.socket.terminate())
  const { status, headers, body } = await elsewhere.refused
  t.equal(status, 404)
  t.equal(body.code, 'not-found')
  t.equal(body.request_id, headers['x-request-id'])
})
