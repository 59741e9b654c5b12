import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { EXPORT, exported, exportedParts, ndjsonOf } from '../../support/exported.ts'
import { ago, eventually, item, startService, startUpstream } from '../../support/support.ts'
import { DATED, day, lastLog, listed } from './export-day.ts'

const [FIRST, SECOND] = ['first-token-of-the-tests', 'second-token-of-the-tests']
const TWO = { AUTH_MODE: 'token', AUTH_TOKENS: `${FIRST},${SECOND}` }

t.test('an export', async (t) => {
  const service = await startService(t)
  const { sandbox, url } = service
  sandbox.publish(day(1300, (n) => ({ category_type: n % 3 === 0 ? 'ai' : 'agents', action_successful: [true, false, null][n % 3] })))
  sandbox.publish(item({ n: 'twin', timestamp: '2026-01-01T00:01:00Z', resource_text: 'twin' }))
  sandbox.publish(item({ n: 'twin', timestamp: '2026-01-01T00:01:00Z', resource_text: 'twin' }))
  sandbox.publish(item({ timestamp: '2026-01-01T00:02:00.5Z', resource_text: '=1+1\u2028 שלום \u202e "\\ud800"' }))

  t.test('has every event of a paged list, in both directions, byte for byte, while events arrive', async (t) => {
    for (const direction of ['asc', 'desc']) {
      const query = `${DATED}&sort_direction=${direction}`
      const list = await listed(service, query)
      sandbox.publish(day(3, () => ({ timestamp: ago(0) })))
      const answer = await exported(url, `?${query}`)
      const { end, lines } = ndjsonOf(answer)
      t.equal(lines.length, 1303)
      t.equal(lines.join('\n'), list.join('\n'), direction)
      t.match(end, { complete: true, events: 1303, next: null })
      const before = answer.text.slice(0, answer.text.lastIndexOf('{"export"'))
      t.equal(end.sha256, createHash('sha256').update(before).digest('hex'))
      t.same(answer.trailers, { 'x-export-complete': 'true', 'x-export-next': '' })
      t.match(answer.headers, {
        'content-type': 'application/x-ndjson; charset=utf-8',
        'content-disposition': 'attachment; filename="kubiya-audit_20260101T000000Z_20260102T000000Z.ndjson"',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        trailer: 'x-export-complete, x-export-next'
      })
    }
  })

  t.test('has the events of a filtered list, also where the filter is judged here', async (t) => {
    for (const filter of ['category_type=ai', 'status=failed', 'text=%D7%A9%D7%9C%D7%95%D7%9D', 'email=nobody']) {
      const route = filter.startsWith('text') ? 'search' : ''
      const found = route === ''
        ? await listed(service, `${DATED}&sort_direction=asc&${filter}`)
        : (await service.json(`/api/v1/audit/events/search?${DATED}&${filter}`)).items.map((each: object) =>
            JSON.stringify(each))
      t.equal(ndjsonOf(await exported(url, `?${DATED}&${filter}`)).lines.join('\n'), found.join('\n'), filter)
    }
  })

  t.test('without an end ends now: an event of the future is not in it', async (t) => {
    sandbox.publish(item({ n: 'now', timestamp: ago(1000) }), item({ n: 'future', timestamp: ago(-60_000) }))
    const { end, lines } = ndjsonOf(await exported(url))
    t.ok(lines.some((line) => line.includes('"n":"now"')))
    t.notOk(lines.some((line) => line.includes('"n":"future"')))
    t.equal(end.complete, true)
  })

  t.test('that a limit ends continues after its last event', async (t) => {
    const whole = ndjsonOf(await exported(url, `?${DATED}`)).lines
    const { completes, lines } = await exportedParts(url, `?${DATED}&limit=1234`)
    t.equal(lines.join('\n'), whole.join('\n'))
    t.same(completes, [false, true])
    const desc = await exportedParts(url, `?${DATED}&limit=7&sort_direction=desc`)
    t.equal(desc.lines.join('\n'), whole.toReversed().join('\n'))
    const answer = await exported(url, `?${DATED}&limit=5&format=csv`)
    const [, next] = /^# incomplete: events=5 next=(\S+)\r\n$/m.exec(answer.text) ?? []
    t.equal(next, answer.trailers['x-export-next'])
    t.equal(answer.trailers['x-export-complete'], 'false')
    const rest = await exported(url, `?cursor=${next}&format=csv&columns=id&bom=true`)
    t.equal(rest.text.split('\r\n').length, 1303 - 5 + 2)
  })

  t.test('is one JSON object with format=json, and compressed where that is preferred', async (t) => {
    const whole = ndjsonOf(await exported(url, `?${DATED}`)).lines
    for (const coding of ['gzip', 'br', 'identity']) {
      const answer = await exported(url, `?${DATED}&format=json`, { 'accept-encoding': coding })
      t.equal(answer.headers['content-encoding'], coding === 'identity' ? undefined : coding)
      const { export: end, items } = JSON.parse(answer.text)
      t.ok(isDeepStrictEqual(items, whole.map((line) => JSON.parse(line))), coding)
      const before = answer.text.slice(0, answer.text.lastIndexOf('],"export"'))
      t.equal(end.sha256, createHash('sha256').update(before).digest('hex'), coding)
      t.equal(answer.trailers['x-export-complete'], 'true')
    }
  })

  t.test('has no trailers for HTTP/1.0, which has no chunks', async (t) => {
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET ${EXPORT}?${DATED}&limit=2 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`)
    let text = ''
    for await (const chunk of socket) text += String(chunk)
    t.match(text, /^HTTP\/1\.1 200 OK/)
    t.match(text, /\n\{"export":\{"complete":false,"events":2/)
    t.notMatch(text, /trailer/i)
  })

  t.test('writes one line to the log, and counts', async (t) => {
    await exported(url, `?${DATED}&category_type=ai&limit=10&format=txt`)
    await eventually('it is logged', () => lastLog(service).format === 'txt')
    t.match(lastLog(service), {
      caller: '127.0.0.1',
      filter: { category_type: 'ai' },
      events: 10,
      bytes: Number,
      complete: false,
      reason: 'limit',
      ms: Number
    })
    const metrics = await (await fetch(service.metricsUrl)).text()
    t.match(metrics, /^kubiya_audit_bff_exports 0$/m)
    t.match(metrics, /^kubiya_audit_bff_exports_total\{outcome="complete"\} [1-9]/m)
    t.match(metrics, /^kubiya_audit_bff_export_duration_seconds_count\{outcome="complete"\} [1-9]/m)
    const duration = 'kubiya_audit_bff_http_request_duration_seconds_count{route="/api/v1/audit/export",status='
    t.notOk(metrics.includes(`${duration}"200"}`), 'a slow reader does not make other answers look slow')
    t.equal((await service.get(`${EXPORT}?limit=0`)).status, 400)
    await eventually('a refusal is counted', async () =>
      (await (await fetch(service.metricsUrl)).text()).includes(`${duration}"400"} `))
  })

  t.test('lists everything that is wrong with its parameters', async (t) => {
    const errors = async (search: string) => {
      const response = await service.get(`${EXPORT}${search}`)
      t.equal(response.status, 400, search)
      const { code, errors } = await response.json() as { code: string, errors: Array<{ parameter: string }> }
      return [code, ...errors.map(({ parameter }) => parameter).sort()]
    }
    t.same(
      await errors('?format=xml&columns=a..b,ok&limit=0&start_time=yesterday&foo=1'),
      ['invalid-parameter', 'columns', 'foo', 'format', 'limit', 'start_time']
    )
    t.same(await errors('?limit=1000001&columns=timestamp&guard=maybe&delimiter=x'), [
      'invalid-parameter', 'columns', 'delimiter', 'guard', 'limit'
    ])
    for (const limit of ['1e2', '0x10', '1.5', '-1', '']) {
      t.same(await errors(`?limit=${limit}`), ['invalid-parameter', 'limit'], limit)
    }
    t.same(await errors(`?format=csv&columns=${Array(51).fill('a')}`), ['invalid-parameter', 'columns'])
    t.same(await errors('?start_time=2030-01-01T00:00:00Z&end_time=2029-01-01T00:00:00Z'), [
      'invalid-parameter', 'start_time'
    ])
    t.same(await errors('?start_time=x&end_time=y'), ['invalid-time', 'end_time', 'start_time'])
    const page = await service.json('/api/v1/audit/events?page_size=1')
    for (const cursor of ['abc', page.pagination.next_cursor, page.live_cursor]) {
      t.same(await errors(`?cursor=${cursor}`), ['invalid-cursor', 'cursor'])
    }
    t.same(await errors('?cursor=abc&limit=3&email=a'), ['invalid-parameter', 'cursor', 'email', 'limit'])
    const post = await fetch(`${url}${EXPORT}/tickets?format=xml`, { method: 'POST' })
    t.equal(post.status, 400)
  })
})

t.test('exports at the same time', async (t) => {
  const upstream = await startUpstream(t)
  upstream.publish(day(10))
  const token = (value: string) => ({ authorization: `Bearer ${value}` })

  /** An export of the first caller whose page Kubiya holds until it is released. */
  async function heldExport (url: string) {
    let answer = () => {}
    const clear = upstream.faults.during({
      kind: 'held',
      until: new Promise<void>((resolve) => { answer = resolve }),
      when: ({ query }) => JSON.stringify(query).includes('2026-01-01')
    })
    const running = exported(url, `?${DATED}`, token(FIRST))
    await eventually('it is in progress', () => upstream.inFlight() > 0)
    const release = () => {
      answer()
      clear()
    }
    return { running, release }
  }

  t.test('a caller has one export, and another caller one of its own', async (t) => {
    const service = await startService(t, TWO, {}, upstream)
    const { release, running } = await heldExport(service.url)
    const second = await exported(service.url, `?${DATED}`, token(FIRST))
    t.equal(second.status, 429)
    t.match(JSON.parse(second.text), { code: 'rate-limited', retry_after: Number })
    const other = exported(service.url, `?${DATED}`, token(SECOND))
    release()
    t.equal(ndjsonOf(await running).lines.length, 10)
    t.equal(ndjsonOf(await other).lines.length, 10)
    t.equal(ndjsonOf(await exported(service.url, `?${DATED}`, token(FIRST))).lines.length, 10, 'the next may begin')
  })

  t.test('more than MAX_EXPORTS are refused', async (t) => {
    const service = await startService(t, { ...TWO, MAX_EXPORTS: '1' }, {}, upstream)
    const { release, running } = await heldExport(service.url)
    const second = await exported(service.url, `?${DATED}`, token(SECOND))
    t.equal(second.status, 503)
    t.match(JSON.parse(second.text), { code: 'overloaded', retry_after: Number })
    release()
    t.equal(ndjsonOf(await running).lines.length, 10)
  })
})
