import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { eventually, item, startService } from '../support/support.ts'
import { consume } from './consumer.ts'

t.test('events are delivered once each while tokens expire and are replaced', async (t) => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = { kid: 'one', alg: 'ES256', ...await exportJWK(publicKey) }
  const keyServer = createServer((_request, response) => {
    response.end(JSON.stringify({ keys: [jwk] }))
  }).listen(0, '127.0.0.1')
  await once(keyServer, 'listening')
  t.teardown(() => {
    keyServer.close()
  })
  const service = await startService(t, {
    AUTH_MODE: 'jwt',
    AUTH_JWKS_URL: `http://127.0.0.1:${(keyServer.address() as AddressInfo).port}`,
    AUTH_ISSUER: 'i',
    AUTH_AUDIENCE: 'a',
    AUTH_CLOCK_TOLERANCE_MS: '0'
  })
  const token = () =>
    new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'one' }).setIssuer('i').setAudience('a').setExpirationTime(
      Math.floor(Date.now() / 1000) + 3
    ).sign(privateKey)
  const consumer = consume(t, { url: service.url, credential: async () => `Bearer ${await token()}` })
  await eventually('it is there', () => consumer.hellos.length === 1)
  let published = 0
  await eventually('two tokens have ended', () => {
    service.sandbox.publish(item({ n: published++ }))
    return consumer.losses.filter(({ reason }) => reason === 'unauthorized').length >= 2 && consumer.hellos.length >= 3
  })
  await consumer.untilEvents(published)
  t.same(consumer.numbers(), Array.from({ length: published }, (_, n) => n))
  t.same(consumer.gaps, [])
})
