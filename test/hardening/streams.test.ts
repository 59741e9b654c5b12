import t from 'tap'
import { evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

const series = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

t.test('a cursor resumes exactly, also after eviction and a restart, and a forged one nowhere', async (t) => {
  const sandbox = await startUpstream(t)
  const service = await startService(t, { HISTORY_EVENTS: '20' }, {}, sandbox)
  const dateOf = evenDates(4000, 20)
  sandbox.publish(series(5).map((n) => item({ n, timestamp: dateOf(n) })))
  const first = service.stream()
  await first.untilEvents(5)
  const cursor = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : []).at(-1) ?? ''
  first.socket.terminate()
  sandbox.publish(series(10, 5).map((n) => item({ n, timestamp: dateOf(n) })))
  const exact = service.stream(`?since=${cursor}`)
  await exact.untilEvents(10)
  t.same(exact.events().map(({ n }) => n), series(10, 5))
  t.match(exact.frames[0], { resumed: true })
  sandbox.publish(series(50, 15).map((n) => item({ n, timestamp: dateOf(n) })))
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
