import t from 'tap'
import { startService } from '../support/support.ts'
import { EVENTS, MINUTE_MS, HOUR_MS, YEAR_MS, follow, given } from './skewed-clocks.ts'

for (const skewMs of [3 * HOUR_MS, -3 * HOUR_MS, 10 * YEAR_MS]) {
  for (const [whose, eventSkewMs] of [['ours', skewMs], ['the upstream\'s', 0]] as const) {
    t.test(`clocks ${skewMs / HOUR_MS} hours apart lose no event if ${whose} is wrong`, async (t) => {
      const service = await startService(t, {}, { clockSkewMs: skewMs })
      const stream = await follow(service)
      await stream.until((frame) => frame.type === 'status' && frame.upstream === 'degraded')
      await given(t, service, stream, eventSkewMs)
      t.equal((await service.json(EVENTS)).items.length, 5, 'the usual window holds them')
      const lines = service.logs.filter(({ msg }) => String(msg).startsWith('clock skew to Kubiya'))
      t.equal(lines.length, 1)
      t.ok(Math.abs(Date.parse(String(lines[0]?.upstream)) - Date.parse(String(lines[0]?.own)) - skewMs) < MINUTE_MS)
    })
  }
}
