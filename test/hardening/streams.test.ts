import t from 'tap'
import { ago, eventually, item, startService, startUpstream } from '../support/support.ts'

const series = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

t.test('a reader that pauses receives everything afterwards, and delays no other', async (t) => {
  const service = await startService(t)
  const [still, other] = [service.stream(), service.stream()]
  for (const stream of [still, other]) await stream.until(({ type }) => type === 'hello')
  still.socket.pause()
  service.sandbox.publish(
    series(200).map((n) => item({ n, id: `e-${n}`, resource_text: 'x'.repeat(20_000), timestamp: ago(10_000 - n) }))
  )
  await other.untilEvents(200)
  still.socket.resume()
  await still.untilEvents(200)
  t.same(still.events().map(({ n }) => n), series(200))
})

t.test('a subscriber that joins during a burst receives the same as an earlier one', async (t) => {
  const service = await startService(t)
  const early = service.stream('?start_time=now')
  await early.until(({ type }) => type === 'hello')
  let n = 0
  const pour = setInterval(() => service.sandbox.publish(series(5).map(() => item({ n: n++ }))), 20)
  t.teardown(() => clearInterval(pour))
  const late = []
  for (let times = 0; times < 5; times++) {
    await early.untilEvents(n)
    const stream = service.stream('?start_time=now')
    await stream.until(({ type }) => type === 'hello')
    late.push(stream)
  }
  await early.untilEvents(n + 200)
  clearInterval(pour)
  await early.untilEvents(n)
  const whole = early.events().map((event) => event.id)
  for (const stream of late) {
    const given = () => stream.events().map((event) => event.id)
    await eventually('it has caught up', () => given().at(-1) === whole.at(-1))
    t.same(given(), whole.slice(whole.indexOf(given()[0])))
  }
})

t.test('a cursor resumes exactly, also after eviction and a restart, and a forged one nowhere', async (t) => {
  const sandbox = await startUpstream(t)
  const service = await startService(t, { HISTORY_EVENTS: '20' }, {}, sandbox)
  sandbox.publish(series(5).map((n) => item({ n, timestamp: ago(4000 - n) })))
  const first = service.stream()
  await first.untilEvents(5)
  const cursor = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : []).at(-1) ?? ''
  first.socket.terminate()
  sandbox.publish(series(10, 5).map((n) => item({ n, timestamp: ago(3000 - n) })))
  const exact = service.stream(`?since=${cursor}`)
  await exact.untilEvents(10)
  t.same(exact.events().map(({ n }) => n), series(10, 5))
  t.match(exact.frames[0], { resumed: true })
  sandbox.publish(series(50, 15).map((n) => item({ n, timestamp: ago(2000 - n) })))
  await exact.untilEvents(60)
  const evicted = service.stream(`?since=${cursor}`)
  await eventually('the rest has come', () => evicted.events().at(-1)?.n === 64)
  t.same([...new Set(evicted.events().map(({ n }) => n))].filter((n) => n >= 5).sort((a, b) => a - b), series(60, 5))
  await service.close()
  const other = await startService(t, {}, {}, sandbox)
  const restarted = other.stream(`?since=${cursor}`)
  await eventually('the rest has come', () => restarted.events().at(-1)?.n === 64)
  t.same(restarted.events().map(({ n }) => n).filter((n) => n >= 5), series(60, 5))
  for (const made of ['1.x', `${cursor.slice(0, -2)}xx`, 'x'.repeat(500)]) {
    t.equal((await other.stream(`?since=${made}`).refused).status, 400)
  }
})
