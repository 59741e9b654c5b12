import { helmetHeaders } from './helmet.ts'
import t, { type Test } from 'tap'
import { eventually, item, openStream, startService, type Service } from '../support/support.ts'
import { dial, exchange, handshake, head, statusOf } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const TICKETS = `${STREAM}/tickets`
const APP = 'https://app.example.com'
const TOKEN = 'a-browser-token-0123456789'
const AUTHORIZATION = { authorization: `Bearer ${TOKEN}` }
const SETTINGS = { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN, ALLOWED_ORIGINS: `${APP},http://localhost:5173` }

/** A stream as a page opens it: it can say its origin and subprotocols, nothing else. */
function open (t: Test, service: Service, { origin = APP, protocols = [] as string[], query = '' } = {}) {
  const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}${query}`, protocols, {
    ...origin !== '' && { origin }
  })
  t.teardown(() => stream.socket.terminate())
  return stream
}

async function ticketFor (service: Service, headers: Record<string, string> = { origin: APP }): Promise<string> {
  const response = await fetch(`${service.url}${TICKETS}`, {
    method: 'POST',
    headers: { ...AUTHORIZATION, ...headers }
  })
  return (await response.json() as { ticket: string }).ticket
}

t.test('a page of another origin gets no stream and no ticket, and Kubiya is not called', async (t) => {
  const service = await startService(t, SETTINGS)
  await service.settled()
  const others = [
    'https://evil.example',
    'null',
    'https://app.example.com.evil.io',
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://evilapp.example.com',
    `${APP}/`
  ]
  for (const origin of others) {
    t.equal(
      statusOf(
        await exchange(
          service.url,
          head(STREAM, handshake({ origin, ...AUTHORIZATION })),
          (heard) => heard.includes('\r\n\r\n')
        )
      ),
      403,
      origin
    )
    t.equal((await service.get(STREAM, { origin, ...AUTHORIZATION })).status, 403, origin)
    t.equal(
      (await fetch(`${service.url}${TICKETS}`, { method: 'POST', headers: { origin, ...AUTHORIZATION } })).status,
      403,
      origin
    )
  }
  const ticket = await ticketFor(service)
  t.equal((await open(t, service, { origin: 'https://evil.example', query: `?ticket=${ticket}` }).refused).status, 403)
  t.equal(service.sandbox.asked, 0)
})

t.test('no page gets a stream in any mode without ALLOWED_ORIGINS; control: an allowed origin does', async (t) => {
  const closed = await startService(t)
  t.equal((await open(t, closed).refused).status, 403)
  await open(t, closed, { origin: '' }).until(({ type }) => type === 'hello')
  const opened = await startService(t, { ALLOWED_ORIGINS: APP })
  await open(t, opened).until(({ type }) => type === 'hello')
})

t.test('a ticket opens one stream, for the origin that requested it', async (t) => {
  const service = await startService(t, SETTINGS)
  const query = `?ticket=${await ticketFor(service)}`
  const stream = open(t, service, { query })
  await stream.until(({ type }) => type === 'hello')
  service.sandbox.publish(item({ n: 1 }))
  await stream.untilEvents(1)
  t.match(await open(t, service, { query }).refused, { status: 401, body: { code: 'unauthorized' } }, 'used')
  const elsewhere = `?ticket=${await ticketFor(service)}`
  t.equal((await open(t, service, { origin: 'http://localhost:5173', query: elsewhere }).refused).status, 401)
  t.equal((await open(t, service, { query: elsewhere }).refused).status, 401, 'used up by the try')
  const server = `?ticket=${await ticketFor(service, {})}`
  await open(t, service, { origin: '', query: server }).until(({ type }) => type === 'hello')
  for (const made of ['?ticket=made-up', '?ticket=', '?ticket=a&ticket=b']) {
    t.equal((await open(t, service, { query: made }).refused).status, 401, made)
  }
  const events = await service.get(`${STREAM}?ticket=${await ticketFor(service)}`, { origin: APP })
  t.equal(events.status, 200, 'Server-Sent Events too')
  await events.body?.cancel()
  t.equal((await service.get(`${EVENTS}?ticket=${await ticketFor(service)}`)).status, 401, 'for streams alone')
  t.notOk(JSON.stringify(service.logs).includes(query.slice(8)), 'and is in no log')
})

t.test('a ticket needs a credential, and no other response contains it', async (t) => {
  const service = await startService(t, SETTINGS)
  const post = (headers: Record<string, string>) => fetch(`${service.url}${TICKETS}`, { method: 'POST', headers })
  t.equal((await post({})).status, 401)
  const response = await post({ ...AUTHORIZATION, origin: APP })
  t.equal(response.status, 201)
  t.equal(response.headers.get('cache-control'), 'no-store')
  t.match(await response.json(), { ticket: /^[A-Za-z0-9_-]{32}$/, expires_in: 30 })
  t.equal((await service.get(TICKETS, AUTHORIZATION)).status, 404)
  const all = await Promise.all(Array.from({ length: 100 }, () => post(AUTHORIZATION)))
  t.ok(all.some(({ status }) => status === 429), 'a hundred at a time')
  t.ok(all.every(({ headers, status }) => status === 201 || Number(headers.get('retry-after')) > 0))
})

t.test('a subprotocol replaces the header, and is not echoed', async (t) => {
  const service = await startService(t, SETTINGS)
  const encoded = Buffer.from(TOKEN).toString('base64url')
  const stream = open(t, service, { protocols: ['kubiya-audit.v1', `kubiya-audit.bearer.${encoded}`] })
  await stream.until(({ type }) => type === 'hello')
  t.equal(stream.socket.protocol, 'kubiya-audit.v1')
  const wrong = Buffer.from(`${TOKEN}x`).toString('base64url')
  t.equal(
    (await open(t, service, { protocols: ['kubiya-audit.v1', `kubiya-audit.bearer.${wrong}`] }).refused).status,
    401
  )
  t.notOk(JSON.stringify(service.logs).includes(encoded))
})

t.test('a page of an allowed origin reads responses, and preflights need no credential', async (t) => {
  const service = await startService(t, SETTINGS)
  service.sandbox.publish(item())
  await service.settled()
  for (const state of ['cold', 'warm']) {
    const response = await service.get(EVENTS, { ...AUTHORIZATION, origin: APP })
    t.equal(response.headers.get('access-control-allow-origin'), APP, state)
    t.match(response.headers.get('access-control-expose-headers'), /etag.*x-live-cursor/, state)
    t.same(response.headers.get('vary')?.split(', ').sort(), ['accept-encoding', 'authorization', 'origin'], state)
    t.equal(response.headers.get('access-control-allow-credentials'), null, state)
  }
  const other = await service.get(EVENTS, { ...AUTHORIZATION, origin: 'https://evil.example' })
  t.equal(other.headers.get('access-control-allow-origin'), null)
  const preflight = (origin: string) =>
    fetch(`${service.url}${TICKETS}`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' }
    })
  const allowed = await preflight(APP)
  t.equal(allowed.status, 204)
  t.match(allowed.headers.get('access-control-allow-headers'), 'authorization')
  t.equal((await preflight('https://evil.example')).headers.get('access-control-allow-origin'), null)
  const unauthorized = await service.get(EVENTS, { origin: APP })
  t.equal(unauthorized.status, 401)
  t.equal(unauthorized.headers.get('access-control-allow-origin'), APP, 'a page may read why')
})

t.test('JSON and event streams have only the headers that apply, and pages have those of helmet', async (t) => {
  const service = await startService(t, SETTINGS)
  const meaningful = [
    'content-security-policy',
    'cross-origin-resource-policy',
    'referrer-policy',
    'x-content-type-options'
  ]
  const { 'strict-transport-security': transport = '', ...ofPages } = await helmetHeaders()
  const answers: Array<[string, Record<string, string>]> = [
    [EVENTS, AUTHORIZATION],
    [EVENTS, AUTHORIZATION],
    [EVENTS, {}],
    [`${EVENTS}?page=0`, AUTHORIZATION],
    ['/nothing', {}],
    ['/livez', {}],
    ['/openapi.json', {}],
    [STREAM, AUTHORIZATION],
    [`${EVENTS}/%`, AUTHORIZATION],
    ['/metrics', {}]
  ]
  for (const [path, headers] of answers) {
    const response = await service.get(path, headers)
    const borne = Object.keys({ ...ofPages, 'strict-transport-security': transport }).filter((name) =>
      response.headers.has(name)
    )
    t.same(borne.sort(), meaningful, path)
    t.equal(response.headers.get('content-security-policy'), "default-src 'none'; frame-ancestors 'none'", path)
    t.equal(response.headers.get('x-content-type-options'), 'nosniff')
    await response.body?.cancel()
  }
  const page = await service.get('/docs')
  for (const [name, value] of Object.entries(ofPages)) {
    if (name !== 'content-security-policy') t.equal(page.headers.get(name), value, name)
  }
  t.notMatch(page.headers.get('content-security-policy'), /unsafe|\*|https:/)
  t.match(page.headers.get('content-security-policy'), /script-src 'self';/)
  t.notMatch(await page.text(), /<script>|<style| on\w+=|style=/)
  t.match(await exchange(service.url, 'NONSENSE\r\n\r\n'), /content-security-policy: default-src 'none'/)
})

t.test('Strict-Transport-Security is sent over TLS, also behind a trusted proxy', async (t) => {
  const transport = async (settings: Record<string, string>, proto: string) => {
    const service = await startService(t, settings)
    const paths = [EVENTS, EVENTS, '/docs', '/livez', '/nothing']
    const answers = await Promise.all(paths.map((path) => service.get(path, { 'x-forwarded-proto': proto })))
    return [...new Set(answers.map(({ headers }) => headers.get('strict-transport-security')))]
  }
  t.same(await transport({ TRUST_PROXY: '1' }, 'https'), [(await helmetHeaders())['strict-transport-security']])
  t.same(await transport({ TRUST_PROXY: '1' }, 'http'), [null])
  t.same(await transport({}, 'https'), [null], 'anyone can say so')
})

t.test('a script in an event is sent as JSON that no browser runs', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(item({ resource_text: '<img src=x onerror=alert(1)>' }))
  await service.settled()
  const response = await service.get(EVENTS)
  t.match(response.headers.get('content-type'), 'application/json')
  t.equal(response.headers.get('x-content-type-options'), 'nosniff')
  t.equal(
    (await response.json() as { items: Array<{ resource_text: string }> }).items[0]?.resource_text,
    '<img src=x onerror=alert(1)>'
  )
})

t.test('a line break in an event stays within one line of a stream', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(item({ resource_text: 'x\n\nevent: gap\ndata: {}\r\ndata: y\u2028' }))
  await service.settled()
  const socket = dial(service.url)
  t.teardown(() => socket.destroy())
  socket.write(head(STREAM, { connection: 'keep-alive', 'user-agent': 'x\u202e' }))
  let heard = ''
  socket.on('data', (chunk) => { heard += String(chunk) })
  await eventually('the event has come', () => /event: event\n[^\n]*\ndata: [^\n]*\n\n/.test(heard))
  t.notMatch(heard, /^event: gap/m)
  t.equal(heard.match(/^event: event$/gm)?.length, 1)
  t.equal(statusOf(await exchange(service.url, head('/livez', { 'user-agent': 'x\u001b[31m' }))), 400)
  t.notMatch(JSON.stringify(service.logs), /\\u001b|\u202e/)
})
