import { once } from 'node:events'
import { request as open } from 'node:http'
import { text as textOf } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { eventsOfHour } from '../../src/sandbox/history/event-generator.ts'
import { instantOf } from '../../src/sandbox/instant.ts'
import { type Fault, type Sandbox } from '../../src/sandbox/sandbox.ts'
import { eventually } from '../support/support.ts'
import { type Row, HOUR_MS, NOON_MS, started, ask, rows } from './generated-day.ts'

async function names (sandbox: Sandbox, question: Row = {}): Promise<unknown[]> {
  return (await rows(sandbox, question)).map((row) => row.n)
}

function dated (n: number | string, timestamp: string, more: Row = {}): Row {
  return { n, timestamp, ...more }
}

function minutes (count: number): Row[] {
  return Array.from({ length: count }, (_, n) => dated(n, new Date(NOON_MS + n * 60_000).toISOString()))
}

t.test('sandbox instants', async (t) => {
  t.test('an instant has full precision and any offset, and is UTC without one', async (t) => {
    const second = BigInt(Date.parse('2025-06-03T10:00:00Z')) * 1_000_000n
    t.equal(instantOf('2025-06-03T10:00:00Z'), second)
    t.equal(instantOf('2025-06-03 10:00:00'), second)
    t.equal(instantOf('2025-06-03t10:00:00z'), second)
    t.equal(instantOf('2025-06-03T12:30:00+02:30'), second)
    t.equal(instantOf('2025-06-03T07:00:00-03:00'), second)
    t.equal(instantOf('2025-06-03T10:00:00.5'), second + 500_000_000n)
    t.equal(instantOf('2025-06-03T10:00:00.000000001Z'), second + 1n)
    t.equal(instantOf('2024-02-29T00:00:00Z'), BigInt(Date.UTC(2024, 1, 29)) * 1_000_000n)
    t.equal(instantOf('1969-12-31T23:59:59.999999999Z'), -1n)
    t.equal(instantOf('0050-01-01T00:00:00Z'), BigInt(Date.parse('0050-01-01T00:00:00Z')) * 1_000_000n)
  })

  t.test('an instant is undefined for any other text', async (t) => {
    const odd = [
      '', 'yesterday', '2025-06-03', '2025-02-29T00:00:00Z', '2025-13-01T00:00:00Z', '2025-06-03T24:00:00Z',
      '2025-06-03T10:60:00Z', '2025-06-03T10:00:61Z', '2025-06-03T10:00:00.Z', '2025-06-03T10:00:00.1234567890Z',
      '2025-06-03T10:00:00+24:00', '2025-06-03T10:00:00 02:00', ' 2025-06-03T10:00:00Z', 5, null, undefined
    ]
    for (const text of odd) t.equal(instantOf(text), undefined, String(text))
  })
})

t.test('sandbox protocol', async (t) => {
  t.test('the sandbox accepts its key as UserKey and Bearer, and refuses everything else in JSON', async (t) => {
    const sandbox = await started(t, { apiKey: 'k-1' })
    for (const authorization of ['UserKey k-1', 'Bearer k-1']) {
      t.equal((await ask(sandbox, {}, '', { headers: { authorization } })).status, 200)
    }
    for (const headers of [{}, { authorization: 'k-1' }, { authorization: 'UserKey k-2' }]) {
      for (const path of ['', '/x', '/x/y']) {
        const response = await ask(sandbox, {}, path, { headers })
        t.equal(response.status, 401)
        t.match(await response.json(), { error: String, details: String, errorCode: 'INVALID_API_KEY', status: 401 })
      }
    }
  })

  t.test('the sandbox lists the newest event first, or the oldest first on request', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(3))
    t.same(await names(sandbox), [2, 1, 0])
    t.same(await names(sandbox, { sort: { timestamp: -1 } }), [2, 1, 0])
    t.same(await names(sandbox, { sort: { timestamp: 1 } }), [0, 1, 2])
  })

  t.test('the sandbox compares instants, not texts, and keeps the order of equal instants', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(
      dated('g', '2025-06-03T10:00:01Z'),
      dated('c', '2025-06-03T10:00:00.5Z'),
      dated('a', '2025-06-03T10:00:00Z'),
      dated('d', '2025-06-03T12:00:00.500+02:00'),
      dated('e', '2025-06-03 10:00:00.500000001'),
      dated('b', '2025-06-03T09:00:00.123456-01:00'),
      dated('f', '2025-06-03T10:00:00.500000001Z'),
      { n: 'none' }
    )
    const ascending = ['none', 'a', 'b', 'c', 'd', 'e', 'f', 'g']
    t.same(await names(sandbox, { sort: { timestamp: 1 } }), ascending)
    t.same(await names(sandbox, { sort: { timestamp: -1 } }), ascending.toReversed())
    const timestamp = { gte: '2025-06-03T10:00:00.5Z', lte: '2025-06-03T12:00:00.500000001+02:00' }
    t.same(await names(sandbox, { filter: { timestamp }, sort: { timestamp: 1 } }), ['c', 'd', 'e', 'f'])
    const ever = { gte: '0001-01-01T00:00:00Z' }
    t.notOk((await names(sandbox, { filter: { timestamp: ever } })).includes('none'), 'no instant, inside no bounds')
  })

  t.test('the sandbox includes both bounds', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(5))
    const at = (n: number): string => new Date(NOON_MS + n * 60_000).toISOString()
    t.same(await names(sandbox, { filter: { timestamp: { gte: at(1), lte: at(3) } } }), [3, 2, 1])
    t.same(await names(sandbox, { filter: { timestamp: { gte: at(4) } } }), [4])
    t.same(await names(sandbox, { filter: { timestamp: { lte: at(0) } } }), [0])
    t.same(await names(sandbox, { filter: { timestamp: {} } }), [4, 3, 2, 1, 0])
  })

  t.test('the sandbox filters by exact equality, also at dotted paths', async (t) => {
    const sandbox = await started(t)
    const at = '2025-06-03T10:00:00Z'
    sandbox.publish(
      dated(0, at, { category_type: 'agents', category_name: 'my-agent', extra: { tool: { name: 'x' } } }),
      dated(1, at, { category_type: 'agent', action_type: 'invoke', resource_type: 'agent', extra: null })
    )
    t.same(await names(sandbox, { filter: { category_type: 'agents' } }), [0])
    t.same(await names(sandbox, { filter: { category_type: 'agents', category_name: 'MY-AGENT' } }), [])
    t.same(await names(sandbox, { filter: { resource_type: 'agent', action_type: 'invoke' } }), [1])
    t.same(await names(sandbox, { filter: { 'extra.tool.name': 'x' } }), [0])
    t.same(await names(sandbox, { filter: { unheard_of: 'x' } }), [])
    t.same(await names(sandbox, { filter: { category_type: { $ne: 'x' } } }), [])
    t.same(await names(sandbox, { filter: { toString: null, 'constructor.name': 'Object' } }), [])
  })

  t.test('the sandbox numbers pages from 1, and caps their size before it skips', async (t) => {
    const sandbox = await started(t, { pageCap: 4 })
    sandbox.publish(minutes(10))
    const oldestFirst = { sort: { timestamp: 1 } }
    t.same(await names(sandbox, { ...oldestFirst, page: 1, page_size: 3 }), [0, 1, 2])
    t.same(await names(sandbox, { ...oldestFirst, page: 2, page_size: 3 }), [3, 4, 5])
    t.same(await names(sandbox, { ...oldestFirst, page: 2, page_size: 6 }), [4, 5, 6, 7])
    t.same(await names(sandbox, { ...oldestFirst, page: 9, page_size: 3 }), [])
    sandbox.quirks.offsetBy = 'asked'
    t.same(await names(sandbox, { ...oldestFirst, page: 2, page_size: 6 }), [6, 7, 8, 9])
  })

  t.test('the sandbox serves 50 rows by default, and at most 1000', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(1500))
    t.equal((await rows(sandbox)).length, 50)
    t.equal((await rows(sandbox, { page_size: 5000 })).length, 1000)
  })

  t.test('the sandbox answers 400 to an invalid query', async (t) => {
    const sandbox = await started(t)
    const odd: Row[] = [
      { filter: '{' }, { filter: '[]' }, { filter: 'null' }, { filter: '"x"' }, { filter: { timestamp: 'x' } },
      { filter: { timestamp: { gte: 'yesterday' } } }, { filter: { timestamp: { lte: 5 } } },
      { filter: { timestamp: { $gte: '2025-06-03T10:00:00Z' } } }, { sort: 'x' }, { sort: { timestamp: 2 } },
      { sort: { n: 1 } }, { page: 0 }, { page: 'one' }, { page_size: -1 }, { page_size: 1.5 }
    ]
    for (const question of odd) {
      const response = await ask(sandbox, question)
      t.equal(response.status, 400, JSON.stringify(question))
      t.match(await response.json(), { error: String, details: String, status: 400 })
    }
    const twice = await fetch(`${sandbox.url}/api/v1/auditing/items?page=1&page=2`, {
      headers: { authorization: `UserKey ${sandbox.apiKey}` }
    })
    t.equal(twice.status, 400)
  })

  t.test('the sandbox serves under a path prefix, and no other path', async (t) => {
    const sandbox = await started(t, { prefix: '/gw/kubiya/' })
    sandbox.publish(minutes(1))
    t.match(sandbox.url, /^http:\/\/127\.0\.0\.1:\d+\/gw\/kubiya$/)
    t.same(await names(sandbox), [0])
    const { origin } = new URL(sandbox.url)
    const headers = { authorization: `UserKey ${sandbox.apiKey}` }
    t.equal((await fetch(`${origin}/api/v1/auditing/items`, { headers })).status, 404)
    t.equal((await fetch(`${sandbox.url}/api/v1/auditing/items/`, { method: 'POST', headers })).status, 404)
  })

  t.test('the sandbox sends its own time in Date', async (t) => {
    const sandbox = await started(t, { now: () => NOON_MS })
    t.equal((await ask(sandbox)).headers.get('date'), new Date(NOON_MS).toUTCString())
    sandbox.quirks.clockSkewMs = 300_000
    t.equal((await ask(sandbox)).headers.get('date'), new Date(NOON_MS + 300_000).toUTCString())
  })
})

t.test('published items', async (t) => {
  t.test('a published item is visible at once, and later changes of its object are not', async (t) => {
    const sandbox = await started(t)
    const late = dated('late', '2020-01-01T00:00:00Z')
    sandbox.publish(dated('ahead', '2999-01-01T00:00:00Z'), late)
    late.n = 'changed'
    t.same(await names(sandbox), ['ahead', 'late'])
  })

  t.test('a published item is returned field by field', async (t) => {
    const sandbox = await started(t)
    const item = { timestamp: '2025-06-03T10:00:00Z', extra: { text: 'é ✅ עברית', deep: [1, { a: null }] }, version: 1 }
    sandbox.publish(item)
    t.same(await rows(sandbox), [item])
  })

  t.test('a raw item is returned exactly as its text', async (t) => {
    const sandbox = await started(t, { ids: 'id' })
    const texts = [
      '{"timestamp":"2025-06-03T10:00:00Z", "big":12345678901234567890,"__proto__":{"a":1},"a":1,"a":2}',
      '{"timestamp":"2025-06-03T10:00:01Z","half":"\\ud83d"}',
      '42'
    ]
    for (const text of texts) sandbox.publishRaw(text)
    const response = await ask(sandbox, { sort: { timestamp: 1 } })
    t.equal(await response.text(), `[${texts[2]},${texts[0]},${texts[1]}]`)
  })

  t.test('published items can be removed, and published in arrays', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(100_000), dated('odd', '2020-01-01T00:00:00Z'))
    t.equal(sandbox.remove((item) => (item as Row).n !== 'odd'), 100_000)
    t.same(await names(sandbox), ['odd'])
  })
})

t.test('quirks', async (t) => {
  t.test('the quirk sessionFilter decides which session key works', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(dated(0, '2025-06-03T10:00:00Z', { extra: { session_id: 's' } }))
    const works = async (): Promise<boolean[]> => [
      (await rows(sandbox, { filter: { 'extra.session_id': 's' } })).length === 1,
      (await rows(sandbox, { filter: { session_id: 's' } })).length === 1
    ]
    t.same(await works(), [true, false])
    sandbox.quirks.sessionFilter = 'session_id'
    t.same(await works(), [false, true])
    sandbox.quirks.sessionFilter = 'both'
    t.same(await works(), [true, true])
    t.same(await rows(sandbox, { filter: { session_id: 'other' } }), [])
    sandbox.quirks.sessionFilter = 'neither'
    t.same(await works(), [false, false])
  })

  t.test('the quirk shape wraps the list', async (t) => {
    const sandbox = await started(t, { shape: 'items' })
    sandbox.publish(minutes(1))
    t.match(await rows(sandbox), { items: [{ n: 0 }], pagination: Object, success: true })
    sandbox.quirks.shape = 'data'
    t.match(await rows(sandbox), { data: [{ n: 0 }] })
  })

  t.test('the quirk empty decides the form of an empty list', async (t) => {
    const sandbox = await started(t)
    t.equal(await (await ask(sandbox)).text(), '[]')
    sandbox.quirks.empty = 'null'
    t.equal(await (await ask(sandbox)).text(), 'null')
    sandbox.quirks.empty = 'items-null'
    t.equal(await (await ask(sandbox)).text(), '{"items":null}')
    sandbox.quirks.empty = '204'
    t.equal((await ask(sandbox)).status, 204)
    Object.assign(sandbox.quirks, { shape: 'data', empty: 'array' })
    t.equal(await (await ask(sandbox)).text(), '{"data":[]}')
  })

  t.test('the quirk ids computes ids from the item alone', async (t) => {
    const sandbox = await started(t)
    const other = await started(t, { ids: '_id' })
    sandbox.publish(minutes(2))
    other.publish(minutes(2).toReversed())
    t.notOk((await rows(sandbox)).some((row) => 'id' in row), 'none by default')
    for (const ids of ['id', 'audit_id', 'event_id', '_id'] as const) {
      sandbox.quirks.ids = ids
      for (const row of await rows(sandbox)) t.match(row[ids], /^[0-9a-f]{24}$/)
    }
    t.same(await rows(sandbox), await rows(other))
    sandbox.publish({ _id: 'mine', timestamp: '2999-01-01T00:00:00Z' }, {})
    const all = await rows(sandbox)
    t.equal(all[0]?._id, 'mine')
    t.same(Object.keys(all.at(-1) ?? {}), ['_id'])
  })

  t.test('the quirk ids can be limited to a third of the items', async (t) => {
    const sandbox = await started(t, { ids: 'some' })
    sandbox.publish(minutes(900))
    const withId = (await rows(sandbox, { page_size: 1000 })).filter((row) => 'id' in row).length
    t.ok(withId > 200 && withId < 400, String(withId))
  })

  t.test('the quirk byId decides the answer by id', async (t) => {
    const sandbox = await started(t, { ids: 'id' })
    sandbox.publish(minutes(3), { audit_id: 'a/b 1', n: 'own' }, { id: 7, n: 'seven' })
    const [, , row] = await rows(sandbox)
    t.same(await (await ask(sandbox, {}, `/${row?.id}`)).json(), row)
    t.match(await (await ask(sandbox, {}, '/a%2Fb%201')).json(), { n: 'own' })
    t.match(await (await ask(sandbox, {}, '/7')).json(), { n: 'seven' })
    t.equal((await ask(sandbox, {}, '/nothing')).status, 404)
    t.equal((await ask(sandbox, {}, '/%ZZ')).status, 404)
    t.match(sandbox.requests.at(-1), { path: /%ZZ$/, status: 404 })
    for (const byId of ['404', '405', '501'] as const) {
      sandbox.quirks.byId = byId
      t.equal((await ask(sandbox, {}, `/${row?.id}`)).status, Number(byId))
    }
    for (const byId of ['null', '[]', '{}'] as const) {
      sandbox.quirks.byId = byId
      t.equal(await (await ask(sandbox, {}, `/${row?.id}`)).text(), byId)
    }
    sandbox.quirks.byId = 'html'
    t.match((await ask(sandbox, {}, `/${row?.id}`)).headers.get('content-type'), /^text\/html/)
  })

  t.test('the quirk ignore disables parts of a query', async (t) => {
    const sandbox = await started(t, { ignore: new Set(['filter']) })
    sandbox.publish(minutes(3))
    const lte = new Date(NOON_MS).toISOString()
    const question = { filter: { n: 5, timestamp: { lte } }, sort: { timestamp: 1 }, page: 2, page_size: 1 }
    t.same(await names(sandbox, question), [])
    sandbox.quirks.ignore.add('page')
    t.same(await names(sandbox, question), [0])
    sandbox.quirks.ignore.add('sort').add('bounds')
    t.same(await names(sandbox, question), [2])
    sandbox.quirks.ignore.clear()
    t.same(await names(sandbox, { ...question, filter: {} }), [1])
  })

  t.test('the quirk rateLimit limits requests, and reports it', async (t) => {
    let nowMs = NOON_MS
    const sandbox = await started(t, { now: () => nowMs, rateLimit: { perMinute: 2 } })
    const first = await ask(sandbox)
    t.equal(first.headers.get('x-ratelimit-limit'), '2')
    t.equal(first.headers.get('x-ratelimit-remaining'), '1')
    t.equal(first.headers.get('x-ratelimit-reset'), String(NOON_MS / 1000 + 60))
    t.equal((await ask(sandbox)).status, 200)
    nowMs += 20_000
    const refused = await ask(sandbox)
    t.equal(refused.status, 429)
    t.equal(refused.headers.get('retry-after'), '40')
    nowMs += 40_000
    t.equal((await ask(sandbox)).status, 200)
    sandbox.quirks.rateLimit = undefined
    t.equal((await ask(sandbox)).headers.get('x-ratelimit-limit'), null)
  })
})

t.test('faults', async (t) => {
  t.test('a queued fault meets the next requests, and no others', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'status', status: 503 }, 2)
    sandbox.faults.next({ kind: 'status', status: 429, headers: { 'Retry-After': '7' }, body: '{"msg":"slow down"}' })
    t.equal((await ask(sandbox)).status, 503)
    t.match(await (await ask(sandbox)).json(), { status: 503, errorCode: String })
    const throttled = await ask(sandbox)
    t.equal(throttled.headers.get('retry-after'), '7')
    t.same(await throttled.json(), { msg: 'slow down' })
    t.equal((await ask(sandbox)).status, 200)
  })

  t.test('a lasting fault meets all requests until it is ended or cleared', async (t) => {
    const sandbox = await started(t)
    const end = sandbox.faults.during({ kind: 'status', status: 500 })
    sandbox.faults.next({ kind: 'status', status: 502 })
    t.equal((await ask(sandbox)).status, 502, 'the queued one first')
    t.equal((await ask(sandbox)).status, 500)
    t.equal((await ask(sandbox)).status, 500)
    end()
    end()
    t.equal((await ask(sandbox)).status, 200)
    sandbox.faults.during({ kind: 'status', status: 500 })
    sandbox.faults.next({ kind: 'status', status: 502 }, 9)
    sandbox.faults.clear()
    t.equal((await ask(sandbox)).status, 200)
  })

  t.test('a fault may be limited to some requests', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'status', status: 500, when: ({ query }) => query.page === 2 })
    t.equal((await ask(sandbox, { page: 1 })).status, 200)
    t.equal((await ask(sandbox, { page: 2 })).status, 500)
    t.equal((await ask(sandbox, { page: 2 })).status, 200)
  })

  t.test('a fault replaces the body', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(1))
    const answered = async (fault: Fault): Promise<string> => {
      sandbox.faults.next(fault)
      const response = await ask(sandbox)
      t.equal(response.status, 200)
      return await response.text()
    }
    t.match(await answered({ kind: 'html' }), /^<!doctype html>/)
    t.equal(await answered({ kind: 'empty-body' }), '')
    t.equal(await answered({ kind: 'body', body: 'null' }), 'null')
    t.equal(await answered({ kind: 'body', body: '{"no": "rows' }), '{"no": "rows')
    const cut = await answered({ kind: 'truncated' })
    t.match(cut, /^\[\{"n":0,/)
    t.throws(() => JSON.parse(cut))
    sandbox.faults.next({ kind: 'mutate', change: (rows) => [...rows, ...rows, 'x'] })
    t.match(await rows(sandbox), [{ n: 0 }, { n: 0 }, 'x'])
  })

  t.test('a fault redirects', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'redirect', location: 'https://elsewhere.test/login' })
    const response = await ask(sandbox)
    t.equal(response.status, 302)
    t.equal(response.headers.get('location'), 'https://elsewhere.test/login')
  })

  t.test('a fault delays the answer', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(1))
    sandbox.faults.next({ kind: 'delay', delayMs: 60 })
    const since = performance.now()
    t.same(await names(sandbox), [0])
    t.ok(performance.now() - since >= 55)
  })

  t.test('a fault holds the answer until an event', async (t) => {
    const sandbox = await started(t)
    sandbox.publish(minutes(1))
    let release = () => {}
    sandbox.faults.next({ kind: 'held', until: new Promise<void>((resolve) => { release = resolve }) })
    let isAnswered = false
    const held = names(sandbox).finally(() => { isAnswered = true })
    await eventually('it is asked', () => sandbox.inFlight() === 1)
    sandbox.publish(minutes(2).slice(1))
    t.same([isAnswered, await names(sandbox), isAnswered], [false, [1, 0], false])
    release()
    t.same(await held, [1, 0], 'as things are then')
  })

  t.test('a fault resets the connection', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'reset' })
    const request = open(`${sandbox.url}/api/v1/auditing/items`).end()
    const [error] = await once(request, 'error')
    t.equal(error.code, 'ECONNRESET')
    t.equal(sandbox.requests.at(-1)?.status, 0)
    t.equal((await ask(sandbox)).status, 200)
  })

  t.test('a fault holds back the answer, its body, or all but single bytes', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'hang' })
    const leaving = new AbortController()
    const hung = ask(sandbox, {}, '', { signal: leaving.signal })
    await eventually('it is asked', () => sandbox.inFlight() === 1)
    leaving.abort()
    await t.rejects(hung)
    await eventually('the sandbox has noticed', () => sandbox.inFlight() === 0)
    sandbox.faults.next({ kind: 'headers-then-silence' })
    const request = open(`${sandbox.url}/api/v1/auditing/items`).end()
    const [silent] = await once(request, 'response')
    t.equal(silent.statusCode, 200)
    t.equal(sandbox.inFlight(), 1)
    request.destroy()
    sandbox.faults.next({ kind: 'trickle', everyMs: 5 })
    const reader = (await ask(sandbox)).body?.getReader()
    let read = ''
    while (read.length < 4) read += Buffer.from((await reader?.read())?.value ?? []).toString()
    t.match(read, /^\[ +$/)
    await reader?.cancel()
  })

  t.test('a fault sends too much, plain and compressed', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'huge', bytes: 3_000_000 })
    const huge = await (await ask(sandbox)).text()
    t.equal(huge.length, 3_000_000)
    t.equal(JSON.parse(huge).length, 1)
    sandbox.faults.next({ kind: 'gzip-bomb', bytes: 20_000_000 }, 2)
    t.equal((await (await ask(sandbox)).text()).length, 20_000_000)
    const [bomb] = await once(open(`${sandbox.url}/api/v1/auditing/items`).end(), 'response')
    t.equal(bomb.headers['content-encoding'], 'gzip')
    const packed = Buffer.from(await textOf(bomb.setEncoding('latin1')), 'latin1')
    t.ok(packed.length < 30_000, String(packed.length))
    t.equal(gunzipSync(packed).length, 20_000_000)
  })

  t.test('a fault ends with the sandbox, and with its reader', async (t) => {
    const sandbox = await started(t)
    sandbox.faults.next({ kind: 'huge', bytes: 1e12 })
    await (await ask(sandbox)).body?.cancel()
    sandbox.faults.next({ kind: 'hang' })
    sandbox.faults.next({ kind: 'trickle' })
    sandbox.faults.next({ kind: 'delay', delayMs: 600_000 })
    const held = [ask(sandbox), ask(sandbox).then((response) => response.text()), ask(sandbox)]
    const ends = Promise.allSettled(held)
    while (sandbox.asked < 4) await new Promise((resolve) => setImmediate(resolve))
    await sandbox.close()
    for (const end of await ends) t.equal(end.status, 'rejected')
    t.equal(sandbox.inFlight(), 0)
  })
})

t.test('request log', async (t) => {
  t.test('the request log has each request and its status', async (t) => {
    const sandbox = await started(t, { now: () => NOON_MS })
    await ask(sandbox, { filter: { category_type: 'ai' }, sort: { timestamp: 1 }, page: 2, page_size: 9 })
    await ask(sandbox, { filter: '{' }, '/some%20id', { headers: { 'x-organization-id': 'acme' } })
    t.match(sandbox.requests[0], {
      at: NOON_MS,
      method: 'GET',
      path: '/api/v1/auditing/items',
      search: /page=2&page_size=9$/,
      query: { filter: { category_type: 'ai' }, sort: { timestamp: 1 }, page: 2, pageSize: 9 },
      headers: { authorization: `UserKey ${sandbox.apiKey}` },
      status: 200
    })
    t.match(sandbox.requests[1], { path: /some%20id$/, headers: { 'x-organization-id': 'acme' }, status: 401 })
    t.same(sandbox.requests[1]?.query, { filter: undefined, sort: undefined, page: undefined, pageSize: undefined })
    sandbox.resetRequests()
    t.same([sandbox.requests.length, sandbox.asked, sandbox.mostInFlight()], [0, 0, 0])
  })

  t.test('the request log counts the requests in flight', async (t) => {
    const sandbox = await started(t)
    await ask(sandbox)
    await ask(sandbox)
    t.equal(sandbox.inFlight(), 0)
    t.equal(sandbox.mostInFlight(), 1)
    sandbox.faults.next({ kind: 'hang' }, 3)
    const gone = new AbortController()
    const held = Promise.allSettled([1, 2, 3].map(() => ask(sandbox, {}, '', { signal: gone.signal })))
    while (sandbox.inFlight() < 3) await new Promise((resolve) => setImmediate(resolve))
    gone.abort()
    await held
    while (sandbox.inFlight() > 0) await new Promise((resolve) => setImmediate(resolve))
    t.equal(sandbox.mostInFlight(), 3)
    t.equal(sandbox.asked, 5)
  })
})

t.test('generated day', async (t) => {
  const HOUR = Math.floor(NOON_MS / HOUR_MS)

  t.test('the generated day continues into the future: old events stay, and new ones are newer', async (t) => {
    let nowMs = NOON_MS
    const sandbox = await started(t, { history: 'day', now: () => nowMs })
    const restarted = await started(t, { history: 'day', now: () => nowMs })
    const filter = { timestamp: { gte: new Date(NOON_MS - 600_000).toISOString() } }
    const question = { filter, sort: { timestamp: 1 }, page_size: 1000 }
    const before = await rows(sandbox, question)
    nowMs += 300_000
    const after = await rows(sandbox, question)
    t.ok(after.length - before.length > 20, 'new events every few seconds')
    t.same(after.slice(0, before.length), before)
    t.same(await rows(restarted, question), after)
    const newest = instantOf((await rows(sandbox, { page_size: 1 }))[0]?.timestamp) ?? 0n
    t.ok(newest <= BigInt(nowMs) * 1_000_000n && newest > BigInt(nowMs - 15_000) * 1_000_000n)
  })

  t.test('the generated day has 24 full hours, merged with published items', async (t) => {
    const sandbox = await started(t, { history: 'day', now: () => NOON_MS })
    const [oldest] = await rows(sandbox, { sort: { timestamp: 1 }, page_size: 1 })
    const firstMs = (HOUR - 24) * HOUR_MS
    const oldestMs = Date.parse(String(oldest?.timestamp))
    t.ok(oldestMs >= firstMs && oldestMs < firstMs + 15_000, String(oldest?.timestamp))
    const neighbour = (await rows(sandbox, { page_size: 10 }))[5]
    sandbox.publish({ n: 'twin', timestamp: neighbour?.timestamp })
    const descending = await rows(sandbox, { page_size: 12 })
    t.match(descending.slice(5, 7), [{ n: 'twin' }, neighbour ?? {}])
    const filter = { timestamp: { gte: descending[11]?.timestamp } }
    t.same(await rows(sandbox, { filter, sort: { timestamp: 1 } }), descending.toReversed())
  })

  t.test('the generated day has every event once on its pages, in order', async (t) => {
    const sandbox = await started(t, { history: 'day', now: () => NOON_MS, ids: 'id' })
    const all: Row[] = []
    for (let page = 1; all.length === (page - 1) * 1000; page++) {
      all.push(...await rows(sandbox, { page, page_size: 1000 }))
    }
    t.ok(all.length > 9_000 && all.length < 30_000, String(all.length))
    t.equal(new Set(all.map((row) => row.id)).size, all.length, 'all are different')
    const instants = all.map((row) => instantOf(row.timestamp) ?? 0n)
    t.ok(instants.every((instant, at) => at === 0 || instant <= (instants[at - 1] ?? 0n)))
  })

  t.test('the generated day has sessions in a plausible order', async (t) => {
    const sessions = new Map<unknown, Row[]>()
    for (const event of eventsOfHour(1, HOUR)) {
      const id = (event.extra as Row).session_id
      if (id !== undefined) sessions.set(id, [...sessions.get(id) ?? [], event])
    }
    t.ok(sessions.size > 30, String(sessions.size))
    for (const [id, events] of sessions) {
      t.equal(new Set(events.map(({ email }) => email)).size, 1, `one user in ${String(id)}`)
      const place = (type: string): number => events.findIndex((event) => event.action_type === type)
      const asked = events.findIndex((event) => (event.extra as Row).is_user_message === true)
      if (place('received') !== -1) t.equal(place('received'), 0)
      if (asked !== -1 && place('executed') !== -1) t.ok(asked < place('executed'))
    }
  })
})
