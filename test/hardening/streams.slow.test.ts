import t from 'tap'
import { startProcess } from '../oracle/process.ts'
import { ago, evenDates, eventually, item, openStream, settingsFor, startService, startUpstream } from '../support/support.ts'

const series = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

// Subscribers that are slow, many, or come back, and a process that ends.

const STREAM = '/api/v1/audit/stream'

t.test('500 subscribers that return at once cost Kubiya hardly more than none', async (t) => {
  const sandbox = await startUpstream(t)
  const before = await startService(t, {}, {}, sandbox)
  sandbox.publish(item({ n: 0, timestamp: ago(1000) }))
  const first = before.stream()
  await first.untilEvents(1)
  const cursor = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : [])[0] ?? ''
  await before.close()
  sandbox.publish(item({ n: 1, timestamp: ago(500) })) // Before the one poll, for the next is a minute away.
  const service = await startService(t, { POLL_INTERVAL_MS: '60000', POLL_MAX_INTERVAL_MS: '60000' }, {}, sandbox)
  sandbox.resetRequests()
  const all = series(500).map(() => openStream(`${service.url.replace('http', 'ws')}${STREAM}?since=${cursor}`))
  t.teardown(() => {
    for (const { socket } of all) socket.terminate()
  })
  await Promise.all(
    all.map((stream) => stream.until((frame) => frame.type === 'event' && (frame.event as { n?: unknown }).n === 1))
  )
  t.ok(sandbox.asked <= 15, `${sandbox.asked} calls`)
})

t.test('a cursor resumes without a hole after kill -9, and repeats have the same id', async (t) => {
  const sandbox = await startUpstream(t)
  const open = (url: string, query = '') => {
    const stream = openStream(`${url.replace('http', 'ws')}${STREAM}${query}`)
    t.teardown(() => stream.socket.terminate())
    return stream
  }
  const before = await startProcess(settingsFor(sandbox))
  const first = open(before.url)
  await first.until(({ type }) => type === 'hello')
  const dateOf = evenDates(1000, 1)
  sandbox.publish(series(50).map((n) => item({ n, timestamp: dateOf(n) })))
  await first.untilEvents(20)
  await before.end('SIGKILL')
  await first.closed
  const cursor = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : []).at(-1) ?? ''
  const ids = new Map(first.events().map(({ id, n }) => [n, id]))
  sandbox.publish(item({ n: 50 }))
  const after = await startProcess(settingsFor(sandbox))
  t.teardown(() => after.end('SIGTERM'))
  const second = open(after.url, `?since=${cursor}`)
  await eventually('the newest has come', () => second.events().at(-1)?.n === 50)
  const met = new Set([...first.events(), ...second.events()].map(({ n }) => n))
  t.same([...met].sort((a, b) => a - b), series(51))
  t.ok(second.events().every(({ id, n }) => !ids.has(n) || ids.get(n) === id))
})

t.test('SIGTERM ends every stream with an end frame and a cursor, and exits', async (t) => {
  const process = await startProcess({ PORT: '0', DRAIN_MS: '500', LOG_LEVEL: 'info' })
  const all = series(200).map(() => openStream(`${process.url.replace('http', 'ws')}${STREAM}`))
  await Promise.all(all.map((stream) => stream.until(({ type }) => type === 'hello')))
  await process.end('SIGTERM')
  for (const stream of all) {
    t.equal((await stream.closed).code, 1001)
    t.match(stream.frames.at(-1), { type: 'end', reason: 'shutdown', reconnect: true, cursor: String })
  }
  t.same(process.errors, [])
})

t.test('a reader that pauses receives everything afterwards, and delays no other', async (t) => {
  const service = await startService(t)
  const [still, other] = [service.stream(), service.stream()]
  for (const stream of [still, other]) await stream.until(({ type }) => type === 'hello')
  still.socket.pause()
  const dateOf = evenDates(10_000, 1)
  service.sandbox.publish(
    series(200).map((n) => item({ n, id: `e-${n}`, resource_text: 'x'.repeat(20_000), timestamp: dateOf(n) }))
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
