import t from 'tap'
import { startFollowed } from '../support/followed-service.ts'
import { evenDates, eventually, item, startService } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'
const series = (length: number, from = 0) => Array.from({ length }, (_, n) => n + from)

t.test('a 429 is waited out as long as it says, and nothing is lost', async (t) => {
  // Node counts a timer from the start of a turn, so a wait may be short by a long turn. It stays beyond a back-off's
  // 0.8 s.
  for (
    const [after, leastMs] of [['2', 1500], [new Date(Date.now() + 2000).toUTCString(), 0], ['-1', 0], [
      undefined,
      0
    ]] as const
  ) {
    const { has, service } = await startFollowed(t)
    service.sandbox.faults.next({
      kind: 'status',
      status: 429,
      ...after !== undefined && { headers: { 'retry-after': after } }
    })
    const said = () => service.sandbox.requests.findIndex(({ status }) => status === 429)
    await eventually('it was said', () => said() >= 0)
    const dateOf = evenDates(100, 1)
    service.sandbox.publish(series(5).map((n) => item({ n, timestamp: dateOf(n) })))
    await has(series(5))
    // A replay and a poll can be on their way at the same time, and arrive behind the 429. The wait follows them.
    const times = service.sandbox.requests.slice(said()).map(({ at }) => at)
    const waitedMs = Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)))
    t.ok(waitedMs >= leastMs, `Retry-After ${after}: ${waitedMs} ms`)
  }
})

for (
  const [what, fault] of [['an answer of 1 GB', { kind: 'huge', bytes: 1_000_000_000 }], [
    '10 KB that inflate to 1 GB',
    { kind: 'gzip-bomb', bytes: 1_000_000_000 }
  ]] as const
) {
  t.test(`${what} is cut at the limit, in bounded memory`, async (t) => {
    const service = await startService(t, { UPSTREAM_MAX_BYTES: '1000000' })
    await service.settled()
    const before = process.memoryUsage().rss
    service.sandbox.faults.during(fault)
    const response = await service.get(EVENTS)
    t.equal(response.status, 502)
    t.match(await response.json(), { code: 'upstream-invalid' })
    t.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024, 'memory')
    service.sandbox.faults.clear()
    t.equal((await service.get(EVENTS)).status, 200)
  })
}
