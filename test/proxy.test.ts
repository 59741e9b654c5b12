import { execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { openEventStream } from './event-stream.ts'
import { ago, eventually, item, openStream, startService } from './support.ts'

const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync)
const STREAM = '/api/v1/audit/stream'

if (NGINX === undefined && process.env.CI !== 'true') console.error('NGINX IS NOT HERE: what docs/operations.md says of it is not tested')

/** A port that was free a moment ago. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => { server.close(resolve) })
  return port
}

t.test('nginx, set as docs/operations.md says, passes on lists, WebSockets and Server-Sent Events, and keeps the figures back', { skip: NGINX === undefined && process.env.CI !== 'true' && 'no nginx' }, async (t) => {
  const [, snippet = ''] = /```nginx\n([^]*?)```/.exec(await readFile('docs/operations.md', 'utf8')) ?? []
  const service = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: 'a-token-of-sixteen-characters', TRUST_PROXY: '127.0.0.1' })
  const port = await freePort()
  t.match(snippet, /127\.0\.0\.1:3000/)
  const http = snippet.replace('127.0.0.1:3000', new URL(service.url).host).replace('listen 8080', `listen 127.0.0.1:${port}`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join(' ')
  const folder = t.testdir({ 'nginx.conf': `daemon off; master_process off; pid nginx.pid; error_log error.log;\nevents { worker_connections 64; }\nhttp { access_log off; ${temporary}\n${http}\n}\n` })
  execFileSync(NGINX ?? '', ['-t', '-q', '-p', folder, '-c', 'nginx.conf', '-e', 'error.log'])
  const nginx = spawn(NGINX ?? '', ['-p', folder, '-c', 'nginx.conf', '-e', 'error.log'], { stdio: 'ignore' })
  t.teardown(async () => {
    const gone = once(nginx, 'exit')
    nginx.kill('SIGKILL')
    await gone
  })
  const url = `http://127.0.0.1:${port}`
  const headers = { authorization: 'Bearer a-token-of-sixteen-characters' }
  service.sandbox.publish(item({ timestamp: ago(1000) }))
  await eventually('nginx answers', () => fetch(`${url}/livez`).then(({ status }) => status === 200, () => false))
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
    await Promise.all([socket, sse].map((stream) => stream.untilEvents(count))) // Each by itself: nothing is gathered.
  }
  const refused = openStream(`${url.replace('http', 'ws')}${STREAM}?since=nonsense`, [], headers)
  t.match(await refused.refused, { status: 400, body: { code: 'invalid-cursor' } })
  await service.close()
  t.match(await socket.closed, { code: 1001, reason: 'shutdown' })
  await sse.closed
  t.equal(sse.frames.at(-1)?.type, 'end')
})
