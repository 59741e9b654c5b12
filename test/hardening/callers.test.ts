import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT, exportJWK, generateKeyPair } from 'jose'
import t from 'tap'
import { openEventStream } from '../support/event-stream.ts'
import { ago, eventually, item, openStream, startService } from '../support/support.ts'
import { dial, handshake, head } from './raw.ts'
import { EVENTS, STREAM, ALICE, BOB, STRANGER, startPassthrough, listen } from './passthrough-callers.ts'

/** As much of an answer as is looked at here. */
interface Answer {
  readonly items: Array<{ readonly id: string, readonly owner: string }>
  readonly pagination: { readonly next: string }
  readonly code?: string
}

const NOTHING: Answer = { items: [], pagination: { next: '' } }
const owners = (events: Array<Record<string, any>>) => [...new Set(events.map(({ owner }) => owner))]

t.test('passthrough credentials', async (t) => {
  t.test('a passthrough credential never sees data of another, also from the cache', async (t) => {
    const { crowd, service } = await startPassthrough(t)
    const ask = async (
      authorization?: string,
      headers: Record<string, string> = {},
      path = `${EVENTS}?page_size=10`
    ) => {
      const response = await service.get(path, { ...authorization !== undefined && { authorization }, ...headers })
      return {
        status: response.status,
        headers: response.headers,
        body: response.status === 304 ? NOTHING : await response.json() as Answer
      }
    }
    const warm = await ask(ALICE)
    t.same(owners(warm.body.items), ['alice'])
    t.match(warm.headers.get('vary'), 'authorization')
    t.match(warm.headers.get('cache-control'), 'private')
    await eventually(
      'it is warm',
      async () => (await ask(ALICE)).headers.get('cache-status')?.includes('; hit;') === true
    )

    const before = crowd.asked(BOB)
    const other = await ask(BOB, { 'if-none-match': warm.headers.get('etag') ?? '' })
    t.equal(other.status, 200, 'no 304 by the other\'s validator')
    t.same(owners(other.body.items), ['bob'])
    t.ok(crowd.asked(BOB) > before, 'by a call of its own')
    t.match(other.headers.get('cache-status'), 'fwd=miss')

    const mixed = await Promise.all(
      Array.from({ length: 60 }, (_, n) => ask([ALICE, BOB, STRANGER, undefined][n % 4], {}, `${EVENTS}?page_size=9`))
    )
    mixed.forEach(({ body, status }, n) =>
      n % 4 < 2 ? t.same(owners(body.items), [['alice', 'bob'][n % 4]]) : t.equal(status, 401)
    )

    const id = warm.body.items[0]?.id
    t.equal((await ask(ALICE, {}, `${EVENTS}/${id}`)).status, 200)
    t.equal((await ask(BOB, {}, `${EVENTS}/${id}`)).status, 404, 'an id')
    const next = (await ask(ALICE, {}, `${EVENTS}?page_size=2`)).body.pagination.next
    t.same(owners((await ask(BOB, {}, next)).body.items).filter((owner) => owner !== 'bob'), [], 'a cursor')
    const stranger = await ask(STRANGER, { 'if-none-match': warm.headers.get('etag') ?? '' })
    t.equal(stranger.status, 401)
    t.equal(stranger.body.code, 'unauthorized')
    t.match(stranger.headers.get('www-authenticate'), 'Bearer')
    t.equal(crowd.asked(STRANGER), 1, 'Kubiya was asked about the stranger once')
    t.equal(crowd.asked(''), 0, 'and never about nobody')
    t.notOk(crowd.seen.has(`UserKey ${service.sandbox.apiKey}`), 'the service\'s key is not used')
    const said = JSON.stringify([service.logs, stranger.body, mixed.map(({ body }) => body)])
    for (const secret of [ALICE, BOB, STRANGER]) {
      t.notOk(said.includes(secret.split(' ')[1] ?? ''), 'no credential in logs or answers')
    }
  })

  t.test('a passthrough credential streams only its own events, also from the cursor of another', async (t) => {
    const { crowd, service } = await startPassthrough(t)
    const [alice, bob] = [listen(t, service, ALICE), listen(t, service, BOB)]
    await Promise.all([alice.untilEvents(3), bob.untilEvents(3)])
    crowd.account(ALICE).publish(item({ owner: 'alice', n: 3 }))
    crowd.account(BOB).publish(item({ owner: 'bob', n: 3 }))
    await Promise.all([alice.untilEvents(4), bob.untilEvents(4)])
    t.same([owners(alice.events()), owners(bob.events())], [['alice'], ['bob']])
    const [cursor] = alice.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : [])
    const crossed = listen(t, service, BOB, `?since=${cursor}`)
    await crossed.untilEvents(4)
    t.same(owners(crossed.events()), ['bob'])
    const stranger = await listen(t, service, STRANGER, `?since=${cursor}`).refused
    t.match(stranger, { status: 401, body: { code: 'unauthorized' } })
    t.equal(await service.subscribers(), 3)
  })

  t.test('a refused passthrough credential loses its responses and streams at once, and others do not', async (t) => {
    const { crowd, service } = await startPassthrough(t, { AUTH_RECHECK_MS: '300' })
    const [alice, bob] = [listen(t, service, ALICE), listen(t, service, BOB)]
    const events = openEventStream(`${service.url}${STREAM}`, { authorization: ALICE })
    await Promise.all([alice, bob, events].map((stream) => stream.untilEvents(3)))
    const path = `${EVENTS}?page_size=3&end_time=-0s`
    t.equal((await service.get(path, { authorization: ALICE })).status, 200)
    crowd.refuse(ALICE)
    t.equal((await alice.closed).code, 4401)
    await events.closed
    t.match(alice.frames.at(-1), { type: 'end', reason: 'unauthorized', reconnect: true })
    t.match(events.frames.at(-1), { type: 'end', reason: 'unauthorized' })
    const asked = crowd.asked(ALICE)
    for (let n = 0; n < 5; n++) t.equal((await service.get(path, { authorization: ALICE })).status, 401)
    t.equal(crowd.asked(ALICE), asked, 'not asked about again')
    crowd.account(BOB).publish(item({ owner: 'bob', n: 3 }))
    await bob.untilEvents(4)
    t.equal((await service.get(path, { authorization: BOB })).status, 200)
    t.equal((await service.json('/readyz')).upstream.state, 'ok')
  })

  t.test('a ticket of a passthrough credential opens a stream of its tenant, and none after a refusal', async (t) => {
    const { crowd, service } = await startPassthrough(t, { AUTH_RECHECK_MS: '100' })
    const ticketFor = async (authorization: string) => {
      const response = await fetch(`${service.url}${STREAM}/tickets`, { method: 'POST', headers: { authorization } })
      return { status: response.status, ticket: (await response.json() as { ticket: string }).ticket }
    }
    const open = (ticket: string) => {
      const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}?ticket=${ticket}`)
      t.teardown(() => stream.socket.terminate())
      return stream
    }
    const [alice, bob] = await Promise.all(
      [ALICE, BOB].map(async (authorization) => open((await ticketFor(authorization)).ticket))
    )
    await Promise.all([alice, bob].map((stream) => stream?.untilEvents(3)))
    t.same([alice, bob].map((stream) => owners(stream?.events() ?? [])), [['alice'], ['bob']])
    const { ticket } = await ticketFor(ALICE)
    crowd.refuse(ALICE)
    t.equal((await alice?.closed)?.code, 4401)
    t.equal((await open(ticket).refused).status, 401)
    t.equal((await ticketFor(ALICE)).status, 401)
    t.equal((await ticketFor(STRANGER)).status, 401)
  })

  t.test('a caller that disconnects before Kubiya answers starts nothing and holds no slot', async (t) => {
    const { crowd, service } = await startPassthrough(t, { MAX_SUBSCRIBERS_PER_CLIENT: '1' })
    let release = () => {}
    crowd.account(ALICE).faults.next({ kind: 'held', until: new Promise<void>((resolve) => { release = resolve }) })
    const gone = [dial(service.url), dial(service.url)]
    gone[0]?.write(head(STREAM, { authorization: ALICE }))
    gone[1]?.write(head(STREAM, handshake({ authorization: ALICE })))
    await eventually('Kubiya is asked', () => crowd.asked(ALICE) === 1)
    for (const socket of gone) socket.resetAndDestroy()
    release()
    await eventually(
      'Kubiya has spoken',
      async () => (await service.get(EVENTS, { authorization: ALICE })).status === 200
    )
    const stream = listen(t, service, ALICE)
    await stream.untilEvents(3)
    t.equal(await service.subscribers(), 1)
  })

  t.test("a forbidden passthrough credential receives Kubiya's status", async (t) => {
    const { crowd, service } = await startPassthrough(t)
    const streaming = listen(t, service, BOB)
    await streaming.untilEvents(3)
    crowd.refuse(BOB, 403)
    t.equal((await streaming.closed).code, 4401)
    const response = await service.get(EVENTS, { authorization: BOB })
    t.equal(response.status, 401, 'for a minute')
    crowd.refuse(ALICE, 403)
    const first = await service.get(EVENTS, { authorization: ALICE })
    t.equal(first.status, 403)
    t.match(await first.json(), { code: 'forbidden' })
  })

  t.test('an unused tenant ends and frees everything', async (t) => {
    const { crowd, service } = await startPassthrough(t, { TENANT_IDLE_MS: '1000' })
    t.equal((await service.get(EVENTS, { authorization: ALICE })).status, 200)
    let asked = -1
    await eventually('the poller has stopped', async () => {
      const before = asked
      asked = crowd.asked(ALICE)
      await new Promise((resolve) => { setTimeout(resolve, 300) })
      return before === asked && crowd.account(ALICE).inFlight() === 0
    })
    t.equal((await service.get(EVENTS, { authorization: ALICE })).status, 200, 'and begin anew')
  })

  t.test('a passthrough service is ready before its first caller', async (t) => {
    const { crowd, service } = await startPassthrough(t)
    t.equal((await service.get('/readyz')).status, 200)
    t.equal(crowd.asked(), 0)
  })
})

t.test('static tokens', async (t) => {
  const [first, second] = ['first-token-0123456789', 'second-token-0123456789']

  t.test('callers with tokens share one cache and poller, and others get nothing', async (t) => {
    const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: `${first},${second}` })
    service.sandbox.publish(item({ timestamp: ago(1000) }))
    await service.settled()
    const warm = await service.get(EVENTS, { authorization: `Bearer ${first}` })
    t.equal(warm.status, 200)
    const shared = await service.get(EVENTS, { authorization: `Bearer ${second}` })
    t.match(shared.headers.get('cache-status'), 'hit')
    const asked = service.sandbox.asked
    for (
      const authorization of [
        undefined,
        'Bearer third-token-0123456789',
        `UserKey ${first}`,
        `UserKey ${service.sandbox.apiKey}`,
        `Basic ${first}`,
        `bearer ${first}x`
      ]
    ) {
      for (const path of [EVENTS, `${EVENTS}/search?text=a`, `${EVENTS}/x`, STREAM, `${EVENTS}?page=0`]) {
        const response = await service.get(path, {
          ...authorization !== undefined && { authorization },
          'if-none-match': warm.headers.get('etag') ?? ''
        })
        t.equal(response.status, 401, `${authorization} ${path}`)
        const text = await response.text()
        t.notOk(text.includes(first) || text.includes('third-token'))
      }
    }
    t.equal(service.sandbox.asked, asked)
    for (const path of ['/livez', '/readyz', '/openapi.json', '/docs']) {
      t.equal((await service.get(path)).status, 200, path)
    }
    t.notOk(JSON.stringify(service.logs).includes('token-0123456789'))
  })

  t.test('AUTH_TOKENS_FILE is read again, and streams of a removed token end', async (t) => {
    const file = join(t.testdir(), 'tokens')
    writeFileSync(file, `${first}\n${second}\n`)
    const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS_FILE: file, AUTH_RECHECK_MS: '100' })
    const [one, two] = [first, second].map((token) => listen(t, service, `Bearer ${token}`))
    await Promise.all([one, two].map((stream) => stream?.until(({ type }) => type === 'hello')))
    writeFileSync(file, `${second} # the new one\n`)
    t.equal((await one?.closed)?.code, 4401)
    t.equal((await service.get(EVENTS, { authorization: `Bearer ${first}` })).status, 401)
    t.equal((await service.get(EVENTS, { authorization: `Bearer ${second}` })).status, 200)
    t.equal(two?.socket.readyState, 1)
  })
})

t.test('JSON Web Tokens', async (t) => {
  const [issuer, group] = ['https://id.example', 'audit']
  const keys = new Map(
    await Promise.all(['one', 'two', 'foreign'].map(async (kid) => [kid, await generateKeyPair('ES256')] as const))
  )
  const published = new Set(['one'])
  let asked = 0
  const keyServer = createServer(async (_request, response) => {
    asked++
    const all = await Promise.all(
      [...published].map(async (kid) => ({
        kid,
        alg: 'ES256',
        ...await exportJWK(keys.get(kid)?.publicKey ?? Buffer.alloc(0))
      }))
    )
    response.writeHead(all.length === 0 ? 503 : 200, { 'content-type': 'application/json' }).end(
      JSON.stringify({ keys: all })
    )
  })
  keyServer.listen(0, '127.0.0.1')
  await once(keyServer, 'listening')
  t.teardown(() => {
    keyServer.close()
  })
  const settings = {
    AUTH_MODE: 'jwt',
    AUTH_JWKS_URL: `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}/keys`,
    AUTH_ISSUER: issuer,
    AUTH_AUDIENCE: group,
    AUTH_CLOCK_TOLERANCE_MS: '0'
  }

  /** A token that is good unless told otherwise. */
  async function token (
    { kid = 'one', iss = issuer, aud = group, seconds = 600 as number | undefined, sub = 'me' } = {}
  ): Promise<string> {
    const jwt = new SignJWT({ sub }).setProtectedHeader({ alg: 'ES256', kid: kid === 'foreign' ? 'one' : kid })
      .setIssuer(iss).setAudience(aud)
    const key = keys.get(kid)?.privateKey
    if (key === undefined) throw new Error('there is no such key')
    return (seconds === undefined ? jwt : jwt.setExpirationTime(Math.floor(Date.now() / 1000) + seconds)).sign(key)
  }

  t.test('a JWT is accepted by signature, issuer, audience and time, and keys are fetched once', async (t) => {
    const service = await startService(t, settings)
    await service.settled()
    const status = async (jwt: string) => (await service.get(EVENTS, { authorization: `Bearer ${jwt}` })).status
    const good = await token()
    asked = 0
    t.same(await Promise.all(Array.from({ length: 50 }, () => status(good))), Array(50).fill(200))
    t.equal(await status(await token({ sub: 'another' })), 200)
    t.equal(asked, 1)
    const calls = service.sandbox.asked
    const [head = '', body = '', signature = ''] = good.split('.')
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${body}.`
    const changed = `${head}.${
      Buffer.from(JSON.stringify({ iss: issuer, aud: group, exp: 9e9, sub: 'root' })).toString('base64url')
    }.${signature}`
    const shared = await new SignJWT({}).setProtectedHeader({ alg: 'HS256', kid: 'one' }).setIssuer(issuer).setAudience(
      group
    ).setExpirationTime('1h').sign(Buffer.from('a secret that is long enough for it'))
    for (
      const bad of [
        await token({ kid: 'foreign' }),
        await token({ kid: 'two' }),
        await token({ iss: 'https://evil.example' }),
        await token({ aud: 'other' }),
        await token({ seconds: -1 }),
        unsigned,
        changed,
        shared,
        'a.b.c',
        good.slice(0, -4)
      ]
    ) {
      t.equal(await status(bad), 401, bad.slice(0, 60))
    }
    const { privateKey = Buffer.alloc(0) } = keys.get('one') ?? {}
    const endless = await new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setIssuer(issuer)
      .setAudience(group).sign(privateKey)
    t.equal(await status(endless), 401, 'without an end')
    t.equal(service.sandbox.asked, calls)
    t.notOk(JSON.stringify(service.logs).includes(signature))
  })

  t.test('a JWT of a new key is accepted after a rotation', async (t) => {
    const service = await startService(t, settings)
    const status = async (kid: string) =>
      (await service.get(EVENTS, { authorization: `Bearer ${await token({ kid, sub: String(Math.random()) })}` }))
        .status
    t.equal(await status('one'), 200)
    published.add('two')
    await eventually('the new key is known', async () => await status('two') === 200)
    published.delete('two')
  })

  t.test('a stream is told of the expiry of its JWT a minute before, and ends at it', async (t) => {
    const service = await startService(t, settings)
    const stream = listen(t, service, `Bearer ${await token({ seconds: 5 })}`)
    const notice = await stream.until(({ type }) => type === 'expiring')
    t.ok(notice.type === 'expiring' && Date.parse(notice.at) - Date.now() < 5000)
    t.equal((await stream.closed).code, 4401)
    const after = stream.frames.length
    t.match(stream.frames.at(-1), { type: 'end', reason: 'unauthorized', reconnect: true })
    service.sandbox.publish(item())
    await service.settled()
    t.equal(stream.frames.length, after, 'nothing after it')
  })

  t.test('a JWT of a known key is accepted while keys cannot be fetched, and another waits', async (t) => {
    published.clear()
    const service = await startService(t, settings)
    const response = await service.get(EVENTS, { authorization: `Bearer ${await token()}` })
    t.equal(response.status, 503)
    t.equal((await response.json() as { code: string }).code, 'credential-unchecked')
    t.ok(Number(response.headers.get('retry-after')) > 0)
    published.add('one')
    t.equal((await service.get(EVENTS, { authorization: `Bearer ${await token({ sub: 'b' })}` })).status, 200)
  })
})
