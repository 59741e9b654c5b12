import t from 'tap'
import { HEAVY, bulk, numbers, series, type Open } from './contracts/stream.ts'
import { openEventStream } from './event-stream.ts'
import { eventually, item, startService, type Service } from './support.ts'
import { PATH, overEvents, overWebSocket } from './transports.ts'

// A file of its own, for it waits half a minute for what it tests, while others have the machine.
t.test('listeners that are silent', async (t) => {
  const [full, quiet] = await Promise.all([startService(t, HEAVY), startService(t, HEAVY)])
  await Promise.all([stalled(full, [overWebSocket, overEvents]), halfOpen(quiet), commented(quiet)])

  async function stalled (service: Service, opens: Open[]): Promise<void> {
    const readers = opens.map((open) => ({ open, stream: open(service) }))
    const watch = overEvents(service)
    for (const stream of [watch, ...readers.map(({ stream }) => stream)]) await stream.until(({ type }) => type === 'hello')
    for (const { stream } of readers) stream.pause()
    service.sandbox.publish(bulk(series(1000)))
    await watch.untilEvents(1000)
    watch.terminate()
    const startedMs = performance.now()
    await eventually('the stalled readers are given up', async () => (await service.json('/readyz')).subscribers === 0, 45_000)
    const tookMs = performance.now() - startedMs
    t.ok(tookMs > 20_000 && tookMs < 40_000, `given up after ${Math.round(tookMs / 1000)} s`)
    for (const reader of readers) await comesBack(service, reader)
  }

  async function comesBack (service: Service, { open, stream }: { open: Open, stream: ReturnType<Open> }): Promise<void> {
    stream.resume()
    const end = await stream.until(({ type }) => type === 'end')
    t.match(end, { reason: 'slow', may_return: true })
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
    const startedMs = performance.now()
    dead.pause() // Answers no ping; the kernel still takes what comes, as with a path that leads nowhere.
    await eventually('the half-open one is gone', async () => (await service.json('/readyz')).subscribers === 2, 40_000)
    t.ok(performance.now() - startedMs < 35_000, `gone after ${Math.round((performance.now() - startedMs) / 1000)} s`)
    service.sandbox.publish(item({ n: 1 }))
    await alive.untilEvents(1)
    t.pass('one that answers pings stays')
    alive.terminate()
    dead.terminate()
  }

  async function commented (service: Service): Promise<void> {
    const stream = openEventStream(`${service.url}${PATH}`)
    await eventually('a comment keeps proxies from giving up', () => stream.comments() > 0, 30_000)
    t.pass()
    await eventually('the other two are gone', async () => (await service.json('/readyz')).subscribers === 1, 45_000)
    stream.terminate()
  }
})
