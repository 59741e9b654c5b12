import t from 'tap'
import { eventually, startService } from '../support/support.ts'
import { EVENTS, follow, given, HOUR_MS, MINUTE_MS, YEAR_MS } from './skewed-clocks.ts'

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

for (const skewMs of [2 * MINUTE_MS, HOUR_MS, 30 * 24 * HOUR_MS, 10 * YEAR_MS].flatMap((each) => [each, -each])) {
  t.test(`a first Date that is wrong by ${skewMs / HOUR_MS} hours loses no event`, async (t) => {
    const service = await startService(t, {}, { clockSkewMs: skewMs })
    await eventually('the first answer has come', () => service.sandbox.asked > 0 && service.sandbox.inFlight() === 0)
    service.sandbox.quirks.clockSkewMs = 0
    const stream = await follow(service)
    await given(t, service, stream)
    t.equal((await service.json(EVENTS)).items.length, 5)
  })
}

t.test('a Date that jumps with each answer loses no event', async (t) => {
  const service = await startService(t)
  const stream = await follow(service)
  let asked = 0
  const timer = setInterval(() => {
    if (service.sandbox.asked === asked) return
    asked = service.sandbox.asked
    service.sandbox.quirks.clockSkewMs = [0, HOUR_MS, -YEAR_MS, 10_000, 10 * YEAR_MS, -90_000][asked % 6] ?? 0
  }, 5)
  t.teardown(() => clearInterval(timer))
  await given(t, service, stream)
})
