import { request as openRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { readFile, readdir } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import t from 'tap'
import { startKeyServer } from '../../support/key-server.ts'
import { item, startService, type Service } from '../../support/support.ts'

const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
const IMMUTABLE = 'public, max-age=31536000, immutable'
const TOKEN = 'a-token-of-the-console-test'

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

/** Requests as they are: nothing is decompressed, and no redirect followed. */
async function ask (
  { url }: Pick<Service, 'url'>,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET'
): Promise<Answer> {
  const sent = openRequest(`${url}${path}`, { method, headers }).end()
  const [response] = await once(sent, 'response') as [IncomingMessage]
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) }
}

function decoded ({ body, headers }: Answer): string {
  const coding = headers['content-encoding']
  return String(coding === 'br' ? brotliDecompressSync(body) : coding === 'gzip' ? gunzipSync(body) : body)
}

async function built (ending: string): Promise<string> {
  const names = await readdir('dist/console')
  return names.find((name) => new RegExp(`^\\w+-[A-Z0-9]{8}\\.${ending}$`).test(name)) ?? ''
}

t.test('the console', async (t) => {
  const service = await startService(t)
  const [script, styles] = [await built('js'), await built('css')]

  t.test('is a page with relative references, which every load revalidates', async (t) => {
    const page = await ask(service, '/console/')
    t.match(page, {
      status: 200,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-cache',
        'content-security-policy': POLICY,
        'x-frame-options': 'DENY',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        vary: 'accept-encoding',
        etag: /^W\/"[\w-]{22}"$/
      }
    })
    const references = [...String(page.body).matchAll(/(?:src|href)="([^"]*)"/g)].map(([, target]) => target)
    t.same(references.filter((each) => !each?.startsWith('data:')), [styles, script])
    t.notMatch(String(page.body), /<script>|<style|\son\w+=|\sstyle=/, 'nothing is inline')
    const again = await ask(service, '/console/', { 'if-none-match': page.headers.etag ?? '' })
    t.match(again, { status: 304, headers: { etag: page.headers.etag, vary: 'accept-encoding' } })
    t.equal(again.body.length, 0)
    t.equal((await ask(service, '/console/', { 'if-none-match': 'W/"other"' })).status, 200)
  })

  t.test('has files with hashed names, which caches keep for a year', async (t) => {
    for (const [name, type] of [[script, 'text/javascript'], [styles, 'text/css']] as const) {
      const file = await ask(service, `/console/${name}`)
      t.match(file, {
        status: 200,
        headers: {
          'content-type': `${type}; charset=utf-8`,
          'cache-control': IMMUTABLE,
          'content-security-policy': POLICY,
          'x-content-type-options': 'nosniff',
          vary: 'accept-encoding'
        }
      })
      t.equal(file.headers['content-encoding'], undefined)
      t.ok(file.body.equals(await readFile(`dist/console/${name}`)))
    }
  })

  t.test('is sent in the encoding that the request prefers', async (t) => {
    const plain = await ask(service, `/console/${script}`)
    for (const [accepted, coding] of [
      ['gzip, deflate, br, zstd', 'br'],
      ['gzip', 'gzip'],
      ['br;q=0.5, gzip', 'gzip'],
      ['identity', undefined],
      ['br;q=0, gzip;q=0', undefined]
    ] as const) {
      const file = await ask(service, `/console/${script}`, { 'accept-encoding': accepted })
      t.equal(file.headers['content-encoding'], coding, accepted)
      t.equal(file.headers.etag, plain.headers.etag)
      t.equal(Number(file.headers['content-length']), file.body.length)
      t.equal(decoded(file), String(plain.body))
      if (coding !== undefined) t.ok(file.body.length < plain.body.length / 2, `${file.body.length} bytes`)
    }
  })

  t.test('answers HEAD as GET, without the body', async (t) => {
    for (const path of ['/console/', `/console/${script}`, '/client.js', '/console', '/']) {
      const headers = { ...BROWSER, 'accept-encoding': 'br' }
      const [get, head] = [await ask(service, path, headers), await ask(service, path, headers, 'HEAD')]
      t.equal(head.body.length, 0, path)
      t.equal(head.status, get.status, path)
      const compared = ({ 'x-request-id': id, date, ...rest }: IncomingMessage['headers']) => rest
      t.same(compared(head.headers), compared(get.headers), path)
    }
  })

  t.test('has no other file, and no other method', async (t) => {
    for (const path of [
      '/console/index.html', '/console/main.js', '/console/x', '/console/x/y', '/console//', '/console/..%2fmain.js',
      '/console/__proto__', `/console/${script}.br`
    ]) {
      const answer = await ask(service, path)
      t.equal(answer.status, 404, path)
      t.match(JSON.parse(String(answer.body)), { code: 'not-found', status: 404 }, path)
    }
    t.equal((await ask(service, '/console/', {}, 'DELETE')).status, 404)
  })

  t.test('is where `/` leads browsers, with the query, by a relative reference', async (t) => {
    const root = await ask(service, '/', BROWSER)
    t.equal(root.headers.vary, 'accept')
    const locations: Array<[path: string, location: string]> = [
      ['/', 'console/'],
      ['/?event=a%2Fb&tz=utc', 'console/?event=a%2Fb&tz=utc'],
      ['/console', 'console/'],
      ['/console?session=x', 'console/?session=x'],
      ['/console?//evil.example', 'console/?//evil.example']
    ]
    for (const [path, location] of locations) {
      const { headers, status } = await ask(service, path, BROWSER)
      t.same([status, headers.location, headers['cache-control']], [302, location, 'no-cache'], path)
    }
    t.match(await ask(service, '//evil.example/?a', BROWSER), { status: 404 })
    for (const accept of ['*/*', 'application/json', 'text/html;q=0', 'text/plain, */*;q=0.1', 'text/html;q=0.1, */*']) {
      const answer = await ask(service, '/', { accept })
      t.equal(answer.status, 404, accept)
      t.match(JSON.parse(String(answer.body)), { code: 'not-found', detail: /console\// }, accept)
    }
    t.equal((await ask(service, '/')).status, 404, 'without `Accept`')
  })

  t.test('is refused under a foreign host', async (t) => {
    for (const path of ['/console/', `/console/${script}`, '/console', '/']) {
      t.equal((await ask(service, path, { ...BROWSER, host: 'evil.example' })).status, 403, path)
    }
  })
})

t.test('CONSOLE=false removes the page and the redirects, and nothing else', async (t) => {
  const service = await startService(t, { CONSOLE: 'false' })
  for (const path of ['/', '/console', '/console/', `/console/${await built('js')}`]) {
    const answer = await ask(service, path, BROWSER)
    t.equal(answer.status, 404, path)
    t.match(JSON.parse(String(answer.body)), { code: 'not-found', detail: 'No such route.' }, path)
  }
  t.equal((await ask(service, '/client.js')).status, 200)
})

t.test('the console is public in every mode, and contains no data', async (t) => {
  const { settings: jwt } = await startKeyServer(t)
  const modes = [{}, { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN }, jwt, { AUTH_MODE: 'passthrough' }]
  for (const mode of modes) {
    const service = await startService(t, mode)
    const secret = 'a-secret-in-an-event'
    service.sandbox.publish(item({ resource_text: secret }))
    await service.settled()
    const name = mode.AUTH_MODE ?? 'none'
    const page = await ask(service, '/console/')
    t.match(page, { status: 200, headers: { 'content-security-policy': POLICY } }, name)
    const texts = [String(page.body)]
    for (const path of [`/console/${await built('js')}`, `/console/${await built('css')}`, '/client.js']) {
      const file = await ask(service, path)
      t.equal(file.status, 200, `${name} ${path}`)
      texts.push(String(file.body))
    }
    for (const text of texts) {
      for (const private_ of [secret, TOKEN, service.sandbox.apiKey, service.sandbox.url]) t.notMatch(text, private_)
    }
    const events = await ask(service, '/api/v1/audit/events')
    t.equal(events.status, name === 'none' ? 200 : 401, `${name}: the control`)
  }
})

t.test('the documents, the docs page and the client module are compressed before they are requested', async (t) => {
  const service = await startService(t)
  for (const path of ['/docs/swagger-ui-bundle.js', '/docs/swagger-ui.css', '/client.js', '/asyncapi.json', '/openapi.json']) {
    const plain = await ask(service, path)
    t.equal(plain.headers['content-encoding'], undefined, path)
    t.match(plain.headers.etag, /^W\/"/, path)
    for (const coding of ['br', 'gzip']) {
      const file = await ask(service, path, { 'accept-encoding': coding })
      t.match(file, { status: 200, headers: { 'content-encoding': coding, vary: 'accept-encoding' } }, path)
      t.ok(file.body.length < plain.body.length / 2, `${path}: ${file.body.length} of ${plain.body.length} bytes`)
      t.equal(decoded(file), String(plain.body), path)
    }
    t.equal((await ask(service, path, { 'if-none-match': plain.headers.etag ?? '' })).status, 304, path)
  }
  t.match(await import(`data:text/javascript,${encodeURIComponent(decoded(await ask(service, '/client.js')))}`), {
    openAuditStream: Function
  })
  t.same(
    JSON.parse(decoded(await ask(service, '/asyncapi.json'))),
    JSON.parse(await readFile('openapi/asyncapi.json', 'utf8'))
  )
})
