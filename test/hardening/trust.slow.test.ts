import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { readSettings } from '../../src/settings/read-settings.ts'
import { listening, run } from '../support/process.ts'
import { startUpstream } from '../support/support.ts'
import { JWT, faultsOf } from './settings-faults.ts'

const WORD = 'pa55w0rd-canary'

t.test('a URL with a user, password, query or fragment is refused, and no fault shows a part', async (t) => {
  const bad = [
    `https://user:${WORD}@a.example/x`,
    `https://${WORD}@a.example`,
    `https://:${WORD}@a.example`,
    `https://a.example/?key=${WORD}`,
    'https://a.example/?',
    `https://a.example/#${WORD}`
  ]
  for (const url of bad) {
    for (
      const [name, rest] of [['KUBIYA_BASE_URL', {}], ['AUTH_JWKS_URL', JWT], [
        'OTEL_EXPORTER_OTLP_ENDPOINT',
        {}
      ]] as const
    ) {
      const faults = faultsOf({ ...rest, [name]: url, ALLOW_PLAIN_HTTP: 'true' })
      t.match(faults, [new RegExp(`^${name}: must not contain `)], `${name} ${url}`)
      t.notMatch(faults.join(), WORD)
    }
  }
  t.notMatch(faultsOf({ ALLOWED_ORIGINS: `https://a.example,https://user:${WORD}@b.example` }).join(), WORD)
  t.match(faultsOf({ ALLOWED_ORIGINS: 'https://a.example,https://b.example/' }), [/^ALLOWED_ORIGINS: entry 2 /])
  const names = [
    'KUBIYA_BASE_URL',
    'AUTH_JWKS_URL',
    'AUTH_ISSUER',
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'ALLOWED_ORIGINS',
    'TRUST_PROXY',
    'HOST',
    'METRICS_PORT',
    'REDIS_URL'
  ]
  fc.assert(
    fc.property(
      fc.constantFrom(...names),
      fc.webUrl({ withQueryParameters: true }),
      fc.boolean(),
      (name, url, isFirst) => {
        const value = isFirst ? url.replace('://', `://u:${WORD}@`) : `${url}${WORD}`
        return !faultsOf({ ...JWT, [name]: value }).join().includes(WORD)
      }
    ),
    { numRuns: 30 }
  )
})

t.test('KUBIYA_API_KEY_FILE', async (t) => {
  const folder = t.testdir({
    good: 'key-of-a-file\n',
    windows: 'key-of-a-file\r\n',
    bare: 'key-of-a-file',
    empty: '',
    blank: '\n\n',
    two: 'a\nb\n',
    folder: {}
  })
  const read = (name: string, more: Record<string, string> = {}) =>
    readSettings({ KUBIYA_API_KEY_FILE: join(folder, name), ...more })

  t.test('a key file counts as the key, without its last newline, and replaces the sandbox', async (t) => {
    for (const name of ['good', 'windows', 'bare']) {
      const outcome = read(name, { NODE_ENV: 'production' })
      t.equal(outcome.ok && outcome.settings.KUBIYA_API_KEY, 'key-of-a-file', name)
    }
  })

  t.test('an unreadable, empty or invalid key file is a fault that names the setting only', async (t) => {
    for (const name of ['none', 'empty', 'blank', 'two', 'folder']) {
      const outcome = read(name, { NODE_ENV: 'production' })
      const faults = outcome.ok ? [] : outcome.faults
      t.match(faults, [/^KUBIYA_API_KEY_FILE: the file /], name)
      t.notOk(faults.join().includes(folder), 'the path is not shown')
    }
    const both = read('good', { KUBIYA_API_KEY: 'other' })
    t.match(both.ok ? [] : both.faults, [/^KUBIYA_API_KEY_FILE: must not be set together/])
    const anonymous = read('none', { HOST: '0.0.0.0' })
    t.match(
      anonymous.ok ? [] : anonymous.faults.sort(),
      [/^HOST: /, /^KUBIYA_API_KEY_FILE: /],
      'a missing file does not make it the sandbox'
    )
  })

  t.test('the key of a file is sent to Kubiya, and is in no log line', async (t) => {
    const upstream = await startUpstream(t)
    const file = join(t.testdir(), 'key')
    writeFileSync(file, `${upstream.apiKey}\n`)
    const service = run(t, { PORT: '0', KUBIYA_API_KEY_FILE: file, KUBIYA_BASE_URL: upstream.url, LOG_LEVEL: 'debug' })
    const url = await listening(service)
    t.equal((await fetch(`${url}/api/v1/audit/events`)).status, 200)
    service.child.kill('SIGTERM')
    t.equal((await service.exited).code, 0)
    t.notOk((service.lines.join('\n') + service.errors()).includes(upstream.apiKey))
  })
})

t.test('a value of a Kubernetes service link is ignored with a warning, and no other value is', async (t) => {
  for (const value of ['tcp://10.0.0.1:9100', ' tcp://10.0.0.1:9100 ', 'tcp://10.96.0.7:80']) {
    const outcome = readSettings({ METRICS_PORT: value, PORT: value })
    if (!outcome.ok) return t.fail(outcome.faults.join())
    t.same([outcome.settings.PORT, outcome.settings.METRICS_PORT], [3000, undefined])
    t.match(outcome.warnings, [/^PORT: ignored/, /^METRICS_PORT: ignored/])
  }
  t.match(readSettings({}), { ok: true, warnings: [] })
  for (const value of ['tcp://10.0.0.1', 'tcp://10.0.0.1:9100/x', 'udp://10.0.0.1:53', '9100 tcp://a:1']) {
    t.match(faultsOf({ METRICS_PORT: value }), [/^METRICS_PORT: /], value)
  }
  t.match(faultsOf({ MAX_TENANTS: 'tcp://10.0.0.1:9100' }), [/^MAX_TENANTS: /], 'a setting that is no port')

  const service = run(t, { PORT: '0', METRICS_PORT: 'tcp://10.0.0.1:9100' })
  await listening(service)
  t.equal(
    service.messages().filter(({ level, msg }) => level === 40 && String(msg).startsWith('METRICS_PORT: ignored'))
      .length,
    1
  )
  service.child.kill('SIGTERM')
  await service.exited
})

t.test('a password in a URL is in no line of a refused start or a failed fetch of keys', async (t) => {
  const refused = run(t, {
    PORT: '0',
    KUBIYA_API_KEY: 'k',
    ...JWT,
    AUTH_JWKS_URL: `https://user:${WORD}@127.0.0.1:9/keys`,
    KUBIYA_BASE_URL: `https://127.0.0.1:9/?token=${WORD}`
  })
  t.equal((await refused.exited).code, 1)
  t.match(refused.errors(), /AUTH_JWKS_URL: must not contain a user or password/)
  t.match(refused.errors(), /KUBIYA_BASE_URL: must not contain a query/)
  t.notMatch(refused.errors() + refused.lines.join(), WORD)

  const key = `key-${WORD}`
  const service = run(t, {
    PORT: '0',
    KUBIYA_API_KEY: key,
    ...JWT,
    AUTH_JWKS_URL: await deadUrl(t),
    KUBIYA_BASE_URL: await deadUrl(t),
    LOG_LEVEL: 'debug'
  })
  const url = await listening(service)
  const token = `${Buffer.from('{"alg":"ES256","kid":"a"}').toString('base64url')}.${
    Buffer.from('{}').toString('base64url')
  }.${WORD}`
  t.equal((await fetch(`${url}/api/v1/audit/events`, { headers: { authorization: `Bearer ${token}` } })).status, 503)
  service.child.kill('SIGTERM')
  await service.exited
  t.match(service.lines.join(), 'JWK Set unavailable; tokens cannot be verified')
  t.notMatch(service.lines.join() + service.errors(), WORD)
})

/** A loopback address at which every connection is cut. */
async function deadUrl (t: Test): Promise<string> {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
}
