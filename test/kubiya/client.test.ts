import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import t from 'tap'
import { parseInstant, type Instant } from '../../src/audit/instant.ts'
import { pauseIfDue } from '../../src/audit/time-slice.ts'
import { writeJson, type JsonObject } from '../../src/audit/exact-json.ts'
import type { FailureKind, Purpose, SourceQuery } from '../../src/audit/source.ts'
import { readBody } from '../../src/kubiya/http-agent.ts'
import { createRequestBudget } from '../../src/kubiya/request-budget.ts'
import { systemClock } from '../../src/clock.ts'
import { type KubiyaClient } from '../../src/kubiya/client.ts'
import { failureOfError, failureOfStatus, isWorthAnotherTry, parseRetryAfter } from '../../src/kubiya/failure.ts'
import { createListParser } from '../../src/kubiya/list-parser.ts'
import { listParameters, listUrl } from '../../src/kubiya/list-request.ts'
import { identifyElement, readEvent } from '../../src/kubiya/response.ts'
import { startSandbox, type Fault, type Sandbox } from '../../src/sandbox/sandbox.ts'
import { auditSourceContract } from '../contracts/audit-source.ts'
import { holds } from '../contracts/property.ts'
import { mostWithin } from '../support/day.ts'
import { eventually } from '../support/support.ts'
import { CALLER, POLLER } from '../support/purposes.ts'
import { KEY, question, unlimited, started, kindOf, readListing, createPolledReader } from './started-client.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

function at (text: string): Instant {
  return parseInstant(text) ?? 0n
}

t.test('list URL', async (t) => {
  t.test('the list URL is the same for every spelling of the base, and keeps a path prefix', async (t) => {
    for (
      const base of [
        'https://api.kubiya.test',
        'https://api.kubiya.test/',
        'https://api.kubiya.test/api/v1',
        'https://api.kubiya.test/api/v1/',
        'https://api.kubiya.test//'
      ]
    ) {
      t.equal(listUrl(base).href, 'https://api.kubiya.test/api/v1/auditing/items', base)
    }
    for (
      const base of [
        'http://gw.test:8080/kubiya',
        'http://gw.test:8080/kubiya/',
        'http://gw.test:8080/kubiya/api/v1//',
        'http://gw.test:8080/kubiya?x=1#y'
      ]
    ) {
      t.equal(listUrl(base).href, 'http://gw.test:8080/kubiya/api/v1/auditing/items', base)
    }
    t.equal(listUrl('https://api.kubiya.test/myapi/v1').pathname, '/myapi/v1/api/v1/auditing/items')
  })
})

t.test('list parameters', async (t) => {
  const spelled = (
    query: Partial<SourceQuery>,
    spelling: 'extra.session_id' | 'session_id' | 'local' = 'extra.session_id'
  ) => Object.fromEntries(listParameters(question(query), spelling))

  t.test('list parameters are those of the public clients: compact JSON, page from 1, page size', async (t) => {
    const window = { start: at('2025-06-01T00:00:00Z'), end: at('2025-06-02T00:00:00Z') }
    t.same(spelled({ window, filter: { category_type: 'agents' } }), {
      filter: '{"timestamp":{"gte":"2025-06-01T00:00:00Z","lte":"2025-06-02T00:00:00Z"},"category_type":"agents"}',
      sort: '{"timestamp":-1}',
      page: '1',
      page_size: '50'
    })
    t.same(spelled({ direction: 'asc', page: 3, pageSize: 1000 }), {
      sort: '{"timestamp":1}',
      page: '3',
      page_size: '1000'
    })
  })

  t.test('list parameters have bounds that are rounded outward to whole seconds', async (t) => {
    const window = { start: at('2025-06-01T00:00:00.999999999Z'), end: at('2025-06-02T00:00:00.000000001Z') }
    t.equal(spelled({ window }).filter, '{"timestamp":{"gte":"2025-06-01T00:00:00Z","lte":"2025-06-02T00:00:01Z"}}')
    t.equal(
      spelled({ window: { end: at('1969-12-31T23:59:58.5Z') } }).filter,
      '{"timestamp":{"lte":"1969-12-31T23:59:59Z"}}'
    )
  })

  t.test('list parameters contain every field that Kubiya filters, and never text or status', async (t) => {
    const filter = {
      category_type: 'a',
      category_name: 'b',
      resource_type: 'c',
      action_type: 'd',
      session_id: 's',
      status: 'failed' as const,
      text: 'x'
    }
    const fields = '"category_type":"a","category_name":"b","resource_type":"c","action_type":"d"'
    t.equal(spelled({ filter }).filter, `{${fields},"extra.session_id":"s"}`)
    t.equal(spelled({ filter }, 'session_id').filter, `{${fields},"session_id":"s"}`)
    t.equal(spelled({ filter }, 'local').filter, `{${fields}}`)
    t.same(Object.keys(spelled({ filter: { text: 'x', status: 'success' } })), ['sort', 'page', 'page_size'])
  })

  t.test('list parameters escape any value', async (t) => {
    holds(
      t,
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (value) => {
        const parameters = new URLSearchParams(
          listParameters(question({ filter: { category_type: value } }), 'local').toString()
        )
        return [...parameters.keys()].join() === 'filter,sort,page,page_size' &&
          JSON.stringify({ category_type: value }) === parameters.get('filter')
      })
    )
  })
})

t.test('list answer', async (t) => {
  const names = async (body: string) => (await readListing(body))?.events.map(({ item }) => item.n)

  t.test('a list answer is a bare array, or has it in `items` or `data`', async (t) => {
    for (
      const body of [
        '[{"n":1},{"n":2}]',
        ' {"items":[{"n":1},{"n":2}],"success":true}',
        '{"data":[{"n":1},{"n":2}]}',
        '{"items":[{"n":1},{"n":2}],"data":null}'
      ]
    ) {
      t.same(await names(body), [1, 2], body)
    }
  })

  t.test('an empty list answer has several forms', async (t) => {
    for (const body of ['[]', 'null', ' null\n', '{"items":[]}', '{"items":null}', '{"data":[]}', '{"data":null}']) {
      t.same(await readListing(body), { events: [], rows: 0, noEvents: 0, unreadable: [] }, body)
    }
  })

  t.test('a list answer of any other form is not the protocol', async (t) => {
    for (
      const body of [
        '',
        ' ',
        '{}',
        '<!doctype html><html></html>',
        '[{"n":1}',
        '{"items":[{"n":1}',
        '"text"',
        '5',
        'true',
        '{"items":{}}',
        '{"items":"x"}',
        '{"data":5}',
        '{"error":"x"}',
        '{"items":[]}{}',
        '[{"n":1},]',
        '{"__proto__":{"items":[]}}'
      ]
    ) t.equal(await readListing(body), undefined, body)
  })

  t.test('a list answer counts elements that are not events, and passes unusual items through', async (t) => {
    const deep = `${'['.repeat(3000)}${']'.repeat(3000)}`
    const listing = await readListing(
      `[{"n":1},null,5,"x",[],{"n":2,"deep":${deep}},{"n":3,"extra":null,"version":"two"},{"__proto__":{"polluted":true},"n":4},{"n":5,"t":"\\ud800","big":12345678901234567890}]`
    )
    t.equal(listing?.rows, 9)
    t.equal(listing?.noEvents, 4)
    t.same(listing?.events.map(({ item }) => item.n), [1, 2, 3, 4, 5])
    t.ok(listing?.events[1]?.json.includes(deep), 'what is nested deep is an event like any other')
    t.equal(({} as Record<string, unknown>).polluted, undefined)
    t.match(listing?.events[4]?.json, /"big":12345678901234567890.*"t":"\\ud800"/)
    t.ok(Object.hasOwn(listing?.events[3]?.item ?? {}, '__proto__'))
  })

  t.test('a list answer is readable beside an element with very deep nesting', async (t) => {
    const deep = `${'{"a":['.repeat(3000)}${']}'.repeat(3000)}`
    const listing = await readListing(
      `[{"n":1,"big":9007199254740993},{"n":2,"deep":${deep},"big":9007199254740993},{"n":3}]`
    )
    t.same(listing?.events.map(({ item }) => item.n), [1, 3])
    t.equal(listing?.rows, 3)
    t.same(listing?.unreadable, [1], 'one event stands before it')
    t.match(listing?.events[0]?.json, '"big":9007199254740993')
  })

  t.test('exact duplicates are counted within one list answer', async (t) => {
    const [first, second] = (await readListing('[{"n":1},{"n":1}]'))?.events ?? []
    t.equal(second?.id, `${first?.id}.2`)
  })

  t.test('a list answer with too many rows is not the protocol', async (t) => {
    for (const row of ['{}', '1', '{"n":1}', '[]']) {
      const rows = (count: number) => `[${Array(count).fill(row).join(',')}]`
      t.match(await createListParser({ remembers: false, clock: systemClock })(rows(20), 20), { rows: 20 }, row)
      t.equal(await createListParser({ remembers: false, clock: systemClock })(rows(21), 20), undefined, row)
      t.equal(await readListing(rows(300_000)), undefined, row)
    }
  })

  t.test('a list answer may contain one event with too many values, whose position is reported', async (t) => {
    const keys = Array.from({ length: 60_000 }, (_, n) => `"k${n}":1`).join(',')
    const listing = await readListing(`{"items":[{"n":1},{${keys}},{"n":2}],"pagination":{"page":1}}`)
    t.same(listing?.events.map(({ item }) => item.n), [1, 2])
    t.same(listing?.unreadable, [1])
  })

  t.test('an event is identified and written in two turns once the slice of a turn is spent', async (t) => {
    await pauseIfDue()
    for (const endMs = performance.now() + 12; performance.now() < endMs;); // Longer than a slice.
    let isIdentified = false
    const identified = identifyElement({ id: '', text: 'a' }).then(() => { isIdentified = true })
    for (let i = 0; i < 100; i++) await Promise.resolve()
    t.notOk(isIdentified, 'it waits for another turn')
    await identified
    t.ok(isIdentified)
  })
})

t.test('repeated list answers', async (t) => {
  t.test('long elements are remembered too, and distinguished at equal length', async (t) => {
    const read = createPolledReader()
    const long = (n: number) => `{"n":${n},"text":"${'x'.repeat(20_000)}${n}"}`
    const before = (await read(`[${long(1)},${long(2)}]`))?.events ?? []
    const after = (await read(`[${long(3)},${long(2)},${long(1)}]`))?.events ?? []
    t.same(after.map(({ item }) => item.n), [3, 2, 1])
    t.equal(after[1], before[1])
    t.equal(after[2], before[0])
  })

  t.test('a damaged list answer is rejected, however many of its elements are known', async (t) => {
    for (
      const body of [
        '[{"n":1},{"n":2}',
        '[{"n":1}{"n":2}]',
        '[{"n":1},]',
        '[{"n":1},{"n":2},{"n":3]',
        '[{"n":1},{"n":2}]]',
        '[{"n":1},{"n":2}],'
      ]
    ) {
      const read = createPolledReader()
      await read('[{"n":1},{"n":2}]')
      t.equal(await read(body), undefined, body)
      t.same(
        (await read('[{"n":1},{"n":2}]'))?.events.map(({ item }) => item.n),
        [1, 2],
        'and do no harm to what follows'
      )
    }
  })
})

t.test('answer by id', async (t) => {
  t.test('an answer by id is the event, bare or wrapped', async (t) => {
    for (
      const body of [
        '{"timestamp":"2025-06-03T10:00:00Z","n":1}',
        '[{"timestamp":"2025-06-03T10:00:00Z","n":1}]',
        '{"items":[{"timestamp":"2025-06-03T10:00:00Z","n":1}]}',
        '{"data":[{"timestamp":"2025-06-03T10:00:00Z","n":1}]}',
        '{"item":{"timestamp":"2025-06-03T10:00:00Z","n":1}}',
        '{"data":{"timestamp":"2025-06-03T10:00:00Z","n":1}}',
        '{"id":"a-1","timestamp":"2025-06-03T10:00:00Z","n":1}'
      ]
    ) {
      const event = readEvent(body, 'a-1')
      t.ok(typeof event === 'object', body)
      if (typeof event === 'object') {
        t.same([event.id, event.instant, event.item.n], ['a-1', at('2025-06-03T10:00:00Z'), 1])
      }
    }
  })

  t.test('an answer by id says nothing if it is empty, HTML, or another event', async (t) => {
    for (
      const body of [
        'null',
        '[]',
        '{}',
        '<html>',
        '  <!doctype html>',
        '{"items":[]}',
        '{"data":null}',
        '{"id":"b-2","timestamp":"2025-06-03T10:00:00Z"}'
      ]
    ) {
      t.equal(readEvent(body, 'a-1'), 'none', body)
    }
  })

  t.test('an answer by id of any other form is not the protocol', async (t) => {
    for (const body of ['', '{"timestamp":', '5', '"x"', '{"error":"boom"}', '{"success":false}']) {
      t.equal(readEvent(body, 'a-1'), undefined, body)
    }
  })
})

t.test('failure', async (t) => {
  t.test('the kind of a failure follows the status, and a temporary failure has the requested wait', async (t) => {
    const kinds = {
      301: 'invalid',
      302: 'invalid',
      400: 'invalid',
      401: 'unauthorized',
      403: 'forbidden',
      404: 'invalid',
      418: 'invalid',
      429: 'throttled',
      500: 'unavailable',
      502: 'unavailable',
      503: 'unavailable',
      504: 'unavailable'
    }
    for (const [status, kind] of Object.entries(kinds)) {
      t.equal(failureOfStatus(Number(status), undefined).kind, kind, status)
    }
    t.same([429, 503, 401, 400].map((status) => failureOfStatus(status, 1500).retryAfterMs), [
      1500,
      1500,
      undefined,
      undefined
    ])
  })

  t.test('the kind of a failure follows the exception', async (t) => {
    const named = (name: string, code?: string) =>
      Object.assign(new Error('x'), { name }, code === undefined ? {} : { code })
    for (
      const [error, kind] of [
        [named('TimeoutError'), 'timeout'],
        [named('AbortError'), 'timeout'],
        [named('ConnectTimeoutError', 'UND_ERR_CONNECT_TIMEOUT'), 'timeout'],
        [named('Error', 'ETIMEDOUT'), 'timeout'],
        [new TypeError('fetch failed', { cause: named('HeadersTimeoutError') }), 'timeout'],
        [named('Error', 'Z_DATA_ERROR'), 'invalid'],
        [named('Error', 'ECONNREFUSED'), 'unavailable'],
        [named('Error', 'ENOTFOUND'), 'unavailable'],
        ['odd', 'unavailable']
      ] as const
    ) t.equal(failureOfError(error).kind, kind, String(error))
  })

  t.test('a failure is retried after a lost connection, a 5xx or a 429', async (t) => {
    const kinds: FailureKind[] = [
      'unavailable',
      'throttled',
      'unauthorized',
      'forbidden',
      'budget',
      'timeout',
      'invalid',
      'too-large'
    ]
    t.same(kinds.filter((kind) => isWorthAnotherTry({ ok: false, kind })), ['unavailable', 'throttled'])
  })

  t.test('Retry-After is seconds or a date, from zero to five minutes', async (t) => {
    const now = Date.parse('Tue, 03 Jun 2025 10:00:00 GMT')
    for (
      const [header, waitMs] of [
        ['0', 0],
        ['7', 7000],
        [' 7 ', 7000],
        ['300', 300_000],
        ['99999', 300_000],
        ['-5', 0],
        ['Tue, 03 Jun 2025 10:00:30 GMT', 30_000],
        ['Tue, 03 Jun 2025 11:00:00 GMT', 300_000],
        ['Tue, 03 Jun 2025 09:00:00 GMT', 0],
        ['', undefined],
        ['soon', undefined],
        [undefined, undefined],
        [['1', '2'], undefined]
      ] as const
    ) t.equal(parseRetryAfter(header, now), waitMs, String(header))
  })
})

t.test('response body', async (t) => {
  const encodings = { gzip: gzipSync, 'x-gzip': gzipSync, GZIP: gzipSync, deflate: deflateSync, br: brotliCompressSync }

  t.test('a body is read in every HTTP content coding', async (t) => {
    t.same(
      await readBody(Readable.from([Buffer.from('caf'), Buffer.from([0xc3]), Buffer.from([0xa9])]), undefined, 100),
      { text: 'café' }
    )
    t.same(await readBody(Readable.from([Buffer.from('x')]), 'identity', 100), { text: 'x' })
    for (const [encoding, compress] of Object.entries(encodings)) {
      t.same(await readBody(Readable.from([compress('café')]), encoding, 100), { text: 'café' }, encoding)
    }
    t.equal(await readBody(Readable.from([Buffer.from('x')]), 'zstd', 100), 'unknown-encoding')
  })

  t.test('a body over the limit is cut, counted after decompression', async (t) => {
    t.same(await readBody(Readable.from([Buffer.alloc(100, 'x')]), undefined, 100), { text: 'x'.repeat(100) })
    t.equal(await readBody(Readable.from([Buffer.alloc(101, 'x')]), undefined, 100), 'too-large')
    for (const [encoding, compress] of Object.entries(encodings)) {
      const body = Readable.from([compress(Buffer.alloc(1_000_000, 'x'))])
      t.equal(await readBody(body, encoding, 100_000), 'too-large', encoding)
      t.ok(body.destroyed)
    }
  })

  t.test('a body with corrupt compression throws', async (t) => {
    await t.rejects(readBody(Readable.from([Buffer.from('no gzip')]), 'gzip', 100), { code: 'Z_DATA_ERROR' })
    await t.rejects(readBody(Readable.from([gzipSync('cut off').subarray(0, 12)]), 'gzip', 100), {
      code: 'Z_BUF_ERROR'
    })
  })
})

t.test('request budget', async (t) => {
  t.test('the request budget keeps every sliding minute and day within its limits', async (t) => {
    const demand = fc.array(
      fc.record({
        gapMs: fc.oneof(
          fc.integer({ min: 0, max: 500 }),
          fc.integer({ min: 0, max: 20 * MINUTE_MS }),
          fc.integer({ min: 0, max: 8 * 60 * MINUTE_MS })
        ),
        count: fc.integer({ min: 1, max: 60 }),
        everyMs: fc.integer({ min: 0, max: 3000 }),
        purpose: fc.constantFrom<Purpose>(CALLER, POLLER)
      }),
      { minLength: 1, maxLength: 120 }
    )
    holds(
      t,
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 400 }),
        demand,
        (perMinute, perDay, bursts) => {
          const budget = createRequestBudget({ perMinute, perDay })
          const went: number[] = []
          let nowMs = 1_750_000_000_000
          for (const { gapMs, count, everyMs, purpose } of bursts) {
            nowMs += gapMs
            for (let i = 0; i < count; i++, nowMs += everyMs) if (budget.take(purpose, nowMs) === 0) went.push(nowMs)
          }
          return mostWithin(went, MINUTE_MS) <= perMinute && mostWithin(went, DAY_MS) <= perDay
        }
      ),
      { numRuns: 150 }
    )
  })

  t.test('the request budget lasts a poller and callers for a day, and most of it is used', async (t) => {
    const budget = createRequestBudget({ perMinute: 100, perDay: 5000 })
    const went: number[] = []
    for (let nowMs = 0; nowMs < 2 * DAY_MS; nowMs += 3000) {
      if (budget.take(nowMs % 9000 === 0 ? CALLER : POLLER, nowMs) === 0) went.push(nowMs)
    }
    t.ok(mostWithin(went, MINUTE_MS) <= 100)
    t.ok(mostWithin(went, DAY_MS) <= 5000)
    t.ok(went.filter((ms) => ms < DAY_MS).length > 4800, 'nearly all of a day\'s limit was used')
  })

  t.test('the request budget returns a wait, and then admits one request', async (t) => {
    holds(
      t,
      fc.property(
        fc.integer({ min: 1, max: 500 }),
        fc.integer({ min: 0, max: 5000 }),
        fc.constantFrom<Purpose>(CALLER, POLLER),
        (perMinute, perDay, purpose) => {
          const budget = createRequestBudget({ perMinute, perDay })
          let waitMs = 0
          for (let i = 0; i < 200 && waitMs === 0; i++) waitMs = budget.take(purpose, 1000)
          return waitMs === 0 || (Number.isInteger(waitMs) && budget.take(purpose, 1000 + waitMs) === 0)
        }
      )
    )
  })

  t.test('the request budget admits many callers, and keeps one request an interval for the poller', async (t) => {
    const budget = createRequestBudget({ perMinute: 80, perDay: 0 })
    let callers = 0
    const take = (purpose: Purpose, nowMs: number) => {
      let taken = 0
      while (
        budget.take(purpose === POLLER ? POLLER : { kind: 'caller', key: `caller ${callers++}` }, nowMs) === 0
      ) { taken++ }
      return taken
    }
    t.same(budget.levels(0), [{ span: 'minute', left: 20, capacity: 20 }])
    t.equal(take(CALLER, 0), 19, 'all but the one that is the poller\'s')
    t.equal(take(POLLER, 0), 1)
    t.ok(budget.take(POLLER, 2000) > 0, 'the little that flowed in since is for callers')
    t.equal(take(CALLER, 2000), 2)
    const fresh = createRequestBudget({ perMinute: 80, perDay: 0 })
    let polls = 0
    while (fresh.take(POLLER, 0) === 0) polls++
    t.match(fresh.levels(0), [{ left: 20 - polls }])
    t.ok(20 - polls >= 2, 'a share is left to callers')
    t.equal(fresh.take(CALLER, 0), 0)
  })

  t.test('the request budget admits one poll a minute, however many requests callers send', async (t) => {
    const budget = createRequestBudget({ perMinute: 40, perDay: 0 })
    let polls = 0
    let callers = 0
    for (let nowMs = 0; nowMs < 30 * MINUTE_MS; nowMs += 500) {
      while (budget.take({ kind: 'caller', key: `caller ${callers++}` }, nowMs) === 0);
      if (budget.take(POLLER, nowMs) === 0) polls++
    }
    t.ok(polls >= 28 && polls <= 31, `${polls} polls in 30 minutes`)
  })

  t.test("the request budget obeys the upstream's own limit until its reset", async (t) => {
    const budget = unlimited()
    budget.applyUpstreamLimit({ remaining: 2, untilMs: 10_000 }, 0)
    t.same([budget.take(CALLER, 0), budget.take(POLLER, 1000)], [0, 0])
    t.equal(budget.take(CALLER, 2000), 8000)
    t.equal(budget.take(CALLER, 10_000), 0)
  })

  t.test("the request budget obeys the upstream's limit for five minutes, and tests it once a minute", async (t) => {
    const budget = unlimited()
    const untilMs = 23 * 60 * MINUTE_MS
    budget.applyUpstreamLimit({ remaining: 0, untilMs }, 0)
    const went: number[] = []
    for (let nowMs = 0; nowMs < 6 * MINUTE_MS; nowMs += 1000) {
      if (went.length < 10 && budget.take(nowMs % 2000 === 0 ? CALLER : POLLER, nowMs) === 0) went.push(nowMs)
    }
    t.same(went.slice(0, 6), [1, 2, 3, 4, 5, 5 + 1 / 60].map((minutes) => Math.round(minutes * MINUTE_MS)))
    t.equal(budget.waitMs(CALLER, 2 * DAY_MS), 0)
    const still = unlimited()
    still.applyUpstreamLimit({ remaining: 0, untilMs }, 0)
    t.equal(still.take(POLLER, MINUTE_MS), 0)
    still.applyUpstreamLimit({ remaining: 0, untilMs }, MINUTE_MS + 100)
    t.equal(still.take(CALLER, MINUTE_MS + 200), MINUTE_MS - 200, 'the same again: another minute')
    t.equal(still.take(POLLER, 2 * MINUTE_MS), 0)
    still.applyUpstreamLimit(undefined, 2 * MINUTE_MS + 100)
    t.same(
      Array.from({ length: 5 }, () => still.take(CALLER, 2 * MINUTE_MS + 200)),
      [0, 0, 0, 0, 0],
      'an answer that says nothing of it ends it'
    )
    still.applyUpstreamLimit({ remaining: 0, untilMs }, 3 * MINUTE_MS)
    still.applyUpstreamLimit({ remaining: 5, untilMs }, 3 * MINUTE_MS + 1)
    t.equal(still.take(CALLER, 3 * MINUTE_MS + 2), 0, 'and so does a better one')
  })

  t.test('the request budget admits no request before the time that the upstream named', async (t) => {
    const budget = unlimited()
    budget.pauseUntil(10_000)
    t.same([budget.take(CALLER, 1000), budget.take(POLLER, 4000)], [9000, 6000])
    budget.applyUpstreamLimit({ remaining: 50, untilMs: 60_000 }, 4000)
    t.same([budget.take(CALLER, 5000), budget.take(POLLER, 9999)], [5000, 1])
    budget.pauseUntil(2000)
    t.equal(budget.take(CALLER, 9000), 1000, 'an earlier moment does not bring it forward')
    t.same([budget.take(CALLER, 10_000), budget.take(POLLER, 10_000)], [0, 0])
  })

  t.test("the request budget is not raised by the upstream's limit", async (t) => {
    const budget = createRequestBudget({ perMinute: 4, perDay: 0 })
    budget.applyUpstreamLimit({ remaining: 1000, untilMs: 10_000 }, 0)
    t.equal(budget.take(CALLER, 0), 0)
    t.ok(budget.take(CALLER, 0) > 0)
  })

  t.test('the request budget of 0 has no limit', async (t) => {
    const budget = unlimited()
    t.same(budget.levels(0), [])
    t.ok(Array.from({ length: 10_000 }, () => budget.take(POLLER, 0)).every((waitMs) => waitMs === 0))
  })
})

t.test('the client fulfils the contract of an audit source', async (t) => {
  auditSourceContract(t, async (t) => {
    const { client, sandbox } = await started(t)
    return { source: client, publish: (items: JsonObject[]) => sandbox.publish(...items) }
  })
})

t.test('upstream request', async (t) => {
  t.test("a request has exactly the parameters and headers of Kubiya's public clients", async (t) => {
    const { sandbox, read } = await started(t, {}, { organizationId: 'org-7' })
    const window = { start: at('2025-06-01T00:00:00.5Z'), end: at('2025-06-02T00:00:00Z') }
    t.equal(
      kindOf(
        await read({
          window,
          filter: { category_type: 'a&page_size=9', text: 'x' },
          direction: 'asc',
          page: 2,
          pageSize: 7
        })
      ),
      'ok'
    )
    const [asked, ...others] = sandbox.requests
    t.same(others, [])
    t.equal(asked?.method, 'GET')
    t.equal(asked?.path, '/api/v1/auditing/items')
    t.same([...new URLSearchParams(asked?.search)], [
      [
        'filter',
        '{"timestamp":{"gte":"2025-06-01T00:00:00Z","lte":"2025-06-02T00:00:00Z"},"category_type":"a&page_size=9"}'
      ],
      ['sort', '{"timestamp":1}'],
      ['page', '2'],
      ['page_size', '7']
    ])
    const { host, connection, ...headers } = asked?.headers ?? {}
    t.same(headers, {
      authorization: `UserKey ${KEY}`,
      accept: 'application/json',
      'accept-encoding': 'gzip',
      'content-type': 'application/json',
      'user-agent': 'kubiya-audit-bff/test',
      'x-organization-id': 'org-7'
    })
  })

  t.test('a request has no organization header by default', async (t) => {
    const { sandbox, read } = await started(t)
    await read()
    t.notOk('x-organization-id' in (sandbox.requests[0]?.headers ?? {}))
  })

  t.test('a request has the same URL for every spelling of the base', async (t) => {
    for (const suffix of ['', '/', '/api/v1', '/api/v1/']) {
      const sandbox = await startSandbox({ apiKey: KEY, prefix: '/gateway' })
      t.teardown(() => sandbox.close())
      const { read } = await started(t, {}, { baseUrl: `${sandbox.url}${suffix}` })
      t.equal(kindOf(await read()), 'ok', suffix)
      t.equal(sandbox.requests[0]?.path, '/gateway/api/v1/auditing/items')
    }
  })

  t.test('a request by id escapes the id', async (t) => {
    const { sandbox, client } = await started(t)
    await client.find('qL+8xw== user@host;é&\u2028', CALLER)
    t.equal(sandbox.requests[0]?.path, '/api/v1/auditing/items/qL%2B8xw%3D%3D%20user%40host%3B%C3%A9%26%E2%80%A8')
    t.equal(sandbox.requests[0]?.search, '')
  })

  t.test('a request by id is not sent for `stream`, or for an id that could be another path', async (t) => {
    const { sandbox, client } = await started(t)
    for (const id of ['stream', 'a/b', 'a\\b', 'a%2fb', '100%', 'x?admin=1', 'a#b', 'a/../b?c=d#e']) {
      t.same(await client.find(id, CALLER), { ok: true, event: undefined }, id)
    }
    t.equal(sandbox.asked, 0)
  })
})

t.test('upstream answer', async (t) => {
  const items = [{ n: 1, timestamp: '2025-06-03T10:00:00Z' }, { n: 2, timestamp: '2025-06-03T10:00:01.5Z' }]

  t.test("the client reads every form of a list, with the upstream's clock", async (t) => {
    for (const shape of ['array', 'items', 'data'] as const) {
      const { sandbox, read } = await started(t, { shape, now: () => Date.parse('2025-06-03T10:00:05Z') })
      sandbox.publish(items)
      const answer = await read()
      t.ok(answer.ok)
      if (!answer.ok) continue
      t.same(answer.events.map(({ item }) => item.n), [2, 1], shape)
      t.equal(answer.upstreamMs, Date.parse('2025-06-03T10:00:05Z'))
    }
  })

  t.test('the client reads every form of an empty list', async (t) => {
    for (const empty of ['array', 'null', '204', 'items-null'] as const) {
      const { read } = await started(t, { empty, shape: 'items' })
      const answer = await read()
      t.ok(answer.ok, empty)
      if (answer.ok) t.same([answer.events, answer.rows, answer.end], [[], 0, true], empty)
    }
  })

  t.test('the client returns a failure for an answer that is not the protocol, never an empty list', async (t) => {
    const { sandbox, read, outcomes } = await started(t)
    sandbox.publish(items)
    const faults: Fault[] = [
      { kind: 'html' },
      { kind: 'empty-body' },
      { kind: 'truncated' },
      { kind: 'body', body: '{}' },
      { kind: 'body', body: '{"error":"x"}' },
      { kind: 'body', body: '[{"n":1}' },
      { kind: 'status', status: 404 },
      { kind: 'status', status: 400 },
      { kind: 'status', status: 418 },
      { kind: 'status', status: 201, body: '[]' }
    ]
    for (const fault of faults) {
      sandbox.faults.next(fault)
      t.same(await read(), { ok: false, kind: 'invalid' }, JSON.stringify(fault))
    }
    t.same(outcomes.length, faults.length, 'none of them was tried again')
  })

  t.test('the client does not retry a refusal', async (t) => {
    const { sandbox, read } = await started(t)
    for (const [status, kind] of [[401, 'unauthorized'], [403, 'forbidden']] as const) {
      sandbox.resetRequests()
      sandbox.faults.next({ kind: 'status', status, headers: { 'retry-after': '1' } })
      t.same(await read(), { ok: false, kind })
      t.equal(sandbox.asked, 1)
    }
    const { read: readAsStranger } = await started(t, {}, { authorization: 'UserKey other' })
    t.same(await readAsStranger(), { ok: false, kind: 'unauthorized' })
  })

  t.test('the client reports the end of the log only if a shorter answer proves it', async (t) => {
    const { sandbox, read } = await started(t, { pageCap: 2 })
    sandbox.publish(Array.from({ length: 5 }, (_, n) => ({ n, timestamp: '2025-06-03T10:00:00Z' })))
    const endAt = async (page: number, pageSize: number) => {
      const answer = await read({ page, pageSize })
      return answer.ok ? answer.end : 'failed'
    }
    t.equal(await endAt(1, 10), undefined, 'shorter than asked, but nothing longer was seen')
    t.equal(await endAt(1, 2), false)
    t.equal(await endAt(3, 2), true)
    t.equal(await endAt(9, 2), true)
  })

  t.test('the client sends no request that the budget denies', async (t) => {
    const { sandbox, read } = await started(t, {}, { budget: createRequestBudget({ perMinute: 4, perDay: 0 }) })
    t.equal(kindOf(await read()), 'ok')
    const refused = await read()
    t.equal(kindOf(refused), 'budget')
    t.ok(!refused.ok && (refused.retryAfterMs ?? 0) > 0)
    t.equal(sandbox.asked, 1)
  })

  t.test("the client stops at the upstream's own rate limit before a 429", async (t) => {
    const { sandbox, read } = await started(t, { rateLimit: { perMinute: 2 } })
    t.same([kindOf(await read()), kindOf(await read())], ['ok', 'ok'])
    const third = await read()
    t.equal(kindOf(third), 'budget')
    t.equal(sandbox.asked, 2)
  })

  t.test('the client ignores an upstream rate limit that makes no sense', async (t) => {
    const { sandbox, read } = await started(t)
    const soon = String(Math.ceil(Date.now() / 1000) + 60)
    const senseless = [
      ['0', '99999999999'],
      ['0', '60'],
      ['0', 'soon'],
      ['-1', '1'],
      ['', ''],
      ['NaN', soon],
      ['-0', soon],
      ['-1', soon],
      ['0.5', soon],
      ['0', `${soon}.5`],
      ['1e-9', soon],
      ['0', `-${soon}`],
      ['0, 0', soon],
      ['0', `${soon}, ${soon}`],
      ['0', '9'.repeat(400)],
      ['0'.repeat(400), soon],
      ['Infinity', soon],
      ['0x0', soon]
    ] as const
    for (const [remaining, reset] of senseless) {
      sandbox.faults.next({
        kind: 'status',
        status: 200,
        body: '[]',
        headers: { 'x-ratelimit-remaining': remaining, 'x-ratelimit-reset': reset }
      })
      t.equal(kindOf(await read()), 'ok', `${remaining} until ${reset}`)
    }
    t.equal(kindOf(await read()), 'ok')
  })

  t.test('the client reads the rate limit of answers that are not lists, and ignores an older limit', async (t) => {
    const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(Math.ceil(Date.now() / 1000) + 60) }
    const { client, sandbox, read } = await started(t)
    const faults: Fault[] = [404, 400, 302, 201, 401, 403].map((status) => ({
      kind: 'status',
      status,
      headers,
      body: '[]'
    }))
    faults.push({ kind: 'status', status: 200, headers, body: '{}' }, {
      kind: 'status',
      status: 200,
      headers,
      body: '<html></html>'
    })
    for (const fault of faults) {
      sandbox.faults.next(fault)
      t.not(kindOf(await read()), 'ok', JSON.stringify(fault))
    }
    sandbox.faults.next({ kind: 'status', status: 200, headers, body: '{"id":"a","timestamp":"2025-06-03T10:00:00Z"}' })
    t.equal(kindOf(await client.find('a', CALLER)), 'ok', 'an event is no list')
    t.equal(kindOf(await read()), 'ok')
    sandbox.faults.next({ kind: 'status', status: 200, headers, body: '[]' })
    t.equal(kindOf(await read()), 'ok')
    t.equal(kindOf(await read({}, POLLER)), 'budget', 'a list is obeyed')
  })
})

t.test('deadline', async (t) => {
  t.test('a deadline ends a call without an answer, with silence or with slow bytes', async (t) => {
    const faults: Fault[] = [{ kind: 'hang' }, { kind: 'headers-then-silence' }, { kind: 'trickle', everyMs: 20 }]
    await Promise.all(faults.map(async (fault) => {
      const { sandbox, client, read } = await started(t, {}, { timeoutMs: 1000 })
      sandbox.faults.during(fault)
      t.same(await read(), { ok: false, kind: 'timeout' }, fault.kind)
      t.same(await client.find('a', CALLER), { ok: false, kind: 'timeout' }, fault.kind)
      t.equal(sandbox.asked, 2, 'no second try of either')
      sandbox.faults.clear()
      t.equal(kindOf(await read({}, POLLER)), 'ok', 'and the next call is answered')
      await eventually('nothing is in flight', () => sandbox.inFlight() === 0)
    }))
  })

  t.test('a request of bulk work ends when nobody waits for it, and no further try follows', async (t) => {
    const { sandbox, outcomes, read } = await started(t)
    sandbox.faults.during({ kind: 'hang' })
    const abort = new AbortController()
    const reading = read({}, { ...CALLER, isBulk: true, signal: abort.signal })
    await eventually('the request is in progress', () => sandbox.requests.length === 1)
    abort.abort()
    t.match(await reading, { ok: false })
    t.equal(sandbox.requests.length, 1)
    t.same(outcomes, [], 'it says nothing about Kubiya')
  })

  t.test('one deadline covers all tries of a call', async (t) => {
    const { sandbox, read } = await started(t, {}, { timeoutMs: 250_000 })
    sandbox.faults.next({ kind: 'status', status: 503, headers: { 'retry-after': '300' } })
    t.same(
      await read(),
      { ok: false, kind: 'unavailable', retryAfterMs: 300_000 },
      'at once: waiting as asked would pass the deadline'
    )
    t.equal(sandbox.asked, 1)
  })

  t.test('a refused connection does not wait for the deadline', async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => server.close(resolve))
    const { read } = await started(t, {}, { baseUrl: `http://127.0.0.1:${port}` })
    t.same(await read({}, POLLER), { ok: false, kind: 'unavailable' })
  })
})

t.test('byte limit', async (t) => {
  t.test('the byte limit ends a huge answer, and one that inflates without end, in bounded memory', async (t) => {
    const { sandbox, read } = await started(t, {}, { maxBytes: 100_000 })
    const before = process.memoryUsage().rss
    sandbox.faults.next({ kind: 'huge', bytes: 2 ** 30 })
    t.same(await read(), { ok: false, kind: 'too-large' })
    sandbox.faults.next({ kind: 'gzip-bomb', bytes: 10 * 2 ** 30 })
    t.same(await read(), { ok: false, kind: 'too-large' })
    t.ok(process.memoryUsage().rss - before < 2 ** 28)
    t.equal(sandbox.asked, 2)
    t.equal(kindOf(await read()), 'ok', 'and the next answer is read as ever')
  })

  t.test('the byte limit admits an answer of exactly its size', async (t) => {
    const body = `["${'x'.repeat(96)}"]`
    const { sandbox, read } = await started(t, {}, { maxBytes: 100 })
    sandbox.faults.next({ kind: 'body', body })
    t.equal(kindOf(await read()), 'ok')
    sandbox.faults.next({ kind: 'body', body: `${body} ` })
    t.equal(kindOf(await read()), 'too-large')
  })
})

t.test('redirect', async (t) => {
  t.test('a redirect is not followed, so the key is sent nowhere else', async (t) => {
    const { sandbox, read, client } = await started(t)
    const elsewhere = await startSandbox({ apiKey: KEY })
    t.teardown(() => elsewhere.close())
    sandbox.faults.next({ kind: 'redirect', location: `${elsewhere.url}/api/v1/auditing/items` }, 2)
    t.same(await read(), { ok: false, kind: 'invalid' })
    t.same(await client.find('a', CALLER), { ok: false, kind: 'invalid' })
    t.equal(elsewhere.asked, 0)
    t.equal(sandbox.asked, 2)
  })
})

t.test('retry', async (t) => {
  const lost: Fault[] = [{ kind: 'status', status: 500 }, { kind: 'status', status: 503 }, { kind: 'reset' }, {
    kind: 'status',
    status: 429
  }]

  t.test('a call for a caller is retried at most twice', async (t) => {
    await Promise.all(lost.map(async (fault) => {
      const { sandbox, read } = await started(t)
      sandbox.faults.during(fault)
      const outcome = await read()
      t.ok(['unavailable', 'throttled'].includes(kindOf(outcome)))
      t.equal(sandbox.asked, 3, JSON.stringify(fault))
    }))
  })

  t.test('a retry helps a caller through a short outage', async (t) => {
    const { sandbox, read, outcomes } = await started(t)
    sandbox.faults.next({ kind: 'reset' })
    sandbox.faults.next({ kind: 'status', status: 502 })
    t.equal(kindOf(await read()), 'ok')
    t.same(outcomes, ['unavailable', 'unavailable', 'ok'])
  })

  t.test('a call for the poller is never retried', async (t) => {
    for (const fault of lost) {
      const { sandbox, read } = await started(t)
      sandbox.faults.during(fault)
      t.not(kindOf(await read({}, POLLER)), 'ok')
      t.equal(sandbox.asked, 1, JSON.stringify(fault))
    }
  })

  t.test('a retry waits as long as the upstream asks', async (t) => {
    const { sandbox, read } = await started(t)
    sandbox.faults.next({ kind: 'status', status: 429, headers: { 'retry-after': '1' } })
    t.equal(kindOf(await read()), 'ok')
    const [first, second] = sandbox.requests
    t.ok((second?.at ?? 0) - (first?.at ?? 0) >= 950)
  })
})

t.test('session filter', async (t) => {
  const event = { timestamp: '2025-06-03T10:00:00Z', extra: { session_id: 's' } }
  const keysOf = (sandbox: Sandbox) => sandbox.requests.map(({ query }) => Object.keys(query.filter as object).join())
  const filter = { session_id: 's' }

  t.test('a session query tries the other key after an empty page, and remembers the key that works', async (t) => {
    for (const [works, asked] of [['session_id', 'extra.session_id'], ['extra.session_id', 'session_id']] as const) {
      const { sandbox, read } = await started(t, { sessionFilter: works }, { sessionFilter: asked })
      sandbox.publish(event)
      for (let i = 0; i < 2; i++) {
        const answer = await read({ filter })
        t.equal(answer.ok && answer.rows, 1)
      }
      t.same(keysOf(sandbox), [asked, works, works])
    }
  })

  t.test('a session query is one request if the first key works', async (t) => {
    const { sandbox, read } = await started(t)
    sandbox.publish(event)
    await read({ filter })
    await read({ filter, page: 2 })
    t.same(keysOf(sandbox), ['extra.session_id', 'extra.session_id'])
  })

  t.test('a session query is one request after the first page, and when its key is known', async (t) => {
    const { sandbox, read } = await started(t)
    await read({ filter, page: 2 })
    t.same(keysOf(sandbox), ['extra.session_id'])
    sandbox.publish(event)
    await read({ filter })
    sandbox.remove(() => true)
    sandbox.resetRequests()
    await read({ filter })
    t.same(keysOf(sandbox), ['extra.session_id'])
  })

  t.test('a session is empty only if both keys find nothing', async (t) => {
    const { sandbox, read } = await started(t)
    const answer = await read({ filter })
    t.same(answer.ok && [answer.rows, answer.end], [0, true])
    t.same(keysOf(sandbox), ['extra.session_id', 'session_id'])
    sandbox.faults.next({ kind: 'status', status: 401, when: ({ query }) => 'session_id' in (query.filter as object) })
    t.equal(kindOf(await read({ filter })), 'unauthorized')
  })

  t.test('a session query returns the first answer if the second key is refused', async (t) => {
    const { sandbox, read } = await started(t)
    const refuse = sandbox.faults.during({
      kind: 'status',
      status: 400,
      when: ({ query }) => 'session_id' in (query.filter as object)
    })
    const answer = await read({ filter })
    t.same(answer.ok && [answer.rows, answer.end], [0, true])
    t.same(keysOf(sandbox), ['extra.session_id', 'session_id'])
    refuse()
    sandbox.faults.during({
      kind: 'status',
      status: 503,
      when: ({ query }) => 'session_id' in (query.filter as object)
    })
    t.equal(kindOf(await read({ filter }, POLLER)), 'unavailable', 'but a failure is one')
  })

  t.test('a session query has no session parameter if the filter is local', async (t) => {
    const { sandbox, read } = await started(t, {}, { sessionFilter: 'local' })
    sandbox.publish(event, { ...event, extra: null })
    const answer = await read({ filter })
    t.equal(answer.ok && answer.rows, 2)
    t.notOk(sandbox.requests[0]?.search.includes('session_id'))
  })
})

t.test('event by id', async (t) => {
  const event = { id: 'a-1', n: 1, timestamp: '2025-06-03T10:00:00Z' }
  const found = async (client: KubiyaClient, id: string) => {
    const outcome = await client.find(id, CALLER)
    return outcome.ok ? outcome.event?.item.n : outcome.kind
  }

  t.test('an event by id is found if the upstream answers by id', async (t) => {
    const { sandbox, client } = await started(t)
    sandbox.publish(event)
    t.equal(await found(client, 'a-1'), 1)
    t.same(await client.find('a-2', CALLER), { ok: true, event: undefined })
  })

  t.test('an event by id is not reported missing if the upstream has no such call', async (t) => {
    for (const byId of ['404', '405', '501', 'html', 'null', '[]', '{}'] as const) {
      const { sandbox, client } = await started(t, { byId })
      sandbox.publish(event)
      t.same(await client.find('a-1', CALLER), { ok: true, event: undefined }, byId)
      t.equal(sandbox.asked, 1, byId)
    }
  })

  t.test('an event by id is a failure if the upstream fails', async (t) => {
    const { sandbox, client } = await started(t)
    for (const [status, kind] of [[401, 'unauthorized'], [403, 'forbidden'], [400, 'invalid']] as const) {
      sandbox.faults.next({ kind: 'status', status })
      t.equal(await found(client, 'a-1'), kind)
    }
    for (const [status, kind] of [[429, 'throttled'], [500, 'unavailable']] as const) {
      sandbox.faults.next({ kind: 'status', status }, 3)
      t.equal(await found(client, 'a-1'), kind)
    }
    sandbox.faults.next({ kind: 'body', body: '{"n":1' })
    t.equal(await found(client, 'a-1'), 'invalid')
    sandbox.faults.next({ kind: 'body', body: '{"error":"x"}' })
    t.equal(await found(client, 'a-1'), 'invalid')
    sandbox.faults.next({ kind: 'body', body: JSON.stringify({ ...event, id: 'b-2' }) })
    t.equal(await found(client, 'a-1'), undefined, 'another event than was asked for')
  })
})

t.test('API key', async (t) => {
  t.test('the API key is in no outcome, also if the upstream echoes it', async (t) => {
    const { sandbox, client, read } = await started(t, {}, { timeoutMs: 200, maxBytes: 10_000 })
    const faults: Fault[] = [
      { kind: 'status', status: 500, body: `{"stack":"${KEY}"}` },
      { kind: 'status', status: 401, body: `{"key":"${KEY}"}` },
      { kind: 'status', status: 429, headers: { 'retry-after': KEY } },
      { kind: 'redirect', location: `https://elsewhere.test/${KEY}` },
      { kind: 'body', body: `{"error":"${KEY}"}` },
      { kind: 'reset' },
      { kind: 'hang' },
      { kind: 'huge', bytes: 1_000_000 }
    ]
    for (const fault of faults) {
      sandbox.faults.clear()
      sandbox.faults.during(fault)
      const outcomes = [await read({}, POLLER), await client.find('a', CALLER)]
      t.ok(outcomes.every((outcome) => !outcome.ok), fault.kind)
      t.notOk(writeJson(JSON.parse(JSON.stringify(outcomes)) as JsonObject).includes(KEY), fault.kind)
    }
    t.notOk(JSON.stringify(client).includes(KEY))
  })
})
