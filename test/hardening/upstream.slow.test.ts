import t from 'tap'
import { startFollowed } from '../support/followed-service.ts'
import { ago, item } from '../support/support.ts'

t.test('the poller delivers a burst of 5 000 completely and in order, with one request in flight', async (t) => {
  const { has, service } = await startFollowed(t, { POLL_PAGE_SIZE: '100' })
  const numbers = Array.from({ length: 5000 }, (_, n) => n)
  service.sandbox.publish(numbers.map((n) => item({ n, id: `e-${n}`, timestamp: ago(20_000 - n) })))
  await has(numbers)
  t.equal(service.sandbox.mostInFlight(), 1)
})

t.test('the poller delivers 1 500 events of one instant through a page cap of 100', async (t) => {
  const { service, stream } = await startFollowed(t, {}, { pageCap: 100 })
  const numbers = Array.from({ length: 1500 }, (_, n) => n)
  const timestamp = ago(0)
  service.sandbox.publish(numbers.map((n) => item({ n, timestamp })))
  await stream.untilEvents(1500)
  service.sandbox.publish(item({ n: 1500, timestamp: ago(-2) }))
  await stream.untilEvents(1501)
  t.same(stream.events().map(({ n }) => n).sort((a, b) => a - b), [...numbers, 1500])
  t.equal(service.sandbox.mostInFlight(), 1)
})
