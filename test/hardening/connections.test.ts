import { once } from 'node:events'
import t from 'tap'
import { eventually, item, startService } from '../support/support.ts'
import { dial, exchange, handshake, head, statusOf } from './raw.ts'
import { EVENTS, STREAM, OPEN, many, call } from './sockets.ts'

const answers = (heard: string) => heard.split('HTTP/1.1 ').length - 1

t.test('pipelined requests: the first is answered, no other begins, and the connection ends', async (t) => {
  const service = await startService(t)
  await service.settled()
  for (const path of ['/livez', '/docs/swagger-ui-bundle.js', `${EVENTS}?page_size=3`]) {
    const asked = service.sandbox.asked
    const heard = await exchange(service.url, many(50, head(path, OPEN)))
    t.equal(statusOf(heard), 200, path)
    t.equal(answers(heard), 1, path)
    if (path.startsWith(EVENTS)) t.ok(/connection: close/i.test(heard), 'the head says so where it was not written yet')
    const length = Number(/content-length: (\d+)/i.exec(heard)?.[1])
    t.equal(heard.length - heard.indexOf('\r\n\r\n') - 4, length, 'the answer is whole')
    t.ok(service.sandbox.asked - asked <= 1)
  }
})

t.test('a second request does not begin while the first waits for Kubiya', async (t) => {
  const service = await startService(t)
  await service.settled()
  service.sandbox.faults.next({ kind: 'delay', delayMs: 300 })
  const asked = service.sandbox.asked
  const second = head(`${EVENTS}?page_size=9`, OPEN)
  const { closed, heard, socket } = call(t, service.url, head(`${EVENTS}?page_size=8`, OPEN))
  await eventually('Kubiya is asked', () => service.sandbox.asked > asked)
  socket.write(second)
  await closed
  t.equal(answers(heard()), 1)
  t.match(heard(), /"page_size":8/)
  t.notOk(service.sandbox.requests.some(({ path }) => path.includes('page_size=9')))
})

t.test('invalid bytes after a request do not overtake its answer', async (t) => {
  const service = await startService(t)
  const heard = await exchange(service.url, `${head('/livez', OPEN)}\x16\x03\x01 no request\r\n\r\n`)
  t.equal(statusOf(heard), 200)
  t.equal(answers(heard), 1)
})

t.test('a connection stays open for sequential requests, however fast', async (t) => {
  const service = await startService(t)
  service.sandbox.publish(Array.from({ length: 300 }, () => item({ resource_text: 'x'.repeat(3000) })))
  await service.settled()
  const { heard, socket } = call(t, service.url, '')
  let end = 0
  for (let n = 0; n < 40; n++) {
    socket.write(head(n % 20 === 0 ? `${EVENTS}?limit=300` : '/livez', OPEN))
    await eventually(`answer ${n} is whole`, () => {
      const headEnd = heard().indexOf('\r\n\r\n', end)
      const length = Number(/content-length: (\d+)/i.exec(heard().slice(end, headEnd))?.[1])
      if (headEnd < 0 || heard().length < headEnd + 4 + length) return false
      end = headEnd + 4 + length
      return true
    })
  }
  t.equal(answers(heard()), 40)
  t.notOk(socket.destroyed)
})

t.test('a stream ends when its connection sends a second request, and its slot is free', async (t) => {
  const service = await startService(t, { MAX_SUBSCRIBERS: '5' })
  for (let n = 0; n < 10; n++) {
    const { closed, heard } = call(t, service.url, many(30, head(STREAM, OPEN)))
    await closed
    t.ok(answers(heard()) <= 1)
  }
  const { closed, heard, socket } = call(t, service.url, head(STREAM, OPEN))
  await eventually('it streams', () => heard().includes('event: hello'))
  socket.write(head('/livez', OPEN))
  await closed
  t.equal(answers(heard()), 1)
  await eventually('all places can be had', async () => {
    const streams = Array.from({ length: 5 }, () => service.stream())
    const outcomes = await Promise.all(streams.map((stream) => Promise.race([
      stream.until(({ type }) => type === 'hello').then(() => true),
      stream.refused.then(() => false)
    ])))
    for (const stream of streams) stream.socket.terminate()
    return !outcomes.includes(false)
  })
})

t.test('an upgrade after another request ends the connection, and leaks no socket', async (t) => {
  const service = await startService(t)
  for (const path of ['/livez', EVENTS, STREAM]) {
    const startedMs = performance.now()
    const heard = await exchange(service.url, head(path, OPEN) + head(STREAM, handshake()))
    t.ok(answers(heard) <= 1, path)
    if (path !== STREAM) t.equal(statusOf(heard), 200, path)
    t.ok(performance.now() - startedMs < 10_000, path)
  }
  const heard = await exchange(service.url, head('/livez', OPEN) + head('a:1', OPEN, 'CONNECT'))
  t.equal(statusOf(heard), 200, 'CONNECT')
  t.equal(statusOf(await exchange(service.url, head('a:1', OPEN, 'CONNECT'))), 400, 'CONNECT alone')
})

t.test('a request that offers another protocol is answered without it', async (t) => {
  const service = await startService(t)
  await service.settled()
  const offer = { connection: 'Upgrade, HTTP2-Settings', upgrade: 'h2c', 'http2-settings': 'AAMAAABkAAQAAP__' }
  for (
    const [path, method, status] of [
      ['/livez', 'GET', 200],
      [EVENTS, 'GET', 200],
      [EVENTS, 'HEAD', 200],
      ['/docs', 'GET', 200],
      ['/nowhere', 'GET', 404],
      [STREAM, 'GET', 200]
    ] as const
  ) {
    for (const upgrade of ['h2c', 'TLS/1.0', 'websocket, h2c']) {
      const { heard, socket } = call(t, service.url, head(path, { ...offer, upgrade }, method))
      await eventually('it is answered', () => heard().includes('\r\n\r\n'))
      t.equal(statusOf(heard()), status, `${method} ${path} ${upgrade}`)
      socket.destroy()
    }
  }
  const { heard, socket } = call(t, service.url, head('/livez', offer))
  await eventually('it is answered', () => heard().includes('}'))
  socket.write(head('/livez', OPEN))
  await eventually('the connection goes on', () => answers(heard()) === 2)
  const post = `${
    head(`${STREAM}/tickets`, { ...offer, 'content-type': 'application/json', 'content-length': '2' }, 'POST')
  }{}`
  t.match(
    [200, 201, 204, 404].includes(statusOf(await exchange(service.url, post, (all) => all.includes('\r\n\r\n')))),
    true,
    'with a body'
  )
  for (const path of ['/livez', EVENTS]) {
    t.equal(statusOf(await exchange(service.url, head(path, handshake()))), 400, path)
  }
})

t.test('a request with two hosts is refused, in any form', async (t) => {
  const service = await startService(t)
  const ask = (line: string, headers: string) => exchange(service.url, `${line}\r\nconnection: close\r\n${headers}\r\n`)
  for (const [what, line, headers, status] of [
    ['two', 'GET /livez HTTP/1.1', 'Host: a\r\nhost: b\r\n', 400],
    ['the same twice', `GET ${EVENTS} HTTP/1.1`, 'host: a\r\nHOST: a\r\n', 400],
    ['two in HTTP/1.0', 'GET /livez HTTP/1.0', 'host: a\r\nhost: b\r\n', 400],
    ['an upgrade', `GET ${STREAM} HTTP/1.1`, 'host: a\r\nhost: b\r\n', 400],
    ['another authority', 'GET http://b/livez HTTP/1.1', 'host: a\r\n', 400],
    ['another port', 'GET http://a:81/livez HTTP/1.1', 'host: a:80\r\n', 400],
    ['another user', 'GET http://b@a/livez HTTP/1.1', 'host: a\r\n', 400],
    ['the same authority', 'GET http://A:80/livez HTTP/1.1', 'host: a:80\r\n', 200],
    ['none in HTTP/1.0', 'GET /livez HTTP/1.0', '', 200]
  ] as const) t.equal(statusOf(await ask(line, headers)), status, what)
})

t.test('a chunked HTTP/1.0 request is answered, and nothing after it', async (t) => {
  const service = await startService(t)
  for (const [path, method] of [[`${STREAM}/tickets`, 'POST'], ['/livez', 'GET']] as const) {
    const { closed, heard, socket } = call(t, service.url, '')
    socket.write(
      `${method} ${path} HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`
    )
    await closed
    t.equal(answers(heard()), 1, path)
    t.ok(/connection: close/i.test(heard()), path)
  }
})

t.test('a reset connection ends alone, and is no error of the service', async (t) => {
  const service = await startService(t)
  await service.settled()
  const shapes = [
    'CONNECT a:1 HTTP/1.1\r\n\r\n', head('a:1', {}, 'CONNECT'), head(STREAM, handshake()), head('/livez', handshake()),
    head(EVENTS, OPEN), head(STREAM, { accept: 'text/event-stream' }), head('/docs/', OPEN), 'no request\r\n\r\n'
  ]
  for (const shape of shapes) {
    await Promise.all(Array.from({ length: 60 }, async (_, delayMs) => {
      const socket = dial(service.url)
      const closed = new Promise((resolve) => { socket.once('close', resolve) })
      await once(socket, 'connect')
      socket.write(shape)
      setTimeout(() => socket.resetAndDestroy(), delayMs % 20)
      await closed
    }))
    t.equal((await service.get('/livez')).status, 200, shape.slice(0, 40))
  }
  t.same(service.logs.filter(({ level }) => Number(level) >= 50), [])
})
