import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { mock } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { constants, inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { systemClock, type Clock } from '../../../src/clock.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import WebSocket, { WebSocketServer, type ClientOptions } from 'ws'
import { identify } from '../../../src/audit/event-id.ts'
import { createFrameCache } from '../../../src/live/fanout/frame-cache.ts'
import { eventFrame, type PreparedFrame } from '../../../src/live/transport/frames.ts'
import {
  messagesDeflatedAlone,
  messagesDeflatedTogether,
  plainMessages
} from '../../../src/live/transport/websocket-encoding.ts'
import type { Transport } from '../../../src/live/transport/transport.ts'
import { prepareBatch, type PreparedBatch, type WireFormat } from '../../../src/live/transport/prepared-batch.ts'
import { createFilteredLogs } from '../../../src/live/fanout/filtered-log.ts'
import { createRunQueue } from '../../../src/live/fanout/run-queue.ts'
import { createWebSocketTransport, negotiateDeflate, type DeflateMode } from '../../../src/live/transport/websocket.ts'
import { createTimingWheel } from '../../../src/live/fanout/timing-wheel.ts'
import { anyCharacter, holds, holdsAsync } from '../../contracts/property.ts'
import { NOW, createLine, createStage, happen, idsOf } from '../../support/stage.ts'
import { eventually, item, startService } from '../../support/support.ts'
import { EPOCH, at, batch, openLog } from '../../support/timeline.ts'

function frameOf (text: string): PreparedFrame {
  const [event] = identify([{ id: 'a', text }])
  if (event === undefined) throw new Error('one item is one event')
  return eventFrame({ event, late: false }, { kind: 'log', epoch: EPOCH, offset: 1, instant: at(0) })
}

interface Message { readonly compressed: boolean, readonly payload: Buffer }

/** What a receiver makes of the bytes (RFC 6455 §5.2); the whole of them, or it throws. */
function messagesIn (bytes: Buffer): Message[] {
  const messages: Message[] = []
  for (let at = 0; at < bytes.length;) {
    const first = bytes.readUInt8(at)
    const short = bytes.readUInt8(at + 1)
    if ((first & 0xbf) !== 0x81) throw new Error('neither final nor a text')
    const [length, from] = short < 126
      ? [short, at + 2]
      : short === 126
        ? [bytes.readUInt16BE(at + 2), at + 4]
        : [Number(bytes.readBigUInt64BE(at + 2)), at + 10]
    if (length < 126 ? short !== length : length < 65_536 && short !== 126) throw new Error('not the shortest length')
    messages.push({ compressed: (first & 0x40) !== 0, payload: bytes.subarray(from, from + length) })
    at = from + length
  }
  return messages
}

t.test('WebSocket messages', async (t) => {
  const lengths = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000]
  const bare = (length: number): PreparedFrame => ({
    type: 'event',
    cursor: undefined,
    payload: Buffer.alloc(length, 'x')
  })

  t.test('a message is one text frame with the shortest length field', async (t) => {
    const read = messagesIn(plainMessages(lengths.map(bare)))
    t.same(read.map(({ payload }) => payload.length), lengths)
    t.ok(read.every(({ compressed }) => !compressed))
  })

  t.test('messages that were deflated alone inflate one by one', async (t) => {
    const frames = ['', 'é ✅', 'x'.repeat(70_000)].map(frameOf)
    const read = messagesIn(messagesDeflatedAlone([...frames, bare(0)]))
    t.same(read.map(({ payload }) => inflated(payload)), [...frames.map(({ payload }) => String(payload)), ''])
    t.ok(read.every(({ compressed }) => compressed))
  })

  t.test('messages that were deflated together refer to earlier ones, and are smaller', async (t) => {
    const frames = Array.from(
      { length: 10 },
      (_, n) => frameOf(`restart of the notifications pods, number ${n}, was asked for`)
    )
    const together = messagesIn(messagesDeflatedTogether(frames))
    t.throws(() => inflated(together[1]?.payload ?? Buffer.alloc(0)), 'not to be read without the one before')
    t.equal(inflated(together[0]?.payload ?? Buffer.alloc(0)), String(frames[0]?.payload))
    const bytes = (format: WireFormat) => format(frames).length
    t.ok(bytes(messagesDeflatedTogether) < bytes(messagesDeflatedAlone) / 2)
    t.ok(bytes(messagesDeflatedAlone) < bytes(plainMessages))
  })

  t.test('messages are deflated alone once, whatever batch they are in', async (t) => {
    const [a, b] = [frameOf('a'), frameOf('b')]
    const deflate = mock.method(Buffer, 'concat') // No part in it; only to be sure that nothing of `together` runs.
    t.teardown(() => deflate.mock.restore())
    const first = messagesIn(messagesDeflatedAlone([a]))[0]?.payload
    const [again] = messagesIn(messagesDeflatedAlone([a, b]))
    t.same(again?.payload, first)
    t.equal(deflate.mock.callCount(), 0)
  })

  function inflated (payload: Buffer): string {
    return inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), {
      finishFlush: constants.Z_SYNC_FLUSH
    }).toString()
  }
})

/** A transport on a real connection, and a client of `ws` at its other end. */
async function connected (
  t: { teardown (action: () => unknown): void },
  deflate: DeflateMode,
  options: ClientOptions
): Promise<{ transport: Transport, connection: Socket, client: WebSocket, received: string[] }> {
  const server = createServer()
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: deflate !== 'none' && { clientNoContextTakeover: true }
  })
  t.teardown(() => {
    server.close()
  })
  const opened = new Promise<{ transport: Transport, connection: Socket }>((resolve) => {
    server.on('upgrade', (request, connection, head) =>
      sockets.handleUpgrade(request, connection, head, (socket) => {
        resolve({
          transport: createWebSocketTransport({
            socket,
            connection: connection as Socket,
            backlogBytes: 65_536,
            deflate,
            clock: systemClock,
            onGone: () => {}
          }),
          connection: connection as Socket
        })
      }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, options)
  t.teardown(() => client.terminate())
  const received: string[] = []
  client.on('message', (data) => { received.push(String(data)) })
  await once(client, 'open')
  return { ...await opened, client, received }
}

t.test('WebSocket transport', async (t) => {
  const modes = [
    { deflate: 'none', options: { perMessageDeflate: false } },
    { deflate: 'alone', options: { perMessageDeflate: { serverNoContextTakeover: true } } },
    { deflate: 'alone', options: { perMessageDeflate: true } },
    { deflate: 'together', options: { perMessageDeflate: true } }
  ] as const
  for (const { deflate, options } of modes) {
    t.test(`a WebSocket with deflate ${deflate} offers ${JSON.stringify(options.perMessageDeflate)}`, async (t) => {
      const { client, connection, transport, received } = await connected(t, deflate, options)
      const text = fc.oneof(
        fc.string({ unit: anyCharacter }),
        fc.constantFrom('', 'the same text again and again '.repeat(40), 'x'.repeat(70_000))
      )
      const parcels = fc.array(
        fc.record({ texts: fc.array(text, { minLength: 1, maxLength: 5 }), reach: fc.constantFrom(0, 1, 8, 1000) }),
        { minLength: 1, maxLength: 5 }
      )
      await holdsAsync(
        t,
        fc.asyncProperty(parcels, async (each) => {
          received.length = 0
          const sent = each.map(({ reach, texts }) => prepareBatch(texts.map(frameOf), reach))
          for (const prepared of sent) transport.send(prepared)
          const expected = sent.flatMap(({ frames }) => frames.map(({ payload }) => String(payload)))
          while (received.length < expected.length) await once(client, 'message')
          return received.length === expected.length && received.every((one, index) => one === expected[index])
        }),
        { numRuns: 50 }
      )
      t.equal(connection.writableLength, 0)
    })
  }

  t.test('a WebSocket is compressed as it offers, and not with a smaller window', async (t) => {
    t.same([undefined, '', 'x-webkit-deflate-frame'].map(negotiateDeflate), ['none', 'none', 'none'])
    t.same(
      [
        'permessage-deflate',
        'permessage-deflate; client_max_window_bits',
        'permessage-deflate; client_no_context_takeover; client_max_window_bits=10'
      ].map(negotiateDeflate),
      ['together', 'together', 'together']
    )
    t.same(
      [
        'permessage-deflate; server_no_context_takeover',
        'permessage-deflate, permessage-deflate; server_no_context_takeover'
      ].map(negotiateDeflate),
      ['alone', 'alone']
    )
    t.same(
      [
        'permessage-deflate; server_max_window_bits=10',
        'permessage-deflate; server_no_context_takeover; server_max_window_bits=9'
      ].map(negotiateDeflate),
      ['none', 'none']
    )
  })

  t.test('a WebSocket receives nothing after a close frame', async (t) => {
    const { client, transport, received } = await connected(t, 'none', { perMessageDeflate: false })
    transport.send(prepareBatch([frameOf('a')]))
    transport.end({ reason: 'timeout', closeCode: 1000, reconnect: false })
    transport.send(prepareBatch([frameOf('b')]))
    const [code] = await once(client, 'close') as [number]
    t.same([code, received.length], [1000, 1])
  })

  t.test('a WebSocket reports its backlog and its flushed bytes, and calls back when all is flushed', async (t) => {
    const { client, connection, transport } = await connected(t, 'none', { perMessageDeflate: false })
    client.pause()
    const large = prepareBatch([frameOf('x'.repeat(8_000_000))])
    transport.send(large)
    t.ok(transport.backlogBytes() > 0)
    t.equal(transport.writableBytes(), 65_536 - transport.backlogBytes())
    const before = transport.flushedBytes()
    const gone = new Promise<void>((resolve) => transport.onFlushed(resolve))
    t.ok(transport.backlogBytes() > 0, 'not yet')
    client.resume()
    await gone
    t.equal(transport.backlogBytes(), 0)
    t.ok(transport.flushedBytes() >= before + large.bytes)
    client.pause()
    transport.send(large)
    let calls = 0
    transport.onFlushed(() => { calls++ })
    connection.destroy()
    client.resume()
    await once(client, 'close')
    t.equal(calls, 0, 'a lost connection is no progress')
  })
})

t.test('log slice', async (t) => {
  t.test('a log slice is filtered and encoded once for all with the same filter and position', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b', 'c']))
    const groupOf = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 65_536 })
    const { batchAt } = groupOf({}, { size: 3 })
    const { batchAt: otherAt } = groupOf({}, { size: 1 })
    const first = batchAt(0)
    if (first === undefined || first === 'evicted') return t.fail('there is one')
    t.equal(batchAt(0), first)
    t.not(otherAt(0), first)
    t.equal(batchAt(0), first, 'also when others were served in between')
    t.same([first.batch?.frames.length, first.batch?.recipients, first.end], [3, 3, log.end()])
    t.equal(first.batch?.encoded(plainMessages), first.batch?.encoded(plainMessages))
    t.equal(batchAt(3), undefined, 'nothing at the end of the log')
    t.not(batchAt(1), first)
  })

  t.test('a log slice holds what fits, or one larger frame, and skips events that do not match', async (t) => {
    const log = openLog({ maxBytes: 10_000_000 })
    log.append(batch(0, idsOf(600), { pad: 100 }))
    const groupOf = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 1000 })
    for (const [filter, most] of [[{}, 600], [{ category_type: 'none' }, 0], [{ text: 'e599' }, 1]] as const) {
      const { batchAt } = groupOf(filter, { size: 1 })
      let offset = 0
      let delivered = 0
      for (let found = batchAt(0); found !== undefined && found !== 'evicted'; found = batchAt(offset)) {
        t.ok(found.end.offset > offset && (found.batch?.bytes ?? 0) <= 1000)
        offset = found.end.offset
        delivered += found.batch?.frames.length ?? 0
      }
      t.same([offset, delivered], [600, most])
    }
    const tight = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 10 })
    const large = tight({}, { size: 1 }).batchAt(0)
    t.equal(large !== 'evicted' && large?.batch?.frames.length, 1)
  })

  t.test('a log slice ends after half a million characters of events, matching or not', async (t) => {
    const log = openLog({ maxBytes: 10_000_000 })
    log.append(batch(0, idsOf(10), { pad: 200_000 }))
    const groupOf = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 10_000_000 })
    for (const filter of [{}, { category_type: 'none' }]) {
      const found = groupOf(filter, { size: 1 }).batchAt(0)
      t.equal(found !== 'evicted' && found?.end.offset, 3)
    }
  })

  t.test('a log slice reports eviction when the log has evicted its position', async (t) => {
    const log = openLog({ maxEvents: 2 })
    const groupOf = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 1000 })
    const { batchAt } = groupOf({}, { size: 1 })
    log.append(batch(0, ['a', 'b']))
    t.not(batchAt(0), 'evicted')
    log.append(batch(2, ['c']))
    t.equal(batchAt(0), 'evicted')
  })
})

t.test('batch', async (t) => {
  t.test('a batch is shared by equal filters, however they are written, and by no others', async (t) => {
    const stage = createStage({ backlogBytes: 65_536 })
    const parcels = new Map<string, PreparedBatch[]>()
    const listen = (name: string, filter: object) => {
      const line = createLine()
      parcels.set(name, [])
      stage.listen(NOW, {
        ...line,
        send: (prepared) => {
          parcels.get(name)?.push(prepared)
          line.send(prepared)
        }
      }, { filter })
    }
    listen('a', { category_type: 'x', status: 'success' })
    listen('b', { status: 'success', category_type: 'x' })
    listen('c', {})
    happen(stage, 1)
    for (const id of ['y', 'z']) stage.publish(id, stage.now(), { category_type: 'x', action_successful: true })
    stage.poll()
    const [a, b, c] = ['a', 'b', 'c'].map((name) => parcels.get(name)?.at(-1))
    t.equal(a, b)
    t.equal(a?.frames.length, 2)
    t.not(a, c)
    t.equal(a?.frames[0], c?.frames[0], 'the frame is one all the same')
  })

  t.test('a batch takes one slice in each turn of the event loop, for any number of subscribers', async (t) => {
    const { stage, lines, turnsOf } = crowdOf(200)
    const before = lines.map(({ frames }) => frames.length)
    const sends = await turnsOf(() => {
      stage.publish('a')
      stage.poll()
    }, () => lines.every(({ frames }, index) => frames.length > (before[index] ?? 0)))
    t.ok(sends.every((count) => count < 50), `${sends.join()} of 200 at a time, at a millisecond each`)
    t.ok(lines.every((line) => line.ids().join() === 'a'))
  })

  t.test('a batch takes one slice in each turn, also if all sockets are flushed at once', async (t) => {
    const { stage, lines, turnsOf } = crowdOf(200)
    for (const line of lines) line.block()
    await turnsOf(() => {
      for (const id of idsOf(8)) stage.publish(id)
      stage.poll()
    }, () => lines.every((line) => line.backlogBytes() > 0))
    await turnsOf(() => {}, () => false, 300)
    const isDone = () => lines.every((line) => line.ids().length === 8)
    t.notOk(isDone(), 'all of them are blocked')
    const sends = await turnsOf(() => { for (const line of lines) line.unblock() }, isDone)
    t.ok(sends.every((count) => count < 50), `${sends.join()} at a time, at a millisecond each`)
    t.same(lines.map((line) => line.faults).flat(), [])
  })

  t.test('a batch takes one slice in each turn, also if many streams begin or backfill at once', async (t) => {
    for (const historyEvents of [1000, 5]) {
      const { lines, listenAll, stage, turnsOf } = crowdOf(0, { historyEvents })
      happen(stage, 30)
      const sends = await turnsOf(() => listenAll(200), () => lines.every((line) => line.ids().length === 30))
      const [hellos = 0, ...others] = sends
      t.ok(hellos < 300 && others.every((count) => count < 50), `${sends.join()} at a time, at a millisecond each`)
    }
  })

  /** Subscribers of which each send takes a millisecond, and a count of sends in each turn of the event loop. */
  function crowdOf (count: number, options: Parameters<typeof createStage>[0] = {}) {
    const stage = createStage(options)
    const lines: Array<ReturnType<typeof createLine>> = []
    let sent = 0
    listenAll(count)
    return { stage, lines, listenAll, turnsOf }

    function listenAll (more: number): void {
      for (let i = 0; i < more; i++) {
        const line = createLine(1000)
        lines.push(line)
        const slow: Transport = {
          ...line,
          send (prepared) {
            stage.pass(0.001)
            sent++
            line.send(prepared)
          }
        }
        stage.listen(NOW, slow as typeof line)
      }
    }

    async function turnsOf (action: () => void, isDone: () => boolean, most = 5000): Promise<number[]> {
      const counts: number[] = []
      sent = 0
      action()
      do {
        counts.push(sent)
        sent = 0
        await stage.turn()
      } while (!isDone() && counts.length < most)
      return [...counts, sent]
    }
  }
})

t.test('run queue', async (t) => {
  t.test('a run queue runs each task once, in order, in slices of a turn', async (t) => {
    const clock = createManualClock()
    const served: number[] = []
    const queue = createRunQueue<number>((task) => {
      served.push(task)
      clock.advance(1)
      if (task < 3) queue.add(task + 1000)
    }, clock)
    for (let task = 0; task < 100; task++) queue.add(task)
    queue.run()
    const atOnce = served.length
    t.ok(atOnce > 0 && atOnce < 30, `${atOnce} at once`)
    await new Promise((resolve) => { setImmediate(resolve) })
    t.ok(served.length > atOnce && served.length < 103)
    while (served.length < 103) await new Promise((resolve) => { setImmediate(resolve) })
    t.same(served, [...Array(100).keys(), 1000, 1001, 1002])
    await new Promise((resolve) => { setImmediate(resolve) })
    t.equal(served.length, 103)
  })
})

t.test('timing wheel', async (t) => {
  /** A clock whose timers fire late, as those of a busy process do. */
  function createBusyClock () {
    const { monotonicMs, setTimer, ...manual } = createManualClock()
    let lateMs = 0
    const clock: Clock = { now: manual.now, monotonicMs: () => monotonicMs() + lateMs, setTimer }
    return {
      clock,
      pass (ms: number, late = 0) {
        lateMs += late
        manual.advance(ms)
      }
    }
  }

  t.test('a timing wheel visits each member once a period, however late its ticks', async (t) => {
    const delays = fc.array(fc.constantFrom(0, 0, 0, 1, 30), { minLength: 1 })
    holds(
      t,
      fc.property(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 20 }),
        delays,
        (slot, joins, late) => {
          const { clock, pass } = createBusyClock()
          const now = clock.monotonicMs
          const periodMs = 40 * 10 * slot
          const slotMs = periodMs / 40
          const visits = new Map<number, number[]>()
          const wheel = createTimingWheel<number>(
            periodMs,
            (members) => members.forEach((member) => visits.get(member)?.push(now())),
            clock
          )
          let ticks = 0
          const tick = () => pass(slotMs, late[ticks++ % late.length])
          const joined = joins.map((slots, member) => {
            for (let i = 0; i < slots; i++) tick()
            visits.set(member, [])
            wheel.add(member)
            return now()
          })
          const endMs = now() + 4 * periodMs
          while (now() < endMs) tick()
          wheel.stop()
          const slackMs = 2 * slotMs + 60
          return joined.every((joinedMs, member) => {
            const times = visits.get(member) ?? []
            return times.length >= 3 &&
              times.every((time, index) => Math.abs(time - joinedMs - (index + 1) * periodMs) <= slackMs)
          })
        }
      ),
      { numRuns: 50 }
    )
  })

  t.test('a timing wheel does not visit a deleted member', async (t) => {
    const { clock, pass } = createBusyClock()
    let visits = 0
    const wheel = createTimingWheel<string>(400, (members) => { visits += members.size }, clock)
    wheel.add('a')
    wheel.add('b')
    wheel.delete('a')
    pass(400)
    t.equal(visits, 1)
    wheel.stop()
    pass(4000)
    t.equal(visits, 1)
  })
})

t.test('live stream', async (t) => {
  t.test('a live stream is compressed if offered, better with more recipients, and reads the same', async (t) => {
    const granting = await startService(t)
    const refusing = await startService(t, { STREAM_COMPRESSION: 'false' }, {}, granting.sandbox)
    const streams = [
      refusing.stream('?start_time=now'),
      granting.stream('?start_time=now&category_type=agents'),
      ...Array.from({ length: 8 }, () => granting.stream('?start_time=now'))
    ]
    for (const stream of streams) await stream.until(({ type }) => type === 'hello')
    t.same(streams.map(({ socket }) => socket.extensions), ['', ...Array<string>(9).fill('permessage-deflate')])
    const bytesBefore = streams.map(bytesRead)
    granting.sandbox.publish(
      Array.from({ length: 50 }, (_, n) => item({ n, text: 'much the same as the one before it '.repeat(10) }))
    )
    for (const stream of streams) await stream.untilEvents(50)
    const [plain = 0, alone = 0, ...together] = streams.map((stream, index) =>
      bytesRead(stream) - (bytesBefore[index] ?? 0)
    )
    t.ok(alone < plain / 2, `${alone} of ${plain} bytes where each event is compressed by itself`)
    t.ok(together.every((bytes) => bytes < plain / 4), `${together[0]} where it may refer to those before it`)
    for (const stream of streams) t.same(stream.events(), streams[0]?.events())
  })

  t.test('a live stream keeps nothing of its request', async (t) => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const requests: Array<WeakRef<IncomingMessage>> = []
    const service = await startService(
      t,
      {},
      {},
      undefined,
      (server) => server.addHook('onRequest', async (request) => {
        if (request.ws) requests.push(new WeakRef(request.raw))
      })
    )
    const stream = service.stream('?start_time=now')
    await stream.until(({ type }) => type === 'hello')
    t.equal(requests.length, 1)
    await eventually('it was collected', () => {
      collect()
      return requests[0]?.deref() === undefined
    })
    service.sandbox.publish([item()])
    await stream.untilEvents(1)
  })

  t.test('a live stream starts as fast if the client sends a frame with its handshake', async (t) => {
    const service = await startService(t)
    const { hostname, port } = new URL(service.url)
    const socket = connect(Number(port), hostname)
    t.teardown(() => socket.destroy())
    const handshake = [
      'GET /api/v1/audit/stream HTTP/1.1',
      'Host: localhost',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      '',
      ''
    ].join('\r\n')
    socket.write(Buffer.concat([Buffer.from(handshake), Buffer.from([0x89, 0x80, 0, 0, 0, 0])])) // An empty ping.
    let bytes = Buffer.alloc(0)
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
    })
    await eventually(
      'hello and pong have come',
      () => bytes.includes('"type":"hello"') && bytes.includes(Buffer.from([0x8a, 0]))
    )
  })

  function bytesRead ({ socket }: { socket: WebSocket }): number {
    return (socket as unknown as { _socket: Socket })._socket.bytesRead
  }
})
