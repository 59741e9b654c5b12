import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { cp } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import t from 'tap'
import { MAIN, listening, run } from '../support/process.ts'
import { ago, eventually, item, openStream, startUpstream } from '../support/support.ts'

t.test('a start without a key logs the sandbox, the URLs, and commands to try', async (t) => {
  const service = run(t, { PORT: '0' })
  const url = await listening(service)
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.not(new URL(url).port, '0')
  const said = service.messages().map(({ level, msg }) => [level, msg])
  t.ok(said.some(([level, msg]) => Number(level) >= 40 && /SANDBOX/.test(String(msg))))
  const tries = service.messages().map(({ msg }) => /^(list|search): +curl '([^']+)'$/.exec(String(msg))).filter((
    each
  ) => each !== null)
  t.same(tries.map(([, name]) => name), ['list', 'search'])
  for (const [, name = '', address = ''] of tries) {
    const response = await fetch(address)
    t.equal(response.status, 200, name)
    t.equal(response.headers.get('x-kubiya-sandbox'), 'true')
    t.ok((await response.json() as { items: unknown[] }).items.length > 0, name)
  }
  t.ok(said.some(([, msg]) => String(msg).startsWith('live:') && String(msg).includes(url)))
  t.equal(said[0]?.[1], `console: ${url}/console/`)
  t.match(await (await fetch(`${url}/console/`)).text(), '<!doctype html>')
  service.child.kill('SIGINT')
  t.same(await service.exited, { code: 0, signal: null })
})

t.test('the built service needs no packages', async (t) => {
  const folder = t.testdir()
  for (const path of ['package.json', MAIN, 'dist/packages', 'dist/console', 'dist/docs']) {
    await cp(path, `${folder}/${path}`, { recursive: true })
  }
  const service = run(t, { PORT: '0', METRICS_PORT: '0' }, `${folder}/${MAIN}`)
  const url = await listening(service)
  for (
    const path of [
      '/livez',
      '/api/v1/audit/events',
      '/api/v1/audit/events/search?text=timeout',
      '/openapi.json',
      '/docs/',
      '/docs/swagger-ui.css',
      '/docs/swagger-ui-bundle.js',
      '/console/',
      '/client.js',
      '/asyncapi.json'
    ]
  ) {
    const response = await fetch(`${url}${path}`)
    t.equal(response.status, 200, path)
    t.ok((await response.text()).length > 10, path)
  }
  t.equal((await fetch(`${url}/api/v1/audit/events?page=0`)).status, 400)
  const stream = openStream(`${url.replace('http', 'ws')}/api/v1/audit/stream?start_time=-6h`)
  t.teardown(() => stream.socket.terminate())
  await stream.until(({ type }) => type === 'event')
  t.equal(service.errors(), '')
})

t.test('a start with a key logs and calls the upstream, and never shows the key', async (t) => {
  const sandbox = await startUpstream(t, { apiKey: 'canary-of-the-process' })
  sandbox.publish(item({ resource_text: 'real', timestamp: ago(1000) }))
  const service = run(t, {
    PORT: '0',
    KUBIYA_API_KEY: sandbox.apiKey,
    KUBIYA_BASE_URL: sandbox.url,
    NODE_ENV: 'production',
    LOG_LEVEL: 'trace'
  })
  const url = await listening(service)
  const response = await fetch(`${url}/api/v1/audit/events`)
  t.equal(response.headers.get('x-kubiya-sandbox'), null)
  t.match(await response.json(), { items: [{ resource_text: 'real' }] })
  t.ok(service.messages().some(({ msg }) => msg === `upstream ${sandbox.url}`))
  service.child.kill('SIGTERM')
  t.equal((await service.exited).code, 0)
  t.notOk(service.lines.join('\n').includes(sandbox.apiKey))
  t.notOk(service.errors().includes(sandbox.apiKey))
})

t.test('a start with invalid settings lists all faults and exits with 1', async (t) => {
  const service = run(t, { NODE_ENV: 'production', PORT: 'many', AUTH_MODE: 'magic', KUBIYA_API_KEY: 'two words' })
  t.equal((await service.exited).code, 1)
  for (const name of ['PORT', 'AUTH_MODE', 'KUBIYA_API_KEY']) t.match(service.errors(), new RegExp(`^ *${name}: `, 'm'))
  t.notMatch(service.errors(), /two words/)
  const keyless = run(t, { NODE_ENV: 'production' })
  t.equal((await keyless.exited).code, 1)
  t.match(keyless.errors(), /KUBIYA_API_KEY/)
})

t.test('a start on a used port exits with 1 and says why', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const service = run(t, { PORT: String((taken.address() as AddressInfo).port) })
  t.equal((await service.exited).code, 1)
  t.match(service.lines.join('\n'), /EADDRINUSE/)
})

/** A service of which only the first line of output is read, and then nothing any more. */
async function muted (t: { teardown (action: () => unknown): void }, environment: Record<string, string>) {
  const service = run(t, { PORT: '0', ...environment })
  const url = await listening(service)
  return { service, url, output: service.child.stdout }
}

t.test('a service whose output is closed before its last lines exits with 0', async (t) => {
  const { output, service } = await muted(t, {})
  output.destroy() // Only the last lines meet the closed pipe.
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 0, signal: null })
})

t.test('a service whose output breaks continues, and exits with 0', async (t) => {
  const { output, service, url } = await muted(t, { LOG_LEVEL: 'debug' })
  output.destroy()
  for (let count = 0; count < 20; count++) {
    t.equal((await fetch(`${url}/api/v1/audit/events?page_size=${count + 1}`)).status, 200)
  }
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 0, signal: null })
})

t.test('a service whose output nobody reads is not delayed', async (t) => {
  const { output, service, url } = await muted(t, { LOG_LEVEL: 'debug' })
  output.removeAllListeners('data').pause()
  const path = `${url}/api/v1/audit/${'x'.repeat(400)}`
  for (let count = 0; count < 40; count++) {
    await Promise.all(Array.from({ length: 20 }, () => fetch(path).then((answer) => answer.text())))
  }
  t.equal((await fetch(`${url}/livez`)).status, 200)
  const ended = once(service.child, 'exit')
  service.child.kill('SIGTERM')
  t.same(await ended, [0, null])
})

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} ends streams with an end frame, finishes requests, and exits with 0`, async (t) => {
    const sandbox = await startUpstream(t)
    const service = run(t, { PORT: '0', KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url, DRAIN_MS: '200' })
    const url = await listening(service)
    const streams = Array.from({ length: 5 }, () => openStream(`${url.replace('http', 'ws')}/api/v1/audit/stream`))
    t.teardown(() => streams.forEach(({ socket }) => socket.terminate()))
    await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'hello')))
    service.child.kill(signal)
    for (const stream of streams) {
      t.same(await stream.closed, { code: 1001, reason: 'shutdown' })
      t.match(stream.frames.at(-1), { type: 'end', reason: 'shutdown', reconnect: true })
    }
    t.same(await service.exited, { code: 0, signal: null })
  })
}

t.test('a client that never answers the close frame delays the exit only a little', async (t) => {
  const sandbox = await startUpstream(t)
  const service = run(t, { PORT: '0', KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url, DRAIN_MS: '0' })
  const { hostname, port } = new URL(await listening(service))
  const socket = connect(Number(port), hostname)
  t.teardown(() => socket.destroy())
  const key = randomBytes(16).toString('base64')
  socket.write(
    `GET /api/v1/audit/stream HTTP/1.1\r\nhost: ${hostname}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}\r\n\r\n`
  )
  let heard = ''
  while (!heard.includes('"hello"')) heard += String((await once(socket, 'data'))[0])
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 0, signal: null }, 'of itself: after ten seconds it would be ended with 1')
})

t.test('a second signal exits at once', async (t) => {
  const sandbox = await startUpstream(t)
  const service = run(t, { PORT: '0', KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url, DRAIN_MS: '60000' })
  const url = await listening(service)
  const streams = Array.from({ length: 3 }, () => openStream(`${url.replace('http', 'ws')}/api/v1/audit/stream`))
  t.teardown(() => streams.forEach(({ socket }) => socket.terminate()))
  await Promise.all(streams.map((stream) => stream.until(({ type }) => type === 'hello')))
  service.child.kill('SIGTERM')
  await Promise.race(streams.map((stream) => stream.until(({ type }) => type === 'end')))
  t.equal(service.child.exitCode, null, 'it drains')
  t.equal((await fetch(`${url}/readyz`)).status, 503, 'and is not ready')
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 1, signal: null }, 'not with what it returns once it has drained')
})

t.test('SIGUSR2 switches to debug logs and back', async (t) => {
  const service = run(t, { PORT: '0', LOG_LEVEL: 'warn' })
  const url = await listening(service)
  const requests = () => service.messages().filter(({ msg }) => msg === 'request').length
  const changes = () => service.messages().flatMap(({ log_level: level }) => level ?? [])
  await fetch(`${url}/api/v1/audit/events`)
  service.child.kill('SIGUSR2')
  await eventually('it says so', () => changes().length === 1)
  await fetch(`${url}/api/v1/audit/events`)
  await eventually('the request is in the log', () => requests() === 1)
  service.child.kill('SIGUSR2')
  await eventually('it says so again', () => changes().length === 2)
  await fetch(`${url}/api/v1/audit/events`)
  service.child.kill('SIGTERM')
  await service.exited
  t.equal(requests(), 1)
  t.same(changes(), ['debug', 'warn'])
})

t.test('METRICS_PORT is logged, and a service without its collector runs and exits', async (t) => {
  const service = run(t, { PORT: '0', METRICS_PORT: '0', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' })
  const url = await listening(service)
  const metricsUrl =
    service.messages().map(({ msg }) => /^metrics (\S+)$/.exec(String(msg))?.[1]).find((each) => each !== undefined) ??
      ''
  t.match(metricsUrl, /^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
  t.equal((await fetch(`${url}/api/v1/audit/events`)).status, 200)
  t.match(
    await (await fetch(metricsUrl)).text(),
    /http_request_duration_seconds_count\{route="\/api\/v1\/audit\/events",status="200"\} 1/
  )
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 0, signal: null })
})

t.test('a start on a used metrics port exits with 1 and says why', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const service = run(t, { PORT: '0', METRICS_PORT: String((taken.address() as AddressInfo).port) })
  t.equal((await service.exited).code, 1)
  t.match(service.lines.join('\n'), /EADDRINUSE/)
})

for (const [what, settle] of [
  ['closed', (output: Readable) => output.destroy()],
  ['read no more', (output: Readable) => output.pause()]
] as const) {
  t.test(`a service whose standard output is ${what} continues, and exits soon`, async (t) => {
    const service = spawn(process.execPath, [MAIN], {
      env: { PORT: '0', DRAIN_MS: '0', LOG_LEVEL: 'debug' },
      stdio: ['ignore', 'pipe', 'ignore']
    })
    t.teardown(() => service.kill('SIGKILL'))
    const exited = once(service, 'exit')
    const url = await new Promise<string>((resolve) => {
      let heard = ''
      service.stdout.on('data', (bytes) => {
        heard += String(bytes)
        const found = /listens on (http:\S+?)"/.exec(heard)?.[1]
        if (found !== undefined) resolve(found)
      })
    })
    service.stdout.removeAllListeners('data')
    settle(service.stdout)
    const path = `${url}/api/v1/audit/events/${'x'.repeat(400)}`
    for (let n = 0; n < 500; n++) await (await fetch(path)).text() // More than a pipe holds.
    t.equal((await fetch(`${url}/livez`)).status, 200)
    service.kill('SIGTERM')
    t.same(await exited, [0, null])
  })
}
