import t from 'tap'
import type { Fault } from '../../src/sandbox/sandbox.ts'
import { burst, following, isEvent, type Item, lateness, numbers, polls, series } from '../support/listening.ts'
import { ago, evenDates, eventually, item, startService, type Stream } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'

t.test('live poller', async (t) => {
  t.test('the poller delivers a burst of 450 events of one instant through a page cap of 100', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const stream = await following(service)
    await service.settled()
    const timestamp = ago(0)
    service.sandbox.publish(series(450).map((n) => item({ n, timestamp })))
    await stream.untilEvents(450)
    service.sandbox.publish(item({ n: 450, timestamp: ago(-2) }))
    await stream.untilEvents(451)
    t.same(numbers(stream).toSorted((a, b) => a - b), series(451))
    t.equal(service.sandbox.mostInFlight(), 1)
  })

  t.test('the poller delivers a burst of 800 events in order, within one poll', async (t) => {
    const service = await startService(t, { POLL_INTERVAL_MS: '1000', POLL_MAX_INTERVAL_MS: '1000' }, { pageCap: 100 })
    const stream = await following(service, '?verbose=true')
    await service.settled()
    service.sandbox.publish(burst(800))
    await stream.untilEvents(800)
    t.same(numbers(stream), series(800))
    const tellsBetween = stream.frames.slice(stream.frames.findIndex(isEvent), stream.frames.findLastIndex(isEvent))
      .filter(({ type }) => type === 'status')
    t.ok(tellsBetween.length <= 1, `eight pages are one poll, not ${tellsBetween.length + 1}`)
  })

  const failures: Fault[] = [
    { kind: 'status', status: 500 },
    { kind: 'status', status: 429 },
    { kind: 'hang' },
    { kind: 'html' },
    { kind: 'truncated' },
    { kind: 'empty-body' },
    { kind: 'reset' },
    { kind: 'body', body: '{}' },
    { kind: 'redirect', location: 'http://127.0.0.1:9/' }
  ]
  for (const fault of failures) {
    t.test(`the poller loses nothing to ${'status' in fault ? fault.status : 'body' in fault ? fault.body : fault.kind}`, async (t) => {
      const service = await startService(t, fault.kind === 'hang' ? { UPSTREAM_TIMEOUT_MS: '1000' } : {}, {
        pageCap: 20
      })
      const stream = await following(service)
      await service.settled()
      service.sandbox.publish(burst(5))
      await stream.untilEvents(5)
      const end = service.sandbox.faults.during(fault)
      service.sandbox.publish(burst(50, 5))
      const bad = await stream.until(({ type }) => type === 'status')
      t.match(bad, {
        upstream: fault.kind === 'status' && fault.status === 429 ? 'throttled' : 'degraded',
        since: /Z$/,
        lag_ms: Number
      })
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

  t.test('the poller delivers a late event once, marked as late', async (t) => {
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
    t.same(stream.frames.filter(isEvent).map((frame) => 'late' in frame ? frame.late : undefined), [
      undefined,
      true,
      true,
      undefined
    ])
  })

  for (const clockSkewMs of [600_000, -600_000]) {
    t.test(`the poller loses nothing if our clock is ten minutes ${clockSkewMs > 0 ? 'slow' : 'fast'}`, async (t) => {
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
      t.same(
        (await service.json(`${EVENTS}?start_time=-1m`)).items.map(({ n }: Item) => n),
        [3, 1, 2],
        "relative times are meant by Kubiya's clock, too"
      )
    })
  }

  t.test('the poller continues after an event of the future, and delivers it', async (t) => {
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

  t.test('the poller announces an event without an instant once, whatever follows it', async (t) => {
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

  t.test('the poller reads its window again and again without duplicates', async (t) => {
    const service = await startService(t)
    const twin = item({ n: 1 })
    const stream = await following(service)
    service.sandbox.publish(twin, twin, burst(50, 10))
    await stream.untilEvents(52)
    service.sandbox.resetRequests()
    await eventually('ten more polls', () => service.sandbox.asked > 10)
    const [poll] = polls(service.sandbox.requests)
    t.ok(
      Date.now() - Date.parse((poll?.query.filter as Item).timestamp.gte) > 100_000,
      'each reads the lateness window'
    )
    t.equal(stream.events().length, 52)
  })

  t.test('the poller does not lose events to an answer that is empty by mistake', async (t) => {
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

  t.test('the poller is unauthorized after a 401, and no stale response is served then', async (t) => {
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

  t.test('the poller keeps within its request budget, slows down and reports it', async (t) => {
    const service = await startService(t, { KUBIYA_REQUESTS_PER_MINUTE: '8' })
    const stream = service.stream()
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'throttled')
    const free = await startService(t, { KUBIYA_REQUESTS_PER_MINUTE: '0' })
    await following(free)
    await eventually('without a budget it asks as often as it likes', () => free.sandbox.asked > 20)
    t.ok(service.sandbox.asked <= 3, `${service.sandbox.asked} requests meanwhile`)
    t.match(await (await service.get('/readyz')).json(), { status: 'ready', upstream: { state: 'throttled' } })
  })

  t.test('the poller requests smaller pages if an answer is too large', async (t) => {
    const service = await startService(t, { UPSTREAM_MAX_BYTES: '30000' })
    const stream = await following(service)
    await service.settled()
    service.sandbox.publish(burst(60, 0, { note: 'x'.repeat(2000) }))
    await stream.untilEvents(60)
    t.same(numbers(stream), series(60))
  })

  t.test('the poller obeys Retry-After', async (t) => {
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

  t.test('the poller works with an upstream that ignores sort and bounds', async (t) => {
    const service = await startService(t, {}, { pageCap: 100, ignore: new Set(['sort', 'bounds']) })
    const dateOf = evenDates(86_400_000, -1000)
    service.sandbox.publish(series(350).map((n) => item({ n: 1000 + n, timestamp: dateOf(n) })))
    const stream = await following(service)
    service.sandbox.publish(burst(150))
    await stream.untilEvents(150)
    t.same(numbers(stream).toSorted((a, b) => a - b), series(150))
  })

  t.test('the poller skips an element that is not an event', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    service.sandbox.faults.during({ kind: 'mutate', change: (rows) => [null, 'text', 7, ...rows, []] })
    service.sandbox.publish(item({ n: 1 }), item({ n: 2, timestamp: ago(-1), version: '1', extra: null }))
    await stream.untilEvents(2)
    t.same(numbers(stream), [1, 2])
  })
})

t.test('live subscribers', async (t) => {
  t.test('500 subscribers with 50 filters cost no more upstream requests than one', async (t) => {
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
      return {
        calls: times.length - extra,
        leastPauseMs: Math.min(...times.slice(1).map((at, index) => at - (times[index] ?? 0)))
      }
    }
  })

  t.test('subscribers receive the same order, however many join and whenever', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const early = await following(service)
    const joined: Stream[] = []
    for (let round = 0; round < 10; round++) {
      service.sandbox.publish(burst(30, round * 30), item({ n: 1000 + round, timestamp: ago(2000) }))
      joined.push(service.stream())
      await early.untilEvents((round + 1) * 31)
    }
    for (const stream of [...joined, await following(service)]) {
      await stream.untilEvents(310)
      t.same(numbers(stream), numbers(early), 'a past out of the log comes in the order in which it came live')
    }
  })

  t.test('one poll is in flight, however slow Kubiya is', async (t) => {
    const service = await startService(t)
    const stream = await following(service)
    service.sandbox.publish(burst(1))
    await stream.untilEvents(1) // Its past is given: that was a question of its own, beside the polls.
    await service.settled()
    const end = service.sandbox.faults.during({ kind: 'delay', delayMs: 200 })
    service.sandbox.publish(burst(5))
    await stream.untilEvents(6)
    await eventually('several polls have gone by', () => service.sandbox.asked >= 5)
    end()
    t.equal(service.sandbox.mostInFlight(), 1)
  })
})

t.test('a slow reader receives everything in order after its pause, and delays no other', async (t) => {
  const service = await startService(t, {
    SUBSCRIBER_BACKLOG_BYTES: '4096',
    LATENESS_MS: '200',
    STREAM_COMPRESSION: 'false'
  })
  const [slow, quick] = [await following(service), await following(service)]
  await service.settled()
  slow.socket.pause()
  const note = 'x'.repeat(30_000)
  const total = 400
  for (let n = 0; n < total; n += 80) {
    service.sandbox.publish(burst(80, n, { note }))
    await quick.untilEvents(n + 80)
  }
  t.ok(slow.events().length < total, `${slow.events().length} events had come when it woke`)
  slow.socket.resume()
  await slow.untilEvents(total)
  t.same(numbers(slow), series(total))
  t.same(numbers(quick), series(total))
  service.sandbox.publish(item({ n: total }))
  await slow.untilEvents(total + 1)
})
