import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { request, type IncomingMessage } from 'node:http'
import t from 'tap'
import {
  compress,
  createEncoder,
  representationOf,
  type ContentCoding
} from '../../src/archive/content-encoding.ts'
import { createResponseCache, type CacheRequest } from '../../src/archive/response-cache.ts'
import type { CacheableResponse } from '../../src/archive/stored-response.ts'
import { silentInstruments } from '../../src/instruments.ts'
import type { Requester } from '../../src/audit/requester.ts'
import { negotiateEncoding } from '../../src/http/content-negotiation.ts'
import { ago, evenDates, eventually, item, startService, type Service } from '../support/support.ts'

t.test('Accept-Encoding selects the preferred coding', async (t) => {
  const cases: Array<[header: string, coding: ContentCoding | undefined]> = [
    ['gzip, deflate, br', 'br'],
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['*', 'br'],
    ['br;q=0.5, gzip', 'gzip'],
    ['gzip;q=0.5, br;q=0.500', 'br'],
    ['br;q=0, *', 'gzip'],
    ['br;q=0, gzip;q=0', undefined],
    ['identity', undefined],
    ['identity, gzip;q=0.5', undefined],
    ['identity;q=0', undefined],
    ['', undefined],
    ['zstd, compress', undefined],
    ['gzip;q=x', undefined],
    [' gzip ; q=1.0 ', 'gzip'],
    ['gzip, br;q=nonsense', 'gzip']
  ]
  for (const [header, coding] of cases) t.equal(negotiateEncoding(header), coding, header)
})

t.test('response cache', async (t) => {
  const REQUESTER: Requester = { key: 'a-caller', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }
  const BODY = Buffer.from('the same words again and again '.repeat(200))

  function contentOf (etag = 'W/"a"'): CacheableResponse {
    return {
      status: 200,
      etag,
      headers: [],
      identity: representationOf(BODY),
      readMs: 0,
      freshMs: 1e9
    }
  }

  function cacheOf (maxBytes: number, isFailing = false) {
    let compressed = 0
    const errors: unknown[] = []
    const cache = createResponseCache({
      maxBytes,
      staleMs: 0,
      staleIfErrorMs: 0,
      refreshIntervalMs: 0,
      clock: { monotonicMs: () => 1 },
      instruments: silentInstruments,
      onError: (error) => { errors.push(error) }
    })
    const encode = createEncoder(async (body) => {
      compressed++
      await sleep(5)
      if (isFailing) throw new Error('no memory')
      return gzipSync(body)
    }, (error) => { errors.push(error) })
    const serve = async (
      key: string,
      produce: CacheRequest['produce'] = async () => ({ ok: true, response: contentOf(), keep: true }),
      requester = REQUESTER
    ) => {
      const ask = { noCache: false, requester: () => requester }
      const result = await cache.serve({ key, produce, isInvalidated: () => false }, ask)
      if (!result.ok || result.response.status !== 200) throw new Error('no content')
      return { ...result, response: result.response }
    }
    return { cache, encode, errors, compressed: () => compressed, serve }
  }

  t.test('an encoding is made once per coding, and then returned without a promise', async (t) => {
    const { compressed, encode, serve } = cacheOf(1_000_000)
    const { response } = await serve('a')
    const made = await Promise.all(Array.from({ length: 1000 }, () => encode(response, 'gzip')))
    t.equal(compressed(), 1)
    t.ok(made.every((each) => each === made[0]))
    t.equal(encode(response, 'gzip'), made[0])
    await encode(response, 'br')
    t.equal(compressed(), 2)
    t.equal((await serve('a')).response, response)
  })

  t.test('encodings count among the bytes of the cache', async (t) => {
    const bytes = BODY.length + 1537
    const { encode, serve } = cacheOf(2 * bytes + 50)
    const [a, b] = [await serve('a'), await serve('b')]
    t.equal((await serve('a')).response, a.response)
    await encode(a.response, 'gzip')
    t.not((await serve('b')).response, b.response, 'the least recently used entry is evicted')
    const tight = cacheOf(bytes)
    const { response } = await tight.serve('a')
    await tight.encode(response, 'gzip')
    t.equal((await tight.serve('a')).response, response, 'an encoding without room is not kept, its response is')
    await tight.encode(response, 'gzip')
    t.equal(tight.compressed(), 2)
  })

  t.test('a failure to compress is reported, gives the plain body, and is tried again', async (t) => {
    const { compressed, encode, errors, serve } = cacheOf(1_000_000, true)
    const { response } = await serve('a')
    t.same(
      [await encode(response, 'gzip'), await encode(response, 'gzip')],
      [response.identity, response.identity]
    )
    t.same([compressed(), errors.length], [2, 2])
  })

  t.test('ten thousand equal misses are one call', async (t) => {
    const { serve } = cacheOf(1_000_000)
    let calls = 0
    const results = await Promise.all(Array.from({ length: 10_000 }, () => serve('a', async () => {
      calls++
      await sleep(5)
      return { ok: true, response: contentOf(), keep: true }
    })))
    t.equal(calls, 1)
    t.equal(new Set(results.map(({ response }) => response)).size, 1)
  })

  const endings = [['a later request takes', false, 1], ['a clear discards', true, 2]] as const
  for (const [name, isCleared, calls] of endings) {
    t.test(`${name} what a call returns after its last reader left`, async (t) => {
      const { cache, serve } = cacheOf(1_000_000)
      const made: Array<{ signal: AbortSignal, finish: () => void }> = []
      const produce: CacheRequest['produce'] = (_, signal) => new Promise((resolve) => {
        const response = contentOf(`W/"${made.length}"`)
        made.push({ signal, finish: () => resolve({ ok: true, response, keep: true }) })
      })
      let hangUp = () => {}
      const first = serve('a', produce, { ...REQUESTER, onDisconnect: (leave) => { hangUp = leave; return () => {} } })
      await sleep(1)
      hangUp()
      t.equal(made[0]?.signal.aborted, true)
      if (isCleared) cache.clear()
      const second = serve('a', produce)
      made[0]?.finish()
      await first
      await sleep(1)
      made[1]?.finish()
      t.equal((await second).response.etag, `W/"${calls - 1}"`)
      t.equal(made.length, calls)
      t.equal((await serve('a', produce)).response.etag, `W/"${calls - 1}"`)
    })
  }
})

interface Answer { readonly response: IncomingMessage, readonly body: Buffer }

/** The response as it is on the wire: nothing is decoded. */
async function ask (
  service: Service,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET'
): Promise<Answer> {
  const asked = request(`${service.url}${path}`, { headers, method, agent: false }).end()
  const [response] = await once(asked, 'response') as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return { response, body: Buffer.concat(chunks) }
}

t.test('cached response', async (t) => {
  const service = await startService(t)
  await service.settled()
  const dateOf = evenDates(3_600_000, -1)
  service.sandbox.publish(Array.from({ length: 40 }, (_, n) => item({ n, timestamp: dateOf(n) })))
  const LIST = '/api/v1/audit/events?start_time=-2h&end_time=-30m'
  const plain = await ask(service, LIST)
  const ETAG = String(plain.response.headers.etag)

  t.test('the body comes in the preferred coding, and decodes to the same JSON', async (t) => {
    t.same([plain.response.headers['content-encoding'], plain.response.headers.vary], [undefined, 'accept-encoding'])
    for (
      const [header, coding, decode] of [['gzip', 'gzip', gunzipSync], [
        'gzip, br',
        'br',
        brotliDecompressSync
      ]] as const
    ) {
      const { body, response } = await ask(service, LIST, { 'accept-encoding': header })
      t.match(response.headers, {
        'content-encoding': coding,
        vary: 'accept-encoding',
        etag: ETAG,
        'content-length': String(body.length)
      })
      t.ok(body.length < plain.body.length / 2)
      t.same(JSON.parse(decode(body).toString()), JSON.parse(plain.body.toString()))
    }
  })

  t.test('If-None-Match is answered with 304 in any coding, with the headers that caches need', async (t) => {
    for (const header of ['identity', 'gzip', 'br']) {
      const { body, response } = await ask(service, LIST, { 'accept-encoding': header, 'if-none-match': ETAG })
      t.same([response.statusCode, body.length], [304, 0])
      t.match(response.headers, {
        etag: ETAG,
        vary: 'accept-encoding',
        'cache-control': /private/,
        'cache-status': /hit/,
        'x-request-id': /./,
        'x-content-type-options': 'nosniff'
      })
    }
  })

  t.test('HEAD has the same headers as GET', async (t) => {
    for (const header of ['identity', 'gzip']) {
      const [get, head] = [
        await ask(service, LIST, { 'accept-encoding': header }),
        await ask(service, LIST, { 'accept-encoding': header }, 'HEAD')
      ]
      const names = (answer: Answer) =>
        Object.entries(answer.response.headers).filter(([name]) =>
          !['date', 'age', 'cache-status', 'x-request-id'].includes(name)
        )
      t.same([head.body.length, names(head)], [0, names(get)])
    }
  })

  t.test('small bodies and problems are not compressed', async (t) => {
    const small = await ask(service, `${LIST}&category_type=nobody`, { 'accept-encoding': 'gzip' })
    const problem = await ask(service, '/api/v1/audit/events?page=0', { 'accept-encoding': 'gzip' })
    t.same([small, problem].map(({ response }) => response.headers['content-encoding']), [undefined, undefined])
  })

  t.test('a repeated URL with relative times is validated again', async (t) => {
    const path = `/api/v1/audit/events?start_time=-1h&end_time=${ago(-1000)}`
    t.equal((await ask(service, path)).response.statusCode, 200)
    t.equal((await ask(service, path)).response.statusCode, 200)
    const sooner = `/api/v1/audit/events?start_time=-5s&end_time=${ago(3000)}`
    t.equal((await ask(service, sooner)).response.statusCode, 200)
    await eventually(
      'the start has passed the end',
      async () => (await ask(service, sooner)).response.statusCode === 400
    )
  })

  t.test('five hundred callers at once are one upstream call, even if the first hangs up', async (t) => {
    const path = '/api/v1/audit/events?start_time=2020-01-01T00:00:00Z&end_time=2020-01-02T00:00:00Z'
    service.sandbox.resetRequests()
    const { hostname, port } = new URL(service.url)
    const first = connect(Number(port), hostname)
    first.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    const others = Array.from({ length: 500 }, () => ask(service, path))
    first.destroy()
    const statuses = (await Promise.all(others)).map(({ response }) => response.statusCode)
    t.same([...new Set(statuses)], [200])
    const asked = service.sandbox.requests.filter(({ query }) => JSON.stringify(query).includes('2020-01-02'))
    t.equal(asked.length, 1)
  })

  t.test('the log has one line per request, with the id that the caller received', async (t) => {
    const { response } = await ask(service, LIST, { 'x-request-id': 'mine-1' })
    t.equal(response.headers['x-request-id'], 'mine-1')
    const other = await ask(service, LIST)
    const id = String(other.response.headers['x-request-id'])
    t.not(id, 'mine-1')
    const lines = () =>
      service.logs.filter(({ msg, request_id: each }) => msg === 'request' && (each === id || each === 'mine-1'))
    await eventually('both lines are there', () => lines().length === 2)
    t.match(lines(), [
      { request_id: 'mine-1', method: 'GET', path: '/api/v1/audit/events', status: 200, cache: /hit/ },
      { request_id: id }
    ])
  })

  t.test('compressed bodies decode to the original', async (t) => {
    const body = Buffer.from('é ✅ '.repeat(1000))
    t.same([gunzipSync(await compress(body, 'gzip')), brotliDecompressSync(await compress(body, 'br'))], [body, body])
  })
})
