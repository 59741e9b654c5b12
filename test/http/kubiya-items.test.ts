import t, { type Test } from 'tap'
import type { KubiyaError } from '../../src/http/kubiya-error.ts'
import { exchange, head } from '../hardening/raw.ts'
import { startKeyServer } from '../support/key-server.ts'
import { createCli, createSdk, get, type Event } from '../support/kubiya-clients.ts'
import { ago, evenDates, item, startService, startUpstream, type Service } from '../support/support.ts'

const ITEMS = '/api/v1/auditing/items'
const TOKEN = 'a-token-of-the-tests'
const KUBIYA_TYPE = 'application/json; charset=utf-8'

/** The error of an answer that has Kubiya's form. */
function errorOf (t: Test, { headers, status, text }: Awaited<ReturnType<typeof get>>, message: string): KubiyaError {
  t.equal(headers['content-type'], KUBIYA_TYPE, message)
  t.equal(headers['cache-control'], 'no-store', message)
  const error = JSON.parse(text) as KubiyaError
  t.match(error, { error: /./, details: /./, errorCode: /^[A-Z_]+$/, status }, message)
  t.equal(error.request_id, headers['x-request-id'], message)
  return error
}

function series (count: number, fields: (n: number) => Event = () => ({})): Event[] {
  const dateOf = evenDates(1000 * count, 1000)
  return Array.from({ length: count }, (_, n) => item({ n, timestamp: dateOf(n), ...fields(n) }))
}

function numbers (events: Event[]): number[] {
  return events.map(({ n }) => n as number)
}

t.test("Kubiya's programs", async (t) => {
  const { settings: jwt, token } = await startKeyServer(t)
  const upstream = await startUpstream(t)
  const modes: Record<string, [settings: Record<string, string>, key: string]> = {
    none: [{}, 'anything at all'],
    token: [{ AUTH_MODE: 'token', AUTH_TOKENS: TOKEN }, TOKEN],
    jwt: [jwt, token],
    passthrough: [{ AUTH_MODE: 'passthrough' }, upstream.apiKey]
  }
  upstream.publish(
    series(
      120,
      (n) => ({ category_type: n % 2 === 0 ? 'agents' : 'ai', resource_text: `line ${n}`, action_successful: n > 5 })
    )
  )
  for (const [mode, [settings, apiKey]] of Object.entries(modes)) {
    t.test(`list, search, describe and export in mode ${mode}`, async (t) => {
      const service = await startService(t, settings, {}, upstream)
      const sdk = createSdk({ baseUrl: service.url, apiKey })
      const cli = createCli({ baseUrl: `${service.url}/api/v1`, apiKey })
      const listed = await sdk.list()
      t.same(numbers(listed), Array.from({ length: 50 }, (_, n) => 119 - n))
      t.same(numbers(await cli.list()), numbers(listed))
      t.same(numbers(await sdk.list({ filter: { category_type: 'ai' }, pageSize: 2, direction: 1, page: 2 })), [5, 7])
      t.same(numbers(await sdk.search({ text: 'LINE 7', status: 'success' })), [
        79,
        78,
        77,
        76,
        75,
        74,
        73,
        72,
        71,
        70,
        7
      ])
      t.same(numbers(await sdk.search({ status: 'failed' })), [5, 4, 3, 2, 1, 0])
      const { event } = await sdk.describe(listed[3]?.id)
      t.equal(event?.n, 116)
      t.same(numbers(await cli.exported({ pageSize: 50 })), Array.from({ length: 120 }, (_, n) => 119 - n))
    })

    if (mode === 'none') continue
    t.test(`no list without a credential, or with a wrong one, in mode ${mode}`, async (t) => {
      const service = await startService(t, settings, {}, upstream)
      await service.settled()
      const missing = errorOf(t, await get(`${service.url}${ITEMS}`, {}), 'missing')
      t.match(missing, { status: 401, errorCode: 'AUTH_REQUIRED' })
      for (const authorization of ['UserKey wrong', 'Bearer wrong', 'Basic eDp5', 'UserKey ', TOKEN]) {
        const wrong = await get(`${service.url}${ITEMS}`, { authorization })
        t.match(errorOf(t, wrong, authorization), { status: 401, errorCode: 'INVALID_API_KEY' }, authorization)
        t.ok(wrong.headers['www-authenticate'])
      }
    })
  }
})

t.test('in mode none the credential of a program is not looked at, and never forwarded', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(item({ n: 1 }))
  for (const authorization of ['UserKey ', 'UserKey mine', 'Basic eDp5', 'Bearer a b c', 'é', '']) {
    const { status } = await get(`${service.url}${ITEMS}`, {
      authorization: Buffer.from(authorization).toString('latin1')
    })
    t.equal(status, 200, authorization)
  }
  const twice = await exchange(service.url, head(ITEMS, { authorization: 'UserKey a', Authorization: 'UserKey b' }))
  t.match(twice, /^HTTP\/1\.1 200/)
  t.ok(service.sandbox.requests.every(({ headers }) => headers.authorization === `UserKey ${service.sandbox.apiKey}`))
})

t.test('UserKey means the same as Bearer on these routes, and only there', async (t) => {
  const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN })
  const statuses = async (path: string) =>
    Promise.all(['UserKey', 'Bearer'].map(async (scheme) =>
      (await service.get(path, { authorization: `${scheme} ${TOKEN}` })).status
    ))
  t.same(await statuses(ITEMS), [200, 200])
  t.same(await statuses('/api/v1/audit/events'), [401, 200])
})

t.test('pages of allowed origins read the list, and those of others do not', async (t) => {
  const service = await startService(t, { ALLOWED_ORIGINS: 'https://app.example' })
  const readable = async (origin: string, method: string) => {
    const headers = { origin, 'access-control-request-method': 'GET' }
    const response = await fetch(`${service.url}${ITEMS}`, { method, headers })
    return [response.status, response.headers.get('access-control-allow-origin')]
  }
  t.same(await readable('https://app.example', 'GET'), [200, 'https://app.example'])
  t.same(await readable('https://app.example', 'OPTIONS'), [204, 'https://app.example'])
  t.same((await readable('https://evil.example', 'GET'))[1], null)
})

t.test('the list', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(
    series(120),
    item({ n: 500, id: 'own/1', timestamp: ago(500) }),
    item({ n: 999, timestamp: '1999-01-01T00:00:00Z' })
  )
  await service.settled()

  t.test('is a bare array with ids, and has the headers of the cache', async (t) => {
    const response = await service.get(ITEMS)
    t.equal(response.status, 200)
    t.equal(response.headers.get('content-type'), KUBIYA_TYPE)
    t.match(response.headers.get('etag'), /^W\/"[^"]+"$/)
    t.equal(response.headers.get('cache-control'), 'private, no-cache')
    t.equal(response.headers.get('x-live-cursor'), null)
    t.ok(response.headers.get('age') !== null && response.headers.get('cache-status') !== null)
    const items = await response.json() as Event[]
    t.equal(items.length, 50)
    t.ok(items.every(({ id }) => typeof id === 'string' && id.length > 0))
    t.same([items[0]?.id, items[1]?.n], ['own/1', 119])
    const own = await service.json('/api/v1/audit/events')
    t.same(items, own.items, 'the same as on the own route')
    const again = await service.get(ITEMS, { 'if-none-match': response.headers.get('etag') ?? '' })
    t.same([again.status, await again.text()], [304, ''])
    const { body, headers, status } = await fetch(`${service.url}${ITEMS}`, { method: 'HEAD' })
    t.same([status, body, headers.get('etag')], [200, null, response.headers.get('etag')])
  })

  t.test('links to the next numbered page while there is one, and has no lower bound', async (t) => {
    const found: number[] = []
    let link: string | undefined = `?page_size=50&filter=${encodeURIComponent('{"category_type":"agents"}')}`
    let pages = 0
    while (link !== undefined) {
      const response: Response = await fetch(new URL(link, `${service.url}${ITEMS}`))
      found.push(...numbers(await response.json() as Event[]))
      link = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
      pages++
    }
    t.same(found, [500, ...Array.from({ length: 120 }, (_, n) => 119 - n), 999])
    t.equal(pages, 3)
    t.same(await service.json(`${ITEMS}?page=9`), [])
  })

  t.test('shows one event by the id that the list gave', async (t) => {
    const [first, second] = await service.json(ITEMS)
    for (const { id, n } of [first, second]) {
      const response = await service.get(`${ITEMS}/${encodeURIComponent(id)}`)
      t.same([response.status, (await response.json() as Event).n], [200, n])
      t.match(response.headers.get('cache-control'), /^private, (?:no-cache|max-age=\d+)$/)
    }
    const missing = errorOf(t, await get(`${service.url}${ITEMS}/nothing-of-that-id`, {}), 'missing')
    t.match(missing, { status: 404, errorCode: 'NOT_FOUND' })
  })
})

t.test('bad input is refused in the form of Kubiya, names the key, and costs no call', async (t) => {
  const service = await startService(t)
  await service.settled()
  const deep = encodeURIComponent(`{"a":${'['.repeat(4000)}`)
  const cases: Array<[path: string, key: string]> = [
    ['?x=1', 'x'], ['?page=1&page=2', 'page'], ['?page_size=10001', 'page_size'], ['?page=0', 'page'],
    ['?filter=%7B', 'filter'], ['?filter=', 'filter'], ['?filter=[]', 'filter'], [`?filter=${deep}`, 'filter'],
    ['?filter={"$where":"1"}', 'filter.$where'], ['?filter={"email":{"$ne":"x"}}', 'filter.email'],
    ['?filter={"__proto__":{"x":1}}', 'filter.__proto__'], ['?filter={"org":"x"}', 'filter.org'],
    ['?filter={"session_id":"a","extra.session_id":"b"}', 'filter.extra.session_id'],
    ['?filter={"timestamp":{"$gt":"2024-01-01"}}', 'filter.timestamp.$gt'],
    ['?filter={"timestamp":{"gte":"soon"}}', 'filter.timestamp.gte'],
    ['?sort={"id":1}', 'sort'], ['?search_text=', 'search_text'], ['?status_filter=x', 'status_filter'],
    ['?token=secret-canary', 'token'], ['?cursor=x', 'cursor'],
    ['/some-id?x=1', 'x'], ['/..%2f..%2fusers', 'id'], ['/a%00b', 'id'], [`/${'x'.repeat(300)}`, 'id']
  ]
  for (const [path, key] of cases) {
    const answer = await exchange(service.url, head(`${ITEMS}${path}`))
    t.match(answer, /^HTTP\/1\.1 400/, path)
    const error = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))) as KubiyaError
    t.match(error, { status: 400, errorCode: 'INVALID_PARAMETER' }, path)
    t.ok(error.details.includes(`${key}: `), `${path} ${error.details}`)
    t.notOk(answer.includes('secret-canary'))
  }
  const long = errorOf(t, await get(`${service.url}${ITEMS}?${'k'.repeat(8000)}=1`, {}), 'long name')
  t.ok(long.details.length < 200)
  t.equal(service.sandbox.asked, 0)
})

t.test("no other path of Kubiya's is served or forwarded", async (t) => {
  const service = await startService(t)
  await service.settled()
  const paths = [
    '/stream', '/stream?x=1', '/', '/a/b', '/../../users', '/%2e%2e/users'
  ].map((path) => `${ITEMS}${path}`)
  for (
    const path of [
      ...paths,
      '/api/v1/auditing',
      '/api/v1/auditing/',
      '/api/v1/auditing/users',
      '/api/v1/auditing/itemsx'
    ]
  ) {
    const answer = await exchange(service.url, head(path))
    t.match(answer, /^HTTP\/1\.1 40[04]/, path)
    t.match(
      JSON.parse(answer.slice(answer.indexOf('\r\n\r\n'))),
      { errorCode: /^(NOT_FOUND|INVALID_PARAMETER)$/ },
      path
    )
  }
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    t.match(errorOf(t, await get(`${service.url}${ITEMS}`, {}, method), method), { errorCode: 'NOT_FOUND' }, method)
  }
  const elsewhere = await service.get('/api/v1/users/self')
  t.same([elsewhere.status, elsewhere.headers.get('content-type')], [404, 'application/problem+json; charset=utf-8'])
  t.equal(service.sandbox.asked, 0)
})

t.test('every hook refuses in the form of Kubiya', async (t) => {
  t.test('the check of the host', async (t) => {
    const service = await startService(t)
    for (const path of [ITEMS, `${ITEMS}/x`, '/api/v1/auditing/y', `${ITEMS}/%zz`]) {
      const answer = await get(`${service.url}${path}`, { host: 'evil.example', authorization: 'UserKey x' })
      t.match(errorOf(t, answer, path), { status: 403, errorCode: 'FORBIDDEN' }, path)
    }
  })

  t.test('the limit of requests, with a header that the SDK can sleep through', async (t) => {
    const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '1' })
    await service.get(ITEMS)
    const answer = await get(`${service.url}${ITEMS}`, {})
    const error = errorOf(t, answer, 'limit')
    t.match(error, { status: 429, errorCode: 'RATE_LIMITED' })
    t.ok((error.retryAfter ?? 0) > 30, String(error.retryAfter))
    t.equal(answer.headers['retry-after'], '2')
    const waits: number[] = []
    const sdk = createSdk({ baseUrl: service.url, wait: async (ms) => { waits.push(ms) } })
    await t.rejects(sdk.list(), /RATE_LIMITED/)
    t.same(waits, [2000, 2000, 2000])
  })

  t.test('the reader of requests', async (t) => {
    const service = await startService(t)
    const broken = await get(`${service.url}${ITEMS}/%zz`, {})
    t.match(errorOf(t, broken, 'broken'), { status: 400, errorCode: 'INVALID_PARAMETER' })
    const headers = Object.fromEntries(Array.from({ length: 110 }, (_, n) => [`x-${n}`, '1']))
    t.match(errorOf(t, await get(`${service.url}${ITEMS}`, headers), 'headers'), {
      status: 431,
      errorCode: 'INVALID_PARAMETER'
    })
    const hosts = await exchange(
      service.url,
      `GET ${ITEMS} HTTP/1.1\r\nhost: localhost\r\nhost: b\r\nconnection: close\r\n\r\n`
    )
    t.match(hosts, /"errorCode":"INVALID_PARAMETER"/)
    const absolute = await exchange(
      service.url,
      head('http://evil.example/api/v1/auditing/x', { host: 'evil.example' })
    )
    t.match(absolute, /"errorCode":"FORBIDDEN"/)
    const spelled = await exchange(service.url, head('/api/v1/%61uditing/items?x=1'))
    t.match(spelled, /"errorCode":"INVALID_PARAMETER"/)
  })

  t.test('the shedding of load', async (t) => {
    const service = await startService(t, { MAX_LOOP_DELAY_MS: '1' })
    let shed: Awaited<ReturnType<typeof get>> | undefined
    const startedMs = Date.now()
    while (shed === undefined && Date.now() - startedMs < 20_000) {
      const answers = [get(`${service.url}${ITEMS}`, {}), get(`${service.url}${ITEMS}`, {})]
      const untilMs = Date.now() + 60
      while (Date.now() < untilMs);
      shed = (await Promise.all(answers)).find(({ status }) => status === 503)
    }
    if (shed === undefined) return t.fail('nothing was shed')
    t.match(errorOf(t, shed, 'shed'), { status: 503, errorCode: 'OVERLOADED', retryAfter: 5 })
    t.equal(shed.headers['retry-after'], '2')
  })

  t.test('a failure of Kubiya', async (t) => {
    const cases: Array<[status: number, expected: object]> = [
      [401, { status: 502, errorCode: 'UPSTREAM_UNAUTHORIZED' }],
      [500, { status: 502, errorCode: 'UPSTREAM_UNAVAILABLE' }],
      [404, { status: 502, errorCode: 'UPSTREAM_INVALID' }],
      [429, { status: 503, errorCode: 'OVERLOADED', retryAfter: 77 }]
    ]
    for (const [status, expected] of cases) {
      const service = await startService(t)
      await service.settled()
      service.sandbox.faults.during({ kind: 'status', status, headers: { 'retry-after': '77' } })
      const answer = await get(`${service.url}${ITEMS}?page=3`, {})
      t.match(errorOf(t, answer, String(status)), expected, String(status))
      t.equal(answer.headers['retry-after'], status === 429 ? '2' : undefined)
      await service.close()
    }
  })

  t.test("Kubiya's own refusal of a caller's credential", async (t) => {
    const service = await startService(t, { AUTH_MODE: 'passthrough' })
    service.sandbox.faults.during({ kind: 'status', status: 403 })
    const answer = await get(`${service.url}${ITEMS}`, { authorization: 'UserKey mine' })
    t.match(errorOf(t, answer, 'scope'), { status: 403, errorCode: 'INSUFFICIENT_SCOPE' })
  })
})

t.test('COMPATIBLE_API=false removes the routes', async (t) => {
  const service = await startService(t, { COMPATIBLE_API: 'false' })
  await service.settled()
  for (const path of [ITEMS, `${ITEMS}/x`, '/api/v1/auditing/y']) {
    const response = await service.get(path)
    t.same(
      [response.status, response.headers.get('content-type')],
      [404, 'application/problem+json; charset=utf-8'],
      path
    )
  }
  t.equal(service.sandbox.asked, 0)
  t.notMatch(await (await service.get('/openapi.json')).text(), /auditing/)
})

t.test('requests are logged without their query, and counted under their own route', async (t) => {
  const service: Service = await startService(t)
  await service.get(`${ITEMS}?search_text=secret-canary`)
  await service.get(`${ITEMS}/x`)
  const metrics = await (await fetch(service.metricsUrl)).text()
  t.match(metrics, /route="\/api\/v1\/auditing\/items"/)
  t.match(metrics, /route="\/api\/v1\/auditing\/items\/:id"/)
  t.ok(service.logs.some(({ path, status }) => path === ITEMS && status === 200))
  t.notOk(JSON.stringify(service.logs).includes('secret-canary'))
})

t.test('small lists at once wait for no memory that only large pages need', async (t) => {
  const answers = { maxBytes: 2_000_000, maxWaitMs: 20 }
  const service = await startService(t, {}, {}, undefined, undefined, { answers })
  await service.settled()
  service.sandbox.faults.during({ kind: 'delay', delayMs: 500 })
  const path = (n: number) => `${ITEMS}?filter={"timestamp":{"lte":"2024-01-01"},"category_name":"x${n}"}`
  const statuses = await Promise.all(Array.from({ length: 5 }, async (_, n) => (await service.get(path(n))).status))
  t.same(statuses, [200, 200, 200, 200, 200])
})
