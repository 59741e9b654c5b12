import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { TICKET_MS } from '../../../src/access/tickets.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { EXPORT, exported, exportedParts, ndjsonOf, opened, readOut } from '../../support/exported.ts'
import { startKeyServer } from '../../support/key-server.ts'
import { eventually, startService, startUpstream } from '../../support/support.ts'
import { DATED, day, lastLog, listed } from './export-day.ts'

const [FIRST, SECOND] = ['first-token-of-the-tests', 'second-token-of-the-tests']
const TWO = { AUTH_MODE: 'token', AUTH_TOKENS: `${FIRST},${SECOND}` }

async function ticketOf (t: Test, url: string, headers: Record<string, string>): Promise<string> {
  const response = await fetch(url, { method: 'POST', headers })
  t.equal(response.status, 201)
  t.equal(response.headers.get('cache-control'), 'no-store')
  const { expires_in: seconds, ticket } = await response.json() as { ticket: string, expires_in: number }
  t.equal(seconds, 30)
  return ticket
}

t.test('an export and Kubiya', async (t) => {
  const isExport = ({ query }: { query: object }) => JSON.stringify(query).includes('2026-01-0')

  t.test('an outage ends it as incomplete, and the next part continues without loss or repeats', async (t) => {
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

t.test('an export and Kubiya', async (t) => {
  const isExport = ({ query }: { query: object }) => JSON.stringify(query).includes('2026-01-0')

  t.test('a row that cannot be read makes it and its later parts incomplete, and the rest is exported', async (t) => {
    const { sandbox, url } = await startService(t, { UPSTREAM_MAX_BYTES: '400000' })
    sandbox.publish(day(300, (n) => n === 100 ? { resource_text: 'x'.repeat(500_000) } : {}))
    const { end, lines } = ndjsonOf(await exported(url, `?${DATED}`))
    t.equal(lines.length, 299)
    t.match(end, { complete: false, next: null, skipped: [{ reason: 'too-large' }] })
    const { completes } = await exportedParts(url, `?${DATED}&limit=200`)
    t.same(completes, [false, false])
  })

  t.test('a caller who hangs up while Kubiya is silent ends the request in progress', async (t) => {
    const { sandbox, url } = await startService(t)
    sandbox.faults.during({ kind: 'hang', when: isExport })
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET ${EXPORT}?${DATED} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
    await eventually('Kubiya is asked', () => sandbox.requests.some(isExport))
    socket.destroy()
    await eventually('nothing is in flight', () => sandbox.inFlight() === 0)
    t.equal(sandbox.requests.filter(isExport).length, 1)
  })

  t.test('a shutdown ends it as incomplete, and another process continues it', async (t) => {
    const upstream = await startUpstream(t)
    upstream.publish(day(2500))
    const service = await startService(t, { DRAIN_MS: '5000' }, {}, upstream)
    let read = 0
    const clear = upstream.faults.during({ kind: 'hang', when: (asked) => isExport(asked) && ++read >= 2 })
    const answer = await opened(service.url, `?${DATED}`)
    await eventually('the second page is asked for', () => read >= 2)
    const closing = service.close()
    const first = ndjsonOf(await readOut(answer))
    await closing
    clear()
    t.match(first.end, { complete: false, next: String })
    const other = await startService(t, {}, {}, upstream)
    const rest = ndjsonOf(await exported(other.url, `?cursor=${first.end.next}`))
    t.same([...first.lines, ...rest.lines], await listed(other, `${DATED}&sort_direction=asc`))
  })

  t.test('each event is charged to the caller, and an exhausted limit is a wait or a refusal', async (t) => {
    const { sandbox, url } = await startService(t, { EVENTS_LIMIT_PER_MINUTE: '1000' })
    sandbox.publish(day(1500))
    const first = await exported(url, `?${DATED}&limit=900`)
    t.equal(ndjsonOf(first).lines.length, 900)
    const second = await exported(url, `?${DATED}&limit=900`)
    t.equal(second.status, 429, 'sixty seconds are too long to wait')
  })
})

t.test('tickets of exports', async (t) => {
  const { settings: jwt, token } = await startKeyServer(t)
  const upstream = await startUpstream(t)
  upstream.publish(day(20))
  const modes: Record<string, [settings: Record<string, string>, headers: Record<string, string>]> = {
    none: [{}, {}],
    token: [TWO, { authorization: `Bearer ${FIRST}` }],
    jwt: [jwt, { authorization: `Bearer ${token}` }],
    passthrough: [{ AUTH_MODE: 'passthrough' }, { authorization: `UserKey ${upstream.apiKey}` }]
  }
  for (const [mode, [settings, headers]] of Object.entries(modes)) {
    t.test(`a ticket opens one export with the same parameters, in mode ${mode}`, async (t) => {
      const service = await startService(t, settings, {}, upstream)
      const { url } = service
      const query = `?${DATED}&limit=5&format=ndjson`
      const redeemed = async (ticket: string, search = query) => (await exported(url, `${search}&ticket=${ticket}`)).status
      if (mode !== 'none') {
        t.equal((await exported(url, query)).status, 401)
        t.equal((await fetch(`${url}${EXPORT}/tickets${query}`, { method: 'POST' })).status, 401)
      }
      const good = await ticketOf(t, `${url}${EXPORT}/tickets${query}`, headers)
      const answer = await exported(url, `?ticket=${good}&format=ndjson&${DATED}&limit=5`)
      t.equal(ndjsonOf(answer).lines.length, 5, 'in any order of the parameters')
      t.equal(await redeemed(good), 401, 'not twice')
      const bound = await ticketOf(t, `${url}${EXPORT}/tickets${query}`, headers)
      t.equal(await redeemed(bound, query.replace('limit=5', 'limit=6')), 401, 'not for another query')
      t.equal(await redeemed(bound), 401, 'and any use consumes it')
      const stream = await ticketOf(t, `${url}/api/v1/audit/stream/tickets`, headers)
      t.equal(await redeemed(stream), 401, 'a ticket of streams opens no export')
      const forExport = await ticketOf(t, `${url}${EXPORT}/tickets`, headers)
      const opened = await fetch(`${url}/api/v1/audit/stream?ticket=${forExport}`, { headers: { accept: 'text/event-stream' } })
      t.equal(opened.status, 401, 'and the other way round')
      if (mode === 'none') return
      const both = await ticketOf(t, `${url}${EXPORT}/tickets${query}`, headers)
      t.equal((await exported(url, `${query}&ticket=${both}`, headers)).status, 401, 'not beside another credential')
    })
  }

  t.test('a ticket that has expired opens none', async (t) => {
    const expiries: Array<() => void> = []
    const clock: Clock = {
      ...systemClock,
      setTimer (callback, waitMs) {
        if (waitMs === TICKET_MS) expiries.push(callback)
        return systemClock.setTimer(callback, waitMs)
      }
    }
    const { url } = await startService(t, TWO, {}, upstream, undefined, { clock })
    const headers = { authorization: `Bearer ${FIRST}` }
    const query = `?${DATED}&limit=5`
    const fresh = await ticketOf(t, `${url}${EXPORT}/tickets${query}`, headers)
    t.equal((await exported(url, `${query}&ticket=${fresh}`)).status, 200)
    const old = await ticketOf(t, `${url}${EXPORT}/tickets${query}`, headers)
    for (const expire of expiries) expire()
    t.equal((await exported(url, `${query}&ticket=${old}`)).status, 401)
  })

  t.test('a revoked credential cuts its export off', async (t) => {
    const { writeFile } = await import('node:fs/promises')
    const file = `${t.testdir({ tokens: `${FIRST}\n${SECOND}\n` })}/tokens`
    const service = await startService(t, {
      AUTH_MODE: 'token',
      AUTH_TOKENS_FILE: file,
      AUTH_RECHECK_MS: '100',
      UPSTREAM_TIMEOUT_MS: '60000' // The second page never comes: only the revocation ends the export.
    }, {}, upstream)
    upstream.publish(day(3000))
    let read = 0
    const clear = upstream.faults.during({
      kind: 'hang',
      when: ({ query }) => JSON.stringify(query).includes('2026-01-0') && ++read >= 2
    })
    const answer = await opened(service.url, `?${DATED}`, { authorization: `Bearer ${FIRST}` })
    await writeFile(file, `${SECOND}\n`)
    await t.rejects(readOut(answer), /aborted/)
    clear()
  })
})
