import t from 'tap'
import { ago, item, startService } from '../support/support.ts'
import { EVENTS } from './pages.ts'
import { walked, inOrder, hour, mixedLog, counted } from './mixed-log.ts'

for (
  const [shape, direction, empty] of [['array', 'desc', 'array'], ['items', 'asc', 'items-null'], [
    'data',
    'desc',
    'null'
  ]] as const
) {
  const title = `next (${direction}, shape "${shape}") gives 1 234 events exactly once while 200 more arrive`
  t.test(title, async (t) => {
    const service = await startService(t, {}, { pageCap: 100, shape, empty })
    const log = mixedLog(Date.now() - hour)
    service.sandbox.publish(log)
    let arrived = 0
    const found = await walked(service, `${EVENTS}?page_size=70&sort_direction=${direction}`, () => {
      const more = Array.from({ length: Math.min(12, 200 - arrived) }, (_, index) => {
        const n = 10_000 + arrived + index
        return item({ n, timestamp: n % 2 === 0 ? ago(0) : ago(hour + (n * 7919) % 2_000_000) })
      })
      arrived += more.length
      service.sandbox.publish(more)
    })
    t.equal(arrived, 200)
    t.ok(inOrder(found, direction), 'by instant, then id')
    t.equal(new Set(found.map(({ id }) => id)).size, found.length, 'no id twice')
    const [expected, counts] = [counted(log), counted(found)]
    const wrong = [...expected].filter(([n, times]) => counts.get(n) !== times)
    t.same(wrong, [])
    t.equal(found.filter(({ n }) => n < 10_000).length, 1234)
    t.ok([...counts].every(([n, times]) => n < 10_000 || times === 1), 'what appeared later came at most once')
  })
}
