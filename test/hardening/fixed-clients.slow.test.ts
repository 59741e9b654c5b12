import { createRequire } from 'node:module'
import t from 'tap'
import { admitsEventStream } from '../../src/http/accept-event-stream.ts'
import { layWire } from '../client/wire.ts'
import { openEventStream, type EventStream } from '../support/event-stream.ts'
import { evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

// Clients whose makers are others: what they send today is what they will send.

const STREAM = '/api/v1/audit/stream'

interface Polyfill {
  addEventListener (type: string, listener: (event: { readonly data?: string, readonly status?: number }) => void): void
  close (): void
}
interface PolyfillPackage { readonly EventSourcePolyfill: new (url: string) => Polyfill }
const { EventSourcePolyfill } = createRequire(import.meta.url)('event-source-polyfill') as PolyfillPackage

const numbers = (stream: EventStream) => stream.events().map(({ n }) => n)

t.test('event-source-polyfill resumes exactly after a restart of the service', async (t) => {
  const sandbox = await startUpstream(t)
  const before = await startService(t, {}, {}, sandbox)
  const wire = await layWire(t, before.url)
  const hellos: unknown[] = []
  const source = new EventSourcePolyfill(`${wire.url}${STREAM}?category_type=agents&start_time=-15m`)
  t.teardown(() => source.close())
  const seen: unknown[] = []
  const refusals: unknown[] = []
  source.addEventListener('hello', ({ data = '' }) => hellos.push(JSON.parse(data)))
  source.addEventListener(
    'event',
    ({ data = '' }) => seen.push((JSON.parse(data) as { event: { n: unknown } }).event.n)
  )
  source.addEventListener('error', ({ status }) => {
    if (status !== undefined && status >= 400) refusals.push(status)
  })
  await eventually('it is greeted', () => hellos.length === 1)
  sandbox.publish(item({ n: 'before' }))
  await eventually('an event has come', () => seen.includes('before'))
  await before.close()
  sandbox.publish(item({ n: 'meanwhile' }))
  const after = await startService(t, {}, {}, sandbox)
  wire.lead(after.url)
  await eventually('it is greeted again', () => hellos.length >= 2)
  sandbox.publish(item({ n: 'after' }))
  await eventually('events come again', () => seen.includes('after') && seen.includes('meanwhile'))
  t.same(refusals, [])
})

t.test('the last event id in the query counts as the header does', async (t) => {
  const service = await startService(t)
  const open = (query: string, headers: Record<string, string> = {}) => {
    const stream = openEventStream(`${service.url}${STREAM}${query}`, headers)
    t.teardown(() => stream.terminate())
    return stream
  }
  const first = open('?text=again')
  await first.until(({ type }) => type === 'hello')
  const dateOf = evenDates(100, 1)
  service.sandbox.publish([0, 1, 2].map((n) => item({ n, resource_text: 'again', timestamp: dateOf(n) })))
  await first.untilEvents(3)
  const [zero = '', one = '', two = ''] = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : [])
  const queries = ['', '&start_time=-1h', `&since=${two}`, `&since=${two}&start_time=-1h`, '&since=junk']
  for (const query of queries) {
    const stream = open(`?text=again${query}&lastEventId=${zero}`)
    await stream.untilEvents(2)
    t.same(numbers(stream), [1, 2], query)
  }
  for (const [query, header, expected] of [
    [`&lastEventId=${one}`, zero, [1, 2]],
    ['&lastEventId=junk', zero, [1, 2]],
    [`&lastEventId=${one}`, '', [2]],
    [`&lastEventId=&since=${one}`, undefined, [2]]
  ] as const) {
    const stream = open(`?text=again${query}`, header === undefined ? {} : { 'last-event-id': header })
    await stream.untilEvents(expected.length)
    t.same(numbers(stream), expected, query)
  }
  const removed = open(`?&text=again&lastEventId=${one}`)
  await removed.untilEvents(1)
  t.same(numbers(removed), [2], 'the polyfill leaves an ampersand where it took its parameter away')
  const socket = service.stream(`?text=again&lastEventId=${one}`)
  await socket.untilEvents(1)
  t.same(socket.events().map(({ n }) => n), [2], 'over a WebSocket as well')
  for (const [query, code, parameter] of [
    ['?lastEventId=junk', 'invalid-cursor', 'lastEventId'],
    [`?lastEventId=${zero}&lastEventId=${one}`, 'invalid-parameter', 'lastEventId'],
    [`?lastEventId=${'c'.repeat(13_501)}`, 'invalid-parameter', 'lastEventId'],
    ['?lastEventId=&since=junk&start_time=-1h', 'invalid-parameter', 'since']
  ] as const) {
    const stream = open(query)
    t.equal((await stream.opened).status, 400, query.slice(0, 40))
    t.match(await stream.body, { code, errors: [{ parameter }] })
  }
})

const ADMITTED = [
  undefined,
  '',
  ' ',
  '*/*',
  '*',
  'text/*',
  'text/event-stream',
  'text/event-stream;charset=utf-8',
  'text/event-stream; charset=utf-8',
  'text/event-stream;charset=UTF-8',
  'Text/Event-Stream; Charset="utf-8"',
  'TEXT/EVENT-STREAM ; CHARSET=utf8',
  'text/event-stream;charset="ut\\f-8"',
  'text/event-stream;q=0.1',
  'text/event-stream;charset=utf-8;q=0.001',
  'text/event-stream;version=1',
  'text/event-stream;a="x,y;q=0";b',
  'application/json, text/event-stream;charset=utf-8',
  'application/json;q=1,*/*;q=0.1',
  'text/event-stream, */*;q=0',
  ',text/event-stream,',
  'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2',
  'text/event-stream;charset=latin1;q=0, text/event-stream',
  'text/event-stream;'
]
const REFUSED = [
  'application/json',
  'text/plain',
  'text/html;charset=utf-8',
  'application/problem+json',
  'text/event-stream;q=0',
  'text/event-stream;q=0.000',
  'text/event-stream; Q=0',
  'text/event-stream;charset=utf-8;q=0',
  'text/event-stream;q="0"',
  'text/event-stream;q=0, */*',
  '*/*;q=0',
  'text/*;q=0, */*',
  'text/event-stream;charset=iso-8859-1',
  'text/event-streams',
  'xtext/event-stream',
  'a/b;c="text/event-stream',
  '"text/event-stream"',
  'text',
  '/',
  ';'
]

t.test('Accept admits an event stream in any spelling', async (t) => {
  t.same(ADMITTED.filter((accept) => !admitsEventStream(accept)), [])
  t.same(REFUSED.filter(admitsEventStream), [])
  const service = await startService(t)
  for (const accept of ADMITTED) {
    const stream = openEventStream(`${service.url}${STREAM}`, accept === undefined ? {} : { accept })
    t.match(
      await stream.opened,
      { status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } },
      String(accept)
    )
    stream.terminate()
  }
  for (const accept of REFUSED) {
    const stream = openEventStream(`${service.url}${STREAM}`, { accept })
    t.equal((await stream.opened).status, 406, accept)
    t.equal((await stream.body).code, 'not-acceptable')
  }
})

t.test('a long Accept is read in one pass', (t) => {
  for (const piece of ['"', '"\\', ',', ';', '*,', ';a', 'text/event-stream;q=0,', '\\"', ';=', ' ']) {
    const text = piece.repeat(2 ** 17 / piece.length)
    const startedMs = performance.now()
    admitsEventStream(text)
    const ms = performance.now() - startedMs
    t.ok(ms < 2000, `128 KiB of ${JSON.stringify(piece)}: ${Math.round(ms)} ms`)
  }
  t.end()
})
