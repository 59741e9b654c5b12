import t from 'tap'
import { createCli, createSdk, type Event } from '../support/kubiya-clients.ts'
import { ago, eventually, item, startService } from '../support/support.ts'

const numbers = (events: Event[]) => events.map(({ n }) => n as number)

t.test('a stream that polls gets every event that fits its polls', async (t) => {
  const service = await startService(t)
  const polls = [
    createSdk({ baseUrl: service.url }).poller(),
    createCli({ baseUrl: `${service.url}/api/v1` }).poller()
  ]
  service.sandbox.publish(item({ n: 1, action_type: 'a1' }))
  for (const poll of polls) t.same(numbers(await poll()), [1])
  service.sandbox.publish(item({ n: 2, action_type: 'a2', timestamp: ago(-1000) }))
  for (const poll of polls) {
    const given: number[] = []
    await eventually('the event has come', async () => given.push(...numbers(await poll())) > 0)
    t.same(given, [2])
    t.same(await poll(), [])
  }
})
