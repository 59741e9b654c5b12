import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { request, type IncomingMessage } from 'node:http'
import t from 'tap'
import { compress, type ContentCoding } from '../../src/archive/content-encoding.ts'
import { createResponseCache, type StoredResponse, type CacheResult } from '../../src/archive/response-cache.ts'
import { silentInstruments } from '../../src/instruments.ts'
import type { Requester } from '../../src/audit/requester.ts'
import { negotiateEncoding } from '../../src/http/accept-encoding.ts'
import { ago, eventually, item, startService, type Service } from '../support/support.ts'

t.test('the coding that an Accept-Encoding likes best', async (t) => {
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

t.test('a cache', async (t) => {
  const ASKER: Requester = { key: 'a-caller', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }
  const ENTRY: StoredResponse = {
    body: Buffer.from('the same words again and again '.repeat(200)),
    readMs: 0,
    freshMs: 1e9,
    etag: 'W/"a"',
    headers: {}
  }

  function cacheOf (maxBytes: number, isFailing = false) {
    let compressed = 0
    const errors: unknown[] = []
    const cache = createResponseCache({
      maxBytes,
      staleMs: 0,
      staleIfErrorMs: 0,
      refreshIntervalMs: 0,
      nowMs: () => 1,
      instruments: silentInstruments,
      onError: (error) => { errors.push(error) },
      async compress (body) {
        compressed++
        await sleep(5)
        if (isFailing) throw new Error('no memory')
        return gzipSync(body)
      }
    })
    const serve = async (key: string) =>
      await cache.serve(
        {
          key,
          produce: async () => ({ ok: true, entry: { ...ENTRY }, keep: true }),
          isInvalidated: () => false
        },
        false,
        ASKER
      ) as CacheResult
    return { cache, errors, compressed: () => compressed, serve }
  }

  t.test('compresses an entry once for each coding, however many ask at once, and serves what was made at once', async (t) => {
    const { compressed, serve, cache } = cacheOf(1_000_000)
    const { entry } = await serve('a')
    const made = await Promise.all(Array.from({ length: 1000 }, () => cache.encoded(entry, 'gzip')))
    t.equal(compressed(), 1)
    t.ok(made.every((each) => each === made[0]))
    t.equal(cache.encoded(entry, 'gzip'), made[0], 'no promise any more')
    await cache.encoded(entry, 'br')
    t.equal(compressed(), 2)
    t.equal((await serve('a')).entry, entry)
  })

  t.test('counts encodings among its bytes', async (t) => {
    const bytes = ENTRY.body.length + 1537
    const { serve, cache } = cacheOf(2 * bytes + 50)
    const [a, b] = [await serve('a'), await serve('b')]
    t.equal((await serve('a')).entry, a.entry)
    await cache.encoded(a.entry, 'gzip')
    t.not((await serve('b')).entry, b.entry, 'the least recently used one had to go')
    const tight = cacheOf(bytes)
    const { entry } = await tight.serve('a')
    await tight.cache.encoded(entry, 'gzip')
    t.equal((await tight.serve('a')).entry, entry, 'one that would not fit is not kept; the entry is')
    await tight.cache.encoded(entry, 'gzip')
    t.equal(tight.compressed(), 2)
  })

  t.test('gives the plain body where compressing fails, says so, and tries again', async (t) => {
    const { compressed, errors, serve, cache } = cacheOf(1_000_000, true)
    const { entry } = await serve('a')
    t.same([await cache.encoded(entry, 'gzip'), await cache.encoded(entry, 'gzip')], [undefined, undefined])
    t.same([compressed(), errors.length], [2, 2])
  })

  t.test('asks once for ten thousand equal misses', async (t) => {
    const { cache } = cacheOf(1_000_000)
    let asked = 0
    const served = await Promise.all(Array.from({ length: 10_000 }, () => cache.serve({
      key: 'a',
      async produce () {
        asked++
        await sleep(5)
        return { ok: true, entry: ENTRY, keep: true }
      },
      isInvalidated: () => false
    }, false, ASKER)))
    t.equal(asked, 1)
    t.ok(served.every((each) => each.ok && each.entry === ENTRY))
  })
})

interface Answer { readonly response: IncomingMessage, readonly body: Buffer }

/** As it comes over the wire: nothing is decoded. */
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

t.test('an answer from the cache', async (t) => {
  const service = await startService(t)
  await service.settled()
  service.sandbox.publish(Array.from({ length: 40 }, (_, n) => item({ n, timestamp: ago(3_600_000 + n) })))
  const LIST = '/api/v1/audit/events?start_time=-2h&end_time=-30m'
  const plain = await ask(service, LIST)
  const ETAG = String(plain.response.headers.etag)

  t.test('comes in the coding that is liked best, says so, and is the same to read', async (t) => {
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

  t.test('is 304 to who has it, in whichever coding, and then bears no body and all that caches need', async (t) => {
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

  t.test('has the same head for HEAD as for GET', async (t) => {
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

  t.test('is not compressed where it is small, nor is a problem', async (t) => {
    const small = await ask(service, `${LIST}&category_type=nobody`, { 'accept-encoding': 'gzip' })
    const problem = await ask(service, '/api/v1/audit/events?page=0', { 'accept-encoding': 'gzip' })
    t.same([small, problem].map(({ response }) => response.headers['content-encoding']), [undefined, undefined])
  })

  t.test('is judged anew in the words of a question that was asked before, relative times and faults included', async (t) => {
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

  t.test('is one upstream call for five hundred callers at once, and none of them minds that the first hangs up', async (t) => {
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

  t.test('leaves one line in the log, with the id that the caller was told', async (t) => {
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

  t.test('is compressed in the thread pool, to what decodes to the same', async (t) => {
    const body = Buffer.from('é ✅ '.repeat(1000))
    t.same([gunzipSync(await compress(body, 'gzip')), brotliDecompressSync(await compress(body, 'br'))], [body, body])
  })
})
