import t from 'tap'
import { createCli, get } from '../support/kubiya-clients.ts'
import { item } from '../support/support.ts'
import { ITEMS, START_MS, series, downTo, numbers, lists, started } from './dated-lists.ts'

t.test('an export', async (t) => {
  t.test('has every event at a border of one long instant', async (t) => {
    const timestamp = new Date(START_MS).toISOString()
    const service = await started(t, Array.from({ length: 2500 }, (_, n) => item({ n, timestamp })))
    const cli = createCli({ baseUrl: `${service.url}/api/v1` })
    for (const direction of [1, -1] as const) {
      const found = numbers(await cli.exported({ pageSize: 400, direction }))
      t.same([found.length, new Set(found).size], [2500, 2500])
    }
  })
})

t.test('a page that cannot be filled is a failure, and the next request continues after its rows', async (t) => {
  t.test('where the events are too large for one answer', async (t) => {
    const service = await started(t, series(40, () => ({ resource_text: 'x'.repeat(500_000) })))
    const stopped = await get(`${service.url}${ITEMS}?page_size=40`, {})
    t.match(JSON.parse(stopped.text), { status: 503, errorCode: 'OVERLOADED', details: /ask for fewer rows/ })
    t.equal((await service.json(`${ITEMS}?page_size=20`)).length, 20)
  })

  t.test('and nothing is kept once Kubiya refuses the credential', async (t) => {
    const service = await started(t, series(5000))
    let calls = 0
    const end = service.sandbox.faults.during({ kind: 'status', status: 401, when: () => ++calls > 2 })
    const path = `${ITEMS}?page_size=4000`
    t.match(JSON.parse((await get(`${service.url}${path}`, {})).text), { status: 502, errorCode: 'UPSTREAM_UNAUTHORIZED' })
    end()
    service.sandbox.resetRequests()
    t.same(numbers(await service.json(path)), downTo(4999, 1000))
    t.ok(lists(service) >= 4, `${lists(service)} calls for all of it`)
  })
})
