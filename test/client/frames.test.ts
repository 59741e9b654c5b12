import t from 'tap'
import WebSocket from 'ws'
import { openAuditFrames, openAuditStream } from '../../src/client/client.ts'
import type { AuditFrame, AuditFramesOptions, AuditStream, GapFrame, HelloFrame, Reconnection } from '../../src/client/types.ts'
import { ago, eventually, item, startService, startUpstream } from '../support/support.ts'
import { QUICK, numberOf } from './consumer.ts'
import { event, hello, say, startFake } from './fake.ts'
import { layWire } from './wire.ts'

interface Owner { teardown (action: () => unknown): void }

interface Follower {
  readonly stream: AuditStream<AuditFrame>
  readonly frames: AuditFrame[]
  readonly hellos: HelloFrame[]
  readonly losses: Reconnection[]
  /** Resolves with what the iteration threw, or `undefined`. */
  readonly ended: Promise<unknown>
  until (count: number): Promise<void>
}

function follow (t: Owner, options: AuditFramesOptions): Follower {
  const [frames, hellos, losses]: [AuditFrame[], HelloFrame[], Reconnection[]] = [[], [], []]
  const stream = openAuditFrames({
    ...QUICK,
    onHello: (frame) => hellos.push(frame),
    onReconnect: (loss) => losses.push(loss),
    ...options
  })
  t.teardown(() => stream.return())
  const ended = (async () => { for await (const frame of stream) frames.push(frame) })().catch((error: unknown) => error)
  const until = (count: number) => eventually(`${count} frames have come`, () => frames.length >= count)
  return { stream, frames, hellos, losses, ended, until }
}

const gap = (cursor: string) => ({ type: 'gap', cursor, from: '2026-01-01T00:00:00Z', to: '2026-01-01T00:01:00Z', reason: 'upstream-outage' })
const heartbeat = (cursor: string) => ({ type: 'heartbeat', cursor, upstream: 'ok', lag_ms: 0 })
const numbersOf = (frames: readonly AuditFrame[]) => frames.map((frame) => frame.type === 'event' ? numberOf(frame.event) : frame.type)

t.test('a gap comes between the events that it stands between', async (t) => {
  const sent = [event('1', 'b'), gap('c'), event('2', 'd'), gap('e'), gap('f'), event('3', 'g')]
  const fake = await startFake(t, (socket) => say(socket, hello('a'), ...sent))
  const follower = follow(t, { url: fake.url })
  await follower.until(sent.length)
  t.same(follower.frames, sent)
  const gaps: GapFrame[] = []
  const stream = openAuditStream({ ...QUICK, url: fake.url, onGap: (each) => gaps.push(each) })
  t.teardown(() => stream.return())
  const events = [await stream.next(), await stream.next(), await stream.next()]
  t.same(events.map(({ value }) => value), [{ id: '1' }, { id: '2' }, { id: '3' }], 'a stream of events has none')
  t.same(gaps, [gap('c'), gap('e'), gap('f')])
})

t.test('simultaneous calls of next receive frames, or events, in their order', async (t) => {
  const fake = await startFake(t, (socket) => say(socket, hello('a'), event('1', 'b'), gap('c'), event('2', 'd')))
  const frames = openAuditFrames({ ...QUICK, url: fake.url })
  const events = openAuditStream({ ...QUICK, url: fake.url })
  t.teardown(() => Promise.all([frames.return(), events.return()]))
  t.match(await Promise.all([frames.next(), frames.next(), frames.next()]), [
    { value: { type: 'event', event: { id: '1' } } }, { value: { type: 'gap' } }, { value: { event: { id: '2' } } }
  ])
  t.match(await Promise.all([events.next(), events.next()]), [{ value: { id: '1' } }, { value: { id: '2' } }])
})

t.test('an event that became visible after newer ones is late', async (t) => {
  const service = await startService(t)
  const follower = follow(t, { url: service.url })
  await eventually('it is connected', () => follower.hellos.length === 1)
  service.sandbox.publish(item({ n: 1 }))
  await follower.until(1)
  service.sandbox.publish(item({ n: 2, timestamp: ago(30_000) }))
  await follower.until(2)
  service.sandbox.publish(item({ n: 3 }))
  await follower.until(3)
  t.match(follower.frames, [
    { type: 'event', event: { n: 1 } }, { type: 'event', event: { n: 2 }, late: true }, { type: 'event', event: { n: 3 } }
  ])
  t.same(follower.frames.map((frame) => 'late' in frame), [false, true, false])
})

t.test('frames continue without a gap or a repeat after a lost connection and after a killed service', async (t) => {
  const sandbox = await startUpstream(t)
  const before = await startService(t, {}, {}, sandbox)
  const wire = await layWire(t, before.url)
  const follower = follow(t, { url: wire.url })
  const publish = (from: number) => {
    const now = new Date().toISOString().slice(0, -1)
    sandbox.publish([0, 1, 2, 3, 4].map((n) => item({ n: from + n, timestamp: `${now}00${n}Z` })))
  }
  await eventually('it is connected', () => follower.hellos.length === 1)
  publish(0)
  await follower.until(5)
  wire.cut()
  publish(5)
  await follower.until(10)
  // No close frame and no `end`: the process is gone. Its log with it.
  const after = await startService(t, {}, {}, sandbox)
  wire.lead(after.url)
  wire.cut()
  publish(10)
  await follower.until(15)
  t.same(numbersOf(follower.frames), Array.from({ length: 15 }, (_, n) => n))
  t.same(follower.losses.map(({ reason }) => reason).slice(0, 2), ['closed', 'closed'])
  t.same(follower.hellos.map(({ resumed }) => resumed).slice(0, 2), [false, true])
})

t.test('a slow consumer holds at most maxPending events and gaps, and receives all in order', async (t) => {
  const COUNT = 30
  const frameOf = (n: number) => n % 2 === 0 ? gap(String(n)) : event(`e${n}`, String(n))
  const asked: string[] = []
  const closed: number[] = []
  const fake = await startFake(t, (socket) => {
    const index = fake.asked.length - 1
    const since = fake.asked[index]?.get('since') ?? '0'
    asked.push(since)
    socket.on('close', () => closed.push(index))
    say(socket, hello(since), ...Array.from({ length: COUNT - Number(since) }, (_, n) => frameOf(Number(since) + n + 1)))
  })
  const stream = openAuditFrames({ ...QUICK, url: fake.url, maxPending: 10 })
  t.teardown(() => stream.return())
  const taken = [await stream.next()]
  await eventually('it has closed the connection', () => closed.length === 1)
  t.equal(fake.asked.length, 1)
  while (taken.length < COUNT) taken.push(await stream.next())
  t.same(taken.map(({ value }) => value), Array.from({ length: COUNT }, (_, n) => frameOf(n + 1)))
  t.same(asked, ['0', '11', '22'], 'one was taken and ten waited, twice')
})

t.test('the cursor is that of the last taken frame, also of a gap', async (t) => {
  const fake = await startFake(t, (socket) =>
    say(socket, hello('a'), event('1', 'b'), heartbeat('c'), gap('d'), event('2', 'e'), heartbeat('f')))
  let heartbeats = 0
  const stream = openAuditFrames({ ...QUICK, url: fake.url, onStatus: () => { heartbeats++ } })
  t.teardown(() => stream.return())
  await stream.next()
  await eventually('all has come', () => heartbeats === 2)
  const cursors = [stream.cursor]
  for (let taken = 1; taken < 3; taken++) {
    await stream.next()
    cursors.push(stream.cursor)
  }
  t.same(cursors, ['c', 'd', 'f'])
})

t.test('repeated and known events are dropped, and their gaps are not', async (t) => {
  const fake = await startFake(t, (socket) => {
    say(socket, hello('a'), event('1', 'b'), event('known', 'c'), gap('d'), event('1', 'e'), event('2', 'f'))
  })
  const follower = follow(t, { url: fake.url, known: ['known'] })
  await follower.until(3)
  t.same(follower.frames, [event('1', 'b'), gap('d'), event('2', 'f')])
})

t.test('an event whose `late` is no boolean is no frame', async (t) => {
  const fake = await startFake(t, (socket) => say(socket, hello('a'), { ...event('1', 'b'), late: 'yes' }))
  t.match(await follow(t, { url: fake.url }).ended, { name: 'AuditStreamError', code: 'invalid-frame' })
})

t.test('onExpiring reports the end of the credential, in both kinds of streams', async (t) => {
  const expiring = { type: 'expiring', at: '2026-01-01T00:00:00Z' }
  const fake = await startFake(t, (socket) => say(socket, hello('a'), expiring, event('1', 'b')))
  for (const open of [openAuditFrames, openAuditStream]) {
    const heard: object[] = []
    const stream = open({ ...QUICK, url: fake.url, WebSocket, onExpiring: (frame) => heard.push(frame) })
    t.teardown(() => stream.return())
    await stream.next()
    t.same(heard, [expiring])
  }
})

t.test('an error of the hook onGap is thrown in place of its gap', async (t) => {
  const fake = await startFake(t, (socket) => say(socket, hello('a'), event('1', 'b'), gap('c'), event('2', 'd')))
  const thrown = new Error('of the hook')
  const stream = openAuditStream({ ...QUICK, url: fake.url, onGap: () => { throw thrown } })
  t.match(await stream.next(), { value: { id: '1' } })
  t.equal(await stream.next().catch((error: unknown) => error), thrown)
  t.same(await stream.next(), { done: true, value: undefined })
})
