import t from 'tap'
import { exported, ndjsonOf, opened, readOut } from '../../support/exported.ts'
import { eventually, startService } from '../../support/support.ts'
import { DATED, day, listed, lastLog } from './export-day.ts'

t.test('an export and Kubiya', async (t) => {
  const isExport = ({ query }: { query: object }) => JSON.stringify(query).includes('2026-01-0')

  t.test('an outage in the middle ends it as incomplete, and it goes on without loss or repeats', async (t) => {
    const service = await startService(t, { UPSTREAM_TIMEOUT_MS: '500' })
    const { sandbox, url } = service
    sandbox.publish(day(3500))
    let read = 0
    const clear = sandbox.faults.during({ kind: 'status', status: 503, when: (asked) => isExport(asked) && ++read > 2 })
    const first = ndjsonOf(await exported(url, `?${DATED}`))
    t.match(first.end, { complete: false, next: String })
    t.ok(first.lines.length > 900 && first.lines.length < 3500, `${first.lines.length} events`)
    t.match(lastLog(service), { complete: false, reason: 'unavailable' })
    const down = await exported(url, `?cursor=${first.end.next}`)
    t.match([down.status, JSON.parse(down.text).code], [502, 'upstream-unavailable'], 'never a file without events')
    clear()
    const rest = ndjsonOf(await exported(url, `?cursor=${first.end.next}`))
    t.equal(rest.end.complete, true)
    t.same([...first.lines, ...rest.lines], await listed(service, `${DATED}&sort_direction=asc`))
  })

  t.test('a hang-up ends it at once: Kubiya is asked no more', async (t) => {
    const service = await startService(t, { POLL_MAX_INTERVAL_MS: '60000', POLL_INTERVAL_MS: '60000' })
    const { sandbox, url } = service
    sandbox.publish(day(20_000, () => ({ resource_text: 'x'.repeat(1000) })))
    await service.settled()
    const { asked, response } = await opened(url, `?${DATED}`)
    await new Promise((resolve) => { response.once('data', resolve) })
    asked.destroy()
    await eventually('it is logged', () => lastLog(service).reason === 'gone')
    await eventually('nothing is in flight', () => sandbox.inFlight() === 0)
    const before = sandbox.asked
    t.ok(before < 15, `${before} requests`)
    t.match(lastLog(service), { complete: false })
    t.equal(ndjsonOf(await exported(url, `?${DATED}&limit=1`)).lines.length, 1, 'its slot is free')
  })

  t.test('a caller who reads nothing is ended, and back pressure has stopped the reading before', async (t) => {
    const patience = { stallMs: 300, checkMs: 20 }
    const service = await startService(t, {}, {}, undefined, undefined, { patience })
    const { sandbox, url } = service
    sandbox.publish(day(30_000, () => ({ resource_text: 'x'.repeat(1000) })))
    const { response } = await opened(url, `?${DATED}`)
    response.pause()
    await eventually('it is logged', () => lastLog(service).reason === 'stalled')
    const pages = sandbox.requests.filter(isExport).length
    t.ok(pages < 25, `${pages} of some 30 pages were read`)
    await t.rejects(readOut({ response }), /aborted/)
  })

  t.test("a budget below a quarter of the day's is none for exports, and is one for lists", async (t) => {
    const service = await startService(t, {
      KUBIYA_REQUESTS_PER_DAY: '40',
      KUBIYA_REQUESTS_PER_MINUTE: '0',
      POLL_INTERVAL_MS: '60000',
      POLL_MAX_INTERVAL_MS: '60000'
    })
    service.sandbox.publish(day(9000))
    await service.settled()
    const { end, lines } = ndjsonOf(await exported(service.url, `?${DATED}`))
    t.equal(end.complete, false)
    t.ok(lines.length > 0 && lines.length < 9000, `${lines.length} events`)
    const refused = await exported(service.url, `?cursor=${end.next}`)
    t.equal(refused.status, 503)
    t.match(JSON.parse(refused.text), { code: 'upstream-throttled' })
    t.equal((await service.get(`/api/v1/audit/events?${DATED}`)).status, 200)
  })
})
