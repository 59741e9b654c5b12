import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { encodeCursor } from '../../src/audit/cursor.ts'
import type { ReceivedRequest, Sandbox } from '../../src/sandbox/sandbox.ts'
import { SMALLEST_LOG, ago, evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'
import { type Item, EVENTS, SEARCH, texts } from './pages.ts'
import { walked, inOrder, written, hour, mixedLog, counted } from './mixed-log.ts'

const DAY_MS = 86_400_000

function query (parameters: Record<string, string | number>): string {
  return `?${new URLSearchParams(
    Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)])
  )}`
}

function lists (sandbox: Sandbox): ReceivedRequest[] {
  return sandbox.requests.filter(({ path }) => path.endsWith('/auditing/items'))
}

t.test('list', async (t) => {
  const service = await startService(t, SMALLEST_LOG)
  const { sandbox } = service
  const base = Date.now() - hour
  sandbox.publish(
    item({ resource_text: 'first', timestamp: new Date(base).toISOString() }),
    item({
      resource_text: 'second',
      timestamp: new Date(base + 60_000).toISOString(),
      unknown_field: { deep: [1, null] }
    }),
    item({
      resource_text: 'third',
      timestamp: new Date(base + 120_000).toISOString(),
      action_successful: false,
      category_type: 'workflows',
      category_name: 'other',
      resource_type: 'Run',
      action_type: 'execute',
      extra: { session_id: 's-2', tool_name: 'kubectl_restart' },
      email: 'user2@acme.test'
    }),
    item({
      resource_text: 'unknown outcome',
      timestamp: new Date(base + 180_000).toISOString(),
      action_successful: null
    }),
    item({ resource_text: 'old', timestamp: ago(30 * hour) })
  )
  await service.settled()

  t.test('the list has the last day, newest first, with its pagination and live cursor', async (t) => {
    const response = await service.get(EVENTS)
    t.equal(response.status, 200)
    t.equal(response.headers.get('content-type'), 'application/json; charset=utf-8')
    t.match(response.headers.get('etag'), /^W\/"[^"]+"$/)
    t.equal(response.headers.get('cache-control'), 'private, no-cache')
    t.equal(response.headers.get('age'), '0')
    t.equal(response.headers.get('cache-status'), 'kubiya-audit-bff; fwd=miss')
    t.equal(response.headers.get('x-kubiya-sandbox'), null)
    const page = await response.json() as Item
    t.same(texts(page), ['unknown outcome', 'third', 'second', 'first'])
    t.same(page.pagination, { page: 1, page_size: 50, has_more: false, next: null, next_cursor: null })
    t.equal(page.window.end_time, null)
    t.ok(Math.abs(Date.parse(page.window.start_time) - (Date.now() - DAY_MS)) < 30_000)
    t.equal(page.live_cursor, response.headers.get('x-live-cursor'))
    t.ok(page.live_cursor.length > 10)
    t.same(Object.keys(page).sort(), ['items', 'live_cursor', 'pagination', 'window'])
  })

  t.test('the call to Kubiya looks like that of its own clients, without an upper bound', async (t) => {
    const asked = lists(sandbox)[0]
    t.equal(lists(sandbox).length, 1)
    t.match(asked?.search, /^filter=[^&]+&sort=[^&]+&page=1&page_size=\d+$/)
    t.same(asked?.query.sort, { timestamp: -1 })
    t.match(asked?.query.filter, { timestamp: { gte: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/ } })
    t.same(Object.keys((asked?.query.filter as Item).timestamp), ['gte'])
    t.equal(asked?.headers.authorization, `UserKey ${sandbox.apiKey}`)
  })

  t.test('items are the upstream items, unchanged, with an id', async (t) => {
    const [, , second] = (await service.json(EVENTS)).items
    const { id, ...rest } = second
    t.match(id, /^[A-Za-z0-9._:~-]{1,200}$/)
    t.same(rest, { ...rest, unknown_field: { deep: [1, null] }, version: 1 })
    t.same(Object.keys(rest).sort(), [
      'action_successful',
      'action_type',
      'category_name',
      'category_type',
      'email',
      'extra',
      'org',
      'resource_text',
      'resource_type',
      'scope',
      'timestamp',
      'unknown_field',
      'version'
    ])
  })

  for (
    const [name, value] of Object.entries({
      category_type: 'workflows',
      category_name: 'other',
      resource_type: 'Run',
      action_type: 'execute',
      session_id: 's-2'
    })
  ) {
    t.test(`the filter ${name} works, and is sent to Kubiya`, async (t) => {
      sandbox.resetRequests()
      t.same(texts(await service.json(`${EVENTS}${query({ [name]: value })}`)), ['third'])
      t.equal((lists(sandbox)[0]?.query.filter as Item)[name === 'session_id' ? 'extra.session_id' : name], value)
      t.same(texts(await service.json(`${EVENTS}${query({ [name]: `${value}x` })}`)), [])
    })
  }

  for (const [name, value] of Object.entries({ email: 'user2@acme.test', tool_name: 'kubectl_restart' })) {
    t.test(`the filter ${name} is applied here, and is not sent to Kubiya`, async (t) => {
      sandbox.resetRequests()
      const page = await service.json(`${EVENTS}${query({ [name]: value })}`)
      t.same(texts(page), ['third'])
      t.same([page.pagination.scanned, page.pagination.complete], [4, true])
      t.same(texts(await service.json(`${EVENTS}${query({ [name]: `${value}x` })}`)), [])
      t.equal(lists(sandbox).length, 2)
      t.notOk(lists(sandbox).some(({ search }) => search.includes(encodeURIComponent(value))))
    })
  }

  t.test('the filter status ignores events without an outcome, and counts the scanned events', async (t) => {
    const failed = await service.json(`${EVENTS}?status=failed`)
    t.same(texts(failed), ['third'])
    t.equal(failed.pagination.scanned, 4)
    t.equal(failed.pagination.complete, true)
    t.same(texts(await service.json(`${EVENTS}?status=success`)), ['second', 'first'])
    t.notOk(lists(sandbox).some(({ search }) => search.includes('status')))
  })

  t.test('`next` keeps the filter status, of lists and searches', async (t) => {
    for (const path of [EVENTS, SEARCH]) {
      const first = await service.json(`${path}?status=success&page_size=1`)
      t.same(texts(first), ['second'])
      t.same(texts(await service.json(first.pagination.next)), ['first'])
    }
  })

  t.test('the list of a session has no lower bound by default', async (t) => {
    sandbox.resetRequests()
    const page = await service.json(`${EVENTS}?session_id=s-1`)
    t.same(texts(page), ['unknown outcome', 'second', 'first', 'old'])
    t.equal(page.window.start_time, null)
    t.same(lists(sandbox)[0]?.query.filter, { 'extra.session_id': 's-1' })
  })

  t.test('both bounds are inclusive, and are sent as whole seconds rounded outward', async (t) => {
    sandbox.resetRequests()
    const [start, end] = [new Date(base).toISOString(), new Date(base + 120_000).toISOString()]
    const page = await service.json(`${EVENTS}${query({ start_time: start, end_time: end })}`)
    t.same(texts(page), ['third', 'second', 'first'])
    t.equal(page.live_cursor, undefined)
    const { gte, lte } = (lists(sandbox)[0]?.query.filter as Item).timestamp
    t.match([gte, lte], [/:\d\dZ$/, /:\d\dZ$/])
    t.ok(Date.parse(gte) <= base && Date.parse(gte) > base - 1000)
    t.ok(Date.parse(lte) >= base + 120_000 && Date.parse(lte) < base + 121_000)
    t.same(
      texts(
        await service.json(
          `${EVENTS}${
            query({ start_time: new Date(base + 1).toISOString(), end_time: new Date(base + 119_999).toISOString() })
          }`
        )
      ),
      ['second']
    )
  })

  t.test('relative times have units of seconds, minutes, hours and days', async (t) => {
    for (
      const [text, agoMs] of Object.entries({
        '-90s': 90_000,
        '-15m': 900_000,
        '-6h': 6 * hour,
        '-7d': 7 * DAY_MS,
        now: 0
      })
    ) {
      const page = await service.json(`${EVENTS}${query({ start_time: text })}`)
      t.ok(Math.abs(Date.now() - agoMs - Date.parse(page.window.start_time)) < 30_000, text)
    }
    t.same(texts(await service.json(`${EVENTS}?start_time=-2d&end_time=-26h`)), ['old'])
    const ended = await service.json(`${EVENTS}?end_time=-1d`)
    t.equal(Date.parse(ended.window.end_time) - Date.parse(ended.window.start_time), DAY_MS)
    t.same(texts(ended), ['old'])
  })

  t.test('bounds reach back to year 0, and relative times that reach further are refused', async (t) => {
    const earliest = await service.json(`${EVENTS}?end_time=0000-01-01T00:00:00Z`)
    t.same([earliest.items, earliest.window], [[], {
      start_time: '0000-01-01T00:00:00Z',
      end_time: '0000-01-01T00:00:00Z'
    }])
    t.equal((await service.get(`${SEARCH}?end_time=0000-01-01T12:00:00Z&text=x`)).status, 200)
    const listed = await service.get(`${EVENTS}?start_time=-999999999d`)
    t.match([listed.status, (await listed.json() as Item).code], [400, 'invalid-time'])
    const { status, body } = await service.stream('?start_time=-999999999d').refused
    t.match([status, body.code], [400, 'invalid-time'])
  })

  t.test('a list that ends now has a live cursor, and one that ended before has none', async (t) => {
    const page = await service.json(`${EVENTS}?end_time=now`)
    t.ok(page.live_cursor.length > 10)
    t.equal((await service.json(`${EVENTS}?end_time=-10s`)).live_cursor, undefined)
  })

  t.test('a blank in a time zone is read as a plus', async (t) => {
    const shifted = `${new Date(base + 2 * hour).toISOString().slice(0, 19)}+02:00`
    const [blank, escaped] = [`${EVENTS}?start_time=${shifted}`, `${EVENTS}?start_time=${encodeURIComponent(shifted)}`]
    const page = await service.json(blank)
    t.equal(Date.parse(page.window.start_time), Math.floor(base / 1000) * 1000)
    t.same((await service.json(escaped)).window, page.window)
  })

  t.test('sort_direction asc gives the oldest event first', async (t) => {
    t.same(texts(await service.json(`${EVENTS}?sort_direction=asc`)), ['first', 'second', 'third', 'unknown outcome'])
  })

  t.test('next and the Link header lead to the next page, and the last page has neither', async (t) => {
    const response = await service.get(`${EVENTS}?page_size=3&sort_direction=asc`)
    const first = await response.json() as Item
    t.equal(first.pagination.has_more, true)
    t.equal(response.headers.get('link'), `<?cursor=${first.pagination.next_cursor}>; rel="next"`)
    t.match(first.pagination.next, /^\/api\/v1\/audit\/events\?cursor=[A-Za-z0-9._~-]+$/)
    const second = await service.json(first.pagination.next)
    t.same(texts(second), ['unknown outcome'])
    t.match(second.pagination, { page: 2, page_size: 3, has_more: false, next: null, next_cursor: null })
    t.equal(second.live_cursor, undefined)
    t.same(second.window.start_time, first.window.start_time)
  })

  t.test('a page past the end is 200 without items', async (t) => {
    const page = await service.json(`${EVENTS}?page=9&page_size=3`)
    t.same(page.items, [])
    t.match(page.pagination, { page: 9, page_size: 3, has_more: false, next: null, next_cursor: null })
  })

  t.test('invalid parameters are refused, with all faults listed', async (t) => {
    const cases: Array<[string, string, string[]]> = [
      ['?page=0', 'invalid-parameter', ['page']],
      ['?page=1.5', 'invalid-parameter', ['page']],
      ['?page=1&page=2', 'invalid-parameter', ['page']],
      ['?page_size=1001', 'invalid-parameter', ['page_size']],
      ['?page_size=1e9', 'invalid-parameter', ['page_size']],
      ['?page_size=%20', 'invalid-parameter', ['page_size']],
      ['?limit=10001', 'invalid-parameter', ['limit']],
      ['?limit=0', 'invalid-parameter', ['limit']],
      ['?limit=10&page=1', 'invalid-parameter', ['limit']],
      ['?limit=10&page_size=10', 'invalid-parameter', ['limit']],
      ['?sort_direction=up', 'invalid-parameter', ['sort_direction']],
      ['?status=maybe', 'invalid-parameter', ['status']],
      ['?category_type=', 'invalid-parameter', ['category_type']],
      ['?category_type[$ne]=x', 'invalid-parameter', ['category_type[$ne]']],
      ['?page[]=1', 'invalid-parameter', ['page[]']],
      ['?text=x', 'invalid-parameter', ['text']],
      ['?token=x', 'invalid-parameter', ['token']],
      ['?filter=%7B%7D&sort=x', 'invalid-parameter', ['filter', 'sort']],
      ['?page=0&page_size=0&nonsense=1&status=x', 'invalid-parameter', ['nonsense', 'page', 'page_size', 'status']],
      ['?start_time=2024-01-02T00:00:00Z&end_time=2024-01-01T00:00:00Z', 'invalid-parameter', ['start_time']],
      ['?start_time=yesterday', 'invalid-time', ['start_time']],
      ['?start_time=2024-02-30T00:00:00Z&end_time=2024-01-0', 'invalid-time', ['end_time', 'start_time']],
      ['?start_time=-5y', 'invalid-time', ['start_time']],
      ['?cursor=1.abc.def', 'invalid-cursor', ['cursor']],
      ['?cursor=1.abc.def&page=1', 'invalid-parameter', ['page']]
    ]
    sandbox.resetRequests()
    for (const [path, code, parameters] of cases) {
      const response = await service.get(`${EVENTS}${path}`)
      t.equal(response.status, 400, path)
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8', path)
      t.equal(response.headers.get('cache-control'), 'no-store', path)
      const problem = await response.json() as Item
      t.match(problem, {
        type: /./,
        title: /./,
        status: 400,
        detail: /./,
        code,
        request_id: response.headers.get('x-request-id')
      }, path)
      t.same([...new Set(problem.errors.map((error: Item) => error.parameter))].sort(), parameters, path)
      t.ok(problem.errors.every((error: Item) => error.message.length > 0), path)
    }
    t.equal(sandbox.asked, 0, 'Kubiya hears of none of it')
  })

  t.test('a filter of more than 4 096 bytes is refused, in parameters and in a cursor', async (t) => {
    const wide = '語'.repeat(256) // 768 bytes
    const names = ['category_type', 'category_name', 'resource_type', 'action_type', 'email', 'tool_name'] as const
    const filter = Object.fromEntries(names.map((name) => [name, wide]))
    sandbox.resetRequests()
    for (const path of [`${EVENTS}${query(filter)}`, `${SEARCH}${query({ ...filter, page: 2 })}`]) {
      const response = await service.get(path)
      const problem = await response.json() as Item
      t.same([response.status, problem.code], [400, 'invalid-parameter'])
      t.match(problem.detail, /all filter values together must be at most 4096 bytes as JSON, not 4627/)
      t.same(problem.errors.map((error: Item) => error.parameter), names)
    }
    const window = { start: 0n, end: 1n }
    const after = { instant: 1n, id: 'x' }
    const rest = { window, direction: 'desc', pageSize: 1, page: 2, skip: 0, after } as const
    const forged = encodeCursor({ kind: 'page', operation: 'list', filter, ...rest })
    t.equal((await service.get(`${EVENTS}?cursor=${forged}`)).status, 400)
    t.equal(sandbox.asked, 0)
    const { tool_name: _, ...smaller } = filter
    t.equal((await service.get(`${EVENTS}${query(smaller)}`)).status, 200)
  })

  t.test('the problem of an invalid time explains the format', async (t) => {
    const problem = await (await service.get(`${EVENTS}?end_time=1700000000`)).json() as Item
    t.match(problem.detail, /time format.*RFC 3339, e\.g\. 2024-01-01T00:00:00Z/)
  })

  t.test('a cursor that was changed, cut, or is of another kind is refused', async (t) => {
    const list = (await service.json(`${EVENTS}?page_size=1`)).pagination.next.split('=')[1] as string
    const live = (await service.json(EVENTS)).live_cursor as string
    const middle = Math.floor(list.length / 2)
    const changed = list.slice(0, middle) + (list[middle] === 'A' ? 'B' : 'A') + list.slice(middle + 1)
    for (const cursor of [changed, list.slice(0, -1), `2${list.slice(1)}`, `${list}.x`, live, 'x'.repeat(8000)]) {
      const response = await service.get(`${EVENTS}?cursor=${cursor}`)
      t.equal(response.status, 400)
      t.equal((await response.json() as Item).code, 'invalid-cursor')
    }
    const search = await service.get(`${SEARCH}?cursor=${list}`)
    t.equal((await search.json() as Item).code, 'invalid-cursor')
    t.equal((await service.get(`${EVENTS}?cursor=${list}`)).status, 200, 'the one that was given is good')
  })
})

t.test('limit joins as many upstream pages as it needs', async (t) => {
  const service = await startService(t, {}, { pageCap: 100 })
  const base = Date.now() - hour
  service.sandbox.publish(
    Array.from({ length: 420 }, (_, n) => item({ n, timestamp: new Date(base - n * 1000).toISOString() }))
  )
  await service.settled()
  const page = await service.json(`${EVENTS}?limit=350`)
  t.same(page.items.map(({ n }: Item) => n), Array.from({ length: 350 }, (_, n) => n))
  t.match(page.pagination, { page: 1, page_size: 350, has_more: true })
  t.ok(lists(service.sandbox).length >= 4)
  t.ok(lists(service.sandbox).length <= 6)
  t.same(
    (await service.json(page.pagination.next)).items.map(({ n }: Item) => n),
    Array.from({ length: 70 }, (_, n) => 350 + n)
  )
})

for (const [when, agoMs] of [['just now', 10_000], ['hours ago', 3 * hour]] as const) {
  t.test(`next gives each event once if Kubiya sorts by whole seconds, unseen on page 1: ${when}`, async (t) => {
    const sandbox = await startUpstream(t)
    const lastMs = Math.floor((Date.now() - agoMs) / 1000) * 1000
    // One event a second, except for three in one second. The first answer holds the middle and the oldest of them.
    // More unsorted events follow far behind.
    const log = Array.from({ length: 200 }, (_, n) => {
      const place = n < 98
        ? { ms: n * 1000, rank: 0 }
        : n < 101
          ? { ms: 98_000 - ([500, 100, 900][n - 98] ?? 0), rank: n }
          : { ms: (n < 190 ? n : 190) * 1000 - 1 - n % 7, rank: n }
      return item({ n, rank: place.rank, timestamp: new Date(lastMs - place.ms).toISOString() })
    })
    sortBySeconds(sandbox, log)
    const service = await startService(t, {}, {}, sandbox)
    await service.settled()
    const found = await walked(service, `${EVENTS}?page_size=99`)
    t.same(found.map(({ n }) => n).toSorted((a, b) => a - b), log.map(({ n }) => n))
    t.ok(inOrder(found, 'desc'))
  })
}

t.test('a cursor survives a restart of the service', async (t) => {
  const sandbox = await startUpstream(t, { pageCap: 100 })
  const log = mixedLog(Date.now() - hour)
  sandbox.publish(log)
  const before = await startService(t, {}, {}, sandbox)
  const first = await before.json(`${EVENTS}?limit=600`)
  await before.close()
  const after = await startService(t, {}, {}, sandbox)
  const rest = await walked(after, first.pagination.next)
  t.same(counted([...first.items, ...rest]), counted(log))
  t.ok(inOrder([...first.items, ...rest], 'desc'))
})

t.test('numbered pages have the same order as next', async (t) => {
  const service = await startService(t, {}, { pageCap: 100 })
  service.sandbox.publish(mixedLog(Date.now() - hour).filter(({ n }) => n < 5000))
  const ids = (await walked(service, `${EVENTS}?page_size=90`)).map(({ id }) => id)
  t.equal(ids.length, 1204)
  for (const page of [1, 2, 5, 6, 7, 13, 14]) {
    const answer = await service.json(`${EVENTS}?page_size=90&page=${page}`)
    t.same(answer.items.map(({ id }: Item) => id), ids.slice((page - 1) * 90, page * 90), `page ${page}`)
    t.equal(answer.pagination.page, page)
    t.equal(answer.pagination.has_more, page < 14)
  }
  const onward = (await service.json(`${EVENTS}?page_size=90&page=5`)).pagination.next
  t.same(
    (await service.json(onward)).items.map(({ id }: Item) => id),
    ids.slice(450, 540),
    'next goes on from a numbered page'
  )
})

t.test('search', async (t) => {
  t.test('the scan finds one match 2 000 events deep', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const base = Date.now() - hour
    service.sandbox.publish(
      Array.from({ length: 2200 }, (_, n) =>
        item({
          resource_text: n === 2000 ? 'the NEEDLE' : `straw ${n}`,
          timestamp: new Date(base - n * 1000).toISOString()
        }))
    )
    const page = await service.json(`${SEARCH}?text=needle`)
    t.same(texts(page), ['the NEEDLE'])
    t.same(page.search_summary, {
      text: 'needle',
      status: null,
      category_type: null,
      time_range: { start: page.window.start_time, end: null },
      scanned: 2200,
      complete: true
    })
    t.equal(page.pagination.has_more, false)
  })

  t.test('the scan limit is reported, and next continues from there to the match', async (t) => {
    const service = await startService(t, { SEARCH_SCAN_LIMIT: '250' }, { pageCap: 100 })
    const base = Date.now() - hour
    service.sandbox.publish(
      Array.from({ length: 1000 }, (_, n) =>
        item({ resource_text: n === 900 ? 'needle' : 'straw', timestamp: new Date(base - n * 500).toISOString() }))
    )
    const first = await service.json(`${SEARCH}?text=needle`)
    t.same(first.items, [])
    t.equal(first.search_summary.complete, false)
    t.ok(first.search_summary.scanned >= 250 && first.search_summary.scanned <= 400)
    t.match(first.pagination.next, /^\/api\/v1\/audit\/events\/search\?cursor=/)
    let last = first
    let pages = 1
    for (; last.pagination.next !== null; pages++) last = await service.json(last.pagination.next)
    t.ok(pages >= 4 && pages <= 8, `${pages} pages`)
    t.equal(last.search_summary.complete, true)
    t.same((await walked(service, `${SEARCH}?text=needle`)).map((each) => each.resource_text), ['needle'])
  })

  for (const direction of ['desc', 'asc'] as const) {
    t.test(`next continues a numbered page (${direction}) that met the scan limit, each event once`, async (t) => {
      const service = await startService(t, { SEARCH_SCAN_LIMIT: '250' }, { pageCap: 100 })
      const base = Date.now() - hour
      service.sandbox.publish(
        Array.from({ length: 1000 }, (_, n) =>
          item({
            n,
            resource_text: n % 9 === 0 ? 'wanted' : 'other',
            timestamp: new Date(base + (direction === 'asc' ? n : -n) * 1000).toISOString()
          }))
      )
      const path = `${SEARCH}?text=wanted&page_size=20&page=3&sort_direction=${direction}`
      const first = await service.json(path)
      t.match([first.search_summary.complete, first.pagination.has_more, first.items], [false, true, []])
      const found = await walked(service, path)
      t.same(found.map(({ n }) => n), Array.from({ length: 112 - 40 }, (_, index) => (40 + index) * 9))
    })
  }

  t.test('pages count matches, and give each once', async (t) => {
    const service = await startService(t, {}, { pageCap: 100 })
    const base = Date.now() - hour
    service.sandbox.publish(
      Array.from({ length: 900 }, (_, n) =>
        item({
          n,
          resource_text: n % 9 === 0 ? 'wanted' : 'other',
          timestamp: new Date(base - n * 1000).toISOString()
        }))
    )
    const found = await walked(service, `${SEARCH}?text=wanted&page_size=7`)
    t.same(found.map(({ n }) => n), Array.from({ length: 100 }, (_, n) => n * 9))
    t.same((await service.json(`${SEARCH}?text=wanted&page_size=7&page=3`)).items.map(({ n }: Item) => n), [
      126,
      135,
      144,
      153,
      162,
      171,
      180
    ])
  })

  t.test('text matches values at any depth, in any script and case, and no field names', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(
      item({ resource_text: 'one', extra: { session_id: 's', deep: [{ note: 'CAFÉ ouvert' }] } }),
      item({ resource_text: 'two שלום עולם' }),
      item({ resource_text: 'three ✅ done' }),
      item({ resource_text: 'four', extra: { peculiarname: 1234567 } }),
      item({ resource_text: 'five ΟΔΟΣ' })
    )
    const found = async (text: string) =>
      texts(await service.json(`${SEARCH}${query({ text })}`)).map((each) => each.split(' ')[0])
    t.same(await found('café'), ['one'])
    t.same(await found('cafe\u0301'), ['one'], 'with the accent apart')
    t.same(await found('שלום'), ['two'])
    t.same(await found('✅'), ['three'])
    t.same(await found('34567'), ['four'])
    t.same(await found('οδος'), ['five'])
    t.same(await found('peculiarname'), [])
    t.same(await found('resource_text'), [])
    t.same((await found('acme')).length, 5)
  })

  t.test('text is optional, and status and category filter too', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(
      item({ resource_text: 'good' }),
      item({ resource_text: 'bad', action_successful: false, category_type: 'users' }),
      item({ resource_text: 'unknown', action_successful: undefined })
    )
    const page = await service.json(`${SEARCH}?status=failed&category_type=users`)
    t.same(texts(page), ['bad'])
    t.match(page.search_summary, { text: null, status: 'failed', category_type: 'users', complete: true })
    t.same(texts(await service.json(`${SEARCH}?status=success`)), ['good'])
    t.equal((await service.json(SEARCH)).items.length, 3)
    const empty = await service.get(`${SEARCH}?text=`)
    t.equal(empty.status, 400)
  })
})

t.test('a range longer than the scan limit is upstream-invalid where the upstream does not sort', async (t) => {
  const service = await startService(t, { SEARCH_SCAN_LIMIT: '250' }, { pageCap: 100, ignore: new Set(['sort']) })
  const base = Date.now() - hour
  service.sandbox.publish(
    Array.from({ length: 400 }, (_, n) => item({ n, timestamp: new Date(base - n * 1000).toISOString() }))
  )
  const long = await service.get(`${EVENTS}?sort_direction=asc`)
  t.equal(long.status, 502)
  t.match(await long.json(), { code: 'upstream-invalid' })
  const start = new Date(base - 199_000).toISOString()
  const short = await walked(service, `${EVENTS}?sort_direction=asc&start_time=${start}`)
  t.same(short.map(({ n }) => n), Array.from({ length: 200 }, (_, n) => 199 - n))
})

for (const ignore of [['filter'], ['sort'], ['bounds'], ['filter', 'sort', 'bounds']] as const) {
  t.test(`wrong rows of an upstream that ignores ${ignore.join(', ')} are removed`, async (t) => {
    const service = await startService(t, {}, { pageCap: 100, ignore: new Set(ignore) })
    const base = Date.now() - 2 * hour
    const log = Array.from(
      { length: 480 },
      (_, n) => item({ n, category_type: n % 4 === 0 ? 'ai' : 'agents', timestamp: written(base - n * 9000, n % 6) })
    )
    service.sandbox.publish(log)
    const window = {
      start_time: new Date(base - 300 * 9000 - 4000).toISOString(),
      end_time: new Date(base - 20 * 9000 + 4000).toISOString()
    }
    const wanted = Array.from({ length: 71 }, (_, index) => 20 + index * 4)
    for (const direction of ['desc', 'asc'] as const) {
      const found = await walked(
        service,
        `${EVENTS}${query({ ...window, category_type: 'ai', page_size: 30, sort_direction: direction })}`
      )
      t.same(found.map(({ n }) => n), direction === 'desc' ? wanted : wanted.toReversed(), direction)
    }
    const numbered = await service.json(`${EVENTS}${query({ ...window, category_type: 'ai', page_size: 30, page: 2 })}`)
    t.same(numbered.items.map(({ n }: Item) => n), wanted.slice(30, 60), 'page 2')
  })
}

t.test('session_id is found under both field names of the upstream', async (t) => {
  for (const sessionFilter of ['extra.session_id', 'session_id', 'neither'] as const) {
    for (const setting of ['extra.session_id', 'session_id', 'local']) {
      if (sessionFilter === 'neither' && setting !== 'local') continue
      const service = await startService(t, { KUBIYA_SESSION_FILTER: setting }, { sessionFilter })
      service.sandbox.publish(
        item({ resource_text: 'wanted', extra: { session_id: 'this' } }),
        item({ extra: { session_id: 'that' } }),
        item({ extra: null })
      )
      t.same(texts(await service.json(`${EVENTS}?session_id=this`)), ['wanted'], `${setting} of ${sessionFilter}`)
    }
  }
})

t.test('describe', async (t) => {
  t.test('a computed id of forty days costs at most two upstream calls, also for exact duplicates', async (t) => {
    const service = await startService(t, SMALLEST_LOG, { pageCap: 100 })
    const twin = item({ resource_text: 'twin', timestamp: ago(40 * DAY_MS) })
    service.sandbox.publish(
      item(), // The event that the log keeps.
      twin,
      twin,
      twin,
      Array.from({ length: 60 }, (_, n) => item({ n, timestamp: twin.timestamp }))
    )
    const { items } = await service.json(`${EVENTS}${query({ start_time: '-41d', end_time: '-39d', page_size: 90 })}`)
    const twins = items.filter((each: Item) => each.resource_text === 'twin')
    t.equal(new Set(twins.map(({ id }: Item) => id)).size, 3)
    await service.settled()
    for (const each of [...twins, items.at(-1)]) {
      service.sandbox.resetRequests()
      const response = await service.get(`${EVENTS}/${each.id}`)
      t.equal(response.status, 200)
      t.match(response.headers.get('cache-control'), /^private, max-age=\d+$/)
      t.match(response.headers.get('etag'), /^W\//)
      t.same(await response.json(), each)
      t.ok(service.sandbox.asked <= 2, `${service.sandbox.asked} calls`)
    }
    service.sandbox.resetRequests()
    t.match(
      (await service.get(`${EVENTS}/${twins[0].id}`)).headers.get('cache-status'),
      /^kubiya-audit-bff; hit; ttl=\d+$/
    )
    t.equal(service.sandbox.asked, 0, 'a second time from the cache')
  })

  t.test('an upstream id is requested by id', async (t) => {
    for (const field of ['id', 'audit_id', 'event_id', '_id'] as const) {
      const service = await startService(t, SMALLEST_LOG, { ids: field })
      service.sandbox.publish(item(), item({ timestamp: ago(60 * DAY_MS) }))
      const { items: [, only] } = await service.json(`${EVENTS}?start_time=-70d`)
      t.equal(only.id, only[field], field)
      await service.settled()
      t.same(await service.json(`${EVENTS}/${only.id}`), only, field)
      t.equal(service.sandbox.asked, 1)
      t.equal(service.sandbox.requests[0]?.path, `/api/v1/auditing/items/${only.id}`)
    }
  })

  for (const byId of ['404', '405', '501', 'html', 'null', '[]', '{}'] as const) {
    t.test(`the last seven days are scanned if the upstream answers ${byId} to a request by id`, async (t) => {
      const service = await startService(t, {}, { byId, pageCap: 100 })
      const dateOf = evenDates(0, -hour)
      service.sandbox.publish(Array.from({ length: 150 }, (_, n) => item({ id: `up-${n}`, timestamp: dateOf(n) })))
      t.equal((await service.json(`${EVENTS}/up-149`)).id, 'up-149')
      await service.settled()
      const response = await service.get(`${EVENTS}/no-such-id`)
      t.equal(response.status, 404)
      const problem = await response.json() as Item
      t.match(problem, {
        code: 'not-found',
        scanned: 150,
        complete: true,
        window: { start_time: /Z$/, end_time: /Z$/ }
      })
      t.equal(Math.round((Date.parse(problem.window.end_time) - Date.parse(problem.window.start_time)) / DAY_MS), 7)
      t.match(problem.detail, new RegExp(`150 .*${problem.window.start_time.slice(0, 10)}.*all of them`))
      const asked = service.sandbox.asked
      t.ok(asked >= 2)
      t.equal((await service.get(`${EVENTS}/no-such-id`)).status, 404)
      t.equal(service.sandbox.asked, asked, 'that there is none is kept')
    })
  }

  t.test('the 404 tells that the scan limit ended the search', async (t) => {
    const service = await startService(t, { SEARCH_SCAN_LIMIT: '200' }, { byId: '404', pageCap: 100 })
    const dateOf = evenDates(0, -60_000)
    service.sandbox.publish(Array.from({ length: 500 }, (_, n) => item({ timestamp: dateOf(n) })))
    const problem = await (await service.get(`${EVENTS}/no-such-id`)).json() as Item
    t.match(problem, { code: 'not-found', complete: false })
    t.ok(problem.scanned >= 200 && problem.scanned < 400)
    t.match(problem.detail, /not all of them/)
  })

  t.test('an invalid id is refused without an upstream call', async (t) => {
    const service = await startService(t)
    await service.settled()
    for (const id of [
      '..%2f..%2fusers', '%2e%2e%2f', '%252e', 'a%00b', '%20a', 'a%2f%2fb', '%5c..', '%25%32%65',
      'x'.repeat(201), 'x'.repeat(8192), '%'
    ]) {
      const response = await service.get(`${EVENTS}/${id}`)
      t.ok([400, 404].includes(response.status), `${id.slice(0, 20)}: ${response.status}`)
      t.match(response.headers.get('content-type'), 'application/problem+json')
    }
    t.equal((await service.get(`${EVENTS}/abc?admin=1`)).status, 400)
    t.equal(service.sandbox.asked, 0)
  })
})

t.test('response cache', async (t) => {
  t.test('-24h and -1440m share an entry, also a second later, and Age tells its age', async (t) => {
    const service = await startService(t, { ...SMALLEST_LOG, CACHE_OPEN_TTL_MS: '600000' })
    const dateOf = evenDates(0, -1000)
    service.sandbox.publish(Array.from({ length: 120 }, (_, n) => item({ timestamp: dateOf(n) })))
    await service.settled()
    const first = await service.get(EVENTS)
    await sleep(1100) // Time itself is what is looked at.
    const second = await service.get(EVENTS)
    t.equal(service.sandbox.asked, 1)
    const [age, ttl] = [
      Number(second.headers.get('age')),
      Number(/^kubiya-audit-bff; hit; ttl=(\d+)$/.exec(second.headers.get('cache-status') ?? '')?.[1])
    ]
    t.ok(age >= 1, `${age} s old`)
    t.ok(age + ttl === 599 || age + ttl === 600, `fresh for ${ttl} s more`)
    t.equal(second.headers.get('etag'), first.headers.get('etag'))
    t.equal(await second.text(), await first.text())
    await service.json(`${EVENTS}?start_time=-24h`)
    await service.json(`${EVENTS}?start_time=-1440m`)
    await service.json(`${EVENTS}?start_time=-1d&page=1&page_size=50&sort_direction=desc`)
    t.equal(service.sandbox.asked, 1, 'the bound that is the usual one may be named')
    const before = service.sandbox.asked
    await service.json(`${EVENTS}?page_size=49`)
    t.equal(service.sandbox.asked, before + 1, 'another question is another entry')
  })

  t.test('If-None-Match is answered with 304 and the live cursor', async (t) => {
    const service = await startService(t)
    service.sandbox.publish(item())
    await service.settled()
    const first = await service.get(EVENTS)
    const etag = first.headers.get('etag') ?? ''
    for (const header of [etag, etag.replace('W/', ''), `"x", ${etag}`, '*']) {
      const response = await service.get(EVENTS, { 'if-none-match': header })
      t.equal(response.status, 304, header)
      t.equal(await response.text(), '')
      t.equal(response.headers.get('etag'), etag)
      t.equal(response.headers.get('x-live-cursor'), first.headers.get('x-live-cursor'))
      t.match(response.headers.get('cache-control'), /private/)
    }
    t.equal((await service.get(EVENTS, { 'if-none-match': 'W/"other"' })).status, 200)
  })

  t.test('a closed window is kept long, here and by the caller', async (t) => {
    const service = await startService(t, {
      CACHE_OPEN_TTL_MS: '0',
      CACHE_STALE_MS: '0',
      CACHE_CLOSED_TTL_MS: '600000'
    })
    await service.settled()
    const path = `${EVENTS}${query({ start_time: ago(2 * hour), end_time: ago(hour) })}`
    const first = await service.get(path)
    t.equal(first.headers.get('cache-control'), 'private, max-age=600')
    t.equal(first.headers.get('x-live-cursor'), null)
    t.match((await service.get(path)).headers.get('cache-status'), 'kubiya-audit-bff; hit; ttl=')
    t.equal(service.sandbox.asked, 1)
    const late = `${EVENTS}${query({ start_time: ago(2 * hour), end_time: ago(60_000) })}`
    t.equal((await service.get(late)).headers.get('cache-control'), 'private, no-cache', 'late events may still enter')
  })

  t.test('a stale response is served while it is revalidated', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '1' })
    service.sandbox.publish(item({ resource_text: 'before' }))
    await service.settled()
    await service.json(EVENTS)
    service.sandbox.publish(item({ resource_text: 'after', timestamp: ago(-1) }))
    const stale = await service.get(EVENTS)
    t.match(stale.headers.get('cache-status'), /^kubiya-audit-bff; hit; ttl=-?\d+; detail=stale-while-revalidate$/)
    t.same(texts(await stale.json() as Item), ['before'])
    await eventually('the refreshed answer is there', async () => texts(await service.json(EVENTS)).length === 2)
  })

  t.test('a 401 clears the cache, and a 403 drops its entry', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '0', CACHE_STALE_MS: '0' })
    const closed = `${EVENTS}${query({ start_time: ago(2 * hour), end_time: ago(hour) })}`
    const warm = async () => {
      await service.json(EVENTS)
      await service.json(closed)
    }
    await warm()
    await service.settled()
    service.sandbox.faults.next({ kind: 'status', status: 403 })
    t.equal((await (await service.get(EVENTS)).json() as Item).code, 'upstream-unauthorized')
    const down = service.sandbox.faults.during({ kind: 'status', status: 500 })
    t.equal((await service.get(EVENTS)).status, 502, 'dropped')
    t.equal((await service.get(closed)).status, 200, 'another entry is still there')
    down()
    await warm()
    service.sandbox.faults.next({ kind: 'status', status: 401 })
    t.equal((await (await service.get(EVENTS)).json() as Item).code, 'upstream-unauthorized')
    service.sandbox.faults.during({ kind: 'status', status: 500 })
    t.equal((await service.get(closed)).status, 502, 'nothing is left')
  })

  t.test('a response in progress during a 401 is not kept', async (t) => {
    const service = await startService(t)
    await service.settled()
    const about = (category: string) => ({
      when: ({ query }: ReceivedRequest) => (query.filter as Item).category_type === category
    })
    let release = () => {}
    service.sandbox.faults.next({
      kind: 'held',
      until: new Promise<void>((resolve) => {
        release = resolve
      }),
      ...about('slow')
    })
    service.sandbox.faults.next({ kind: 'status', status: 401, ...about('refused') })
    const slow = `${EVENTS}?category_type=slow`
    const underWay = service.get(slow)
    await eventually('Kubiya is asked', () => service.sandbox.asked === 1)
    t.equal((await service.get(`${EVENTS}?category_type=refused`)).status, 502)
    release()
    t.equal((await underWay).status, 200, 'who waits for it gets it')
    t.equal((await service.get(slow)).headers.get('cache-status'), 'kubiya-audit-bff; fwd=miss', 'nobody else does')
    t.match((await service.get(slow)).headers.get('cache-status'), 'kubiya-audit-bff; hit', 'and then all is as ever')
  })

  t.test('no-cache is honoured at most once a second per key', async (t) => {
    const service = await startService(t)
    const dateOf = evenDates(0, -1000)
    service.sandbox.publish(Array.from({ length: 120 }, (_, n) => item({ timestamp: dateOf(n) })))
    await service.settled()
    await service.json(EVENTS)
    await sleep(1050) // Time itself is what is looked at.
    service.sandbox.resetRequests()
    const noCache = { 'cache-control': 'max-age=0, no-cache' }
    const answers = await Promise.all(Array.from({ length: 20 }, () => service.get(EVENTS, noCache)))
    t.ok(answers.some(({ headers }) => headers.get('cache-status') === 'kubiya-audit-bff; fwd=request'))
    t.match((await service.get(EVENTS, noCache)).headers.get('cache-status'), 'kubiya-audit-bff; hit')
    t.equal(service.sandbox.asked, 1)
  })

  t.test('an open list is refreshed before it is served if the log has a new matching event', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '600000' })
    service.sandbox.publish(item({ resource_text: 'before' }))
    const live = service.stream()
    await live.untilEvents(1)
    const other = `${EVENTS}?category_type=ai`
    await service.json(EVENTS)
    await service.json(other)
    service.sandbox.publish(item({ resource_text: 'after', timestamp: ago(-5) }))
    await live.untilEvents(2)
    await eventually(
      'the interval between two refreshes is over',
      async () => texts(await service.json(EVENTS)).length === 2
    )
    t.match(
      (await service.get(other)).headers.get('cache-status'),
      'kubiya-audit-bff; hit',
      'a list that does not show it is as good as before'
    )
  })
})

t.test('unusual items pass through unchanged', async (t) => {
  const service = await startService(t)
  const stamp = ago(1000)
  const big = '{"timestamp":"' + stamp +
    '","resource_text":"big","big":12345678901234567890,"exact":0.1000000000000000055,"huge":1e400,"small":1.5}'
  service.sandbox.publishRaw(big)
  service.sandbox.publishRaw(
    `{"timestamp":"${stamp}","resource_text":"proto","__proto__":{"polluted":true},"constructor":null,"version":"1",` +
      '"extra":null,"action_successful":null}'
  )
  service.sandbox.publish(item({ resource_text: 'text extra', extra: 'a text', version: '007' }))
  service.sandbox.publish(item({ resource_text: 'large', note: 'x'.repeat(1_000_000) }))
  service.sandbox.publishRaw(`{"timestamp":"${stamp}","resource_text":"lone \\ud800 surrogate"}`)
  service.sandbox.publishRaw('null')
  service.sandbox.publishRaw('"a text"')
  const response = await service.get(EVENTS)
  t.equal(response.status, 200)
  const text = await response.text()
  t.match(text, /"big":12345678901234567890[,}]/)
  t.match(text, /"exact":0\.1000000000000000055[,}]/)
  t.match(text, /"huge":1e400[,}]/)
  t.match(text, /"__proto__":\{"polluted":true\}/)
  t.match(text, /"version":"1"/)
  t.match(text, /"version":"007"/)
  t.match(text, /"extra":"a text"/)
  t.match(text, /"action_successful":null/)
  t.equal(({} as Item).polluted, undefined)
  const { items } = JSON.parse(text) as Item
  t.equal(items.length, 5)
  for (const { id } of items) {
    const described = await service.get(`${EVENTS}/${id}`)
    t.equal(described.status, 200)
    t.ok(text.includes(await described.text()), 'described as listed')
  }
  t.equal((await service.json(`${SEARCH}?text=12345678901234567890`)).items.length, 1)
})

t.test('upstream ids are used or moved aside', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(
    item({ id: 42, resource_text: 'number' }),
    item({ id: 'a.b:c~d-e_f', resource_text: 'sane' }),
    item({ id: 'kab1.fake', resource_text: 'ours' }),
    item({ id: 'search', resource_text: 'route' }),
    item({ id: ' blank', resource_text: 'odd' }),
    item({ id: 'with/blank é', resource_text: 'any' }),
    item({ id: '', audit_id: 'second', resource_text: 'second' }),
    item({ id: 'x'.repeat(201), resource_text: 'long' })
  )
  const byText = new Map<string, Item>(
    (await service.json(EVENTS)).items.map((each: Item) => [each.resource_text, each])
  )
  t.equal(byText.get('number')?.id, '42')
  t.equal(byText.get('sane')?.id, 'a.b:c~d-e_f')
  t.equal(byText.get('second')?.id, 'second')
  t.equal(byText.get('any')?.id, 'with/blank é')
  for (const computed of ['ours', 'route', 'odd', 'long']) {
    const id = byText.get(computed)?.id
    t.match(id, /^kab1\.\d+\.[\w-]+$/, computed)
    t.equal((await service.json(`${EVENTS}/${id}`)).resource_text, computed)
  }
})

t.test('Retry-After of Kubiya is passed on, up to five minutes', async (t) => {
  for (
    const [told, least, most] of [['12', 11, 12], ['99999', 299, 300], [
      new Date(Date.now() + 60_000).toUTCString(),
      50,
      60
    ]] as const
  ) {
    const service = await startService(t)
    await service.settled()
    service.sandbox.faults.next({ kind: 'status', status: 429, headers: { 'retry-after': told } })
    const response = await service.get(EVENTS)
    t.equal(response.status, 503)
    const problem = await response.json() as Item
    t.equal(problem.code, 'upstream-throttled')
    t.equal(response.headers.get('retry-after'), String(problem.retry_after))
    t.ok(problem.retry_after >= least && problem.retry_after <= most, `${told}: ${problem.retry_after}`)
    t.equal(service.sandbox.asked, 1, 'it is not asked again before')
  }
})

t.test('a failed call for a caller is retried at most twice, if that can help', async (t) => {
  const service = await startService(t)
  await service.settled()
  service.sandbox.faults.next({ kind: 'status', status: 500 }, 2)
  t.equal((await service.get(EVENTS)).status, 200)
  t.equal(service.sandbox.asked, 3)
  service.sandbox.resetRequests()
  service.sandbox.faults.during({ kind: 'status', status: 502 })
  t.equal((await service.get(`${EVENTS}?page_size=9`)).status, 502)
  t.equal(service.sandbox.asked, 3)
  service.sandbox.faults.clear()
  service.sandbox.resetRequests()
  service.sandbox.faults.next({ kind: 'status', status: 400 })
  t.equal((await service.get(`${EVENTS}?page_size=8`)).status, 502)
  t.equal(service.sandbox.asked, 1)
})

t.test('a spent request budget is a 503, or an answer from the cache', async (t) => {
  const service = await startService(t, {
    KUBIYA_REQUESTS_PER_MINUTE: '8',
    CACHE_OPEN_TTL_MS: '0',
    CACHE_STALE_MS: '0'
  })
  const answers: Response[] = []
  for (let n = 0; n < 12; n++) answers.push(await service.get(`${EVENTS}?page_size=${n + 1}`))
  const refused = answers.find(({ status }) => status === 503)
  t.equal((await refused?.json() as Item).code, 'upstream-throttled')
  t.ok(Number(refused?.headers.get('retry-after')) >= 1)
  t.ok(service.sandbox.asked <= 3, `${service.sandbox.asked} requests`)
})

t.test('base URLs with a prefix or /api/v1, and the organization, reach the upstream', async (t) => {
  const sandbox = await startUpstream(t, { prefix: '/gateway' })
  const service = await startService(
    t,
    { KUBIYA_BASE_URL: `${sandbox.url}/api/v1/`, KUBIYA_ORGANIZATION_ID: 'org-7' },
    {},
    sandbox
  )
  sandbox.publish(item({ resource_text: 'behind' }))
  t.same(texts(await service.json(EVENTS)), ['behind'])
  t.equal(sandbox.requests.at(-1)?.path, '/gateway/api/v1/auditing/items')
  t.equal(sandbox.requests.at(-1)?.headers['x-organization-id'], 'org-7')
})

/** Makes the sandbox sort its log by whole seconds: inside a second it keeps an order of its own. */
function sortBySeconds (sandbox: Sandbox, log: Item[]): void {
  let asked: ReceivedRequest | undefined
  const second = ({ timestamp }: Item) => Math.floor(Date.parse(timestamp) / 1000)
  sandbox.faults.during({
    kind: 'mutate',
    when: (request) => {
      asked = request
      return true
    },
    change: () => {
      const { filter, sort, page = 1, pageSize = 50 } = asked?.query ?? {}
      const { gte = 0, lte = Infinity } = (filter as Item | undefined)?.timestamp ?? {}
      const bounds = [gte, lte].map((bound) => typeof bound === 'string' ? Date.parse(bound) : bound)
      const rows = log.filter(({ timestamp }) =>
        Date.parse(timestamp) >= bounds[0] && Date.parse(timestamp) <= bounds[1]
      )
      const sign = (sort as Item | undefined)?.timestamp === 1 ? 1 : -1
      return rows.sort((a, b) => sign * (second(a) - second(b)) || a.rank - b.rank).slice(
        (page - 1) * pageSize,
        page * pageSize
      )
    }
  })
}
