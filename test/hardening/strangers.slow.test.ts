import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import t, { type Test } from 'tap'
import {
  SMALLEST_LOG,
  ago,
  evenDates,
  eventually,
  item,
  openStream,
  startService,
  type Service
} from '../support/support.ts'
import { startCrowd } from './crowd.ts'
import { exchange, handshake, head, statusOf } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const key = (name: string) => `UserKey ${name}-key-0123456789`
const names = (prefix: string, length: number) => Array.from({ length }, (_, n) => `${prefix}${n}`)

async function ask (service: Service, authorization: string, address: string, path = EVENTS) {
  const response = await service.get(path, { authorization, 'x-forwarded-for': address })
  const body = await response.json() as { readonly code?: string, readonly detail?: string, readonly items?: unknown[] }
  return { status: response.status, cache: response.headers.get('cache-status') ?? '', body }
}

async function figure (service: Service, name: string): Promise<number> {
  const text = await (await fetch(service.metricsUrl)).text()
  return Number(new RegExp(`^kubiya_audit_bff_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? NaN)
}

t.test('invalid passthrough credentials', async (t) => {
  t.test('invalid credentials of one address evict nothing, and lock out no other', async (t) => {
    const [idle, fresh] = [names('idle', 5), names('fresh', 4)]
    const crowd = await startCrowd(t, [...idle, ...fresh].map(key))
    for (const name of [...idle, ...fresh]) {
      crowd.account(key(name)).publish(item({ owner: name, timestamp: ago(3_600_000) }))
    }
    const closed = `${EVENTS}?page_size=7&end_time=${ago(600_000)}` // No event that comes can change the answer.
    const service = await startService(t, {
      AUTH_MODE: 'passthrough',
      KUBIYA_BASE_URL: crowd.url,
      TRUST_PROXY: 'true',
      MAX_TENANTS: '10',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000',
      CACHE_OPEN_TTL_MS: '600000'
    })
    for (const name of idle) t.equal((await ask(service, key(name), '198.51.100.1', closed)).status, 200)
    const bad = names('bad', 256).map((name) => ask(service, key(name), '192.0.2.1'))
    const good = fresh.map((name, n) => ask(service, key(name), `203.0.113.${n}`))
    t.same((await Promise.all(good)).map(({ status }) => status), [200, 200, 200, 200])
    const refused = await Promise.all(bad)
    t.same(refused.filter(({ status }) => ![401, 429].includes(status)), [])
    t.ok([...crowd.seen].filter((each) => each.includes('bad')).length <= 30)
    t.ok(refused.filter(({ status }) => status === 429).every(({ body }) => body.detail?.includes('from this address')))
    for (const name of idle) t.match((await ask(service, key(name), '198.51.100.1', closed)).cache, '; hit;', name)
    t.equal(await figure(service, 'tenants'), idle.length + fresh.length)
  })

  t.test('slow checks of invalid credentials delay tenants of other addresses only a little', async (t) => {
    const crowd = await startCrowd(t, [key('good')])
    const held = new Set<() => void>()
    // Knows nobody, and takes its time to say so; the good one is passed on.
    const slow = createServer((request, response) => {
      if (request.headers.authorization !== key('good')) held.add(() => response.writeHead(401).end())
      else {
        fetch(`${crowd.url}${request.url}`, { headers: { authorization: key('good') } }).then(async (answer) =>
          response.writeHead(answer.status).end(await answer.text())
        ).catch(() => response.destroy())
      }
    }).listen(0, '127.0.0.1')
    await once(slow, 'listening')
    t.teardown(() => {
      slow.close()
      slow.closeAllConnections()
    })
    const service = await startService(t, {
      AUTH_MODE: 'passthrough',
      KUBIYA_BASE_URL: `http://127.0.0.1:${(slow.address() as AddressInfo).port}`,
      TRUST_PROXY: 'true'
    })
    const bad = names('bad', 200).map((name) => ask(service, key(name), '192.0.2.1').catch(() => undefined))
    await eventually('checks are under way', () => held.size > 0)
    t.equal((await ask(service, key('good'), '198.51.100.1')).status, 200)
    t.ok(held.size <= 8, `${held.size} of one address`)
    const timer = setInterval(() => {
      for (const release of held) {
        held.delete(release)
        release()
      }
    }, 5)
    t.teardown(() => clearInterval(timer))
    await Promise.all(bad)
  })
})

t.test('forged tokens', async (t) => {
  const [issuer, group] = ['https://id.example', 'audit']
  const keys = new Map(
    await Promise.all(['one', 'two', 'forged'].map(async (kid) => [kid, await generateKeyPair('ES256')] as const))
  )
  let serial = 0

  async function token (signedBy: string, kid = signedBy): Promise<string> {
    const { privateKey } = keys.get(signedBy) ?? {}
    if (privateKey === undefined) throw new Error('there is no such key')
    const jwt = new SignJWT({ sub: `s-${serial++}` }).setProtectedHeader({ alg: 'ES256', kid }).setIssuer(issuer)
      .setAudience(group)
    return `Bearer ${await jwt.setExpirationTime('10m').sign(privateKey)}`
  }

  /** The service behind an issuer whose answers a test can hold back or turn into failures. */
  async function start (t: Test) {
    const state = { published: ['one'], isDown: false, hold: Promise.resolve(), asked: 0 }
    const server = createServer(async (_request, response) => {
      state.asked++
      await state.hold
      const all = await Promise.all(
        state.published.map(async (kid) => ({
          kid,
          alg: 'ES256',
          ...await exportJWK(keys.get(kid)?.publicKey ?? Buffer.alloc(0))
        }))
      )
      response.writeHead(state.isDown ? 503 : 200).end(JSON.stringify({ keys: all }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.close()
      server.closeAllConnections()
    })
    const service = await startService(t, {
      AUTH_MODE: 'jwt',
      AUTH_JWKS_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
      AUTH_ISSUER: issuer,
      AUTH_AUDIENCE: group,
      TRUST_PROXY: 'true'
    })
    await service.settled()
    t.equal((await ask(service, await token('one'), '198.51.100.1')).status, 200)
    return { service, state }
  }

  t.test('forged tokens of a known key lock out nobody, and cause no request', async (t) => {
    const { service, state } = await start(t)
    const forged = await Promise.all(Array.from({ length: 750 }, () => token('forged', 'one')))
    const statuses = await Promise.all(
      forged.map(async (each, n) => (await ask(service, each, `2001:db8:0:${(n % 25).toString(16)}::1`)).status)
    )
    t.same([...new Set(statuses)], [401])
    t.equal((await ask(service, await token('one'), '203.0.113.1')).status, 200)
    t.equal((await ask(service, await token('one'), '2001:db8:0:1::2')).status, 200, 'of a network of theirs')
    t.equal(state.asked, 1)
  })

  t.test('forged tokens from many networks, fifty a second, do not affect good new tokens', async (t) => {
    const { service } = await start(t)
    const noise: Array<Promise<unknown>> = []
    let n = 0
    const timer = setInterval(() => {
      const address = `2001:db8:${(n++).toString(16)}::1`
      noise.push(
        token('forged', n % 2 === 0 ? 'one' : `unknown-${n}`).then((each) => ask(service, each, address)).catch(
          () => {}
        )
      )
    }, 20)
    t.teardown(() => clearInterval(timer))
    await eventually('strangers are at it', () => n > 25)
    const statuses: number[] = []
    for (let times = 0; times < 40; times++) {
      statuses.push((await ask(service, await token('one'), '203.0.113.1')).status)
    }
    t.same(statuses.filter((status) => status !== 200), [])
    clearInterval(timer)
    await Promise.all(noise)
  })

  t.test('forged tokens of unknown keys wait in their own queue while the issuer is slow', async (t) => {
    const { service, state } = await start(t)
    let release = () => {}
    state.hold = new Promise((resolve) => { release = resolve })
    await eventually('the issuer may be asked again', async () => {
      if (state.asked === 1) ask(service, await token('forged', `first-${serial}`), '192.0.2.9').catch(() => {})
      return state.asked > 1
    })
    const waiting = (await Promise.all(names('u', 300).map((kid) => token('forged', kid)))).map((each) =>
      ask(service, each, '192.0.2.1')
    )
    for (let times = 0; times < 5; times++) t.equal((await ask(service, await token('one'), '203.0.113.1')).status, 200)
    t.equal((await ask(service, await token('one'), '192.0.2.1')).status, 200, 'of the same address')
    state.published.push('two')
    release()
    t.same(
      [...new Set((await Promise.all(waiting)).map(({ status }) => status))].filter((status) =>
        ![401, 429, 503].includes(status)
      ),
      []
    )
    t.equal((await ask(service, await token('two'), '203.0.113.1')).status, 200, 'a key that came meanwhile')
    t.equal(state.asked, 2, 'one question for all')
  })

  t.test('tokens of unknown keys get a 503 while keys cannot be fetched, and known ones are accepted', async (t) => {
    const { service, state } = await start(t)
    state.isDown = true
    state.published.push('two')
    const put = async () => await ask(service, await token('two'), '203.0.113.1')
    await eventually('the issuer may be asked again', async () => (await put()).status === 503)
    t.match((await put()).body, { code: 'credential-unchecked' })
    t.equal((await ask(service, await token('one'), '203.0.113.1')).status, 200)
    state.isDown = false
    await eventually('the issuer is back', async () => (await put()).status === 200)
  })
})

t.test('outage of Kubiya', async (t) => {
  for (
    const fault of [{ kind: 'status', status: 503 }, { kind: 'hang' }, {
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '60' }
    }] as const
  ) {
    t.test(`an outage (${JSON.stringify(fault)}) serves accepted credentials, marked as stale`, async (t) => {
      const crowd = await startCrowd(t, [key('alice'), key('bob')])
      const alice = crowd.account(key('alice'))
      alice.publish(item({ owner: 'alice', timestamp: ago(5000) }))
      const service = await startService(t, {
        AUTH_MODE: 'passthrough',
        KUBIYA_BASE_URL: crowd.url,
        AUTH_RECHECK_MS: '100',
        UPSTREAM_TIMEOUT_MS: '600',
        CACHE_OPEN_TTL_MS: '100',
        CACHE_STALE_MS: '0'
      })
      const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}`, [], { authorization: key('alice') })
      t.teardown(() => stream.socket.terminate())
      await stream.untilEvents(1)
      t.equal((await ask(service, key('alice'), '')).status, 200)
      for (const name of ['alice', 'bob']) crowd.account(key(name)).faults.during(fault)
      const statuses = new Set<number>()
      await eventually('the answer is marked', async () => {
        const { cache, status } = await ask(service, key('alice'), '')
        statuses.add(status)
        return cache.includes('stale-if-error')
      })
      for (let times = 0; times < 3; times++) {
        const { body, cache, status } = await ask(service, key('alice'), '')
        t.same([status, body.items?.length, cache.includes('stale-if-error')], [200, 1, true])
      }
      t.same([...statuses], [200])
      t.ok([502, 503, 504].includes((await ask(service, key('bob'), '')).status), 'one that was never accepted')
      const another = openStream(`${service.url.replace('http', 'ws')}${STREAM}`, [], { authorization: key('alice') })
      t.teardown(() => another.socket.terminate())
      await another.until(({ type }) => type === 'hello')
      t.equal(stream.socket.readyState, 1)
      if ('headers' in fault) return // What says when to come back is obeyed: Kubiya is left alone for that long.

      alice.faults.clear()
      alice.publish(item({ owner: 'alice' }))
      await Promise.all([stream.untilEvents(2), another.untilEvents(2)])
      crowd.refuse(key('alice'))
      t.equal((await stream.closed).code, 4401)
      t.equal((await ask(service, key('alice'), '')).status, 401)
    })
  }

  t.test('the grace time of an outage ends with a refusal, and after its duration', async (t) => {
    const crowd = await startCrowd(t, [key('alice')])
    const service = await startService(t, {
      AUTH_MODE: 'passthrough',
      KUBIYA_BASE_URL: crowd.url,
      AUTH_RECHECK_MS: '100',
      CACHE_STALE_IF_ERROR_MS: '300',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000'
    })
    t.equal((await ask(service, key('alice'), '')).status, 200)
    crowd.account(key('alice')).faults.during({ kind: 'status', status: 503 })
    await eventually('the time has passed', async () => (await ask(service, key('alice'), '')).status === 502)
    crowd.account(key('alice')).faults.clear()
    await eventually('Kubiya is back', async () => (await ask(service, key('alice'), '')).status === 200)
  })
})

t.test('all tenants', async (t) => {
  t.test('tenants share one bound on cached bytes, and no tenant loses bytes to a larger one', async (t) => {
    const tenants = names('tenant', 4)
    const crowd = await startCrowd(t, tenants.map(key))
    const dateOf = evenDates(3_600_000, -1)
    for (const name of tenants) {
      crowd.account(key(name)).publish(Array.from({ length: 40 }, (_, n) =>
        item({ n, resource_text: 'x'.repeat(1000), timestamp: dateOf(n) })))
    }
    const [bound, until] = [200_000, ago(600_000)]
    const service = await startService(t, {
      AUTH_MODE: 'passthrough',
      KUBIYA_BASE_URL: crowd.url,
      CACHE_MAX_BYTES: String(bound),
      CACHE_OPEN_TTL_MS: '600000',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000'
    })
    const small = `${EVENTS}?page_size=2&end_time=${until}`
    t.equal((await ask(service, key('tenant0'), '', small)).status, 200)
    for (let round = 0; round < 6; round++) {
      for (const name of tenants.slice(1)) {
        t.equal((await ask(service, key(name), '', `${EVENTS}?page_size=${30 + round}&end_time=${until}`)).status, 200)
      }
      const bytes = await figure(service, 'cache_bytes')
      t.ok(bytes > 0 && bytes <= bound, `${bytes}`)
    }
    t.match((await ask(service, key('tenant0'), '', small)).cache, '; hit;')
    t.equal(await figure(service, 'cache_capacity_bytes'), bound)
    crowd.refuse(key('tenant1'))
    const before = await figure(service, 'cache_bytes')
    const headers = { authorization: key('tenant1'), 'cache-control': 'no-cache' } // Its log would answer.
    t.equal((await service.get(`${EVENTS}?page_size=9`, headers)).status, 401)
    const after = await figure(service, 'cache_bytes')
    t.ok(after > 0 && after < before, `${before} → ${after}: its own is gone, that of the others stays`)
  })

  t.test('a tenant that ends and starts again gets no new budget', async (t) => {
    const crowd = await startCrowd(t, [key('alice')])
    const dateOf = evenDates(60_000, -1)
    crowd.account(key('alice')).publish(Array.from({ length: 40 }, (_, n) => item({ n, timestamp: dateOf(n) })))
    const service = await startService(t, {
      ...SMALLEST_LOG,
      AUTH_MODE: 'passthrough',
      KUBIYA_BASE_URL: crowd.url,
      KUBIYA_REQUESTS_PER_DAY: '40',
      TENANT_IDLE_MS: '1000',
      UPSTREAM_TIMEOUT_MS: '500',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000',
      CACHE_MAX_BYTES: '0'
    })
    let page = 0
    await eventually(
      'the budget is spent',
      async () => (await ask(service, key('alice'), '', `${EVENTS}?page_size=1&page=${++page}`)).status === 503
    )
    t.ok(page <= 11, `${page} requests`)
    await eventually('the scope is gone', async () => await figure(service, 'tenants') === 0)
    t.match(await ask(service, key('alice'), '', `${EVENTS}?page_size=1&page=1`), {
      status: 503,
      body: { code: 'upstream-throttled' }
    })
  })
})

t.test('two credentials in one request are unreadable', async (t) => {
  const [first, second] = ['first-token-0123456789', 'second-token-0123456789']
  const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: `${first},${second}` })
  await service.settled()
  const ticket = async () => {
    const response = await fetch(`${service.url}${STREAM}/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${first}` }
    })
    return (await response.json() as { ticket: string }).ticket
  }
  const offer = (token: string) => `kubiya-audit.v1, kubiya-audit.bearer.${Buffer.from(token).toString('base64url')}`
  const isAnswered = (heard: string) => heard.includes('\r\n\r\n')
  const upgrade = async (headers: Record<string, string>, path: string, more = '') =>
    statusOf(
      await exchange(service.url, head(path, handshake(headers)).replace('\r\n\r\n', `\r\n${more}\r\n`), isAnswered)
    )
  t.equal(await upgrade({}, `${STREAM}?ticket=${await ticket()}`), 101)
  for (const token of [first, second, 'a-wrong-token-0123456789']) {
    t.equal(await upgrade({ authorization: `Bearer ${token}` }, `${STREAM}?ticket=${await ticket()}`), 401, token)
    t.equal(await upgrade({ 'sec-websocket-protocol': offer(token) }, `${STREAM}?ticket=${await ticket()}`), 401, token)
    t.equal(
      await upgrade({ authorization: `Bearer ${first}`, 'sec-websocket-protocol': offer(token) }, STREAM),
      401,
      token
    )
    t.equal(
      await upgrade({ authorization: `Bearer ${first}` }, STREAM, `authorization: Bearer ${token}\r\n`),
      401,
      token
    )
    t.equal(
      await upgrade({ 'sec-websocket-protocol': offer(first) }, STREAM, `sec-websocket-protocol: ${offer(token)}\r\n`),
      401,
      token
    )
    for (const path of [EVENTS, STREAM]) {
      const text = head(path, { authorization: `Bearer ${first}` }).replace(
        '\r\n\r\n',
        `\r\nAUTHORIZATION: Bearer ${token}\r\n\r\n`
      )
      t.equal(statusOf(await exchange(service.url, text, isAnswered)), 401, `${path} ${token}`)
    }
  }
  const event = await service.get(`${STREAM}?ticket=${await ticket()}`, { authorization: `Bearer ${second}` })
  t.equal(event.status, 401, 'Server-Sent Events, too')
  t.equal(await upgrade({}, `${STREAM}?ticket=${await ticket()}&ticket=${await ticket()}`), 401)
})

t.test('an invalid forwarded address counts as the proxy, and a port makes no other caller', async (t) => {
  for (const trust of ['1', '127.0.0.1', 'true']) {
    const service = await startService(t, { RATE_LIMIT_PER_MINUTE: '3', TRUST_PROXY: trust })
    const statusFrom = async (said: string) =>
      (await service.get('/api/v1/audit/events', { 'x-forwarded-for': said })).status
    for (let n = 0; n < 3; n++) t.equal(await statusFrom(`garbage-${n}`), 200, trust)
    t.equal(await statusFrom('garbage-3'), 429, trust)
    t.equal((await service.get(EVENTS)).status, 429, 'as the proxy itself')
    for (let n = 0; n < 3; n++) t.equal(await statusFrom(`192.0.2.1:${4000 + n}`), 200, trust)
    t.equal(await statusFrom('192.0.2.1'), 429, trust)
    for (let n = 0; n < 3; n++) t.equal(await statusFrom(`[2001:db8::${n}]:${4000 + n}`), 200, trust)
    t.equal(await statusFrom('2001:db8::9'), 429, trust)
  }
})
