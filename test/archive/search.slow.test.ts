import t from 'tap'
import { evenDates, item, startService } from '../support/support.ts'

t.test('a search finds one match 7 000 events deep', async (t) => {
  const service = await startService(t, {}, { pageCap: 100 })
  const dateOf = evenDates(3_600_000, -1000)
  service.sandbox.publish(Array.from({ length: 7200 }, (_, n) => item({
    resource_text: n === 7000 ? 'the NEEDLE' : `straw ${n}`,
    timestamp: dateOf(n)
  })))
  const page = await service.json('/api/v1/audit/events/search?text=needle')
  t.same(page.items.map((each: Record<string, unknown>) => each.resource_text), ['the NEEDLE'])
  t.match(page.search_summary, { scanned: 7200, complete: true })
})
