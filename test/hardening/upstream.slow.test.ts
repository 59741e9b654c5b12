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
