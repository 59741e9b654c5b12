import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MIB, mib, startMeasured, type Measured } from '../support/measured.ts'
import { opened } from '../support/exported.ts'
import { eventually } from '../support/support.ts'

const EVENTS = 200_000
const FIRST_MS = Date.UTC(2026, 0, 1)
const WINDOW = 'start_time=2026-01-01T00:00:00Z&end_time=2026-01-04T00:00:00Z'
const MOST_GROWTH = 64 * MIB
const LOOK_EVERY_MS = 500
const WARM_UP = 20_000
/** The slow reader takes a break after so many bytes. */
const BREAK_EVERY = MIB
const BREAK_MS = 200
const SLOW_EVENTS = 30_000

/** A stand-in for Kubiya that makes its rows from their numbers, one second apart. It holds none of them. */
async function startUpstream (t: Test): Promise<string> {
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://upstream')
    const { timestamp = {} } = JSON.parse(searchParams.get('filter') ?? '{}') as { timestamp?: Record<string, string> }
    const { timestamp: sort } = JSON.parse(searchParams.get('sort') ?? '{}') as { timestamp?: number }
    const [page, size] = [Number(searchParams.get('page') ?? 1), Number(searchParams.get('page_size') ?? 50)]
    const first = Math.max(0, numberAt(timestamp.gte, 0))
    const last = Math.min(EVENTS - 1, numberAt(timestamp.lte, EVENTS))
    const count = Math.max(0, Math.min(size, last - first + 1 - (page - 1) * size))
    const rows = Array.from({ length: count }, (_, index) => {
      const n = (page - 1) * size + index
      return rowOf(sort === 1 ? first + n : last - n)
    })
    response.setHeader('content-type', 'application/json').end(`[${rows.join(',')}]`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close().closeAllConnections() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function numberAt (time: string | undefined, otherwise: number): number {
  return time === undefined ? otherwise : Math.ceil((Date.parse(time) - FIRST_MS) / 1000)
}

function rowOf (n: number): string {
  const timestamp = new Date(FIRST_MS + n * 1000).toISOString()
  return `{"n":${n},"timestamp":"${timestamp}","category_type":"agents","resource_text":"${'x'.repeat(400)}"}`
}

/** Reads an export, and looks at the resident memory without garbage meanwhile. `most`: the largest, bytes. */
async function readWatched ({ held, url }: Measured, query: string, breakMs: number) {
  const { response } = await opened(url, `?${query}`)
  let events = 0
  let bytes = 0
  let tail = ''
  let most = 0
  const over = new AbortController()
  const watching = (async () => {
    for (; !over.signal.aborted; await sleep(LOOK_EVERY_MS)) {
      const { rss } = await held()
      most = Math.max(most, rss)
    }
  })()
  for await (const chunk of response as AsyncIterable<Buffer>) {
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) events++
    if (breakMs > 0 && Math.floor(bytes / BREAK_EVERY) < Math.floor((bytes + chunk.length) / BREAK_EVERY)) await sleep(breakMs)
    bytes += chunk.length
    tail = (tail + String(chunk)).slice(-1000)
  }
  over.abort()
  await watching
  const { export: end } = JSON.parse(tail.trimEnd().split('\n').at(-1) ?? '') as { export: object }
  return { events: events - 1, end, most }
}

t.test('the resident memory does not grow with an export, also for a slow reader', async (t) => {
  const upstream = await startUpstream(t)
  const service = await startMeasured({ KUBIYA_API_KEY: 'a-key', KUBIYA_BASE_URL: upstream })
  t.teardown(service.end)
  await eventually('the service is ready', async () => (await fetch(`${service.url}/readyz`)).status === 200)
  // The pages in memory and the compiled code are there afterwards, and do not depend on the length of an export.
  await readWatched(service, `${WINDOW}&limit=${WARM_UP}`, 0)
  const { rss: base } = await service.held()
  const readers = { quick: [EVENTS, 0], slow: [SLOW_EVENTS, BREAK_MS] } as const
  for (const [name, [count, breakMs]] of Object.entries(readers)) {
    const { end, events, most } = await readWatched(service, `${WINDOW}&limit=${count}`, breakMs)
    t.match(end, { complete: count === EVENTS, events: count })
    t.equal(events, count)
    t.comment(`${name} reader: ${mib(most - base)} more than ${mib(base)}`)
    t.ok(most - base < MOST_GROWTH, `${name} reader: ${mib(most - base)}`)
  }
})
