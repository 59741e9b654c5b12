import fc from 'fast-check'
import t, { type Test } from 'tap'
import { isUsableId, isPathSafe } from '../../src/audit/upstream-id.ts'
import type { SandboxOptions } from '../../src/sandbox/sandbox.ts'
import { anyCharacter } from '../contracts/property.ts'
import { openEventStream } from '../support/event-stream.ts'
import { ago, eventually, item, startService, type Service } from '../support/support.ts'
import { exchange, head, statusOf } from './raw.ts'

// Whatever id Kubiya gives: the event is found by it, or keeps it beside a computed one. No path of Kubiya's is bent.

const EVENTS = '/api/v1/audit/events'
const UPSTREAM = '/api/v1/auditing/items'
const NEWEST_FIRST = encodeURIComponent('{"timestamp":-1}')
const BY_ID = [
  'qL+8xw==', 'user@host', 'é', 'e\u0301', 'עברית', '✅', 'a b', 'a;b&c=d,e:f$g!', '"a" \'b\'', '<script>', '{"a":[1]}',
  '...', '..a', 'Search', 'searches', 'a\u2028b', 'a\u202eb', 'a\ufeffb', '\ufffe', '__proto__', '@'.repeat(200),
  '語'.repeat(200), '😀'.repeat(100)
]
const BY_SCAN = [
  'a/b',
  'user@host/7',
  'a\\b',
  'a%2fb',
  'a%2Fb',
  '100%',
  '%252e',
  '%zz',
  '%'.repeat(200),
  'x?admin=1',
  'a#b',
  'a/search',
  'items/stream',
  'arn:aws:iam::1:role/a b/é',
  '#',
  '?page=2',
  `${'a/'.repeat(99)}bb`,
  'stream'
]
const NONE = [
  '../x',
  'x/..',
  'a//b',
  '//evil',
  '/a',
  'a/',
  'a/./b',
  '.',
  '..',
  '\\',
  'a\\..\\b',
  '..\\x',
  'https://host/x',
  '%2e',
  '%2e%2e',
  '%2E.',
  'a%2f',
  'a%2F%2e%2e%5cb',
  '%2e%2e%2f%zz',
  'search',
  'kab1.x',
  'x'.repeat(201),
  '語'.repeat(201),
  'a\u0000',
  'a\nb',
  '\u0085',
  '\u007f',
  ' a',
  'a\u00a0',
  '\u2028',
  ''
]

interface Published {
  readonly id: string
  readonly [field: string]: unknown
}

interface List {
  readonly items: Published[]
  readonly pagination: { readonly next: string | null, readonly next_cursor: string | null }
}

async function started (
  t: Test, ids: readonly unknown[], options: SandboxOptions = {}, settings: Record<string, string> = {}
): Promise<Service> {
  const service = await startService(t, settings, options)
  const newestMs = Date.now() - 60_000 // One instant for all: the first item is the newest, however long the loop takes.
  service.sandbox.publish(ids.map((id, n) => item({ id, n, timestamp: new Date(newestMs - n).toISOString() })))
  await service.settled()
  return service
}

function idsOf (items: Published[]): string[] {
  return items.map(({ id }) => id)
}

function pathOf (id: string): string {
  return `${EVENTS}/${encodeURIComponent(id)}`
}

/** Without a client that tidies up the path. */
async function asked ({ url }: Service, path: string): Promise<{ status: number, body: Published }> {
  const answer = await exchange(url, head(path))
  return { status: statusOf(answer), body: JSON.parse(answer.slice(answer.indexOf('{'), answer.lastIndexOf('}') + 1)) }
}

t.test('a path-safe id is requested from Kubiya by id', async (t) => {
  const service = await started(t, BY_ID)
  const { items } = await service.json(`${EVENTS}?sort_direction=asc`)
  t.same(new Set(idsOf(items)), new Set(BY_ID))
  t.ok(items.every((each: object) => !('upstream_id' in each)))
  await service.settled()
  for (const each of items) {
    service.sandbox.resetRequests()
    const response = await service.get(pathOf(each.id), { 'cache-control': 'no-cache' })
    t.same(await response.json(), each, JSON.stringify(encodeURIComponent(each.id)))
    const byId = service.sandbox.requests.filter(({ path }) => path !== UPSTREAM)
    t.same(byId.map(({ path, search }) => [path, search]), [[`${UPSTREAM}/${encodeURIComponent(each.id)}`, '']])
  }
})

for (const [where, settings] of [['the log', {}], ['the scan', { HISTORY_EVENTS: '1' }]] as const) {
  t.test(`an id that could be another path is found by ${where}, and is in no path of Kubiya's`, async (t) => {
    // The last one is all that a log of one event holds.
    const service = await started(t, ['last', ...BY_SCAN], {}, settings)
    const stream = service.stream('?start_time=-10m')
    await stream.untilEvents(BY_SCAN.length + 1)
    t.same(new Set(stream.events().map(({ id }) => id)), new Set(['last', ...BY_SCAN]), 'live too')
    service.sandbox.resetRequests()
    for (const event of stream.events().filter(({ id }) => id !== 'last')) {
      t.same(await service.json(pathOf(event.id)), event, JSON.stringify(event.id))
      const again = await service.get(pathOf(event.id))
      t.match(again.headers.get('cache-status'), /; hit/)
      t.same(await again.json(), event)
    }
    // The poller asks oldest first.
    const scanned = service.sandbox.requests.filter(({ search }) => search.includes(NEWEST_FIRST)).length
    t.ok(where === 'the log' ? scanned === 0 : scanned >= BY_SCAN.length, `${scanned} pages scanned`)
    t.equal((await service.get(pathOf('a/none'))).status, 404)
    t.same([...new Set(service.sandbox.requests.map(({ path }) => path))], [UPSTREAM])
  })
}

t.test('an event in the log is not shown after its credential was refused', async (t) => {
  const service = await started(t, ['a/b', 'a/c'])
  t.equal((await service.get(pathOf('a/b'))).status, 200)
  const end = service.sandbox.faults.during({ kind: 'status', status: 401 })
  const stream = service.stream()
  await stream.until((frame) => frame.type === 'status' && frame.upstream === 'unauthorized')
  for (const id of ['a/b', 'a/c']) t.equal((await service.get(pathOf(id))).status, 502)
  end()
  await eventually('both are found again', async () => (await service.get(pathOf('a/c'))).status === 200)
})

t.test('a usable id is searched by the scan if Kubiya finds nothing by id', async (t) => {
  const service = await started(t, [...BY_ID, ...BY_SCAN], { byId: '404' }, { HISTORY_EVENTS: '1' })
  for (const id of ['qL+8xw==', 'é', 'a/b', '語'.repeat(200)]) t.equal((await service.json(pathOf(id))).id, id)
})

t.test('an unusable id is kept beside a computed one, and never requested', async (t) => {
  const ids = [...NONE, '\ud800', 'a\udc00b', null, 1.5, true, { a: 1 }, ['a']]
  const service = await started(t, ids)
  const { items } = await service.json(`${EVENTS}?page_size=100`)
  for (const [n, id] of ids.entries()) {
    const event = items.find((each: Published) => each.n === n)
    t.same(event.upstream_id, id, encodeURI(JSON.stringify(id)))
    t.match(event.id, /^kab1\.\d+\.[\w-]{22}$/)
    t.same(await service.json(`${EVENTS}/${event.id}`), event)
  }
  await service.settled()
  for (const id of NONE.filter((each) => each !== '' && each !== 'search')) {
    const { body, status } = await asked(service, pathOf(id))
    t.ok([400, 404].includes(status), `${encodeURIComponent(id).slice(0, 40)}: ${status}`)
    t.match(body, { status, code: /^[a-z-]+$/ })
  }
  const { requests } = service.sandbox
  t.same(
    requests.filter(({ path, search }) => path !== UPSTREAM || search.includes(NEWEST_FIRST)),
    [],
    'but the poller'
  )
})

t.test('a path that cannot be decoded, or is too long, is a problem', async (t) => {
  const service = await started(t, [])
  const faulty = ['%', '%2', '%zz', '%C3', '%FF', '%ED%A0%80', '%c0%ae%c0%ae', 'a%2'].map((
    id
  ) => [id, 400, 'invalid-request'])
  const long = ['%E8%AA%9E', '%61', 'x'].map((unit) => [unit.repeat(201), 400, 'invalid-parameter'])
  for (const [id, status, code] of [...faulty, ...long, ['x'.repeat(8192), 400, 'invalid-request']]) {
    const answer = await asked(service, `${EVENTS}/${id}`)
    t.match(answer, { status, body: { status, code } }, String(id).slice(0, 20))
  }
  t.same(service.sandbox.requests.filter(({ path }) => path !== UPSTREAM), [])
})

t.test('an id is found by text', async (t) => {
  const service = await started(t, ['a/b', 'qL+8xw==', 'user@host/7', '../x', '..%2fx'])
  for (
    const [text, found] of [
      ['QL+8XW==', { id: 'qL+8xw==' }],
      ['host/7', { id: 'user@host/7' }],
      ['../X', { id: /^kab1\./, upstream_id: '../x' }]
    ] as const
  ) {
    const { items } = await service.json(`${EVENTS}/search?text=${encodeURIComponent(text)}`)
    t.match(items, [found], text)
    t.equal(items.length, 1)
  }
})

t.test('the fields upstream_id and upstream_id_2 stay unchanged, and equal items stay two', async (t) => {
  const service = await startService(t)
  const twin = item({ id: '../x', upstream_id: 'theirs', upstream_id_2: null, timestamp: ago(60_000) })
  const counted = item({ id: 42, upstream_id: 'theirs', timestamp: ago(50_000) })
  service.sandbox.publish(twin, twin, counted, item({ id: '..', _id: 'a/b', timestamp: ago(40_000) }))
  await service.settled()
  const { items } = await service.json(`${EVENTS}?sort_direction=asc`)
  t.match(items, [
    { id: /^kab1\.\d+\.[\w-]{22}$/, upstream_id: 'theirs', upstream_id_2: null, upstream_id_3: '../x' },
    { id: /^kab1\..*\.2$/, upstream_id: 'theirs', upstream_id_2: null, upstream_id_3: '../x' },
    { id: '42', upstream_id: 'theirs' },
    { id: 'a/b', _id: 'a/b', upstream_id: '..' }
  ])
  for (const each of items) t.same(await service.json(pathOf(each.id)), each)
})

t.test('pages and streams continue after the longest id', async (t) => {
  const longest = ['語', '界', '人', '山', '川'].map((letter) => letter.repeat(200))
  const timestamp = ago(60_000)
  const service = await startService(t, { HISTORY_EVENTS: '2' })
  service.sandbox.publish([
    ...longest.toReversed().map((id) => item({ id, timestamp })),
    item({ timestamp: undefined })
  ])
  await service.settled()
  const met: string[] = []
  let next: string | null = `${EVENTS}?page_size=1&sort_direction=asc&start_time=-1h`
  while (next !== null) {
    const response: Response = await service.get(next)
    const { items, pagination } = await response.json() as List
    met.push(...idsOf(items))
    next = pagination.next
    const link = response.headers.get('link')
    if (next !== null) t.equal(link, `<?cursor=${pagination.next_cursor}>; rel="next"`)
    t.ok((link ?? '').length <= 2000)
  }
  t.same(met.filter((id) => longest.includes(id)), [...longest].sort())
  const given: string[] = []
  let lastEventId: string | undefined
  while (given.length < longest.length) {
    const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
    const stream = openEventStream(`${service.url}/api/v1/audit/stream?start_time=-10m`, headers)
    t.teardown(stream.terminate)
    const frame = await stream.until(({ type }) => type === 'event')
    if (frame.type !== 'event') throw new Error('no event')
    stream.terminate()
    t.ok(frame.cursor.length < 5000, `${frame.cursor.length} characters`)
    lastEventId = frame.cursor
    given.push(frame.event.id)
  }
  t.same(given, [...longest].sort(), 'one a connection, none twice')
})

t.test('every usable id is the same in the list and from a path', async (t) => {
  const tricky = fc.constantFrom(
    ..."/\\.%25eEfFcC?#;:+&= ~*('!é語\u2028\u202e😀",
    '%2e',
    '%2F',
    '%5c',
    'search',
    'kab1.'
  )
  const anyText = fc.oneof(fc.string({ unit: anyCharacter, maxLength: 200 }), fc.string({ unit: tricky, maxLength: 20 }))
  const ids = [...new Set(fc.sample(anyText.filter(isUsableId), { numRuns: 80, seed: 7 }))]
  const service = await started(t, ids)
  const { items } = await service.json(`${EVENTS}?page_size=100`)
  t.same(new Set(idsOf(items)), new Set(ids))
  service.sandbox.resetRequests()
  for (const id of ids) {
    const response = await service.get(pathOf(id), { 'cache-control': 'no-cache' })
    t.equal((await response.json() as { id: string }).id, id, encodeURIComponent(id))
  }
  const byId = service.sandbox.requests.filter(({ path }) => path !== UPSTREAM)
  t.same(byId.map(({ path }) => path), ids.filter(isPathSafe).map((id) => `${UPSTREAM}/${encodeURIComponent(id)}`))
})

t.test('log lines stay short', async (t) => {
  const service = await started(t, ['語'.repeat(200)])
  t.equal((await service.get(pathOf('語'.repeat(200)))).status, 200)
  await eventually('it is logged', () => service.logs.some(({ path }) => String(path).includes('%E8')))
  for (const { path } of service.logs.filter(({ msg }) => msg === 'request')) t.ok(String(path).length <= 513)
})
