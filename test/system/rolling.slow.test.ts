import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t from 'tap'
import WebSocket from 'ws'
import { isAuditStreamError, openAuditStream, type WebSocketConstructor } from '../../src/client/client.ts'
import { listening, run } from '../support/process.ts'
import { eventually, item, startUpstream } from '../support/support.ts'

// More can be tried by hand: ROLLING_SUBSCRIBERS=1000 ROLLING_EVENTS=10 ROLLING_NAMES=10, as far as this process can
// follow.
const SUBSCRIBERS = Number(process.env.ROLLING_SUBSCRIBERS ?? 60)
const EVENTS_EACH_TENTH = Number(process.env.ROLLING_EVENTS ?? 5)
// Each subscriber follows one of so many names; the events are spread over all of them.
const NAMES = Number(process.env.ROLLING_NAMES ?? 2)
const DRAIN_MS = '2000'

interface Owner { teardown (action: () => unknown): void }

/**
 * A load balancer for TCP: new connections go to the one process that is told of, those that are stay where they are.
 */
async function startProxy (t: Owner) {
  let target = { port: 0, host: '127.0.0.1' }
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    const onward = connect(target)
    for (const each of [socket, onward]) {
      sockets.add(each)
      each.on('close', () => sockets.delete(each)).on('error', () => each.destroy())
    }
    socket.pipe(onward).pipe(socket)
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    sockets.forEach((socket) => socket.destroy())
    server.close()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sendTo (url: string): void {
      target = { ...target, port: Number(new URL(url).port) }
    }
  }
}

/**
 * One subscriber, with our client module as it comes: the numbers of the events that it was given, and what it was told
 * besides.
 */
function follow (t: Owner, url: string, name: string) {
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const seen = { numbers: [] as number[], gaps: 0, hellos: 0, failure: undefined as unknown }
  const stream = openAuditStream({
    url,
    WebSocket: WebSocket as unknown as WebSocketConstructor,
    signal: abort.signal,
    filter: { category_name: name },
    onGap: () => { seen.gaps++ },
    onHello: () => { seen.hellos++ }
  })
  async function consume (): Promise<void> {
    for await (const event of stream) seen.numbers.push(Number((event as { number?: unknown }).number))
  }
  consume().catch((error: unknown) => { seen.failure = isAuditStreamError(error) ? error.message : error })
  return seen
}

t.test(`a rolling restart of ${SUBSCRIBERS} subscribers loses, duplicates and reorders nothing`, async (t) => {
  const upstream = await startUpstream(t)
  const proxy = await startProxy(t)
  const start = () =>
    run(t, {
      PORT: '0',
      KUBIYA_API_KEY: upstream.apiKey,
      KUBIYA_BASE_URL: upstream.url,
      KUBIYA_REQUESTS_PER_MINUTE: '0',
      KUBIYA_REQUESTS_PER_DAY: '0',
      POLL_INTERVAL_MS: '200',
      DRAIN_MS,
      ...process.env.LATENESS_MS !== undefined && { LATENESS_MS: process.env.LATENESS_MS }
    })
  let current = start()
  const url = await listening(current)
  await eventually('it is ready', async () => (await fetch(`${url}/readyz`)).status === 200)
  proxy.sendTo(url)
  const subscribers = Array.from({ length: SUBSCRIBERS }, (_, index) => follow(t, proxy.url, nameOf(index)))
  let published = 0
  const timer = setInterval(publish, 100)
  t.teardown(() => clearInterval(timer))
  await eventually('all are there', () => subscribers.every(({ numbers }) => numbers.length > 0))

  for (const restart of [1, 2]) {
    const next = start()
    const nextUrl = await listening(next)
    await eventually('the new one is ready', async () => (await fetch(`${nextUrl}/readyz`)).status === 200)
    current.child.kill('SIGTERM')
    proxy.sendTo(nextUrl) // What a load balancer does when the old one is not ready any more.
    t.same(await current.exited, { code: 0, signal: null })
    current = next
    await eventually('all are back', () => subscribers.every(({ hellos }) => hellos > restart))
  }
  const afterwards = published + 20
  await eventually('more has come', () => published > afterwards)
  clearInterval(timer)
  const expected = Array.from(
    { length: NAMES },
    (_, name) => Array.from({ length: published }, (_, number) => number).filter((number) => number % NAMES === name)
  )
  await eventually(
    'all has come',
    () => subscribers.every(({ numbers }, index) => numbers.at(-1) === expected[index % NAMES]?.at(-1))
  )
  const wrong = subscribers.filter(({ numbers }, index) => numbers.join() !== expected[index % NAMES]?.join())
  t.equal(wrong.length, 0, `${published} events in order, each once`)
  t.equal(subscribers.filter(({ gaps }) => gaps > 0).length, 0, 'nobody was told of a gap')
  t.same(subscribers.flatMap(({ failure }) => failure ?? []), [])

  /** Microseconds apart, so that each is dated later than the one before. */
  function publish (): void {
    const now = new Date().toISOString().slice(0, -1)
    upstream.publish(
      Array.from({ length: EVENTS_EACH_TENTH }, (_, index) =>
        item({
          category_name: nameOf(published),
          number: published++,
          timestamp: `${now}${String(index).padStart(3, '0')}Z`
        }))
    )
  }
})

function nameOf (index: number): string {
  return `agent-${index % NAMES}`
}
