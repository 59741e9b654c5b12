import { createServer } from 'node:http'
import { answer } from './commands.ts'
import { eventOf } from './events.ts'

// A stand-in for Kubiya's list call, as cheap as can be: events become visible by the clock, as many as the bench says.

const MOST_KEPT = 20_000
const PAST_MS = 3_600_000
let rows: Array<{ readonly ms: number, readonly text: string }> = []
let made = 0
let requests = 0
let named = 0
let delayMs = 0
let timer: NodeJS.Timeout | undefined
let newestSent = 0
let sentAt = 0n

const server = createServer((request, response) => {
  requests++
  const { searchParams } = new URL(request.url ?? '/', 'http://upstream')
  const filter = JSON.parse(searchParams.get('filter') ?? '{}') as {
    timestamp?: { gte?: string, lte?: string },
    category_name?: string
  }
  const isAscending = (JSON.parse(searchParams.get('sort') ?? '{}') as { timestamp?: number }).timestamp === 1
  const [page, size] = [Number(searchParams.get('page') ?? 1), Number(searchParams.get('page_size') ?? 50)]
  if (filter.category_name === 'misses') named++
  const from = Date.parse(filter.timestamp?.gte ?? '1970-01-01T00:00:00Z')
  const to = Date.parse(filter.timestamp?.lte ?? '2970-01-01T00:00:00Z')
  const within = rows.filter(({ ms }) => ms >= from && ms <= to)
  const found = (isAscending ? within : within.reverse()).slice((page - 1) * size, page * size)
  const body = `[${found.map(({ text }) => text).join(',')}]`
  const wasNewest = made
  const reply = () => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
    response.end(body, () => {
      if (wasNewest > newestSent) [newestSent, sentAt] = [wasNewest, process.hrtime.bigint()]
    })
  }
  if (delayMs > 0 && filter.category_name === 'misses') setTimeout(reply, delayMs)
  else reply()
})

function make (count: number): void {
  const nowMs = Date.now()
  for (let i = 0; i < count; i++) rows.push({ ms: nowMs, text: JSON.stringify(eventOf(made++, nowMs)) })
  if (rows.length > MOST_KEPT) rows.splice(0, rows.length - MOST_KEPT)
}

/** A past of so many events, one each second, up to an hour ago. */
function spread (count: number): number {
  const firstMs = Math.floor(Date.now() / 1000) * 1000 - PAST_MS - count * 1000
  const older = Array.from({ length: count }, (_, n) => {
    const ms = firstMs + n * 1000
    return { ms, text: JSON.stringify(eventOf(made++, ms)) }
  })
  rows = [...older, ...rows]
  return firstMs
}

answer({
  listen: async (port: number) => new Promise<void>((resolve) => { server.listen(port, '127.0.0.1', resolve) }),
  /** So many events at once. */
  make,
  /** A past; gives the instant of its first event, milliseconds. */
  spread,
  /** So many events every so often; none: stops. */
  tick (each: { events: number, everyMs: number } | null) {
    clearInterval(timer)
    if (each !== null) timer = setInterval(() => make(each.events), each.everyMs)
  },
  delay (ms: number) { delayMs = ms },
  requests: () => requests,
  named: () => named,
  /** When the answer with the newest events was written, nanoseconds of the monotonic clock. */
  sent: () => ({ newest: newestSent, at: String(sentAt) })
})
