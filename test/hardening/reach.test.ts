import { once } from 'node:events'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { createHosts, hostsIn, isHostName, readHost } from '../../src/access/hosts.ts'
import { trustedPeerIn } from '../../src/access/client-address.ts'
import { readSettings } from '../../src/settings/read-settings.ts'
import { anyCharacter } from '../contracts/property.ts'
import { openEventStream } from '../support/event-stream.ts'
import { SMALLEST_LOG, item, openStream, startKeyless, startService, startUpstream, type Service } from '../support/support.ts'
import { dial, exchange, handshake, head, statusOf } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const SEARCH = `${EVENTS}/search`
const STREAM = '/api/v1/audit/stream'
const TICKETS = `${STREAM}/tickets`
const APP = 'https://app.example.com'
const TOKEN = 'a-browser-token-0123456789'
const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` }
const BY_TOKEN = { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN }

interface Answer { status: number, headers: Headers, body: { readonly detail?: string, readonly ticket?: string } }

/** Asks with these very headers, `Host` among them, which `fetch` would set itself. */
async function ask (
  service: Pick<Service, 'url'>,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET'
): Promise<Answer> {
  const isUpgrade = 'upgrade' in headers
  const heard = await exchange(
    service.url,
    head(path, headers, method),
    (text) => isUpgrade && text.includes('\r\n\r\n')
  )
  const [front = '', ...rest] = heard.split('\r\n\r\n')
  const lines = front.split('\r\n').slice(1).map((
    line
  ): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])
  const text = rest.join('\r\n\r\n')
  return { status: statusOf(heard), headers: new Headers(lines), body: text.startsWith('{') ? JSON.parse(text) : {} }
}

const isAdmitted = async (service: Pick<Service, 'url'>, host: string, path = EVENTS) =>
  (await ask(service, path, { host })).status === 200

t.test('readHost parses a host as browsers do', async (t) => {
  t.match(readHost('Audit.Example.com.:8443'), {
    written: 'audit.example.com.',
    name: 'audit.example.com',
    port: '8443',
    isAddress: false
  })
  t.match(readHost('[::1]:3000'), { written: '[::1]', name: '::1', port: '3000', isAddress: true })
  for (
    const good of [
      'localhost',
      '127.0.0.1',
      '127.0.0.1.',
      '10.1.2.3:1',
      'a_b',
      'xn--mnchen-3ya.de',
      'a:',
      '[::ffff:1.2.3.4]'
    ]
  ) t.ok(readHost(good), good)
  const bad = [
    undefined,
    '',
    ':3000',
    '.',
    '..',
    'a..',
    'a..b',
    '.a',
    '127.1',
    '2130706433',
    '0x7f.1',
    '0x7f000001',
    '0127.0.0.1',
    '256.1.1.1',
    '1.2.3.4.5',
    'a.1',
    'a.0x',
    '127.0.0.1..',
    'user@localhost',
    'localhost@evil.example',
    'localhost:x',
    'localhost:1:2',
    'localhost:99999',
    'localhost/',
    'localhost?',
    'localhost#',
    'localhost evil',
    'localhost,evil',
    '%6cocalhost',
    'münchen.de',
    '::1',
    '[::1',
    '[::1].',
    '[localhost]',
    '[127.0.0.1]',
    '[]',
    `${'a'.repeat(64)}.b`,
    Array<string>(65).fill('abc').join('.')
  ]
  for (const each of bad) t.equal(readHost(each), undefined, String(each))
  const port = fc.option(fc.integer({ min: 0, max: 65_535 }), { nil: undefined })
  const label = fc.constantFrom('a', 'audit', 'x-y', 'b_c', 'xn--mnchen-3ya', '1a', 'com', 'evil')
  const name = fc.array(label, { minLength: 1, maxLength: 6 }).map((labels) => labels.join('.'))
  const host = fc.oneof(name, fc.ipV4(), fc.ipV6().map((each) => `[${each}]`))
  fc.assert(fc.property(host, port, (host, port) => {
    const written = port === undefined ? host : `${host}:${port}`
    const browser = new URL(`http://${written}/`)
    const read = readHost(written.toUpperCase())
    return read !== undefined && (read.isAddress || read.name === browser.hostname) && Number(read.port) === (port ?? 0)
  }), { numRuns: 50 })
  fc.assert(fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (text) => { readHost(text) }), { numRuns: 50 })
})

t.test('a host name is admitted if it is allowed, an address, local, or private beyond loopback', async (t) => {
  const shut = createHosts({ allowed: [], origins: [], isLoopback: true })
  const open = createHosts({ allowed: [], origins: [], isLoopback: false })
  const admits = (hosts: typeof shut, host: string) => hosts.admits(readHost(host))
  for (const host of ['1.2.3.4', '[fe80::1]:3000', 'localhost', 'LOCALHOST.', 'app.localhost:3000']) {
    t.ok(admits(shut, host) && admits(open, host), host)
  }
  for (
    const host of [
      'bff',
      'bff.',
      'bff.audit.svc',
      'bff.audit.svc.cluster.local:80',
      'a.internal',
      'a.home.arpa',
      'a.lan',
      'A.Lan.'
    ]
  ) {
    t.notOk(admits(shut, host), host)
    t.ok(admits(open, host), host)
  }
  const strangers = [
    'evil.example',
    'localhost.evil.example',
    'evil-localhost',
    'notlocalhost.com',
    'a.lan.evil.example',
    'evillan.example',
    'home.arpa.',
    'x.arpa',
    'a.localhost.com',
    'lan.'
  ]
  for (const host of strangers.filter((each) => each.replace(/\.$/, '').includes('.'))) {
    t.notOk(admits(open, host), host)
  }
  const named = createHosts({
    allowed: hostsIn(' Audit.example.com, b.example. ,::1 '),
    origins: ['https://app.example.com:8443'],
    isLoopback: true
  })
  for (const host of ['audit.example.com:99', 'audit.example.com.', 'b.example', 'app.example.com']) {
    t.ok(admits(named, host), host)
  }
  for (const host of ['x.audit.example.com', 'example.com', 'app.example.com.evil.io']) {
    t.notOk(admits(named, host), host)
  }
  const any = createHosts({ allowed: ['*'], origins: [], isLoopback: true })
  t.ok(admits(any, 'evil.example'))
  t.notOk(any.admits(undefined), 'one that names none is not admitted')
})

t.test('ALLOWED_HOSTS and BASE_PATH are validated at start', async (t) => {
  const faultsOf = (environment: Record<string, string>) => {
    const outcome = readSettings(environment)
    return outcome.ok ? [] : outcome.faults
  }
  for (const good of ['*', 'audit.example.com', 'a, b.example.', '10.0.0.1,[::1]', '::1', 'A_B']) {
    t.same(faultsOf({ ALLOWED_HOSTS: good }), [], good)
  }
  for (
    const bad of [
      'https://a.example',
      'a.example:80',
      'a.example:',
      '*.example.com',
      'a/b',
      'a b',
      'münchen.de',
      '127.1',
      'u@a',
      '[::1]:80'
    ]
  ) {
    t.match(faultsOf({ ALLOWED_HOSTS: `good.example,${bad}` }), [/^ALLOWED_HOSTS: /], bad)
  }
  t.notOk(isHostName(''))
  for (const good of ['/audit', '/a/b-c_d.e~f']) t.same(faultsOf({ BASE_PATH: good }), [], good)
  for (const bad of ['audit', '/', '/audit/', '//a', '/a b', '/a?b', '/%61', 'https://a.example/b']) {
    t.match(faultsOf({ BASE_PATH: bad }), [/^BASE_PATH: /], bad)
  }
})

t.test('a request for a foreign host reaches only the probes, and Kubiya is not called', async (t) => {
  const service = await startService(t)
  await service.settled()
  const foreign = { host: 'evil.example' }
  const paths = [
    EVENTS,
    `${SEARCH}?text=a`,
    `${EVENTS}/some-id`,
    STREAM,
    '/docs',
    '/docs/',
    '/docs/page.js',
    '/',
    '/console',
    '/console/',
    '/client.js',
    '/openapi.json',
    '/asyncapi.json',
    '/metrics',
    '/nothing',
    `${EVENTS}/%`,
    `${EVENTS}?token=x`
  ]
  for (const path of paths) {
    for (const host of ['evil.example', 'evil.example:80', 'x', '127.1', 'localhost@evil.example', '']) {
      const { body, headers, status } = await ask(service, path, { host })
      t.match({ status, body, type: headers.get('content-type') }, {
        status: 403,
        body: { code: 'forbidden' },
        type: 'application/problem+json'
      }, `${path} ${host}`)
    }
  }
  t.match(
    (await ask(service, EVENTS, foreign)).body.detail,
    'ALLOWED_HOSTS=evil.example',
    'the refusal says what to set'
  )
  t.equal((await ask(service, TICKETS, foreign, 'POST')).status, 403)
  t.equal(
    (await ask(
      service,
      EVENTS,
      { ...foreign, origin: 'http://evil.example', 'access-control-request-method': 'GET' },
      'OPTIONS'
    )).status,
    403
  )
  t.equal((await ask(service, STREAM, handshake(foreign))).status, 403, 'before 101')
  t.equal((await ask(service, '/livez', handshake(foreign))).status === 101, false)
  t.equal(statusOf(await exchange(service.url, `GET ${EVENTS} HTTP/1.0\r\n\r\n`)), 403, 'no host at all')
  t.not(
    statusOf(
      await exchange(
        service.url,
        `GET http://evil.example${EVENTS} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`
      )
    ),
    200,
    'absolute form'
  )
  t.equal((await ask(service, EVENTS, { ...foreign, 'x-forwarded-host': 'localhost' })).status, 403)
  for (const path of ['/livez', '/readyz']) t.equal((await ask(service, path, foreign)).status, 200, path)
  t.equal(statusOf(await exchange(service.url, 'GET /livez HTTP/1.0\r\n\r\n')), 200)
  t.equal((await ask(service, '/livez/', foreign)).status, 403, 'a probe by its very name')
  t.equal(service.sandbox.asked, 0)
  t.ok(await isAdmitted(service, 'localhost:1'), 'a port says nothing')
})

t.test('controls: ALLOWED_HOSTS=*, other auth modes and METRICS_PORT admit any host', async (t) => {
  const upstream = await startUpstream(t)
  const any = await startService(t, { ALLOWED_HOSTS: '*' }, {}, upstream)
  t.ok(await isAdmitted(any, 'evil.example'))
  const named = await startService(t, { ALLOWED_HOSTS: 'audit.example.com', ALLOWED_ORIGINS: APP }, {}, upstream)
  t.ok(await isAdmitted(named, 'audit.example.com') && await isAdmitted(named, 'app.example.com:443'))
  t.notOk(await isAdmitted(named, 'evil.example'))
  const byToken = await startService(t, { ...BY_TOKEN, METRICS_PORT: '0' }, {}, upstream)
  t.equal((await ask(byToken, EVENTS, { host: 'evil.example', ...AUTHORIZATION })).status, 200)
  const figures = await startService(t, { METRICS_PORT: '0' }, {}, upstream)
  t.equal((await ask({ url: figures.metricsUrl }, '/metrics', { host: 'evil.example' })).status, 200)
  const wide = await startService(t, { HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true' }, {}, upstream)
  t.ok(await isAdmitted(wide, 'bff') && await isAdmitted(wide, 'bff.audit.svc.'))
  t.notOk(await isAdmitted(wide, 'evil.example'))
  const keyless = await startKeyless(t)
  t.equal((await ask(keyless, EVENTS, { host: 'evil.example' })).status, 403, 'the sandbox too')
})

/** Whether a page of an origin gets the stream over both transports, and a ticket. */
async function streams (
  t: Test,
  service: Service,
  headers: Record<string, string>,
  authorization: Record<string, string> = {}
): Promise<boolean> {
  const all = { ...headers, ...authorization }
  const upgraded = (await ask(service, STREAM, handshake(all))).status
  const ticket = (await ask(service, TICKETS, all, 'POST')).status
  const socket = dial(service.url)
  t.teardown(() => socket.destroy())
  socket.write(head(STREAM, { ...all, accept: 'text/event-stream' }))
  const [chunk] = await once(socket, 'data')
  socket.destroy()
  const statuses = [upgraded, ticket, statusOf(String(chunk))]
  if (statuses.join() === '101,201,200') return true
  if (statuses.join() !== '403,403,403') throw new Error(`neither: ${statuses.join()}`)
  return false
}

t.test("a page of the service's own origin streams, and all other origins are refused", async (t) => {
  const service = await startService(t, { ...BY_TOKEN, TRUST_PROXY: '127.0.0.1', ALLOWED_HOSTS: 'audit.example.com,*' })
  await service.settled()
  const own: Array<[host: string, origin: string, scheme?: string]> = [
    ['127.0.0.1:3000', 'http://127.0.0.1:3000'],
    ['localhost:80', 'http://localhost'],
    ['LOCALHOST', 'http://localhost:80'],
    ['[::1]:3000', 'http://[::1]:3000'],
    ['app.localhost', 'http://app.localhost'],
    ['audit.example.com', 'https://audit.example.com', 'https'],
    ['audit.example.com:443', 'https://audit.example.com', 'https']
  ]
  for (const [host, origin, scheme] of own) {
    t.ok(
      await streams(
        t,
        service,
        { host, origin, ...scheme !== undefined && { 'x-forwarded-proto': scheme } },
        AUTHORIZATION
      ),
      `${origin} at ${host}`
    )
  }
  const others: typeof own = [
    ['127.0.0.1:3000', 'http://127.0.0.1:3001'],
    ['127.0.0.1:3000', 'https://127.0.0.1:3000'],
    ['localhost', 'http://127.0.0.1'],
    ['localhost', 'null'],
    ['localhost', ''],
    ['localhost', 'http://localhost/'],
    ['localhost', 'http://LOCALHOST'],
    ['localhost', 'http://localhost.evil.example'],
    ['localhost:443', 'http://localhost'],
    ['evil.example', 'http://evil.example'],
    ['audit.example.com', 'http://audit.example.com', 'https'],
    ['localhost', 'foo://localhost', 'foo'],
    ['user@localhost', 'http://user@localhost']
  ]
  for (const [host, origin, scheme] of others) {
    t.notOk(
      await streams(
        t,
        service,
        { host, origin, ...scheme !== undefined && { 'x-forwarded-proto': scheme } },
        AUTHORIZATION
      ),
      `${origin} at ${host}`
    )
  }
  t.notOk(
    await streams(
      t,
      service,
      { host: 'evil.example', origin: 'http://localhost', 'x-forwarded-host': 'localhost' },
      AUTHORIZATION
    ),
    'X-Forwarded-Host is not looked at'
  )
  const detail = async (host: string, origin: string) =>
    (await ask(service, STREAM, { host, origin, ...AUTHORIZATION })).body.detail ?? ''
  t.match(await detail('evil.example', 'http://evil.example'), 'ALLOWED_HOSTS=evil.example')
  t.match(await detail('localhost', APP), `ALLOWED_ORIGINS=${APP}`)
  t.match(await detail('localhost', 'null'), 'No setting')
  const direct = await startService(t, { ...BY_TOKEN, ALLOWED_ORIGINS: APP })
  t.notOk(
    await streams(
      t,
      direct,
      { host: 'localhost', origin: 'https://localhost', 'x-forwarded-proto': 'https' },
      AUTHORIZATION
    ),
    'a scheme counts from a trusted proxy alone'
  )
  t.ok(await streams(t, direct, { host: 'app.example.com', origin: APP }, AUTHORIZATION))
})

t.test("a ticket of the service's own page opens its EventSource, which sends no Origin", async (t) => {
  const service = await startService(t, { ...BY_TOKEN, ALLOWED_ORIGINS: APP })
  const host = new URL(service.url).host
  const ticket = async (origin: string, at = host) =>
    (await ask(service, TICKETS, { host: at, origin, ...AUTHORIZATION }, 'POST')).body.ticket ?? ''
  const open = async (ticket: string, headers: Record<string, string> = {}) => {
    const response = await service.get(`${STREAM}?ticket=${ticket}`, headers)
    await response.body?.cancel()
    return response.status
  }
  const own = service.url
  t.equal(await open(await ticket(own)), 200)
  t.equal(await open(await ticket(own), { 'sec-fetch-site': 'same-origin' }), 200)
  for (const site of ['cross-site', 'same-site', 'none']) {
    t.equal(await open(await ticket(own), { 'sec-fetch-site': site }), 401, site)
  }
  t.equal(await open(await ticket(own), { origin: APP }), 401, "another page's")
  t.equal(await open(await ticket(APP)), 401, "another page's, by the service's own")
  t.equal(await open(await ticket('http://localhost:1', 'localhost:1')), 401, "another host's")
  t.equal((await ask(service, `${STREAM}?ticket=${await ticket(own)}`, { host: 'evil.example' })).status, 401)
  const used = await ticket(own)
  t.same([await open(used), await open(used)], [200, 401], 'once')
  const socket = openStream(`${own.replace('http', 'ws')}${STREAM}?ticket=${await ticket(own)}`, [], { origin: own })
  t.teardown(() => socket.socket.terminate())
  await socket.until(({ type }) => type === 'hello')
})

t.test('a preflight allows what pages send, and nothing else', async (t) => {
  const service = await startService(t, { ...BY_TOKEN, ALLOWED_ORIGINS: APP })
  for (const [path, method] of [[EVENTS, 'GET'], [TICKETS, 'POST'], [STREAM, 'GET']] as const) {
    const asked =
      'authorization,baggage,cache-control,content-type,if-none-match,last-event-id,pragma,sentry-trace,traceparent,tracestate,x-request-id,x-requested-with'
    const { headers, status } = await ask(service, path, {
      origin: APP,
      'access-control-request-method': method,
      'access-control-request-headers': `${asked},x-foo`
    }, 'OPTIONS')
    t.equal(status, 204)
    const allowed = new Set((headers.get('access-control-allow-headers') ?? '').split(', '))
    for (const name of asked.split(',')) t.ok(allowed.has(name), `${path}: ${name}`)
    t.notOk(allowed.has('x-foo') || allowed.has('*'))
    t.equal(headers.get('access-control-allow-origin'), APP)
  }
})

t.test('an empty body is no body, whatever its content type', async (t) => {
  const service = await startService(t)
  const post = (headers: Record<string, string>, body = '', path = TICKETS) =>
    exchange(service.url, head(path, headers, 'POST') + body).then(statusOf)
  const types = [
    'application/json',
    'application/json; charset=utf-8',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/plain',
    'text/xml',
    'no type',
    undefined
  ]
  for (const type of types) {
    const headers = type === undefined ? {} : { 'content-type': type }
    t.equal(await post({ ...headers, 'content-length': '0' }), 201, `${type}, empty`)
    t.equal(await post(headers), 201, `${type}, no length`)
    t.equal(await post({ ...headers, 'transfer-encoding': 'chunked' }, '0\r\n\r\n'), 201, `${type}, no chunk`)
    t.equal(await post({ ...headers, 'content-length': '0' }, '', '/nothing'), 404, `${type}, no route`)
  }
  t.equal(
    await post({ 'content-type': 'application/json', 'content-length': '2' }, '{}'),
    201,
    'a body keeps its answer'
  )
  t.equal(
    await post({ 'content-type': 'application/json', 'transfer-encoding': 'chunked' }, '2\r\n{}\r\n0\r\n\r\n'),
    201
  )
  t.equal(await post({ 'content-type': 'application/json', 'content-length': '1' }, '{'), 400)
  t.equal(
    await post({ 'content-type': 'application/json', 'transfer-encoding': 'chunked' }, '1\r\n{\r\n0\r\n\r\n'),
    400
  )
  t.equal(await post({ 'content-type': 'application/x-www-form-urlencoded', 'content-length': '3' }, 'a=b'), 415)
  t.equal(
    await post(
      { 'content-type': 'application/x-www-form-urlencoded', 'transfer-encoding': 'chunked' },
      '3\r\na=b\r\n0\r\n\r\n'
    ),
    415
  )
  t.equal(
    await post(
      { 'content-type': 'application/json', 'transfer-encoding': 'chunked' },
      `800\r\n${'1'.repeat(2048)}\r\n0\r\n\r\n`
    ),
    413
  )
})

interface Operation { security?: Array<Record<string, unknown>> }
interface Document {
  servers: Array<{ url: string }>
  security: unknown[]
  components: { securitySchemes?: Record<string, { type: string, scheme?: string, in?: string, name?: string }> }
  paths: Record<string, Record<string, Operation>>
}

/** Where a reader of the document asks for a path (OpenAPI 3.1, Server Object): relative to where the document is. */
function urlOf ({ servers }: Document, documentUrl: string, path: string): string {
  return `${new URL(servers[0]?.url ?? '/', documentUrl).href.replace(/\/$/, '')}${path}`
}

t.test('the OpenAPI document has the credentials of the mode, and a request with them succeeds', async (t) => {
  const documentOf = async (service: Service) => (await service.get('/openapi.json')).json() as Promise<Document>
  const isAudit = (path: string) => path.startsWith('/api/')
  const open = await documentOf(await startService(t))
  t.notOk(open.components.securitySchemes)
  t.notOk(Object.values(open.paths).some((path) => Object.values(path).some(({ security }) => security !== undefined)))

  const service = await startService(t, BY_TOKEN)
  const document = await documentOf(service)
  t.match(document.components.securitySchemes, { bearer: { type: 'http', scheme: 'bearer' } })
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const { security } of Object.values(operations)) {
      t.same(security, isAudit(path) ? [{ bearer: [] }] : undefined, path)
    }
  }
  t.same(document.security, [])
  const url = urlOf(document, `${service.url}/openapi.json`, EVENTS)
  t.equal((await fetch(url)).status, 401)
  t.equal((await fetch(url, { headers: AUTHORIZATION })).status, 200)

  const upstream = await startUpstream(t)
  const own = await startService(t, { AUTH_MODE: 'passthrough' }, {}, upstream)
  const both = await documentOf(own)
  t.same(both.paths[EVENTS]?.get?.security, [{ bearer: [] }, { UserKey: [] }])
  const { UserKey: key } = both.components.securitySchemes ?? {}
  t.match(key, { type: 'apiKey', in: 'header', name: 'Authorization' })
  t.equal((await own.get(EVENTS, { [key?.name ?? '']: `UserKey ${upstream.apiKey}` })).status, 200)
  t.equal((await own.get(EVENTS)).status, 401)
})

t.test('links are relative, or have the path prefix of the proxy', async (t) => {
  const upstream = await startUpstream(t)
  upstream.publish(Array.from({ length: 5 }, () => item({ email: 'a@acme.test' })))
  const plain = await startService(t, {}, {}, upstream)
  const trusting = await startService(t, { ...SMALLEST_LOG, TRUST_PROXY: '127.0.0.0/8' }, {}, upstream)
  const set = await startService(t, { TRUST_PROXY: '1', BASE_PATH: '/set' }, {}, upstream)
  for (
    const [path, route] of [[`${EVENTS}?page_size=2`, EVENTS], [`${SEARCH}?text=message&page_size=2`, SEARCH]] as const
  ) {
    const next = async (service: Service, prefix?: string) => {
      const response = await service.get(path, prefix === undefined ? {} : { 'x-forwarded-prefix': prefix })
      const { pagination } = await response.json() as { pagination: { next: string, next_cursor: string } }
      t.equal(response.headers.get('link'), `<?cursor=${pagination.next_cursor}>; rel="next"`)
      t.ok(pagination.next.endsWith(`${route}?cursor=${pagination.next_cursor}`))
      return {
        start: pagination.next.slice(0, pagination.next.indexOf(route)),
        etag: response.headers.get('etag'),
        status: response.headers.get('cache-status') ?? '',
        pagination
      }
    }
    const bare = await next(trusting)
    t.equal(bare.start, '')
    const prefixed = await next(trusting, '/audit')
    t.equal(prefixed.start, '/audit')
    t.match(prefixed.status, 'fwd=miss', 'the prefix is part of the key')
    t.not(prefixed.etag, bare.etag, 'and of the ETag')
    t.match((await next(trusting, '/audit')).status, '; hit')
    t.equal((await next(trusting)).start, '', 'the other one stays')
    t.equal((await next(trusting, '/a/b.c~d_e-f')).start, '/a/b.c~d_e-f')
    t.equal((await next(trusting, `/${'a'.repeat(199)}`)).start.length, 200)
    for (
      const bad of [
        '//evil.example',
        'https://evil.example',
        '/',
        '/a/',
        'a',
        '/a, /b',
        '/a b',
        '/a?b',
        '/a%2fb',
        '/a"b',
        `/${'a'.repeat(200)}`
      ]
    ) t.equal((await next(trusting, bad)).start, '', bad)
    t.equal((await next(plain, '/audit')).start, '', 'nobody is trusted')
    t.equal((await next(set, '/audit')).start, '/set')
    const followed = await plain.json(`${path.split('?')[0]}?cursor=${bare.pagination.next_cursor}`)
    t.equal(followed.items.length, 2)
    const relative = new URL(`?cursor=${bare.pagination.next_cursor}`, `${plain.url}${path}`)
    t.equal((await fetch(relative)).status, 200)
  }
  const last = await plain.json(`${EVENTS}?page_size=50`)
  t.match(last.pagination, { next: null, next_cursor: null })
  const name = 'é'.repeat(250)
  const named = { category_name: name, resource_type: name, action_type: name }
  upstream.publish(Array.from({ length: 5 }, () => item({ ...named, resource_text: name })))
  const long = await plain.get(`${SEARCH}?${String(new URLSearchParams({ page_size: '2', text: name, ...named }))}`)
  t.equal(long.headers.get('link'), null, 'no link where it would be long')
  const { pagination } = await long.json() as { pagination: { next: string } }
  t.ok(pagination.next.length > 2000)
  t.equal((await plain.get(pagination.next)).status, 200)
})

t.test('the peer address decides which forwarded headers are trusted', async (t) => {
  const trusted = (setting: string, address: string) => trustedPeerIn(setting)(address)
  t.same(['true', '1', '2'].map((each) => trusted(each, '9.9.9.9')), [true, true, true])
  t.same(['false', '0', '10.0.0.1'].map((each) => trusted(each, '9.9.9.9')), [false, false, false])
  t.ok(
    trusted('10.0.0.0/8, 192.0.2.1', '10.9.8.7') && trusted('10.0.0.0/8, 192.0.2.1', '192.0.2.1') &&
      trusted('fd00::/8', 'fd12::1')
  )
  t.ok(trusted('10.0.0.0/8', '::ffff:10.1.1.1'), 'IPv4 on a socket of IPv6')
  t.notOk(trustedPeerIn('10.0.0.0/8')(undefined))
})

t.test('public routes reveal no figures, and are limited if they cost anything', async (t) => {
  const service = await startService(t, {
    ...BY_TOKEN,
    METRICS_PORT: '0',
    RATE_LIMIT_PER_MINUTE: '3',
    KUBIYA_REQUESTS_PER_MINUTE: '50'
  })
  await service.settled()
  const ready = await service.json('/readyz')
  t.same(Object.keys(ready), ['status', 'upstream'])
  t.same(Object.keys(ready.upstream), ['state', 'last_good_poll', 'lag_ms'])
  t.equal((await service.get('/openapi.json')).status, 200)
  t.equal((await service.get('/docs')).status, 200)
  t.equal((await service.get('/docs/page.js')).status, 200)
  for (const path of ['/openapi.json', '/docs', '/docs/', '/docs/swagger-ui.css', '/console/', '/client.js']) {
    const response = await service.get(path)
    t.equal(response.status, 429, path)
    t.ok(Number(response.headers.get('retry-after')) > 0, path)
    t.match(await response.json(), { code: 'rate-limited' })
  }
  for (const path of ['/livez', '/readyz', '/livez', '/readyz']) t.equal((await service.get(path)).status, 200, path)
  t.equal((await service.get(EVENTS, AUTHORIZATION)).status, 200, 'a caller has a share of his own')
  const figures = await (await fetch(service.metricsUrl)).text()
  for (const name of ['info', 'subscribers', 'upstream_budget_requests_left']) {
    t.match(figures, `kubiya_audit_bff_${name}`)
  }
  const unlimited = await startService(t)
  for (let count = 0; count < 5; count++) t.equal((await unlimited.get('/openapi.json')).status, 200, 'the control')
})

t.test("an event stream of the service's own page is readable in mode none", async (t) => {
  const service = await startService(t)
  const stream = openEventStream(`${service.url}${STREAM}`, { origin: service.url, 'sec-fetch-site': 'same-origin' })
  t.teardown(() => stream.terminate())
  service.sandbox.publish(item())
  await stream.untilEvents(1)
})
