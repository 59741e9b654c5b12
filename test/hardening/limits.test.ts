import t, { type Test } from 'tap'
import { eventually, item, openStream, type Service, startService } from '../support/support.ts'
import { dial, handshake, head } from './raw.ts'

const EVENTS = '/api/v1/audit/events'
const STREAM = '/api/v1/audit/stream'
const [FIRST, SECOND] = ['first-token-0123456789', 'second-token-0123456789']
const TWO = { AUTH_MODE: 'token', AUTH_TOKENS: `${FIRST},${SECOND}` }
const as = (token: string) => ({ authorization: `Bearer ${token}` })

function open (t: Test, service: Service, token: string) {
  const stream = openStream(`${service.url.replace('http', 'ws')}${STREAM}`, [], as(token))
  t.teardown(() => stream.socket.terminate())
  return stream
}

t.test('requests of one caller are limited, others are not, and hits report what is left', async (t) => {
  const service = await startService(t, { ...TWO, RATE_LIMIT_PER_MINUTE: '5' })
  service.sandbox.publish(item())
  await service.settled()
  const left: Array<string | null> = []
  for (let n = 0; n < 5; n++) {
    const response = await service.get(EVENTS, as(FIRST))
    t.equal(response.status, 200)
    t.equal(response.headers.get('ratelimit-limit'), '5')
    left.push(response.headers.get('ratelimit-remaining'))
  }
  t.same(left, ['4', '3', '2', '1', '0'])
  const asked = service.sandbox.asked
  const refused = await service.get(`${EVENTS}?page_size=7`, as(FIRST))
  t.equal(refused.status, 429)
  t.match(await refused.json(), { code: 'rate-limited', retry_after: Number })
  t.ok(Number(refused.headers.get('retry-after')) >= 1 && Number(refused.headers.get('retry-after')) <= 12)
  t.equal((await open(t, service, FIRST).refused).status, 429, 'before the upgrade')
  t.equal(service.sandbox.asked, asked)
  t.equal((await service.get(EVENTS, as(SECOND))).status, 200)
  for (let n = 0; n < 10; n++) t.equal((await service.get('/livez')).status, 200)
})

t.test('requests of all callers together are limited', async (t) => {
  const service = await startService(t, { ...TWO, RATE_LIMIT_TOTAL_PER_MINUTE: '2' })
  for (const token of [FIRST, SECOND]) t.equal((await service.get(EVENTS, as(token))).status, 200)
  const refused = await service.get(EVENTS, as(SECOND))
  t.equal(refused.status, 503)
  t.ok(Number(refused.headers.get('retry-after')) >= 1)
})

t.test('streams per caller and in total are limited before the upgrade, exactly, and freed at their end', async (t) => {
  const service = await startService(t, { ...TWO, MAX_SUBSCRIBERS_PER_CLIENT: '3', MAX_SUBSCRIBERS: '5' })
  const tries = Array.from({ length: 20 }, () => open(t, service, FIRST))
  const outcomes = await Promise.all(
    tries.map((stream) =>
      Promise.race([
        stream.until(({ type }) => type === 'hello').then(() =>
          101
        ),
        stream.refused.then(({ status }) => status)
      ])
    )
  )
  t.equal(outcomes.filter((status) => status === 101).length, 3)
  t.equal(outcomes.filter((status) => status === 429).length, 17)
  const others = await Promise.all(Array.from({ length: 10 }, () => {
    const stream = open(t, service, SECOND)
    return Promise.race([
      stream.until(({ type }) => type === 'hello').then(() => 101),
      stream.refused.then(({ headers, status }) => Number(headers['retry-after']) > 0 ? status : 0)
    ])
  }))
  t.equal(others.filter((status) => status === 101).length, 2)
  t.ok(others.every((status) => [101, 429, 503].includes(status)))
  tries.find((_, n) => outcomes[n] === 101)?.socket.terminate()
  await eventually('there is a place', async () => await service.subscribers() === 4)
  await open(t, service, FIRST).until(({ type }) => type === 'hello')
  t.equal((await service.get('/livez')).status, 200)
})

t.test('streams that end before they begin free their slots', async (t) => {
  const service = await startService(t, { MAX_SUBSCRIBERS: '2' })
  for (let n = 0; n < 20; n++) t.equal((await service.get(STREAM, { accept: 'text/html' })).status, 406)
  // They never hang up.
  for (let n = 0; n < 2; n++) dial(service.url).write(head(STREAM, handshake({ 'sec-websocket-version': '99' })))
  for (let n = 0; n < 20; n++) openStream(`${service.url.replace('http', 'ws')}${STREAM}`).socket.terminate()
  await eventually('both places are free', async () => await service.subscribers() === 0)
  await eventually('they can be had', async () => {
    const streams = [service.stream(), service.stream()]
    const outcomes = await Promise.all(
      streams.map((stream) =>
        Promise.race([stream.until(({ type }) => type === 'hello').then(() => true), stream.refused.then(() => false)])
      )
    )
    if (outcomes.includes(false)) { for (const stream of streams) stream.socket.terminate() }
    return !outcomes.includes(false)
  })
  t.equal((await service.stream().refused).status, 503)
})

t.test('callers without a credential count by address, and only a trusted proxy reports it', async (t) => {
  const from = (address: string) => ({ 'x-forwarded-for': address })
  const direct = await startService(t, { RATE_LIMIT_PER_MINUTE: '2' })
  for (const [address, status] of [['192.0.2.1', 200], ['192.0.2.2', 200], ['192.0.2.3', 429]] as const) {
    t.equal((await direct.get(EVENTS, from(address))).status, status)
  }
  const behind = await startService(t, { RATE_LIMIT_PER_MINUTE: '2', TRUST_PROXY: '127.0.0.1' })
  for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.1']) {
    t.equal((await behind.get(EVENTS, from(address))).status, 200)
  }
  t.equal((await behind.get(EVENTS, from('192.0.2.1'))).status, 429)
  t.equal((await behind.get(EVENTS, from('192.0.2.1, 192.0.2.9'))).status, 200, 'the last hop but ours counts')
})
