import { randomUUID } from 'node:crypto'
import { request as openRequest } from 'node:http'
import t from 'tap'
import type { Fault } from '../../src/sandbox/sandbox.ts'
import { SMALLEST_LOG, evenDates, eventually, item, startService, type Service } from '../support/support.ts'
import { type Item, EVENTS, SEARCH, texts } from './pages.ts'

t.test('describe', async (t) => {
  t.test('a failure of the upstream is never "not found"', async (t) => {
    const service = await startService(t, { UPSTREAM_TIMEOUT_MS: '1000' })
    const { id } = await (async () => {
      service.sandbox.publish(item())
      return (await service.json(EVENTS)).items[0]
    })()
    await service.settled()
    const failures: Array<[Fault, number, string]> = [
      [{ kind: 'status', status: 401 }, 502, 'upstream-unauthorized'],
      [{ kind: 'status', status: 403 }, 502, 'upstream-unauthorized'],
      [{ kind: 'status', status: 429 }, 503, 'upstream-throttled'],
      [{ kind: 'status', status: 500 }, 502, 'upstream-unavailable'],
      [{ kind: 'hang' }, 504, 'upstream-timeout'],
      [{ kind: 'reset' }, 502, 'upstream-unavailable']
    ]
    for (const [fault, status, code] of failures) {
      const end = service.sandbox.faults.during(fault)
      for (const asked of [`other-${code}-${status}`, `${id}`]) {
        const response = await service.get(`${EVENTS}/${asked}`)
        t.equal(response.status, status, JSON.stringify(fault))
        t.equal((await response.json() as Item).code, code)
      }
      end()
    }
    t.equal((await service.get(`${EVENTS}/${id}`)).status, 200, 'none of it is kept')
  })
})

t.test('three hundred equal requests at once are one upstream call, even if the first hangs up', async (t) => {
  let received = 0
  // So many answers can take longer than one is fresh.
  const service = await startService(
    t,
    { ...SMALLEST_LOG, CACHE_OPEN_TTL_MS: '600000' },
    {},
    undefined,
    (server) => server.addHook('onRequest', async () => {
      received++
    })
  )
  const dateOf = evenDates(0, -1000)
  service.sandbox.publish(
    Array.from({ length: 120 }, (_, n) => item({ resource_text: 'shared', timestamp: dateOf(n) }))
  )
  await service.settled()
  let release = () => {}
  service.sandbox.faults.next({ kind: 'held', until: new Promise<void>((resolve) => { release = resolve }) })
  const first = openRequest(`${service.url}${EVENTS}`)
  first.on('error', () => {})
  first.end()
  await eventually('Kubiya is asked', () => service.sandbox.asked === 1)
  first.destroy()
  received = 0
  const asked = Promise.all(Array.from({ length: 300 }, async () => {
    const response = await service.get(EVENTS)
    return {
      status: response.status,
      cache: response.headers.get('cache-status') ?? '',
      body: await response.json() as Item
    }
  }))
  await eventually('all have asked', () => received === 300)
  release()
  const answers = await asked
  t.ok(answers.every(({ status, body }) => status === 200 && texts(body)[0] === 'shared'))
  t.ok(answers.some(({ cache }) => cache === 'kubiya-audit-bff; fwd=miss; collapsed'))
  t.equal(service.sandbox.asked, 1)
})

t.test('response cache', async (t) => {
  t.test('a stale response is served during any outage, and says so', async (t) => {
    const service = await startService(t, { CACHE_OPEN_TTL_MS: '0', CACHE_STALE_MS: '0', UPSTREAM_TIMEOUT_MS: '1000' })
    service.sandbox.publish(item({ resource_text: 'kept' }))
    await service.json(EVENTS)
    await service.settled()
    const faults: Fault[] = [
      { kind: 'status', status: 500 },
      { kind: 'status', status: 429 },
      { kind: 'reset' },
      { kind: 'hang' },
      { kind: 'html' },
      { kind: 'truncated' },
      { kind: 'empty-body' },
      { kind: 'body', body: '{}' },
      { kind: 'redirect', location: 'http://127.0.0.1:9/' }
    ]
    for (const fault of faults) {
      const end = service.sandbox.faults.during(fault)
      const response = await service.get(EVENTS)
      t.equal(response.status, 200, JSON.stringify(fault))
      t.match(response.headers.get('cache-status'), /^kubiya-audit-bff; fwd=stale; ttl=-?\d+; detail=stale-if-error$/)
      t.same(texts(await response.json() as Item), ['kept'])
      end()
    }
    const cold = service.sandbox.faults.during({ kind: 'status', status: 500 })
    t.equal((await service.get(`${EVENTS}?page_size=7`)).status, 502, 'what is not warm fails')
    cold()
    t.match((await service.get(EVENTS)).headers.get('cache-status'), 'kubiya-audit-bff; fwd=stale')
  })
})

t.test('each failure of the upstream has its code, without any text of the upstream', async (t) => {
  const canary = `canary-${randomUUID()}`
  const settings = { UPSTREAM_MAX_BYTES: '65536' }
  const [service, hasty] = [
    await startService(t, settings, { apiKey: canary }),
    await startService(t, { ...settings, UPSTREAM_TIMEOUT_MS: '1000' }, { apiKey: canary })
  ]
  for (const each of [service, hasty]) await each.settled()
  const failures: Array<[Fault, number, string]> = [
    [{ kind: 'status', status: 401, body: `{"key":"${canary}"}` }, 502, 'upstream-unauthorized'],
    [{ kind: 'status', status: 403 }, 502, 'upstream-unauthorized'],
    [{ kind: 'status', status: 400, body: `stack at ${canary}` }, 502, 'upstream-invalid'],
    [{ kind: 'status', status: 404 }, 502, 'upstream-invalid'],
    [{ kind: 'status', status: 500, body: `Error: ${canary}` }, 502, 'upstream-unavailable'],
    [{ kind: 'status', status: 503 }, 502, 'upstream-unavailable'],
    [{ kind: 'status', status: 429 }, 503, 'upstream-throttled'],
    [{ kind: 'hang' }, 504, 'upstream-timeout'],
    [{ kind: 'headers-then-silence' }, 504, 'upstream-timeout'],
    [{ kind: 'trickle', everyMs: 20 }, 504, 'upstream-timeout'],
    [{ kind: 'reset' }, 502, 'upstream-unavailable'],
    [{ kind: 'html' }, 502, 'upstream-invalid'],
    [{ kind: 'truncated', when: () => true }, 502, 'upstream-invalid'],
    [{ kind: 'empty-body' }, 502, 'upstream-invalid'],
    [{ kind: 'body', body: '{}' }, 502, 'upstream-invalid'],
    [{ kind: 'body', body: '{"error":"x"}' }, 502, 'upstream-invalid'],
    [{ kind: 'redirect', location: `${service.url}/stolen` }, 502, 'upstream-invalid'],
    [{ kind: 'huge', bytes: 10_000_000 }, 502, 'upstream-invalid'],
    [{ kind: 'gzip-bomb', bytes: 1_000_000_000 }, 502, 'upstream-invalid']
  ]
  const seen: string[] = []
  const isSilence = ([, status]: [Fault, number, string]) => status === 504
  await Promise.all([
    meet(hasty, failures.filter(isSilence)),
    meet(service, failures.filter((each) => !isSilence(each)))
  ])
  const { id } = await (async () => {
    service.sandbox.publish(item())
    return (await service.json(EVENTS)).items[0]
  })()
  for (
    const path of [
      EVENTS,
      `${EVENTS}/${id}`,
      `${SEARCH}?text=${canary}`,
      '/readyz',
      '/livez',
      '/openapi.json',
      '/nothing'
    ]
  ) {
    const response = await service.get(path)
    if (!path.includes('text=')) seen.push(await response.text(), JSON.stringify([...response.headers]))
  }
  t.notOk(
    [...seen, JSON.stringify([service.logs, hasty.logs])].some((text) => text.includes(canary)),
    'the key is nowhere'
  )
  const hosts = [service, hasty].map(({ sandbox }) => new URL(sandbox.url).host)
  t.notOk(seen.some((text) => hosts.some((host) => text.includes(host))), 'nor is the host in an answer')

  async function meet (service: Service, failures: Array<[Fault, number, string]>): Promise<void> {
    for (const [index, [fault, status, code]] of failures.entries()) {
      const end = service.sandbox.faults.during(fault)
      const response = await service.get(`${EVENTS}?page_size=${index + 10}`)
      const text = await response.text()
      end()
      t.equal(response.status, status, JSON.stringify(fault))
      t.equal(response.headers.get('content-type'), 'application/problem+json; charset=utf-8')
      t.equal(response.headers.get('cache-control'), 'no-store')
      const problem = JSON.parse(text)
      t.match(problem, { type: /./, title: /./, status, detail: /./, code, request_id: /./ }, JSON.stringify(fault))
      const retryAfter = response.headers.get('retry-after')
      t.equal(retryAfter, status === 503 ? String(problem.retry_after) : null)
      if (status === 503) t.ok(Number(retryAfter) >= 1)
      seen.push(text, JSON.stringify([...response.headers]))
    }
  }
})
