import fc from 'fast-check'
import t from 'tap'
import { openAuditStream } from '../../src/client/client.ts'
import { readFrame } from '../../src/client/frame.ts'
import type {
  AuditStream,
  AuditStreamOptions,
  Reconnection,
  WebSocketConstructor,
  WebSocketEvent,
  WebSocketLike
} from '../../src/client/types.ts'
import { eventually } from '../support/support.ts'
import { consume } from './consumer.ts'
import { event, hello, say, startFake } from './fake.ts'
import { type QuickTimers, withQuickTimers } from './quick-timers.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const LONGEST_TIMER_MS = 2 ** 31 - 1
const ORIGIN = 'http://service.example'
const status = { type: 'status', upstream: 'ok', since: '2026-01-01T00:00:00Z', lag_ms: 0 }
const heartbeat = { type: 'heartbeat', cursor: 'c', upstream: 'ok', lag_ms: 0 }

const gap = {
  type: 'gap',
  cursor: 'c',
  from: '2026-01-01T00:00:00Z',
  to: '2026-01-01T00:00:00Z',
  reason: 'replay-limit'
}

const end = { type: 'end', reason: 'shutdown', reconnect: true, cursor: 'c' }
const expiring = { type: 'expiring', at: '2026-01-01T00:00:00Z' }
const sound: object[] = [hello('c'), event('1', 'c'), gap, status, heartbeat, expiring, end]

/** Values of the wrong type, or beyond the bounds, for a field that must be a text. */
const NO_TEXTS: unknown[] = [undefined, null, 5, true, '', [], {}, ['c'], { toString: 'c' }]

const NO_FRAMES: string[] = [
  '',
  'hello, world',
  'null',
  '5',
  '"hello"',
  '[]',
  '[{"type":"event"}]',
  '{',
  '{}',
  '{"type":5}',
  '{"type":null}',
  '{"type":""}',
  '{"type":"event"}',
  '{"type":"event","cursor":"c","event":null}',
  '{"type":"event","cursor":"c","event":[]}',
  '{"type":"event","cursor":"c","event":{"__proto__":{"id":"1"}}}',
  '{"__proto__":{"type":"event"}}',
  '{"type":{"type":"event"}}',
  '{"type":"gap","cursor":"c","from":null,"to":"b","reason":"c"}',
  '{"type":"end","cursor":"c","reason":"shutdown"}',
  '{"type":"status","upstream":"ok","since":5,"lag_ms":0}',
  '{"type":"heartbeat","cursor":"c","upstream":"ok","lag_ms":1e400}',
  '['.repeat(200_000),
  `{"type":"event","cursor":"c","event":${'{"id":'.repeat(100_000)}`,
  JSON.stringify(event('i'.repeat(201), 'c')),
  JSON.stringify(event('1', 'c'.repeat(13_501))),
  ...NO_TEXTS.flatMap((value) => [
    JSON.stringify({ ...hello('c'), cursor: value }),
    JSON.stringify({ ...event('1', 'c'), cursor: value }),
    JSON.stringify({ type: 'event', cursor: 'c', event: { id: value } }),
    JSON.stringify({ ...gap, from: value }),
    JSON.stringify({ ...status, upstream: value }),
    JSON.stringify({ ...heartbeat, cursor: value }),
    JSON.stringify({ ...expiring, at: value }),
    JSON.stringify({ ...end, reason: value })
  ])
]

t.test('readFrame checks a message before it counts as a frame', async (t) => {
  t.same(sound.map((frame) => readFrame(JSON.stringify(frame))), sound)
  t.same(NO_FRAMES.filter((text) => readFrame(text) !== undefined), [])
  t.same(
    [Buffer.from(JSON.stringify(status)), new ArrayBuffer(2), status, null, undefined, 5].map(readFrame),
    Array(6).fill(undefined),
    'bytes are no text'
  )
  const longest = event('\u{1F600}'.repeat(100), 'c'.repeat(13_500))
  t.same(readFrame(JSON.stringify(longest)), longest)
  for (const type of ['news', 'constructor', '__proto__']) {
    t.same(readFrame(JSON.stringify({ type })), { type }, 'types to come are ignored')
  }
  for (const seconds of [undefined, null, 0, -1, 0.5, 3601, 1e12, '20', [20]]) {
    t.match(
      readFrame(JSON.stringify({ ...hello('c'), heartbeat_seconds: seconds })),
      { heartbeat_seconds: 20 },
      String(seconds)
    )
  }
  for (const seconds of [1, 2.5, 3600]) {
    t.match(readFrame(JSON.stringify({ ...hello('c'), heartbeat_seconds: seconds })), { heartbeat_seconds: seconds })
  }
})

t.test('readFrame never throws, and accepts only frames with the fields of their type', async (t) => {
  const names = [
    'type',
    'cursor',
    'event',
    'resumed',
    'heartbeat_seconds',
    'from',
    'to',
    'reason',
    'upstream',
    'lag_ms',
    'reconnect',
    'at'
  ]
  const types = fc.constantFrom('hello', 'event', 'gap', 'status', 'heartbeat', 'expiring', 'end', 'news')
  const fields = fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.jsonValue(), fc.string()))
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.record({ type: types, rest: fields }).map(({ type, rest }) => JSON.stringify({ ...rest, type }))
      ),
      (text) => {
        const frame = readFrame(text)
        if (frame === undefined) return
        t.type(frame.type, 'string')
        if (frame.type === 'event') t.ok(frame.event.id.length > 0 && frame.cursor.length > 0)
        if (frame.type === 'hello') t.ok(frame.heartbeat_seconds >= 1 && frame.heartbeat_seconds <= 3600)
      }
    ),
    { numRuns: 2000 }
  )
})

t.test('an invalid frame ends the iteration with invalid-frame, after the earlier events', async (t) => {
  const messages: Array<string | Buffer> = [
    '{"type":"event"}',
    '{"type":"event","event":null}',
    '{"type":"hello"}',
    '['.repeat(100_000),
    JSON.stringify(event('1', '')),
    Buffer.from(JSON.stringify(event('1', 'c'))),
    Buffer.from([0xff, 0xfe, 0])
  ]
  for (const message of messages) {
    const fake = await startFake(t, (socket) => {
      say(socket, hello('a'), event('first', 'b'))
      socket.send(message)
      socket.send(message)
    })
    const consumer = consume(t, { url: fake.url })
    t.match(
      await consumer.ended,
      { name: 'AuditStreamError', code: 'invalid-frame' },
      JSON.stringify(String(message).slice(0, 40))
    )
    t.same(consumer.events, [{ id: 'first' }])
    t.equal(fake.asked.length, 1)
  }
})

t.test('a hello that is late or repeated ends the iteration with invalid-frame', async (t) => {
  for (const frames of [[event('1', 'c')], [hello('a'), hello('b')]]) {
    const fake = await startFake(t, (socket) => say(socket, ...frames))
    const consumer = consume(t, { url: fake.url })
    t.match(await consumer.ended, { code: 'invalid-frame' })
    t.same(consumer.events, [])
  }
})

t.test('a redirect is not followed with a credential', async (t) => {
  const asked: Array<RequestInit | undefined> = []
  consume(t, {
    url: 'http://localhost:9/api/v1/audit/stream',
    credential: 'Bearer abc',
    async fetch (_address, init) {
      asked.push(init)
      return new Response('{}', { status: 403, headers: { 'content-type': 'application/problem+json' } })
    }
  })
  await eventually('a ticket is asked for', () => asked.length > 0)
  t.same(asked.filter((init) => init?.redirect !== 'error'), [])
})

/** What happens to a connection: called when it is made. */
type Script = (connection: Connection) => void

interface Connection {
  readonly url: string
  say (...frames: object[]): void
  close (code: number): void
  fail (): void
}

/** WebSockets whose server is a script. Nothing goes over a network. */
function scripted (script: Script): WebSocketConstructor {
  return class implements WebSocketLike {
    readonly #listeners: Array<[string, (event: WebSocketEvent) => void]> = []

    constructor (url: string) {
      const tell = (type: string, rest: object = {}) => {
        for (const [name, listener] of this.#listeners) if (name === type) listener({ type, ...rest })
      }
      queueMicrotask(() => script({
        url,
        say: (...frames) => {
          tell('open')
          for (const frame of frames) tell('message', { data: JSON.stringify(frame) })
        },
        close: (code) => tell('close', { code }),
        fail: () => tell('error')
      }))
    }

    addEventListener (type: WebSocketEvent['type'], listener: (event: WebSocketEvent) => void): void {
      this.#listeners.push([type, listener])
    }

    close (): void {}
  }
}

interface Asked {
  /** When the service was asked, milliseconds from the start. */
  readonly atMs: number[]
  readonly losses: Reconnection[]
  readonly ended: Promise<unknown>
}

const streams: AuditStream[] = []

/** The same as `withQuickTimers`, and no stream goes on behind it. */
function quickly (work: (timers: QuickTimers) => Promise<void>): Promise<void> {
  return withQuickTimers(async (timers) => {
    await work(timers)
    for (const stream of streams.splice(0)) await stream.return()
  })
}

function ask (timers: QuickTimers, script: Script, options: Partial<AuditStreamOptions> = {}): Asked {
  const [atMs, losses] = [[] as number[], [] as Reconnection[]]
  const WebSocket = scripted((connection) => {
    atMs.push(timers.nowMs())
    script(connection)
  })
  const stream = openAuditStream({ url: ORIGIN, WebSocket, onReconnect: (loss) => losses.push(loss), ...options })
  streams.push(stream)
  const drained = async () => { for await (const { id } of stream) if (id === '') return }
  return { atMs, losses, ended: drained().catch((error: unknown) => error) }
}

const within = (atMs: number[], fromMs: number, untilMs: number) =>
  atMs.filter((at) => at >= fromMs && at < untilMs).length

const answer = (body: string, status = 503, type = 'application/problem+json') =>
  new Response(body, { status, headers: { 'content-type': type } })

const good = async () => answer('{"ticket":"t"}', 201, 'application/json')
const credential = () => 'Bearer refused'
let serial = 0

const RUDE: Record<string, { readonly script: Script, readonly options?: Partial<AuditStreamOptions> }> = {
  'greets, says status and closes': {
    script: ({ close, say }) => {
      say(hello('c'), status)
      close(1011)
    }
  },
  'greets with heartbeats of no length and closes': {
    script: ({ close, say }) => {
      say({ ...hello('c'), heartbeat_seconds: 0 })
      close(1000)
    }
  },
  'greets with endless heartbeats and is silent': {
    script: ({ say }) => say({ ...hello('c'), heartbeat_seconds: 1e12 }, status)
  },
  'ends at once and asks to return': { script: ({ say }) => say(hello('c'), { ...end, reason: 'max-age' }) },
  'gives the same event over and over and closes': {
    script: ({ close, say }) => {
      say(hello('c'), ...Array(100).fill(event('1', 'c')))
      close(1006)
    }
  },
  'gives a new event each time and closes': {
    script: ({ close, say }) => {
      say(hello('c'), event(`n${serial++}`, 'c'))
      close(1006)
    }
  },
  'refuses each good ticket with 4401': {
    script: ({ close, say }) => {
      say(hello('c'), status)
      close(4401)
    },
    options: { credential, fetch: good }
  },
  'fails and answers with problems that are null': {
    script: ({ fail }) => fail(),
    options: { fetch: async () => answer('null') }
  }
}

for (const [what, { options, script }] of Object.entries(RUDE)) {
  t.test(`the client sends few requests to a server that ${what}`, async (t) => {
    await quickly(async (timers) => {
      const { atMs, ended } = ask(timers, script, options)
      await timers.pass(HOUR_MS)
      t.ok(within(atMs, 0, MINUTE_MS) <= 12, `${within(atMs, 0, MINUTE_MS)} times in the first minute`)
      const later = within(atMs, MINUTE_MS, HOUR_MS)
      t.ok(later > 30 && later <= 59 * 4, `${later} times in the rest of an hour`)
      t.ok(timers.asked().mostMs <= LONGEST_TIMER_MS && timers.asked().leastMs >= 0)
      t.equal(await Promise.race([ended, 'goes on']), 'goes on')
    })
  })
}

t.test('a stream that has lasted reconnects quickly, also if it is cut now and then', async (t) => {
  await quickly(async (timers) => {
    const beat = (say: Connection['say']): void => {
      say(heartbeat)
      setTimeout(() => beat(say), 20_000)
    }
    const { losses } = ask(timers, ({ close, say }) => {
      say(hello('c'))
      beat(say)
      setTimeout(() => { losses.length % 2 === 0 ? say(end) : close(1006) }, 3 * HOUR_MS)
    })
    await timers.pass(40 * HOUR_MS)
    t.ok(losses.length >= 13, `${losses.length} rollovers`)
    t.same(losses.filter(({ waitMs }) => waitMs > 250), [])
  })
})

t.test('readAnswer checks an answer over HTTP', async (t) => {
  const headers = { 'content-type': 'application/problem+json' }
  const chunk = new Uint8Array(65_536).fill(0x20)
  let [most, taken] = [0, 0] // Chunks that were taken of one endless body.
  const endless = () => {
    taken = 0
    const pull = (to: ReadableStreamDefaultController) => {
      to.enqueue(chunk)
      most = Math.max(most, ++taken)
    }
    return new Response(new ReadableStream({ pull }), { status: 503, headers })
  }
  const problem = (fields: object) =>
    answer(
      JSON.stringify({
        type: 'urn:x',
        title: 'x',
        status: 503,
        detail: 'x',
        code: 'overloaded',
        request_id: 'x',
        ...fields
      })
    )
  const never = () => new Promise<Response>(() => {})
  const answers: Record<string, () => Response | Promise<Response>> = {
    null: () => answer('null'),
    'a list': () => answer('[{"status":400}]'),
    'a text': () => answer('"no"'),
    'no code': () => problem({ status: 400, code: null }),
    'no detail': () => problem({ status: 400, detail: {} }),
    'errors that are none': () => problem({ status: 400, errors: 'all' }),
    'a body without end': endless,
    'no answer at all': never,
    'a body that never comes': () => new Response(new ReadableStream({}), { status: 503, headers }),
    ...Object.fromEntries(
      [-5, 'soon', null, {}, [9]].map((after) => [`retry_after ${JSON.stringify(after)}`, () =>
        problem({ retry_after: after })]
      )
    )
  }
  for (const [what, give] of Object.entries(answers)) {
    for (const given of [{}, { credential }]) {
      await quickly(async (timers) => {
        const { ended, losses } = ask(timers, ({ fail }) => fail(), { ...given, fetch: async () => give() })
        await timers.pass(MINUTE_MS)
        t.ok(losses.length >= 3 && losses.length <= 12, `${what}: ${losses.length} losses`)
        t.ok(
          losses.every(({ reason, waitMs }, attempt) =>
            reason === 'failed' && waitMs >= 0 && waitMs <= 250 * 2 ** attempt
          ),
          what
        )
        t.equal(await Promise.race([ended, 'goes on']), 'goes on', what)
      })
    }
  }
  t.ok(most > 0 && most * chunk.length <= 2 * 1024 * 1024, `${most} chunks`)
  await quickly(async (timers) => {
    const { losses } = ask(timers, ({ fail }) => fail(), { fetch: async () => problem({ retry_after: 1e12 }) })
    await timers.pass(MINUTE_MS)
    t.equal(losses.length, 1)
    t.ok(losses.every(({ waitMs }) => waitMs >= 300_000 && waitMs <= 300_250), 'a wait of five minutes is the longest')
  })
})

t.test('an invalid ticket opens no connection', async (t) => {
  for (const ticket of [undefined, null, 5, '', {}, ['t'], 't'.repeat(1001)]) {
    await quickly(async (timers) => {
      const { atMs, losses } = ask(timers, () => {}, {
        credential,
        fetch: async () => answer(JSON.stringify({ ticket }), 201, 'application/json')
      })
      await timers.pass(MINUTE_MS)
      t.same(atMs, [])
      t.ok(losses.length >= 3 && losses.length <= 12)
      t.match(losses[0], { reason: 'failed', status: 201 })
    })
  }
})

t.test('a WebSocket that throws ends the iteration, also on a later try', async (t) => {
  await quickly(async (timers) => {
    let made = 0
    const Once = scripted(({ fail }) => fail())
    const WebSocket = class {
      constructor (url: string, protocol: string) {
        if (made++ > 0) throw new Error('not any more')
        return new Once(url, protocol)
      }
    } as WebSocketConstructor
    const stream = openAuditStream({ url: ORIGIN, WebSocket, fetch: async () => answer('') })
    const ended = stream.next().catch((error: unknown) => error)
    await timers.pass(MINUTE_MS)
    t.match(await ended, { message: 'not any more' })
  })
})

t.test('an error of a hook ends the iteration, for any frame', async (t) => {
  const thrown = new Error('of the hook')
  const refuse = () => { throw thrown }
  for (const frames of [[hello('c'), gap], [hello('c'), status], [hello('c'), heartbeat], [hello('c'), end]]) {
    await quickly(async (timers) => {
      const { ended } = ask(timers, ({ say }) => say(...frames), {
        onGap: refuse,
        onStatus: refuse,
        onReconnect: refuse
      })
      await timers.pass(1000)
      t.equal(await ended, thrown)
    })
  }
})
