import t from 'tap'
import { QUIET, startFilledService } from '../support/filled-service.ts'
import { ago, evenDates, item, startService, startUpstream, type Service } from '../support/support.ts'

const API = '/api/v1/audit'
const FIELDS = ['category_type', 'category_name', 'resource_type', 'action_type', 'email'] as const

interface Item { [field: string]: any }
interface Tally { events: number, success: number, failed: number, unknown: number }

/** Events of three days: null outcomes, empty users, no session, several time forms, Hebrew. */
function itemsOfThreeDays (): Item[] {
  const dateOf = evenDates(0, -430_000)
  return Array.from({ length: 600 }, (_, n) => {
    const written = dateOf(n)
    return item({
      id: `own-${n}`,
      resource_text: n % 11 === 0 ? `שלום עולם ${n}` : `entry ${n}`,
      category_type: ['agents', 'triggers', 'users'][n % 3],
      category_name: `name ${n % 7}`,
      action_type: n % 5 === 0 ? '' : 'executed',
      action_successful: [true, false, null, 'yes'][n % 4],
      email: n % 6 === 0 ? '' : `user${n % 4}@acme.test`,
      timestamp: n % 2 === 0 ? written : written.replace('Z', '+00:00'),
      extra: n % 8 === 0 ? {} : { session_id: `session ${n % 13}`, tool_name: n % 9 === 0 ? `tool ${n % 2}` : '' }
    })
  })
}

const json = (service: Service, path: string) => service.json(path) as Promise<Item>

/** Every event that a list shows, page by page. */
async function listed (service: Service, query: string): Promise<Item[]> {
  const items: Item[] = []
  for (let path: string | null = `${API}/events?page_size=200&${query}`; path !== null;) {
    const page: Item = await json(service, path)
    items.push(...page.items as Item[])
    path = page.pagination.next as string | null
  }
  return items
}

function tallyOf (items: Item[]): Tally {
  const count = (is: (item: Item) => boolean) => items.filter(is).length
  return {
    events: items.length,
    success: count((each) => each.action_successful === true),
    failed: count((each) => each.action_successful === false),
    unknown: count((each) => typeof each.action_successful !== 'boolean')
  }
}

/** A plain recount: the values of a field with their tallies, the most frequent first. */
function valuesOf (items: Item[], value: (item: Item) => string | undefined) {
  const groups = new Map<string, Item[]>()
  for (const each of items) {
    const name = value(each) ?? ''
    if (name !== '') groups.set(name, [...groups.get(name) ?? [], each])
  }
  return [...groups].map(([name, group]) => ({ value: name, ...tallyOf(group) }))
    .sort((a, b) => b.events - a.events || (a.value < b.value ? -1 : 1))
}

t.test('counts equal a recount of the listed events', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  for (const query of ['', 'status=failed', 'category_type=agents', 'start_time=-60h', 'start_time=-50h&end_time=-30h',
    'email=user1%40acme.test', 'session_id=session%205', 'start_time=-60h&tool_name=tool%201']) {
    const items = await listed(service, query)
    const summary = await json(service, `${API}/summary?top=100&${query}`)
    t.match(summary.coverage, { complete: true }, query)
    t.match(summary.totals, { ...tallyOf(items), undated: 0 }, query)
    for (const field of FIELDS) {
      t.same(summary.by[field].values, valuesOf(items, (each) => each[field] as string), `${query} ${field}`)
    }
    t.equal(summary.totals.users, valuesOf(items, (each) => each.email as string).length)
    t.equal(summary.totals.sessions, valuesOf(items, (each) => each.extra.session_id as string).length)
    const times = items.map((each) => Date.parse(each.timestamp as string))
    t.same([Date.parse(summary.first_event as string), Date.parse(summary.last_event as string)], [
      Math.min(...times),
      Math.max(...times)
    ])
  }
})

t.test('a timeline has every bucket, and its counts equal a recount', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  const query = 'start_time=-60h&end_time=-1h'
  const items = await listed(service, query)
  const timeline = await json(service, `${API}/timeline?by=category_type&interval=1h&top=2&${query}`)
  const { buckets, interval_seconds: width, series } = timeline
  t.equal(width, 3600)
  t.same(series.slice(0, 2).map((each: Item) => each.value), valuesOf(items, (each) => each.category_type as string)
    .slice(0, 2).map(({ value }) => value))
  t.equal(series[2].value, '', 'the rest')
  t.equal(buckets.length, 60)
  for (const [index, bucket] of (buckets as Item[]).entries()) {
    const [start, end] = [Date.parse(bucket.start_time as string), Date.parse(bucket.end_time as string)]
    t.same([start % 3_600_000, end - start], [0, 3_600_000])
    if (index > 0) t.equal(bucket.start_time, buckets[index - 1].end_time)
    const inside = items.filter(({ timestamp }) => {
      const at = Date.parse(timestamp as string)
      return at >= start && at < end
    })
    t.equal(bucket.events, inside.length)
    const named = (value: string) => inside.filter((each) => each.category_type === value).length
    const [first, second] = series.map((each: Item) => named(each.value as string)) as number[]
    t.same(bucket.counts, [first, second, inside.length - (first ?? 0) - (second ?? 0)])
  }
  t.same(buckets.map((each: Item) => each.partial === true), [true, ...Array.from({ length: 58 }, () => false), true])
})

t.test('the width of a timeline is the least that fits', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  for (const [query, seconds] of [
    ['', 1800],
    ['buckets=24', 3600],
    ['start_time=-60s', 1],
    ['start_time=-7d&buckets=7', 86_400],
    ['start_time=0001-01-01T00:00:00Z&buckets=500', 47 * 2_592_000]
  ] as const) {
    const timeline = await json(service, `${API}/timeline?${query}`)
    t.ok(timeline.buckets.length <= 1501, `${query}: ${timeline.buckets.length} buckets`)
    if (!query.startsWith('start_time=0001')) t.equal(timeline.interval_seconds, seconds, query)
  }
})

t.test('each facet is counted under all filters but its own', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  const items = await listed(service, 'start_time=-60h')
  const { facets } = await json(service, `${API}/facets?start_time=-60h&category_type=agents&status=failed&top=200`)
  const is = (item: Item, name: string, value: unknown) => name === '' || item[name] === value
  for (const { field, values } of facets as Item[]) {
    if (field === 'status' || field === 'tool_name') continue
    const judged = items.filter((each) =>
      is(each, field === 'category_type' ? '' : 'category_type', 'agents') && is(each, 'action_successful', false))
    t.same(values, valuesOf(judged, (each) => each[field as string] as string), field as string)
  }
  const status = facets.find(({ field }: Item) => field === 'status')
  t.same(status.values.map(({ value }: Item) => value).sort(), ['failed', 'success', 'unknown'])
  t.same((await json(service, `${API}/facets?fields=email,status`)).facets.map(({ field }: Item) => field), [
    'status',
    'email'
  ])
})

t.test('pages of sessions give each session once while events arrive', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays(), { POLL_INTERVAL_MS: '20', CACHE_OPEN_TTL_MS: '1' })
  const items = await listed(service, 'start_time=-23h')
  const ids = new Set(items.flatMap(({ extra }) => extra.session_id === undefined ? [] : [extra.session_id as string]))
  const seen: Item[] = []
  let pages = 0
  for (let path: string | null = `${API}/sessions?start_time=-23h&page_size=5`; path !== null; pages++) {
    const page: Item = await json(service, path)
    t.equal(page.pagination.total, ids.size)
    seen.push(...page.items as Item[])
    path = page.pagination.next as string | null
    service.sandbox.publish([item({ extra: { session_id: `session ${pages}` }, timestamp: ago(0) })])
  }
  t.equal(pages, Math.ceil(ids.size / 5))
  t.same(seen.map(({ id }) => id as string).sort(), [...ids].sort())
  for (const session of seen) {
    const own = items.filter(({ extra }) => extra.session_id === session.id)
    const { events, failed, success, unknown } = session
    t.same({ events, failed, success, unknown }, tallyOf(own), session.id as string)
  }
})

t.test('pages of sessions give each session once while late events arrive', async (t) => {
  for (const start of ['-23h', '-60h']) {
    const service = await startFilledService(t, itemsOfThreeDays(), { POLL_INTERVAL_MS: '20', CACHE_OPEN_TTL_MS: '1' })
    const ahead = (seconds: number) => ago(-1000 * seconds)
    service.sandbox.publish([item({ extra: { session_id: 'session 5' }, timestamp: ahead(1800) })])
    const first: Item = await json(service, `${API}/sessions?start_time=${start}&page_size=500`)
    const seen: Item[] = []
    for (let path: string | null = `${API}/sessions?start_time=${start}&page_size=4`; path !== null;) {
      const page: Item = await json(service, path)
      seen.push(...page.items as Item[])
      path = page.pagination.next as string | null
      // The next sessions get an event, which would bring them to the first page.
      const late = (first.items as Item[]).slice(seen.length, seen.length + 2)
      service.sandbox.publish(late.map(({ id }) => item({ extra: { session_id: id as string }, timestamp: ago(30_000) })))
    }
    const figures = (sessions: Item[]) => sessions.map(({ end_time: end, events, id }) => [id, end, events] as const)
    t.same(figures(seen), figures(first.items as Item[]), start)
  }
})

t.test('a count out of memory costs no call, and its validator gives a 304', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  t.match((await service.get(`${API}/summary`)).headers.get('cache-status'), 'fwd=miss')
  service.sandbox.resetRequests()
  for (const path of ['/summary?status=failed', '/timeline', '/facets?fields=email', '/sessions', '/summary?top=3']) {
    const answer = await service.get(API + path)
    t.equal(answer.headers.get('cache-status'), 'kubiya-audit-bff; hit; detail=memory', path)
    t.equal(service.sandbox.asked, 0, `${path} costs no call`)
    t.equal(answer.headers.get('cache-control'), 'private, no-cache')
    await answer.arrayBuffer()
    // `fetch` adds `no-cache` to a conditional request that has no `Cache-Control` of its own.
    const conditional = { 'if-none-match': answer.headers.get('etag') ?? '', 'cache-control': 'max-age=0' }
    const again = await service.get(API + path, conditional)
    t.equal(again.status, 304)
  }
  t.equal(service.sandbox.asked, 0)
})

t.test('a count right after the start fills the table that later counts use', async (t) => {
  const sandbox = await startUpstream(t)
  sandbox.publish(itemsOfThreeDays())
  const service = await startService(t, QUIET, {}, sandbox) // Nobody waits for the first poll.
  t.match((await json(service, `${API}/summary`)).coverage, { complete: true })
  sandbox.resetRequests()
  const answer = await service.get(`${API}/summary?top=1`)
  t.equal(answer.headers.get('cache-status'), 'kubiya-audit-bff; hit; detail=memory')
  t.equal(sandbox.asked, 0)
})

t.test('a count that ends at the scan limit is cached', async (t) => {
  const dateOf = evenDates(0, -1000)
  const items = Array.from({ length: 2500 }, (_, n) => item({ resource_text: `line ${n}`, timestamp: dateOf(n) }))
  const service = await startFilledService(t, items, { SEARCH_SCAN_LIMIT: '1000' })
  for (const window of ['', `&start_time=${ago(3_000_000)}&end_time=${ago(600_000)}`]) {
    // Only the last tables that were read for a text are kept.
    const paths = ['line', 'line 1', 'line 2', 'line 3'].map((text) => `${API}/summary?text=${encodeURIComponent(text)}${window}`)
    const counts: Item[] = []
    for (const path of paths) counts.push(await json(service, path))
    for (const { coverage } of counts) t.match(coverage, { complete: false, retry_after: undefined, scanned: Number })
    service.sandbox.resetRequests()
    const again = await service.get(paths[0] ?? '')
    t.match(again.headers.get('cache-status'), /^kubiya-audit-bff; hit/)
    t.same(await again.json(), counts[0])
    t.equal(service.sandbox.asked, 0)
  }
})

t.test("no-cache counts Kubiya's events again, once in 15 minutes", async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  const { totals: { events } } = await json(service, `${API}/summary`)
  for (const [allowed, status] of [[true, 'fwd=miss'], [false, 'hit; detail=memory']] as const) {
    service.sandbox.resetRequests()
    const answer = await service.get(`${API}/summary?top=${allowed ? 1 : 2}`, { 'cache-control': 'no-cache' })
    t.match(answer.headers.get('cache-status'), status)
    t.match(await answer.json(), { totals: { events }, coverage: { complete: true } })
    t.equal(service.sandbox.asked > 0, allowed)
  }
})

t.test('no-cache while Kubiya fails leaves the counts as they are', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  const { totals: { events } } = await json(service, `${API}/summary`)
  service.sandbox.faults.during({ kind: 'status', status: 500 })
  for (const headers of [{ 'cache-control': 'no-cache' }, {}]) {
    const answer = await service.get(`${API}/summary?top=${Object.keys(headers).length}`, headers)
    t.equal(answer.status, 200)
    t.match(await answer.json(), { totals: { events }, coverage: { complete: true } })
  }
})

t.test('a failure of Kubiya is no count of zero', async (t) => {
  const service = await startFilledService(t, itemsOfThreeDays())
  service.sandbox.faults.during({ kind: 'status', status: 500 })
  const answer = await service.get(`${API}/summary?start_time=-60h&end_time=-50h`)
  t.equal(answer.status, 502)
  t.match(await answer.json(), { code: 'upstream-unavailable' })
})

t.test('bad parameters of counts get a 400 that names all of them', async (t) => {
  const service = await startFilledService(t, [])
  for (const [path, parameters] of Object.entries({
    '/summary?top=101': ['top'],
    '/summary?top=-1&no_such=1': ['top', 'no_such'],
    '/summary?top=0x5': ['top'],
    '/summary?top=1e1&start_time=soon&no_such=1': ['no_such', 'start_time', 'top'],
    '/timeline?buckets=501&interval=5x&end_time=later': ['buckets', 'end_time', 'interval'],
    '/summary?start_time=soon': ['start_time'],
    '/summary?start_time=now&end_time=-1h': ['start_time'],
    '/timeline?buckets=0': ['buckets'],
    '/timeline?buckets=501&by=nothing&top=51': ['buckets', 'by', 'top'],
    '/timeline?interval=1s': ['interval'],
    '/timeline?interval=5': ['interval'],
    '/timeline?interval=0s': ['interval'],
    '/timeline?interval=1h&buckets=5': ['interval'],
    '/timeline?interval=1h&session_id=x': ['interval'],
    '/timeline?interval=5x&start_time=soon': ['start_time', 'interval'],
    '/facets?fields=email,nothing,other': ['fields', 'fields'],
    '/facets?fields=,': ['fields', 'fields'],
    '/sessions?order_by=name&outcome=good&page_size=501': ['outcome', 'order_by', 'page_size'],
    '/sessions?cursor=abc': ['cursor'],
    '/sessions?cursor=abc&page_size=3': ['page_size']
  })) {
    const answer = await service.get(API + path)
    const problem = await answer.json() as Item
    t.equal(answer.status, 400, path)
    t.same(problem.errors.map(({ parameter }: Item) => parameter).sort(), parameters.toSorted(), path)
  }
  const page: Item = await json(service, `${API}/events?page_size=1`)
  t.equal(page.items.length, 0)
})
