import t from 'tap'
import { HEAVY, bulk, numbers, series, type Open } from '../contracts/stream.ts'
import { openEventStream } from '../support/event-stream.ts'
import { eventually, item, startService, type Service } from '../support/support.ts'
import { PATH, overEvents, overWebSocket } from '../support/transports.ts'

const SPEED = 6

// Half a minute is what is tested, so the clock that durations are told by goes faster here.
const { performance } = globalThis
const now = performance.now.bind(performance)
performance.now = () => now() * SPEED
t.teardown(() => { performance.now = now })

t.test('stalled and dead clients are disconnected in time, and quiet ones receive comments', async (t) => {
  const [full, quiet] = await Promise.all([startService(t, HEAVY), startService(t, HEAVY)])
  await Promise.all([stalled(full), halfOpen(quiet), commented(quiet)])

  async function stalled (service: Service): Promise<void> {
    const kinds = [{ kind: 'websocket', open: overWebSocket }, { kind: 'sse', open: overEvents }] as const
    const readers = kinds.map(({ kind, open }) => ({ kind, open, stream: open(service) }))
    for (const { stream } of readers) await stream.until(({ type }) => type === 'hello')
    const pausedMs = performance.now()
    for (const { stream } of readers) stream.pause()
    service.sandbox.publish(bulk(series(1000), 20_000))
    // Each by itself, and at once: a connection that is over is not kept for long.
    await Promise.all(readers.map(async ({ kind, open, stream }) => {
      await eventually(`the ${kind} is given up`, async () => await service.subscribers(kind) === 0)
      const tookMs = performance.now() - pausedMs
      t.ok(tookMs > 20_000, `given up after ${Math.round(tookMs / 1000)} s`)
      await comesBack(service, { open, stream })
    }))
  }

  async function comesBack (
    service: Service,
    { open, stream }: { open: Open, stream: ReturnType<Open> }
  ): Promise<void> {
    stream.resume()
    const end = await stream.until(({ type }) => type === 'end')
    t.match(end, { reason: 'slow', reconnect: true })
    await stream.closed
    const given = stream.events().length
    t.ok(given < 1000, `${given} of 1000 given`)
    const back = open(service, '', end.type === 'end' ? end.cursor : '')
    await back.untilEvents(1000 - given)
    t.same([...numbers(stream), ...numbers(back)], series(1000), 'coming back brings the rest')
    back.terminate()
  }

  async function halfOpen (service: Service): Promise<void> {
    const [dead, alive] = [overWebSocket(service), overWebSocket(service)]
    for (const stream of [dead, alive]) await stream.until(({ type }) => type === 'hello')
    dead.pause() // Answers no ping; the kernel still takes what comes, as with a path that leads nowhere.
    await eventually('the half-open one is gone', async () => await service.subscribers() === 2)
    service.sandbox.publish(item({ n: 1 }))
    await alive.untilEvents(1)
    t.same(numbers(alive), [1], 'one that answers pings stays')
    t.same(numbers(dead), [])
    alive.terminate()
    dead.terminate()
  }

  async function commented (service: Service): Promise<void> {
    const stream = openEventStream(`${service.url}${PATH}`)
    await eventually('a comment keeps proxies from giving up', () => stream.comments() > 0)
    t.notOk(stream.frames.some(({ type }) => type === 'end'), 'a silent reader that takes comments stays')
    await eventually('the other two are gone', async () => await service.subscribers() === 1)
    stream.terminate()
  }
})
