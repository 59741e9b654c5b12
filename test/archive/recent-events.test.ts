import t from 'tap'
import { evenDates, item, startService, type Service } from '../support/support.ts'
import { scrape } from '../support/figures.ts'
import { startFilledService } from '../support/filled-service.ts'

const EVENTS = '/api/v1/audit/events'
const LOG_HIT = 'kubiya-audit-bff; hit; detail=log'
// Each query waits for a poll on demand.
const ALWAYS_POLL = { POLL_INTERVAL_MS: '20', CACHE_OPEN_TTL_MS: '1' }
const NO_CACHE = { 'cache-control': 'no-cache' }

/** What these tests read in a list. */
interface Page {
  items: Array<Record<string, unknown>>
  pagination: { has_more: boolean, next: string | null }
  live_cursor?: string
}

/** A service whose log holds 120 events of the last hour, one in three by the category `workflows`. */
async function startFilled (t: Parameters<typeof startService>[0], settings: Record<string, string> = {}) {
  const dateOf = evenDates(0, -30_000)
  return startFilledService(t, Array.from({ length: 120 }, (_, n) => item({
    resource_text: n % 10 === 0 ? `Tenth ${n}` : `entry ${n}`,
    category_type: n % 3 === 0 ? 'workflows' : 'agents',
    action_successful: n % 4 !== 0,
    timestamp: dateOf(n)
  })), settings)
}

/** The figures of a cache lookup by its result. */
async function lookups (service: Service, result: string): Promise<number> {
  return (await scrape(service)).of(`cache_lookups_total{result="${result}"}`)
}

t.test('a query that the log holds costs no call, and its answer equals that of Kubiya', async (t) => {
  const service = await startFilled(t)
  for (const path of [
    EVENTS,
    `${EVENTS}?page_size=7`,
    `${EVENTS}?page_size=7&page=3`,
    `${EVENTS}?category_type=workflows&page_size=10`,
    `${EVENTS}?status=failed&page_size=5`,
    `${EVENTS}/search?text=tenth&page_size=4`,
    `${EVENTS}?start_time=-20m`,
    `${EVENTS}?start_time=-20m&sort_direction=asc&page_size=9`,
    `${EVENTS}?start_time=-20m&end_time=-10m&page_size=100`,
    `${EVENTS}?limit=90`
  ]) {
    service.sandbox.resetRequests()
    const out = await service.get(path)
    t.same([out.status, out.headers.get('cache-status'), service.sandbox.asked], [200, LOG_HIT, 0], path)
    t.equal(out.headers.get('cache-control'), 'private, no-cache')
    const page = await out.json() as Page
    const kubiya = await service.get(path, NO_CACHE)
    t.match(kubiya.headers.get('cache-status'), 'fwd=', 'no-cache asks Kubiya')
    t.ok(service.sandbox.asked > 0)
    const expected = await kubiya.json() as Page
    t.same(page.items, expected.items)
    t.equal(out.headers.get('etag'), kubiya.headers.get('etag'))
    t.equal(page.pagination.has_more, expected.pagination.has_more)
    t.equal(page.live_cursor, expected.live_cursor)
  }
  t.equal(await lookups(service, 'log'), 10)
})

t.test('`next` of an answer out of the log continues in the log, then in Kubiya, with each event once', async (t) => {
  const service = await startFilled(t, { HISTORY_EVENTS: '60' })
  const ids: string[] = []
  const statuses: string[] = []
  for (let path: string | null = `${EVENTS}?page_size=25`; path !== null;) {
    const response: Response = await service.get(path)
    const page = await response.json() as Page
    statuses.push(response.headers.get('cache-status') ?? '')
    ids.push(...page.items.map(({ id }) => String(id)))
    path = page.pagination.next
  }
  t.equal(ids.length, 120)
  t.equal(new Set(ids).size, 120)
  t.same(statuses.slice(0, 2), [LOG_HIT, LOG_HIT])
  t.ok(statuses.slice(2).every((status) => status.includes('fwd=miss')))
})

t.test('a poll on demand finds events that have become visible, and its answer has the age of that poll', async (t) => {
  const service = await startFilled(t, ALWAYS_POLL)
  service.sandbox.publish(item({ resource_text: 'just now' }))
  const response = await service.get(`${EVENTS}?page_size=3`)
  t.equal(response.headers.get('cache-status'), LOG_HIT)
  t.equal(response.headers.get('age'), '0')
  t.equal((await response.json() as Page).items[0]?.resource_text, 'just now')
})

t.test('an event is described out of the log, and by Kubiya for no-cache', async (t) => {
  const service = await startFilled(t)
  const { items: [first] } = await service.json(EVENTS)
  service.sandbox.resetRequests()
  const response = await service.get(`${EVENTS}/${first.id}`)
  t.equal(response.headers.get('cache-status'), LOG_HIT)
  t.same(await response.json(), first)
  t.equal(service.sandbox.asked, 0)
  t.match((await service.get(`${EVENTS}/${first.id}`, NO_CACHE)).headers.get('cache-status'), 'fwd=request')
  t.equal(service.sandbox.asked, 1)
})

t.test('no-cache asks Kubiya once a second per key, also when the log has answered meanwhile', async (t) => {
  const service = await startFilled(t)
  await service.json(EVENTS)
  await Promise.all(Array.from({ length: 20 }, () => service.get(EVENTS, NO_CACHE)))
  await service.json(EVENTS)
  await Promise.all(Array.from({ length: 20 }, () => service.get(EVENTS, NO_CACHE)))
  t.equal(service.sandbox.asked, 1)
})

t.test('the log answers as of the last good poll while Kubiya fails', async (t) => {
  const service = await startFilled(t, ALWAYS_POLL)
  const end = service.sandbox.faults.during({ kind: 'status', status: 503 })
  for (const path of [EVENTS, `${EVENTS}?page_size=4`]) {
    const response = await service.get(path)
    t.same([response.status, response.headers.get('cache-status')], [200, LOG_HIT])
    t.ok((await response.json() as Page).items.length > 0)
  }
  end()
})

t.test('the log shows nothing after a 401 or 403 until a poll succeeds', async (t) => {
  for (const status of [401, 403]) {
    const service = await startFilled(t, ALWAYS_POLL)
    const end = service.sandbox.faults.during({ kind: 'status', status })
    t.equal((await service.get(EVENTS)).status, 502, `${status}`)
    t.equal((await service.get(`${EVENTS}?page_size=4`)).status, 502)
    end()
  }
})

t.test("a 401 to a caller's request stops answers out of the log until a poll succeeds", async (t) => {
  const service = await startFilled(t)
  const { items: [first] } = await service.json(EVENTS)
  service.sandbox.faults.next({ kind: 'status', status: 401 })
  t.equal((await service.get(`${EVENTS}?end_time=-10h`)).status, 502)
  const end = service.sandbox.faults.during({ kind: 'status', status: 401 })
  t.equal((await service.get(`${EVENTS}/${first.id}`)).status, 502)
  end()
  service.sandbox.resetRequests()
  t.equal((await service.get(EVENTS)).headers.get('cache-status'), LOG_HIT)
  t.equal(service.sandbox.asked, 1, 'one poll on demand shows that the credential is good')
  t.equal((await service.get(`${EVENTS}/${first.id}`)).headers.get('cache-status'), LOG_HIT)
  t.equal(service.sandbox.asked, 1)
})

t.test('an answer out of the log is replaced as soon as the log has a matching event', async (t) => {
  const service = await startFilled(t, {
    POLL_INTERVAL_MS: '100',
    POLL_MAX_INTERVAL_MS: '100',
    CACHE_OPEN_TTL_MS: '600000'
  })
  const stream = service.stream()
  await stream.until(({ type }) => type === 'hello')
  const first = await service.json(EVENTS)
  for (const name of ['one', 'two', 'three']) {
    service.sandbox.publish(item({ resource_text: name }))
    await stream.until((frame) => frame.type === 'event' && frame.event.resource_text === name)
    const response = await service.get(EVENTS)
    t.equal(response.headers.get('cache-status'), LOG_HIT)
    t.equal((await response.json() as Page).items[0]?.resource_text, name)
  }
  t.equal(first.items.length, 50)
})
