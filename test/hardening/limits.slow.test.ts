import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { evenDates, eventually, item, openStream, startService } from '../support/support.ts'

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const [FIRST, SECOND] = ['first-token-0123456789', 'second-token-0123456789']
const TWO = { AUTH_MODE: 'token', AUTH_TOKENS: `${FIRST},${SECOND}` }
const as = (token: string) => ({ authorization: `Bearer ${token}` })

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

t.test('scanned events of searches and replays count, and a hit costs none', async (t) => {
  const service = await startService(t, { ...TWO, EVENTS_LIMIT_PER_MINUTE: '1000', HISTORY_EVENTS: '1' })
  const dateOf = evenDates(3_600_000, -1)
  service.sandbox.publish(Array.from({ length: 1500 }, (_, n) => item({ timestamp: dateOf(n) })))
  await service.settled()
  const search = `${EVENTS}/search?text=nowhere`
  t.equal((await service.get(search, as(FIRST))).status, 200)
  const refused = await service.get(search, as(FIRST))
  t.equal(refused.status, 429)
  t.ok(
    Number(refused.headers.get('retry-after')) > 20,
    `${refused.headers.get('retry-after')} s: the debt is waited for`
  )
  for (let n = 0; n < 3; n++) t.equal((await service.get(search, as(SECOND))).status, 200, 'a hit')
  const replay = openStream(`${service.url.replace('http', 'ws')}${STREAM}?start_time=-2h`, [], as(SECOND))
  t.teardown(() => replay.socket.terminate())
  await replay.untilEvents(900)
  const other = `${EVENTS}/search?text=elsewhere`
  t.equal((await service.get(other, as(SECOND))).status, 429, 'a replay is work, too')
})
