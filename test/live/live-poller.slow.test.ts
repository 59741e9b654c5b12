import t from 'tap'
import type { Fault } from '../../src/sandbox/sandbox.ts'
import { burst, following, isEvent, numbers, series } from '../support/listening.ts'
import { ago, eventually, item, startService, type Stream } from '../support/support.ts'

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

t.test('live subscribers', async (t) => {
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
