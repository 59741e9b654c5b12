import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { openEventStream } from '../support/event-stream.ts'
import { exchange, head, statusOf } from '../hardening/raw.ts'
import { needs } from '../support/program.ts'
import { ago, eventually, item, openStream, startService, type Service } from '../support/support.ts'

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync)
const STREAM = '/api/v1/audit/stream'

/** A free port. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}

const TOKEN = 'a-token-of-sixteen-characters'
const BY_TOKEN = { AUTH_MODE: 'token', AUTH_TOKENS: TOKEN, TRUST_PROXY: '127.0.0.1' }
const { skip } = needs('nginx', NGINX !== undefined)

/** Starts nginx with the server of docs/operations.md that contains `mark`, in front of a service. Returns its port. */
async function startNginx (t: Test, service: Service, mark: string): Promise<number> {
  const snippets = [...(await readFile('docs/operations.md', 'utf8')).matchAll(/```nginx\n([^]*?)```/g)].map((
    [, text = '']
  ) => text)
  const [maps = ''] = snippets
  const snippet = snippets.find((text) => text.includes(mark)) ?? ''
  const port = await freePort()
  t.match(snippet + maps, /127\.0\.0\.1:3000/)
  const text = snippet === maps
    ? maps
    : maps.slice(0, maps.indexOf('server {')) + `server { listen 8080;\n${snippet}\n}`
  const http = text.replace('127.0.0.1:3000', new URL(service.url).host).replace(
    'listen 8080',
    `listen 127.0.0.1:${port}`
  )
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`)
    .join(' ')
  const folder = t.testdir({
    'nginx.conf':
      `daemon off; master_process off; pid nginx.pid; error_log error.log;\nevents { worker_connections 64; }\nhttp { access_log off; ${temporary}\n${http}\n}\n`
  })
  execFileSync(NGINX ?? '', ['-t', '-q', '-p', folder, '-c', 'nginx.conf', '-e', 'error.log'])
  const nginx = spawn(NGINX ?? '', ['-p', folder, '-c', 'nginx.conf', '-e', 'error.log'], { stdio: 'ignore' })
  t.teardown(async () => {
    const gone = once(nginx, 'exit')
    nginx.kill('SIGKILL')
    await gone
  })
  const isUp = () => fetch(`http://127.0.0.1:${port}/livez`).then(() => true, () => false)
  await eventually('nginx answers', isUp)
  return port
}

/** The value that docs/operations.md gives to a setting. */
async function documentedSetting (name: string): Promise<string> {
  const [, value = ''] = new RegExp(`\\b${name}=([^\\s\`]+)`).exec(await readFile('docs/operations.md', 'utf8')) ?? []
  return value
}

async function statusBy (port: number, host: string, path = '/api/v1/audit/events'): Promise<number> {
  return statusOf(await exchange(`http://127.0.0.1:${port}`, head(path, { host })))
}

t.test(
  'the nginx of docs/operations.md admits only names of ALLOWED_HOSTS in mode none',
  { skip },
  async (t) => {
    const allowed = await documentedSetting('ALLOWED_HOSTS')
    t.match(allowed, /^[a-z.]+$/)
    const service = await startService(t, { TRUST_PROXY: '127.0.0.1', ALLOWED_HOSTS: allowed })
    const port = await startNginx(t, service, 'server {')
    t.equal(await statusBy(port, allowed), 200)
    t.equal(await statusBy(port, '127.0.0.1'), 200)
    t.equal(await statusBy(port, 'evil.example'), 403)
    t.equal(await statusBy(port, 'evil.example', '/livez'), 200)
    const page = openEventStream(`http://127.0.0.1:${port}${STREAM}`, { origin: `http://127.0.0.1:${port}` })
    t.teardown(() => page.terminate())
    service.sandbox.publish(item())
    await page.untilEvents(1)
    const unset = await startService(t, { TRUST_PROXY: '127.0.0.1' })
    t.equal(statusOf(await exchange(unset.url, head('/api/v1/audit/events', { host: allowed }))), 403, 'the control')
  }
)

t.test('the nginx of docs/operations.md serves under a path, and every link works there', { skip }, async (t) => {
  const service = await startService(t, BY_TOKEN)
  const port = await startNginx(t, service, 'location /audit/')
  const root = `http://127.0.0.1:${port}`
  const headers = { authorization: `Bearer ${TOKEN}` }
  service.sandbox.publish([item(), item(), item()])
  await service.settled()
  const url = `${root}/audit/api/v1/audit/events?page_size=2`
  const response = await fetch(url, { headers })
  const { pagination } = await response.json() as { pagination: { next: string, next_cursor: string } }
  t.ok(pagination.next.startsWith('/audit/api/v1/audit/events?cursor='))
  const [, link = ''] = /^<(.*)>; rel="next"$/.exec(response.headers.get('link') ?? '') ?? []
  for (
    const next of [
      new URL(pagination.next, root),
      new URL(link, url),
      new URL(`?cursor=${pagination.next_cursor}`, url)
    ]
  ) {
    const page = await fetch(next, { headers })
    t.equal(page.status, 200, next.pathname)
    t.equal((await page.json() as { items: unknown[] }).items.length, 1)
  }
  const documentUrl = `${root}/audit/openapi.json`
  const { servers } = await (await fetch(documentUrl)).json() as { servers: Array<{ url: string }> }
  const server = new URL(servers[0]?.url ?? '', documentUrl).href.replace(/\/$/, '')
  t.equal((await fetch(`${server}/api/v1/audit/events`, { headers })).status, 200, 'a try in /docs')
  const page = await (await fetch(`${root}/audit/docs`)).text()
  for (const [, path = ''] of page.matchAll(/(?:src|href)="([^"]+)"/g)) {
    t.equal((await fetch(new URL(path, `${root}/audit/docs`))).status, 200, path)
  }
  const stream = openStream(`${root.replace('http', 'ws')}/audit${STREAM}`, ['kubiya-audit.v1'], headers)
  t.teardown(() => stream.socket.terminate())
  await stream.untilEvents(3)
})

for (const [mark, path] of [['server {', ''], ['location /audit/', '/audit']] as const) {
  t.test(`the nginx of docs/operations.md lets the console be loaded and stream, under \`${path}/\``, { skip }, async (t) => {
    const service = await startService(t, BY_TOKEN)
    const origin = `http://127.0.0.1:${await startNginx(t, service, mark)}`
    const page = await fetch(`${origin}${path}/`, { headers: { accept: 'text/html' } })
    t.equal(page.url, `${origin}${path}/console/`)
    t.match(page.headers.get('content-security-policy'), "trusted-types 'none'")
    const links = [...(await page.text()).matchAll(/(?:src|href)="(?!data:)([^"]+)"/g)]
    t.equal(links.length, 2)
    for (const [, link = ''] of links) t.equal((await fetch(new URL(link, page.url))).status, 200, link)
    t.equal((await fetch(`${origin}${path}/console`)).url, page.url, 'without a slash at the end')

    service.sandbox.publish(item())
    const ticketed = await fetch(`${origin}${path}${STREAM}/tickets`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, origin }
    })
    t.equal(ticketed.status, 201)
    const { ticket } = await ticketed.json() as { ticket: string }
    const address = `${origin.replace('http', 'ws')}${path}${STREAM}?ticket=${ticket}`
    const stream = openStream(address, ['kubiya-audit.v1'], { origin })
    t.teardown(() => stream.socket.terminate())
    await stream.untilEvents(1)
    const foreign = openStream(address, ['kubiya-audit.v1'], { origin: 'http://127.0.0.1:1' })
    t.equal((await foreign.refused).status, 403, 'a page of another origin is refused')
  })
}

t.test(
  'the nginx of docs/operations.md forwards lists, WebSockets and Server-Sent Events, but not /metrics',
  { skip },
  async (t) => {
    const service = await startService(t, BY_TOKEN)
    const port = await startNginx(t, service, 'server {')
    const url = `http://127.0.0.1:${port}`
    const headers = { authorization: `Bearer ${TOKEN}` }
    service.sandbox.publish(item({ timestamp: ago(1000) }))
    t.equal((await fetch(`${url}/livez`)).status, 200)
    t.equal((await fetch(`${url}/api/v1/audit/events`, { headers })).status, 200)
    t.equal((await fetch(`${url}/api/v1/audit/events`)).status, 401)
    t.equal((await fetch(`${url}/metrics`)).status, 404)

    const socket = openStream(`${url.replace('http', 'ws')}${STREAM}`, ['kubiya-audit.v1'], headers)
    const sse = openEventStream(`${url}${STREAM}`, headers)
    t.teardown(() => {
      socket.socket.terminate()
      sse.terminate()
    })
    await Promise.all([socket, sse].map((stream) => stream.untilEvents(1)))
    for (let count = 2; count <= 4; count++) {
      service.sandbox.publish(item())
      // Each event arrives alone: nginx buffers nothing.
      await Promise.all([socket, sse].map((stream) => stream.untilEvents(count)))
    }
    const refused = openStream(`${url.replace('http', 'ws')}${STREAM}?since=nonsense`, [], headers)
    t.match(await refused.refused, { status: 400, body: { code: 'invalid-cursor' } })
    await service.close()
    t.match(await socket.closed, { code: 1001, reason: 'shutdown' })
    await sse.closed
    t.equal(sse.frames.at(-1)?.type, 'end')
  })
