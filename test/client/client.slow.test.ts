import t from 'tap'
import { consume } from './consumer.ts'
import { layWire } from './wire.ts'
import { eventually, startService } from '../support/support.ts'
import { series, burst } from './burst.ts'

t.test('lost connection', async (t) => {
  t.test('a stream reconnects after silence without heartbeats', async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '1000' })
    const wire = await layWire(t, service.url)
    const consumer = consume(t, { url: wire.url })
    await eventually('heartbeats come', () => consumer.statuses.length >= 3)
    t.same(consumer.losses, [], 'while they come all is well')
    wire.silence()
    service.sandbox.publish(burst(3))
    await consumer.untilEvents(3)
    t.match(consumer.losses, [{ reason: 'silent' }])
    t.same(consumer.numbers(), series(3))
  })
})
