import t from 'tap'
import { ago, eventually, item, startService } from '../support/support.ts'
import { consume } from './consumer.ts'

const TOKEN = 'a-client-token-0123456789'

t.test('the client gets a ticket for each connection, and puts the credential into no URL', async (t) => {
  const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN, STREAM_MAX_AGE_MS: '300' })
  service.sandbox.publish(item({ n: 0, timestamp: ago(1000) }))
  const asked: string[] = []
  const consumer = consume(t, {
    url: service.url,
    credential: `Bearer ${TOKEN}`,
    fetch: (...request) => {
      asked.push(String(request[0]))
      return fetch(...request)
    }
  })
  await consumer.untilEvents(1)
  await eventually('it came back twice', () => consumer.hellos.length >= 3)
  service.sandbox.publish(item({ n: 1 }))
  await consumer.untilEvents(2)
  t.same(consumer.numbers(), [0, 1])
  t.ok(asked.length >= 3)
  t.ok(asked.every((url) => url.endsWith('/stream/tickets')))
})

t.test('a refused credential ends the stream, unless a function returns another one', async (t) => {
  const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN })
  const refused = await consume(t, { url: service.url, credential: 'Bearer another-token-0123456' }).ended
  t.match(refused, { name: 'AuditStreamError', code: 'unauthorized' })
  const none = await consume(t, { url: service.url }).ended
  t.match(none, { code: 'unauthorized', status: 401 })
  let calls = 0
  const renewed = consume(t, {
    url: service.url,
    credential: () => ++calls === 1 ? 'Bearer too-old-0123456789' : `Bearer ${TOKEN}`
  })
  service.sandbox.publish(item({ n: 0 }))
  await renewed.untilEvents(1)
  t.equal(calls, 2)
  const never = await consume(t, { url: service.url, credential: async () => 'Bearer never-good-0123456' }).ended
  t.match(never, { code: 'unauthorized' }, 'one that is never good is tried twice')
  const throwing = await consume(t, { url: service.url, credential: () => { throw new Error('signed out') } }).ended
  t.match(throwing, { message: 'signed out' })
  const forbidden = await consume(t, {
    url: service.url,
    credential: `Bearer ${TOKEN}`,
    filter: { status: 'odd' as 'failed' }
  }).ended
  t.match(forbidden, { code: 'invalid-parameter' }, 'faults of the parameters are still told')
})
