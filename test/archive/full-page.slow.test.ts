import t from 'tap'
import { createCli } from '../support/kubiya-clients.ts'
import { item, startService } from '../support/support.ts'

const COUNT = 12_345
const START_MS = Date.parse('2025-06-03T00:00:00Z')
const numbers = Array.from({ length: COUNT }, (_, n) => n)

for (const pageSize of [1000, 5000]) {
  t.test(`an export of 12 345 events with pages of ${pageSize} has every event once, in few calls`, async (t) => {
    const service = await startService(t)
    service.sandbox.publish(numbers.map((n) => item({ n, timestamp: new Date(START_MS + n * 1000).toISOString() })))
    await service.settled()
    const cli = createCli({ baseUrl: `${service.url}/api/v1` })
    const events = await cli.exported({ pageSize })
    t.same(events.map(({ n }) => n), numbers.toReversed())
    const calls = service.sandbox.requests.filter(({ path }) => path.endsWith('/items')).length
    t.ok(calls <= 30, `${calls} calls`)
  })
}
