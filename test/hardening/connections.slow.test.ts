import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import t from 'tap'
import WebSocket from 'ws'
import { listening, run, type Run } from '../support/process.ts'
import { evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'
import { dial, handshake, head } from './raw.ts'
import { EVENTS, STREAM, OPEN, many, call } from './sockets.ts'

async function descriptors ({ child }: Run): Promise<number> {
  return (await readdir(`/proc/${child.pid ?? 0}/fd`)).length
}

t.test('descriptors are freed after any pipelined requests, soon', async (t) => {
  const sandbox = await startUpstream(t)
  const settings = { PORT: '0', KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url, DRAIN_MS: '0' }
  const service = run(t, settings)
  const url = await listening(service)
  const before = await descriptors(service)
  const texts = [
    many(400, head('/docs/swagger-ui-bundle.js', OPEN)),
    many(100, head(STREAM, OPEN)),
    many(100, head(`${EVENTS}?limit=7`, OPEN)),
    head('/livez', OPEN) + head(STREAM, handshake()),
    head(STREAM, OPEN) + head(STREAM, handshake()),
    head('/livez', OPEN) + head('/livez', handshake())
  ]
  const calls = texts.flatMap((text) => Array.from({ length: 10 }, () => call(t, url, text)))
  for (const { connected, socket } of calls) {
    await connected
    socket.pause()
  }
  for (const { socket } of calls) socket.end() // Half-closed, and not read.
  await eventually('the service let go of all', async () => await descriptors(service) <= before + 2)
  const last = Array.from({ length: 100 }, () => call(t, url, head('/livez', OPEN) + head(STREAM, handshake())))
  await Promise.all(last.map(({ connected }) => connected))
  service.child.kill('SIGTERM')
  t.same(await service.exited, { code: 0, signal: null })
})

t.test('an answer that nobody reads is cut off, and one that is read slowly is not', async (t) => {
  const service = await startService(t, {}, {}, undefined, undefined, { patience: { stallMs: 1500, checkMs: 100 } })
  const dateOf = evenDates(1000, -1)
  service.sandbox.publish(
    Array.from({ length: 600 }, (_, n) => item({ resource_text: 'x'.repeat(20_000), timestamp: dateOf(n) }))
  )
  await service.settled()
  const path = `${EVENTS}?limit=600`
  const whole = await (await service.get(path, { 'accept-encoding': 'identity' })).text()
  const still = dial(service.url)
  const slow = dial(service.url)
  t.teardown(() => [still, slow].forEach((socket) => socket.destroy()))
  for (const socket of [still, slow]) socket.write(head(path, { 'accept-encoding': 'identity' }))
  let heard = 0
  slow.on('data', (bytes: Buffer) => {
    heard += bytes.length
    slow.pause()
    setTimeout(() => slow.resume(), 25)
  })
  still.pause()
  await once(slow, 'end')
  t.ok(heard > whole.length, 'whole, after more than a second and a half')
  let taken = 0
  still.on('data', (bytes: Buffer) => { taken += bytes.length }).resume()
  await once(still, 'close')
  t.ok(taken < whole.length, `${taken} of ${whole.length}`)
})

t.test('a client that floods a stream is disconnected, whether it reads or not', async (t) => {
  const service = await startService(t)
  await service.settled()
  const pong = Buffer.from([0x8a, 0x80, 0, 0, 0, 0])
  const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0])
  for (
    const [what, bytes] of [['pongs', many(60, pong.toString('latin1'))], [
      'both',
      many(30, ping.toString('latin1') + pong.toString('latin1'))
    ]] as const
  ) {
    const { closed, heard, socket } = call(t, service.url, head(STREAM, handshake()))
    await eventually('it streams', () => heard().includes('"hello"'))
    socket.pause()
    socket.write(bytes, 'latin1')
    await eventually('its place is free', async () => (await service.subscribers()) === 0)
    socket.resume()
    await closed
    t.ok(heard().includes('\x11\x4d'), `${what}: 4429`)
  }
  const polite = service.stream()
  await polite.until(({ type }) => type === 'hello')
  for (let n = 0; n < 40; n++) polite.socket.pong()
  service.sandbox.publish(item())
  await polite.untilEvents(1)
  t.equal(polite.socket.readyState, WebSocket.OPEN)
})
