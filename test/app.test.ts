import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request as openRequest, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { text as textOf } from 'node:stream/consumers'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fastify from 'fastify'
import t from 'tap'
import { writeOpenapi } from '../tools/openapi.ts'
import { healthRoutes } from '../src/http/routes/health.ts'
import { readSettings } from '../src/settings/read-settings.ts'
import { evenDates, eventually, item, startKeyless, startService, startUpstream } from './support/support.ts'

type Item = Record<string, any>

const EVENTS = '/api/v1/audit/events'
const SEARCH = '/api/v1/audit/events/search'
const STREAM = '/api/v1/audit/stream'

/** Sends bytes as they are; everything that comes back. */
async function raw (url: string, text: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(text)
  return textOf(socket)
}

function handshake (): Record<string, string> {
  return {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64')
  }
}

/** Asks for an upgrade; what was answered, be it the 101. */
async function upgraded (
  url: string,
  headers: Record<string, string> = {}
): Promise<{ status: number, headers: IncomingMessage['headers'], text: string }> {
  const request = openRequest(url, { headers: { ...handshake(), ...headers } }).end()
  const [response] = await Promise.race([once(request, 'response'), once(request, 'upgrade')]) as [IncomingMessage]
  const text = response.statusCode === 101 ? '' : await textOf(response)
  request.destroy()
  return { status: response.statusCode ?? 0, headers: response.headers, text }
}

/** A WebSocket client that has said its handshake, and from then on says nothing more, not even goodbye. */
async function silentClient (t: { teardown (action: () => unknown): void }, url: string): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  const lines = Object.entries({ host: hostname, ...handshake() }).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(`GET ${STREAM} HTTP/1.1\r\n${lines.join('')}\r\n`)
  let heard = ''
  while (!heard.includes('"hello"')) heard += String((await once(socket, 'data'))[0])
}

const WS_WAITS_MS = 30_000 // Its own time to give up a client that does not answer a close frame.

t.test('settings', async (t) => {
  t.test('settings have their documented defaults if unset or blank', async (t) => {
    const outcome = readSettings({ PORT: ' ', LOG_LEVEL: '', UNRELATED: 'x' })
    if (!outcome.ok) return t.fail(outcome.faults.join())
    t.same(outcome.settings, {
      HOST: '127.0.0.1',
      PORT: 3000,
      LOG_LEVEL: 'info',
      ALLOW_ANONYMOUS: false,
      ALLOW_PLAIN_HTTP: false,
      COMPATIBLE_API: true,
      CONSOLE: true,
      KUBIYA_BASE_URL: 'https://api.kubiya.ai',
      KUBIYA_SESSION_FILTER: 'extra.session_id',
      KUBIYA_REQUESTS_PER_MINUTE: 100,
      KUBIYA_REQUESTS_PER_DAY: 5000,
      UPSTREAM_TIMEOUT_MS: 10_000,
      UPSTREAM_MAX_BYTES: 8_388_608,
      POLL_INTERVAL_MS: 3000,
      POLL_MAX_INTERVAL_MS: 30_000,
      POLL_PAGE_SIZE: 1000,
      LATENESS_MS: 120_000,
      HISTORY_EVENTS: 10_000,
      HISTORY_BYTES: 67_108_864,
      SEARCH_SCAN_LIMIT: 10_000,
      AGGREGATE_HOURS: 24,
      AGGREGATE_EVENTS: 200_000,
      AGGREGATE_SCAN_LIMIT: 100_000,
      REPLAY_LIMIT: 10_000,
      MAX_EXPORTS: 4,
      EXPORT_LIMIT: 1_000_000,
      CACHE_MAX_BYTES: 67_108_864,
      CACHE_OPEN_TTL_MS: 10_000,
      CACHE_CLOSED_TTL_MS: 3_600_000,
      CACHE_STALE_MS: 300_000,
      CACHE_STALE_IF_ERROR_MS: 3_600_000,
      MAX_SUBSCRIBERS: 20_000,
      SUBSCRIBER_BACKLOG_BYTES: 65_536,
      HEARTBEAT_MS: 20_000,
      STREAM_COMPRESSION: true,
      STREAM_MAX_AGE_MS: 0,
      DRAIN_MS: 20_000,
      MAX_SUBSCRIBERS_PER_CLIENT: 0,
      AUTH_MODE: 'none',
      AUTH_CLOCK_TOLERANCE_MS: 5000,
      AUTH_RECHECK_MS: 60_000,
      TRUST_PROXY: 'false',
      MAX_TENANTS: 100,
      TENANT_IDLE_MS: 300_000,
      RATE_LIMIT_PER_MINUTE: 0,
      RATE_LIMIT_TOTAL_PER_MINUTE: 0,
      EVENTS_LIMIT_PER_MINUTE: 0,
      UPSTREAM_LIMIT_PER_MINUTE: 0,
      REQUEST_TIMEOUT_MS: 30_000,
      HEADERS_TIMEOUT_MS: 10_000,
      KEEP_ALIVE_MS: 72_000,
      MAX_LOOP_DELAY_MS: 1000
    })
    t.ok(Object.isFrozen(outcome.settings))
  })

  t.test('invalid settings are all reported at once, without values', async (t) => {
    const secret = 'a secret with blanks'
    const outcome = readSettings({
      PORT: '70000',
      LOG_LEVEL: 'loud',
      POLL_INTERVAL_MS: '3 s',
      ALLOW_ANONYMOUS: 'perhaps',
      KUBIYA_API_KEY: secret,
      KUBIYA_BASE_URL: 'ftp://kubiya',
      DRAIN_MS: '-1',
      AUTH_MODE: 'magic',
      REDIS_URL: 'redis://:password@host'
    })
    if (outcome.ok) return t.fail('must be refused')
    const names = outcome.faults.map((fault) => fault.split(':')[0]).sort()
    t.same([...new Set(names)], [
      'ALLOW_ANONYMOUS',
      'AUTH_MODE',
      'DRAIN_MS',
      'KUBIYA_API_KEY',
      'KUBIYA_BASE_URL',
      'LOG_LEVEL',
      'POLL_INTERVAL_MS',
      'PORT',
      'REDIS_URL'
    ])
    t.ok(outcome.faults.every((fault) => !fault.includes(secret) && !fault.includes('password')))
  })

  t.test('settings of earlier versions are refused with their new names', async (t) => {
    t.match(readSettings({ MAX_SCOPES: '5', SCOPE_IDLE_MS: '60000', MAX_TENANTS: '' }), {
      ok: false, faults: ['MAX_SCOPES: is called MAX_TENANTS now', 'SCOPE_IDLE_MS: is called TENANT_IDLE_MS now']
    })
    t.ok(readSettings({ MAX_SCOPES: '', MAX_TENANTS: '5' }).ok)
    t.match(readSettings({ BYTES_LIMIT_PER_MINUTE: '1000' }), {
      ok: false,
      faults: [/^BYTES_LIMIT_PER_MINUTE: was removed/]
    })
  })

  t.test('settings of features that are not built are refused, unless they request nothing', async (t) => {
    const wanting: Record<string, string> = { REDIS_URL: 'redis://a' }
    for (const [name, value] of Object.entries(wanting)) {
      const outcome = readSettings({ [name]: value })
      t.equal(outcome.ok, false, name)
      if (!outcome.ok) t.match(outcome.faults, [new RegExp(`^${name}: `)])
    }
    t.ok(readSettings({ REDIS_URL: ' ' }).ok)
  })

  t.test('settings require a key in production, consent beyond loopback, and ordered intervals', async (t) => {
    const faultOf = (environment: Record<string, string>) => {
      const outcome = readSettings(environment)
      return outcome.ok ? [] : outcome.faults.map((fault) => fault.split(':')[0])
    }
    t.same(faultOf({ NODE_ENV: 'production' }), ['KUBIYA_API_KEY'])
    t.same(faultOf({ NODE_ENV: 'production', KUBIYA_API_KEY: 'k' }), [])
    t.same(faultOf({ HOST: '0.0.0.0', KUBIYA_API_KEY: 'k' }), ['HOST'])
    t.same(faultOf({ HOST: '0.0.0.0', KUBIYA_API_KEY: 'k', ALLOW_ANONYMOUS: 'true' }), [])
    t.same(faultOf({ HOST: '0.0.0.0' }), [], 'the sandbox has nothing to hide')
    t.same(faultOf({ POLL_INTERVAL_MS: '5000', POLL_MAX_INTERVAL_MS: '4000' }), ['POLL_MAX_INTERVAL_MS'])
    t.same(faultOf({ KUBIYA_BASE_URL: 'https://user:word@kubiya.test' }), ['KUBIYA_BASE_URL'])
    t.same(faultOf({ PORT: '4000', METRICS_PORT: '4000' }), ['METRICS_PORT'])
    t.same(faultOf({ PORT: '0', METRICS_PORT: '0' }), [])
    t.same(faultOf({ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }), ['OTEL_EXPORTER_OTLP_ENDPOINT'])
  })
})

t.test("without a key, every answer says that it is the sandbox's", async (t) => {
  const { url, get, stream } = await startKeyless(t)
  for (
    const [path, status] of [
      [`${EVENTS}?page_size=3`, 200],
      [`${EVENTS}?page=0`, 400],
      ['/nothing', 404],
      [STREAM, 200],
      [`${STREAM}?nonsense=1`, 400],
      ['/livez', 200],
      ['/openapi.json', 200],
      [`${EVENTS}/%`, 400]
    ] as const
  ) {
    const response = await get(path)
    t.equal(response.status, status, path)
    t.equal(response.headers.get('x-kubiya-sandbox'), 'true', path)
    await response.body?.cancel()
  }
  const live = stream('?start_time=-6h')
  const [upgrade] = await once(live.socket, 'upgrade')
  t.equal(upgrade.headers['x-kubiya-sandbox'], 'true', 'the 101 too')
  await live.untilEvents(1)
  const refused = await stream('?nonsense=1').refused
  t.equal(refused.headers['x-kubiya-sandbox'], 'true')
  await eventually('it is ready', async () => (await get('/readyz')).status === 200)
  t.match(await (await get('/readyz')).json(), { upstream: { sandbox: true } })
  t.match(await raw(url, 'NONSENSE\r\n\r\n'), /\r\nx-kubiya-sandbox: true\r\n/i)

  for (
    const search of [
      'category_type=agents&action_type=invoke',
      'category_type=workflows&action_type=execute',
      'category_type=users&status=failed&text=authentication',
      'resource_type=agent',
      'session_id=session-123',
      'category_name=my-agent',
      'text=error',
      'text=timeout'
    ]
  ) {
    const page = await (await get(`${SEARCH}?${search}&page_size=5`)).json() as Item
    t.ok(page.items.length > 0, `the documentation's example finds something: ${search}`)
  }
})

t.test('probes', async (t) => {
  t.test('readyz is 503 until the first poll has ended, 200 after it, and 503 while draining', async (t) => {
    const sandbox = await startUpstream(t)
    const hang = sandbox.faults.during({ kind: 'hang' })
    const service = await startService(t, { UPSTREAM_TIMEOUT_MS: '1000', DRAIN_MS: '1500' }, {}, sandbox)
    const starting = await service.get('/readyz')
    t.equal(starting.status, 503)
    t.match(await starting.json(), { status: 'starting', upstream: { last_good_poll: null } })
    t.equal((await service.get('/livez')).status, 200)
    await eventually('the first attempt has ended', async () => (await service.get('/readyz')).status === 200)
    const ready = await (await service.get('/readyz')).json() as Item
    t.match(ready, { status: 'ready', upstream: { state: 'degraded', last_good_poll: null, lag_ms: Number } })
    t.same([Object.keys(ready), Object.keys(ready.upstream)], [['status', 'upstream'], [
      'state',
      'last_good_poll',
      'lag_ms'
    ]], 'nothing else')
    hang()
    const streams = [service.stream(), service.stream()]
    await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'hello')))
    await eventually(
      'Kubiya is back',
      async () => (await (await service.get('/readyz')).json() as Item).upstream.state === 'ok'
    )
    t.match(await (await service.get('/readyz')).json(), { upstream: { last_good_poll: /Z$/ } })
    const closing = service.close()
    await streams[0]?.until(({ type }) => type === 'end')
    const draining = await service.get('/readyz')
    t.equal(draining.status, 503)
    t.match(await draining.json(), { status: 'draining' })
    await closing
  })

  t.test('readyz is 503 when the poller has stopped', async (t) => {
    const server = fastify()
    t.teardown(() => server.close())
    let isPolling = true
    const health = () => ({
      upstream: 'ok' as const,
      sinceMs: 0,
      lastGoodMs: 0,
      lagMs: 0,
      attempted: true,
      latenessMs: undefined,
      fullReads: 1,
      isPolling
    })
    await server.register(healthRoutes, { health, isDraining: () => false, sandbox: false })
    t.match(await server.inject('/readyz'), { statusCode: 200 })
    isPolling = false
    const stalled = await server.inject('/readyz')
    t.equal(stalled.statusCode, 503)
    t.equal(stalled.json().status, 'stalled')
    t.match(await server.inject('/livez'), { statusCode: 200 })
  })
})

t.test('errors', async (t) => {
  const service = await startService(t)
  await service.settled()

  t.test('an unknown route or method is a problem', async (t) => {
    for (
      const [method, path] of [
        ['GET', '/'],
        ['GET', '/api/v1/audit'],
        ['GET', '/api/v1/audit/events/a/b'],
        ['POST', EVENTS],
        ['DELETE', `${EVENTS}/x`],
        ['GET', '/metrics/all']
      ] as const
    ) {
      const response = await fetch(`${service.url}${path}`, { method })
      t.equal(response.status, 404, `${method} ${path}`)
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      t.match(await response.json(), {
        code: 'not-found',
        status: 404,
        request_id: response.headers.get('x-request-id')
      })
    }
  })

  t.test('bytes that are not HTTP are a problem', async (t) => {
    for (const [bytes, status] of [
      ['NONSENSE\r\n\r\n', 400],
      [`GET ${EVENTS} HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n`, 400],
      [`GET ${EVENTS} HTTP/1.1\r\nhost: x\r\nbig: ${'x'.repeat(70_000)}\r\n\r\n`, 431],
      [`POST ${EVENTS} HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, 400]
    ] as const) {
      const answer = await raw(service.url, bytes)
      t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), bytes.slice(0, 30))
      const [head = '', body = ''] = answer.split('\r\n\r\n')
      t.match(head.toLowerCase(), 'content-type: application/problem+json')
      t.match(head.toLowerCase(), 'x-content-type-options: nosniff')
      t.match(JSON.parse(body), { type: /./, title: /./, status, detail: /./, code: /./, request_id: /./ })
      t.ok(head.includes(JSON.parse(body).request_id), 'the id is in x-request-id')
    }
    t.equal((await service.get('/livez')).status, 200, 'the process lives on')
  })

  t.test('a problem has the request id of the caller, if that is valid', async (t) => {
    for (const path of [EVENTS, `${EVENTS}?page=0`, '/nothing', `${EVENTS}/%`, '/livez']) {
      const given = `caller-${randomUUID()}.x_y`
      t.equal((await service.get(path, { 'x-request-id': given })).headers.get('x-request-id'), given, path)
      const [first, second] = [await service.get(path), await service.get(path)]
      t.match(first.headers.get('x-request-id'), /^[\w-]{8,}$/)
      t.not(first.headers.get('x-request-id'), second.headers.get('x-request-id'))
      for (const insane of ['x'.repeat(129), 'with blank', '<script>', 'a;b']) {
        t.not((await service.get(path, { 'x-request-id': insane })).headers.get('x-request-id'), insane, path)
      }
      t.equal(first.headers.get('x-content-type-options'), 'nosniff', path)
    }
  })

  t.test('a body is refused', async (t) => {
    const response = await fetch(`${service.url}${EVENTS}`, {
      method: 'POST',
      body: 'x'.repeat(100_000),
      headers: { 'content-type': 'application/json' }
    })
    t.ok(response.status >= 400 && response.status < 500)
    t.match(response.headers.get('content-type'), 'application/problem+json')
  })

  t.equal(service.sandbox.requests.filter(({ query }) => query.page === 0).length, 0)
})

t.test('upgrades', async (t) => {
  t.test('an upgrade of another route is refused, and its query is in no log line', async (t) => {
    const service = await startService(t)
    const secret = `secret-${randomUUID()}`
    const cases = [[`${EVENTS}?category_type=${secret}`, 400, 'invalid-request'], ['/livez', 400, 'invalid-request'], [
      `/nowhere?key=${secret}`,
      404,
      'not-found'
    ]] as const
    for (const [path, status, code] of cases) {
      const answer = await upgraded(`${service.url}${path}`)
      t.equal(answer.status, status, path)
      t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8', path)
      t.match(JSON.parse(answer.text), { status, code, request_id: answer.headers['x-request-id'] }, path)
      if (path !== '/livez') {
        await eventually('its line is written', () =>
          service.logs.some((line) =>
            line.request_id === answer.headers['x-request-id'] && line.status === status
          ))
      }
    }
    t.notOk(JSON.stringify(service.logs).includes(secret))
    t.equal((await upgraded(`${service.url}${STREAM}`)).status, 101, 'the one that there is')
  })

  t.test('an upgrade to another protocol is ignored on every route', async (t) => {
    const service = await startService(t)
    for (const [path, status] of [[EVENTS, 200], ['/livez', 200], ['/nowhere', 404]] as const) {
      const answer = await upgraded(`${service.url}${path}`, { upgrade: 'h2c' })
      t.equal(answer.status, status, path)
    }
  })

  t.test('an invalid handshake is a problem, with the sandbox header in the sandbox', async (t) => {
    const [keyed, keyless] = [await startService(t), await startKeyless(t)]
    for (const headers of [{ 'sec-websocket-key': 'short' }, { 'sec-websocket-version': '7' }]) {
      for (const [url, mark] of [[keyed.url, undefined], [keyless.url, 'true']] as const) {
        const answer = await upgraded(`${url}${STREAM}`, headers)
        t.equal(answer.status, 400)
        t.equal(answer.headers['content-type'], 'application/problem+json; charset=utf-8')
        t.equal(answer.headers['x-content-type-options'], 'nosniff')
        t.equal(answer.headers['x-kubiya-sandbox'], mark)
        t.match(JSON.parse(answer.text), {
          status: 400,
          code: 'invalid-request',
          request_id: answer.headers['x-request-id']
        })
      }
    }
  })
})

t.test('close', async (t) => {
  t.test('close does not wait long for a client that never answers the close frame', async (t) => {
    const service = await startService(t)
    await silentClient(t, service.url)
    const startedMs = Date.now()
    await service.close()
    t.ok(Date.now() - startedMs < WS_WAITS_MS, `${Date.now() - startedMs} ms`)
  })

  t.test('close still answers the requests in progress', async (t) => {
    const sandbox = await startUpstream(t)
    const service = await startService(t, {}, {}, sandbox)
    sandbox.publish(item({ resource_text: 'asked for in time' }))
    await service.settled()
    let release = () => {}
    sandbox.faults.next({ kind: 'held', until: new Promise<void>((resolve) => { release = resolve }) })
    const asked = service.get(EVENTS)
    await eventually('Kubiya is asked', () => sandbox.asked === 1)
    const closing = service.close()
    await eventually(
      'the service listens no more',
      async () => await service.get('/livez').then(() => false, () => true)
    )
    release()
    const answer = await asked
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('connection'), 'close', 'so the end waits for no idle connection')
    t.match(await answer.json(), { items: [{ resource_text: 'asked for in time' }] })
    await closing
  })
})

t.test('logs', async (t) => {
  const service = await startService(t)
  const secret = `secret-${randomUUID()}`
  service.sandbox.publish(item())
  await service.settled()
  const paths = [
    `${EVENTS}?category_type=${secret}`,
    `${SEARCH}?text=${secret}`,
    `${EVENTS}?token=${secret}`,
    `${EVENTS}?cursor=${secret}`,
    `/nothing?key=${secret}`
  ]
  const headers = { authorization: `Bearer ${secret}`, cookie: `session=${secret}` }
  const ids = await Promise.all(
    paths.map(async (path) => (await service.get(path, headers)).headers.get('x-request-id'))
  )
  const stream = service.stream(`?category_type=${secret}`)
  await stream.until(({ type }) => type === 'hello')
  stream.socket.close()
  await stream.closed
  await service.stream(`?since=${secret}`).refused
  await eventually(
    'all lines are written',
    () => ids.every((id) => service.logs.some((line) => line.request_id === id))
  )

  t.test('the log has one line per request, with its id, path, status and time', async (t) => {
    for (const [index, id] of ids.entries()) {
      const lines = service.logs.filter((line) => line.request_id === id)
      t.equal(lines.length, 1)
      t.match(lines[0], { method: 'GET', path: paths[index]?.split('?')[0], status: Number, ms: Number })
    }
  })

  t.test('the log contains no query and no credential', async (t) => {
    const text = JSON.stringify(service.logs)
    t.notOk(text.includes(secret))
    t.notOk(text.includes(service.sandbox.apiKey))
    t.notOk(text.includes('category_type'))
    t.ok(text.includes(EVENTS), 'what a request asked for is there')
  })
})

t.test('documents', async (t) => {
  const service = await startService(t)
  const document = await (await service.get('/openapi.json')).json() as Item

  t.test('the documents in the repository are those of the service', async (t) => {
    t.same(JSON.parse(await readFile('openapi/openapi.json', 'utf8')), document)
    t.same(JSON.parse(await writeOpenapi()), document, 'and what its routes give')
    t.match(document.openapi, /^3\.1\./)
    for (const path of [EVENTS, SEARCH, `${EVENTS}/{id}`, STREAM, '/livez', '/readyz', '/metrics']) {
      t.ok(document.paths[path]?.get, path)
    }
  })

  t.test('the OpenAPI document describes every answer', async (t) => {
    const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
    ajv.addSchema(document, 'document')
    const pointer = (...steps: string[]) =>
      steps.map((step) => encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')
    const fits = (path: string, status: string, type: string, answer: unknown): string => {
      const validate = ajv.compile({
        $ref: `document#/${pointer('paths', path, 'get', 'responses', status, 'content', type, 'schema')}`
      })
      return validate(answer) ? '' : ajv.errorsText(validate.errors)
    }
    const json = async (path: string) => (await service.get(path)).json()
    const dateOf = evenDates(0, -1000)
    service.sandbox.publish(
      Array.from({ length: 60 }, (_, n) =>
        item({
          timestamp: dateOf(n),
          extra: n % 2 === 0 ? null : { deep: [n] },
          version: n % 3 === 0 ? '1' : n,
          action_successful: null
        }))
    )
    await service.settled()
    const page = await json(EVENTS) as Item
    const answers: Array<[string, unknown]> = [
      [EVENTS, page],
      [EVENTS, await json(page.pagination.next)],
      [EVENTS, await json(`${EVENTS}?status=failed`)],
      [EVENTS, await json(`${EVENTS}?session_id=none`)],
      [EVENTS, await json(`${EVENTS}?start_time=-2h&end_time=-1h`)],
      [SEARCH, await json(`${SEARCH}?text=message&page_size=2`)],
      [SEARCH, await json(`${SEARCH}?text=nowhere`)],
      [`${EVENTS}/{id}`, await json(`${EVENTS}/${page.items[0].id}`)],
      ['/livez', await json('/livez')],
      ['/readyz', await json('/readyz')]
    ]
    for (const [path, answer] of answers) t.equal(fits(path, '200', 'application/json', answer), '', path)
    for (const path of [`${EVENTS}?page=0&nonsense=1`, `${EVENTS}?start_time=x`, `${EVENTS}?cursor=x`]) {
      t.equal(fits(EVENTS, '4XX', 'application/problem+json', await json(path)), '', path)
    }
    t.equal(
      fits(`${EVENTS}/{id}`, '4XX', 'application/problem+json', await json(`${EVENTS}/no-such-id`)),
      '',
      'not found'
    )
    service.sandbox.faults.during({ kind: 'status', status: 429, headers: { 'retry-after': '30' } })
    t.equal(fits(SEARCH, '5XX', 'application/problem+json', await json(`${SEARCH}?text=cold`)), '', 'throttled')

    t.not(
      fits(EVENTS, '200', 'application/json', { ...page, items: [{ resource_text: 'no id' }] }),
      '',
      'an event without an id is none'
    )
    t.not(fits(EVENTS, '200', 'application/json', { items: [] }), '', 'a page without its parts is none')
    t.not(fits(SEARCH, '200', 'application/json', page), '', 'a list is no search')
    t.not(fits(EVENTS, '4XX', 'application/problem+json', { error: 'x' }), '', 'not every object is a problem')
  })

  t.test('the docs page loads nothing from elsewhere', async (t) => {
    const linked = await Promise.all(['/docs', '/docs/'].map(async (path) => {
      const page = await service.get(path)
      t.equal(page.status, 200)
      t.match(page.headers.get('content-type'), 'text/html')
      return [...(await page.text()).matchAll(/(?:src|href|data-document)(?:=|: )["']([^"']+)["']/g)].map((
        [, link = '']
      ) => new URL(link, page.url).href)
    }))
    t.same(linked[0], linked[1], 'with a slash at the end and without')
    t.ok(linked[0]?.includes(`${service.url}/openapi.json`))
    for (const link of (linked[0] ?? []).map((each) => new URL(each))) {
      t.equal(link.origin, service.url)
      const part = await fetch(link)
      t.equal(part.status, 200, link.pathname)
      const text = await part.text()
      if (/\.css$|initializer\.js$/.test(link.pathname)) {
        t.notMatch(text, /(?:url\(|@import|src=|href=|url:)\s*["']?https?:\/\//, link.pathname)
      }
    }
  })
})
