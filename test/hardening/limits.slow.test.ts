import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { eventually, startService } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'

t.test('a lagging event loop sheds requests, but not probes, and not because Kubiya is slow', async (t) => {
  const service = await startService(t, { MAX_LOOP_DELAY_MS: '300' })
  service.sandbox.faults.during({ kind: 'status', status: 503 })
  await eventually('it serves', async () => (await service.get(EVENTS)).status === 502)
  const busy = setInterval(() => { for (const endMs = performance.now() + 350; performance.now() < endMs;); }, 0)
  t.teardown(() => clearInterval(busy))
  await sleep(1100) // The mean of one second decides. A request before that takes many turns and proves nothing.
  await eventually('it sheds load', async () => {
    const refused = await service.get(EVENTS)
    if (refused.status !== 503) return false
    t.match(await refused.json(), { code: 'overloaded' })
    return t.ok(Number(refused.headers.get('retry-after')) > 0)
  })
  t.equal((await service.get('/livez')).status, 200)
  clearInterval(busy)
  let refusals = 0
  await eventually('it serves again', async () => {
    const { status } = await service.get(EVENTS)
    if (status === 503) refusals++
    return status === 502
  })
  t.ok(refusals < 10, `${refusals} refusals: not for the rest of the second of which it is the mean`)
})
