import t from 'tap'
import { ago, eventually, item, startService } from '../support/support.ts'
import { dial, exchange, handshake, head, statusOf } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const SECRET = 'canary-5f3a9c77'

t.test('a credential in the URL is refused and not logged', async (t) => {
  const service = await startService(t, { KUBIYA_API_KEY: 'k' })
  await eventually('the first poll has ended', async () => (await service.get('/readyz')).status === 200)
  service.sandbox.resetRequests()
  for (const path of [EVENTS, `${EVENTS}/search`, `${EVENTS}/x`, STREAM]) {
    for (const name of ['token', 'access_token', 'api_key', 'apikey', 'Authorization', '%74oken']) {
      const response = await service.get(`${path}?${name}=${SECRET}`)
      t.equal(response.status, 400, `${path} ${name}`)
      t.notOk((await response.text()).includes(SECRET))
    }
    t.equal(
      statusOf(
        await exchange(service.url, head(`${path}?token=${SECRET}`, handshake()), (heard) => heard.includes('}'))
      ),
      400
    )
  }
  t.notOk(JSON.stringify(service.logs).includes(SECRET))
  t.equal(service.sandbox.asked, 0)
})

t.test('an id with path tricks reaches nothing', async (t) => {
  const service = await startService(t)
  await service.settled()
  const ids = [
    '..%2f..%2fusers',
    '%2e%2e%2f',
    '%252e%252e',
    'a%00b',
    '%00',
    'x?admin=1',
    '/evil',
    '%2f%2fevil',
    'x'.repeat(8192),
    '%zz',
    'a%0d%0ab',
    'a b',
    '..;/x',
    '\\..\\x',
    'kab1.x',
    'kab1.1748942047218334000',
    'é'
  ]
  for (const id of ids) {
    const status = statusOf(await exchange(service.url, head(`${EVENTS}/${Buffer.from(id).toString('latin1')}`)))
    t.ok([400, 404, 414, 431].includes(status), `${id.slice(0, 40)}: ${status}`)
    t.equal(service.sandbox.asked, 0, id.slice(0, 40))
    service.sandbox.resetRequests()
  }
  t.equal((await service.get(`${EVENTS}/$where`)).status, 404)
  t.match(service.sandbox.requests[0], { path: '/api/v1/auditing/items/%24where', search: '' }, 'an id like any other')
})

t.test('each parameter is validated and allowed once, and Kubiya receives no others', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(item({ category_type: 'a&page_size=9', timestamp: ago(1000) }))
  await service.settled()
  for (
    const query of [
      'page=1&page=2',
      'page[]=1',
      'page%5B%5D=1',
      'page_size=1e9',
      'page_size=1e2',
      'page_size=0x10',
      'page_size=%20',
      'limit=+5',
      'page=-1',
      'page=1.5',
      'page=%31%00',
      'filter={}',
      'filter=%7B%22%24where%22%3A1%7D',
      'sort=-timestamp',
      'sort_direction=asc&sort_direction=desc',
      'category_type[$ne]=x',
      'category_type%5B%24ne%5D=x',
      'category_type=',
      'category_type=a&category_type=b',
      '__proto__=1',
      'constructor=1',
      'org=other',
      'limit=10001',
      'cursor=1.x',
      'start_time=yesterday',
      'start_time=%00',
      'status=odd',
      'page_size=10&page_size=10'
    ]
  ) {
    const response = await service.get(`${EVENTS}?${query}`)
    t.equal(response.status, 400, query)
    t.match(response.headers.get('content-type'), 'application/problem+json', query)
  }
  t.equal(service.sandbox.asked, 0)

  const smuggled = await service.json(`${EVENTS}?category_type=a%26page_size%3D9`)
  t.equal(smuggled.items.length, 1, 'it is a value')
  for (const value of ['$where', '{"$ne":1}', 'a:b', 'a=b', 'a|b']) {
    await service.json(`${EVENTS}?category_name=${encodeURIComponent(value)}`)
  }
  for (const { path } of service.sandbox.requests) {
    const parameters = [...new URL(path, 'http://kubiya').searchParams]
    t.equal(new Set(parameters.map(([name]) => name)).size, parameters.length, 'once each')
    const filter = parameters.find(([name]) => name === 'filter')?.[1] ?? '{}'
    t.notOk(
      keysIn(JSON.parse(filter)).some((key) => key.startsWith('$') && !['$gte', '$lte', '$in'].includes(key)),
      filter
    )
  }
})

function keysIn (value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysIn(inner)])
}

t.test('values with separators are different queries', async (t) => {
  const service = await startService(t)
  const values = ['a', 'a:b', 'a=b', 'a|b', 'a&b', 'a","b', 'a\u0000b', 'a%00b', 'a b', 'A']
  service.sandbox.publish(values.map((value) => item({ category_name: value, timestamp: ago(1000) })))
  await service.settled()
  const ask = async (value: string) =>
    (await service.json(`${EVENTS}?category_name=${encodeURIComponent(value)}`)).items.map((
      each: Record<string, unknown>
    ) => each.category_name)
  for (const value of values) t.same(await ask(value), [value], JSON.stringify(value))
  for (const value of values) t.same(await ask(value), [value], `${JSON.stringify(value)} again`)
  const pairs = [['a', 'b'], ['a","category_name":"b', ''], ['ab', ''], ['', 'ab']]
  const keys = await Promise.all(pairs.map(async ([type = '', name = '']) => {
    const query = new URLSearchParams({
      ...type !== '' && { category_type: type },
      ...name !== '' && { category_name: name }
    })
    return (await service.get(`${EVENTS}?${query}`)).headers.get('cache-status')
  }))
  t.ok(keys.every((status) => status?.includes('fwd=miss')), keys.join())
})

t.test('a caller cannot name its tenant', async (t) => {
  const service = await startService(t, { KUBIYA_ORGANIZATION_ID: 'ours' })
  await service.settled()
  await service.get(EVENTS, {
    'x-organization-id': 'theirs',
    'x-forwarded-for': '10.0.0.1',
    'x-forwarded-host': 'evil',
    forwarded: 'for=10.0.0.1',
    authorization: `UserKey ${SECRET}`,
    cookie: `session=${SECRET}`,
    'x-api-key': SECRET
  })
  t.ok(service.sandbox.requests.length > 0)
  for (const { headers } of service.sandbox.requests) {
    t.equal(headers['x-organization-id'], 'ours')
    t.same(
      Object.keys(headers).filter((name) =>
        ![
          'accept',
          'accept-encoding',
          'authorization',
          'connection',
          'content-type',
          'host',
          'user-agent',
          'x-organization-id'
        ].includes(name)
      ),
      []
    )
    t.notOk(JSON.stringify(headers).includes(SECRET))
  }
  t.equal((await service.get(`${EVENTS}?org=theirs`)).status, 400)
})

t.test('a malformed or too large request is refused', async (t) => {
  const service = await startService(t)
  await service.settled()
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`x-${n}`, 'a']))
  for (
    const [what, text, statuses] of [
      ['101 headers', head(EVENTS, many(99)), [431]],
      ['200 headers', head(EVENTS, many(200)), [431]],
      ['3000 headers', head(EVENTS, many(3000)), [431]],
      ['a header of 64 KB', head(EVENTS, { 'x-long': 'a'.repeat(65_536) }), [431]],
      ['a URL of 64 KB', head(`${EVENTS}?text=${'a'.repeat(65_536)}`), [414, 431]],
      [
        'two lengths',
        'POST /api/v1/audit/stream/tickets HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: ' +
          'chunked\r\n\r\n0\r\n\r\n',
        [400]
      ],
      [
        'lengths that differ',
        'POST /api/v1/audit/stream/tickets HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde',
        [400]
      ],
      ['a bare LF in a value', 'GET /livez HTTP/1.1\r\nhost: a\r\nx-a: b\nx-c: d\r\nconnection: close\r\n\r\n', [
        400,
        200
      ]],
      ['a NUL in a value', 'GET /livez HTTP/1.1\r\nhost: a\r\nx-a: b\0c\r\n\r\n', [400]],
      ['no host', 'GET /livez HTTP/1.1\r\n\r\n', [400]],
      [
        'a body that is long',
        `POST /api/v1/audit/stream/tickets HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n${
          'a'.repeat(5000)
        }`,
        [413]
      ],
      ['another version', 'GET /livez HTTP/3.0\r\n\r\n', [400, 505]],
      ['TLS', Buffer.from('16030100a5010000a10303', 'hex').toString('latin1'), [400]]
    ] as Array<[string, string, number[]]>
  ) {
    const answer = await exchange(service.url, Buffer.from(text, 'latin1'), (heard) => /\r\n\r\n[^]*\}/.test(heard))
    t.ok(statuses.includes(statusOf(answer)), `${what}: ${answer.slice(0, 40)}`)
    if (statusOf(answer) >= 400) t.match(answer, /application\/problem\+json/, what)
  }
  t.equal(statusOf(await exchange(service.url, head('/livez', many(90)))), 200, 'a hundred headers are fine')
  t.equal(service.sandbox.asked, 0)
  t.equal((await service.get('/livez')).status, 200)
})

t.test('a slow request head is cut off in time, and delays no other', async (t) => {
  const service = await startService(t, { HEADERS_TIMEOUT_MS: '500' })
  const slow = Array.from({ length: 500 }, () => dial(service.url))
  const answers: string[] = []
  let closed = 0
  for (const socket of slow) {
    socket.on('data', (chunk) => answers.push(String(chunk)))
    socket.write('GET /livez HTTP/1.1\r\nhost: a\r\nx-slow: ')
    const drip = setInterval(() => socket.write('a'), 100)
    socket.on('close', () => {
      clearInterval(drip)
      closed++
    })
  }
  t.equal((await service.get('/livez')).status, 200)
  await eventually('all of them are gone', () => closed === slow.length)
  t.same(answers.filter((answer) => !answer.startsWith('HTTP/1.1 408')), [])
  t.ok(answers.length > 0, 'the service says why before it closes')
})

t.test('an error text of Kubiya reaches no caller', async (t) => {
  const service = await startService(t)
  await service.settled()
  const body = `Error: at /srv/kubiya/db.js:7 key=${service.sandbox.apiKey} host=10.1.2.3`
  for (const status of [400, 401, 403, 404, 418, 429, 500, 502]) {
    service.sandbox.faults.next({
      kind: 'status',
      status,
      body,
      headers: { 'x-echo': service.sandbox.apiKey, 'set-cookie': 'a=b' }
    }, 5)
    const response = await service.get(`${EVENTS}?page_size=${status % 100 + 1}`)
    t.ok(response.status >= 500, `${status}: ${response.status}`)
    const all = `${await response.text()} ${JSON.stringify([...response.headers])}`
    t.notMatch(all, /srv|10\.1\.2\.3|set-cookie|x-echo/)
    t.notOk(all.includes(service.sandbox.apiKey))
    service.sandbox.faults.clear()
  }
  t.notOk(JSON.stringify(service.logs).includes(service.sandbox.apiKey))
})

t.test('answers and log lines stay short, however much of a request is invalid', async (t) => {
  const service = await startService(t)
  const unknown = Array.from({ length: 1200 }, (_, n) => `x${n}=1`).join('&')
  for (
    const [query, more] of [[unknown, 1150], [`${'y'.repeat(6000)}=1&${'z'.repeat(6000)}=1`, 0], [
      `cursor=x&${unknown}`,
      1151
    ]] as const
  ) {
    const response = await service.get(`/api/v1/audit/events?${query}`)
    t.equal(response.status, 400)
    const text = await response.text()
    t.ok(text.length < 10_000, `${text.length} bytes`)
    const problem = JSON.parse(text) as { detail: string, errors: unknown[] }
    t.ok(problem.errors.length <= 50)
    if (more > 0) t.match(problem.detail, new RegExp(`; and (${more}|${more - 1}|${more + 1}) more$`))
  }
  for (const path of [`/${'a'.repeat(14_000)}`, `/api/v1/audit/events/${'b'.repeat(500)}/${'c'.repeat(5000)}`]) {
    t.equal((await service.get(path)).status, 404)
  }
  await eventually('all are logged', () => service.logs.filter(({ status }) => status === 404).length === 2)
  for (const { path } of service.logs.filter(({ msg }) => msg === 'request')) t.ok(String(path).length <= 513)
})
