import t from 'tap'
import { scrape } from '../support/figures.ts'
import { eventually, item, startService } from '../support/support.ts'
import { until } from './scraped.ts'

t.test('a slow reader is counted, and is a blocked subscriber while its backlog is full', async (t) => {
  const service = await startService(t, {
    SUBSCRIBER_BACKLOG_BYTES: '4096',
    LATENESS_MS: '200',
    STREAM_COMPRESSION: 'false'
  })
  await service.settled()
  const [slow, quick] = [service.stream(), service.stream()]
  await Promise.all([slow, quick].map((stream) => stream.until(({ type }) => type === 'hello')))
  let published = 0
  await block()
  slow.socket.resume()
  await slow.untilEvents(published)
  const figures = await until(service, 'blocked_subscribers', 0)
  t.ok(figures.of('slow_readers_total') >= 1)
  t.equal(figures.of('delivered_events_total{transport="websocket"}'), 2 * published)
  await block()
  slow.socket.terminate()
  await until(service, 'blocked_subscribers', 0)

  async function block (): Promise<void> {
    slow.socket.pause()
    await eventually('it is blocked', async () => {
      service.sandbox.publish(Array.from({ length: 40 }, () => item({ note: 'x'.repeat(50_000) })))
      published += 40
      await quick.untilEvents(published)
      return (await scrape(service)).of('blocked_subscribers') === 1
    })
  }
})
