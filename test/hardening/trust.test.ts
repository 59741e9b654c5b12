import t from 'tap'
import { JWT, faultsOf } from './settings-faults.ts'

t.test('http beyond loopback is refused in any environment, unless a setting permits it', async (t) => {
  const plain = [
    'http://kubiya.example',
    'http://10.0.0.1:8080/api/v1',
    'http://127.0.0.1.evil.example',
    'http://localhost.evil.example',
    'http://[::2]'
  ]
  const local = [
    'http://localhost:1',
    'http://127.0.0.1:1',
    'http://127.8.9.1',
    'http://[::1]:1',
    'http://0x7f.1',
    'https://kubiya.example'
  ]
  for (const environment of [{}, { NODE_ENV: 'production' }, { NODE_ENV: 'test' }]) {
    for (const url of plain) {
      t.match(faultsOf({ ...environment, KUBIYA_BASE_URL: url }), [/^KUBIYA_BASE_URL: .*ALLOW_PLAIN_HTTP=true/], url)
      t.match(
        faultsOf({ ...environment, ...JWT, AUTH_JWKS_URL: url }),
        [/^AUTH_JWKS_URL: .*ALLOW_PLAIN_HTTP=true/],
        url
      )
      t.same(
        faultsOf({ ...environment, ...JWT, AUTH_JWKS_URL: url, KUBIYA_BASE_URL: url, ALLOW_PLAIN_HTTP: 'true' }),
        [],
        url
      )
      t.same(faultsOf({ ...environment, OTEL_EXPORTER_OTLP_ENDPOINT: url }), [], 'spans hold no secret')
    }
    for (const url of local) {
      t.same(faultsOf({ ...environment, ...JWT, AUTH_JWKS_URL: url, KUBIYA_BASE_URL: url }), [], url)
    }
  }
  t.match(faultsOf({ ALLOW_PLAIN_HTTP: 'yes' }), [/^ALLOW_PLAIN_HTTP: must be true or false/])
})
