import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { formatInstant, instantFromMs, parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'
import { createChance, type Chance } from '../oracle/chance.ts'
import { listening, run } from '../support/process.ts'
import { recountFacets, recountSummary, recountTimeline, type CountedEvent } from '../support/recount.ts'
import { eventually, startUpstream } from '../support/support.ts'

// The same events and faults again: `COUNTS_SEED=…`.
const SEED = Number(process.env.COUNTS_SEED ?? Date.now() % 1_000_000)
const API = '/api/v1/audit'
const HOUR_MS = 3_600_000
const LATENESS_MS = 5000
const IN_TIME = 0.8 // Of the lateness: an event is also on its way for a moment.
const EARLIER_EVENTS = 700
const EVENTS_OF_A_STEP = 30
const STEPS = 8
const PATIENCE_MS = 20_000
const FIELDS = ['category_type', 'category_name', 'resource_type', 'action_type', 'status', 'email', 'tool_name'] as const
const NO_LIMITS = { PORT: '0', METRICS_PORT: '0', KUBIYA_REQUESTS_PER_MINUTE: '0', KUBIYA_REQUESTS_PER_DAY: '0', DRAIN_MS: '0' }

interface Item { [field: string]: any }

/** One instant in the forms that Kubiya may write. */
function spelled (instant: Instant, n: number): string {
  if (n % 4 === 1) return formatInstant(instant + 7_200_000_000_000n).replace('Z', '+02:00')
  const text = formatInstant(instant)
  return n % 4 === 2 ? text.slice(0, -1) : n % 4 === 3 ? text.replace('T', ' ') : text
}

function itemAt (instant: Instant, n: number): Item {
  return {
    n,
    timestamp: spelled(instant, n),
    email: n % 6 === 0 ? '' : `user${n % 5}@acme.test`,
    category_type: ['agents', 'triggers', 'users', ''][n % 4],
    category_name: n % 3 === 0 ? `שם ${n % 7}` : `<img src=x> ${n % 7}`,
    resource_type: 'Message',
    resource_text: `שלום ${n}\u202E\u001B[31m`,
    action_type: n % 10 === 0 ? '__proto__' : 'sent',
    action_successful: [true, false, null, 'yes', true][n % 5],
    session_id: n % 9 === 0 ? `outer ${n % 2}` : '',
    extra: n % 8 === 0 ? {} : { session_id: `session ${n % 13}`, tool_name: n % 2 === 0 ? `tool ${n % 3}` : '' }
  }
}

/** What Kubiya shows: events of the day, later ones and twins. */
function createKubiya (sandbox: Sandbox, chance: Chance) {
  let n = 0
  let shown = 0
  return { count: () => shown, showBetween, showNow }

  function showBetween (fromMs: number, toMs: number, count: number): void {
    show(Array.from({ length: count }, () => chance.integer(fromMs, toMs)))
  }

  /** New events, a fifth of them late. */
  function showNow (count: number): void {
    const ago = () => chance.is(0.2) ? chance.integer(0, LATENESS_MS * IN_TIME) : chance.integer(0, 100)
    show(Array.from({ length: count }, () => Date.now() - 1 - ago()))
  }

  function show (instantsMs: number[]): void {
    const items = instantsMs.flatMap((ms) => {
      const item = itemAt(instantFromMs(ms) + BigInt(chance.integer(0, 999)), n++)
      return chance.is(0.05) ? [item, item] : [item]
    })
    shown += items.length
    sandbox.publish(items)
  }
}

/** The built service, which may be killed and started again. */
async function start (t: Test, sandbox: Sandbox, more: Record<string, string> = {}) {
  const environment = { ...NO_LIMITS, KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url, ...more }
  const service = run(t, environment)
  const url = await listening(service)
  // Before its first poll the service counts in a table for one answer, and fills the lasting one later.
  await eventually('the service is ready', async () => (await fetch(`${url}/readyz`)).status === 200)
  return { ask, kill }

  async function ask (path: string): Promise<Item> {
    const response = await fetch(`${url}${path}`)
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return await response.json() as Item
  }

  async function kill (): Promise<void> {
    service.child.kill('SIGKILL')
    await service.exited
  }
}

type Service = Awaited<ReturnType<typeof start>>

async function listed ({ ask }: Service, query: string): Promise<CountedEvent[]> {
  const events: CountedEvent[] = []
  for (let path: string | null = `${API}/events?page_size=500&${query}`; path !== null;) {
    const page: Item = await ask(path)
    for (const item of page.items as Item[]) {
      events.push({ json: JSON.stringify({ ...item, timestamp: plain(item.timestamp as string) }), position: instantIn(item) })
    }
    path = page.pagination.next as string | null
  }
  return events
}

function instantIn ({ timestamp }: Item): bigint {
  return parseInstant(String(timestamp)) ?? 0n
}

function plain (timestamp: string): string {
  return formatInstant(parseInstant(timestamp) ?? 0n)
}

/** Instants as the service writes them. */
function published (value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, each: unknown) => typeof each === 'bigint' ? formatInstant(each) : each))
}

function without ({ coverage: _coverage, window: _window, ...counts }: Item): Item {
  return counts
}

async function compare (t: Test, service: Service, { end, start }: { start: Instant, end: Instant }, count: number): Promise<void> {
  const query = `start_time=${formatInstant(start)}&end_time=${formatInstant(end)}`
  const ask = async (path: string) => {
    const answer = await service.ask(`${API}/${path}&${query}`)
    t.equal(answer.coverage.complete, true, path)
    return without(answer)
  }
  const events = await listed(service, query)
  t.equal(events.length, count, 'a list has every event')
  const window = { start, end }
  t.same(await ask('summary?top=5'), published(recountSummary(events, {}, window, 5)), 'summary')
  t.same(await ask(`facets?top=3&status=failed&fields=${FIELDS.join()}`), published(
    recountFacets(events, { status: 'failed' }, window, FIELDS, 3)), 'facets')
  t.same(await ask('timeline?interval=1h&by=category_name&top=3'), published(
    recountTimeline(events, {}, window, 3600, 'category_name', 3)), 'timeline')
  const { items, pagination } = await ask('sessions?page_size=500')
  const expected = recountSummary(events, {}, window, 0)
  t.equal(pagination.total, expected.totals.sessions)
  const figures = (items as Item[]).map(({ duration_seconds: seconds, events, failed, id, success }) =>
    [id, events, success, failed, seconds])
  const recounted = figures.map(([id]) => {
    const ofSession = events.filter(({ json }) => {
      const { extra, session_id: outer } = JSON.parse(json) as Item
      return (extra.session_id ?? outer) === id
    })
    const { sessions, totals } = recountSummary(ofSession, {}, window, 0)
    return [id, totals.events, totals.success, totals.failed, sessions.duration_seconds.max]
  })
  t.same(figures, recounted, 'sessions')
}

t.test('counts equal a recount of the day after an outage, a kill, late events and twins', async (t) => {
  t.comment(`COUNTS_SEED=${SEED}`)
  const chance = createChance(SEED)
  const sandbox = await startUpstream(t)
  const kubiya = createKubiya(sandbox, chance)
  const settings = {
    LATENESS_MS: String(LATENESS_MS),
    POLL_INTERVAL_MS: '100',
    POLL_MAX_INTERVAL_MS: '400',
    UPSTREAM_TIMEOUT_MS: '1000',
    CACHE_OPEN_TTL_MS: '100'
  }
  const nowMs = Date.now()
  const window = {
    start: instantFromMs((Math.floor(nowMs / HOUR_MS) - 22) * HOUR_MS),
    end: instantFromMs((Math.floor(nowMs / HOUR_MS) + 2) * HOUR_MS) - 1n
  }
  kubiya.showBetween(Number(window.start / 1_000_000n), nowMs - 10 * LATENESS_MS, EARLIER_EVENTS)
  let service = await start(t, sandbox, settings)
  const ask = () => Promise.allSettled([service.ask(`${API}/summary?start_time=-23h`), service.ask(`${API}/sessions?start_time=-23h`)])
  for (let step = 0; step < STEPS; step++) {
    kubiya.showNow(EVENTS_OF_A_STEP)
    await ask()
    if (step === 2) sandbox.faults.during({ kind: 'status', status: 503 })
    if (step === 4) sandbox.faults.clear()
    if (step === 5) {
      await service.kill()
      kubiya.showNow(EVENTS_OF_A_STEP)
      service = await start(t, sandbox, settings)
    }
    await sleep(200)
  }
  const query = `start_time=${formatInstant(window.start)}&end_time=${formatInstant(window.end)}`
  const total = async () => (await service.ask(`${API}/summary?${query}`)).totals.events as number
  for (const startedMs = Date.now(); await total() < kubiya.count() && Date.now() - startedMs < PATIENCE_MS;) await sleep(200)
  await compare(t, service, window, kubiya.count())
})

t.test('a table of 16 656 events is filled in 20 calls, and 40 queries then read old events at most twice', async (t) => {
  const sandbox = await startUpstream(t)
  const chance = createChance(SEED)
  const nowMs = Date.now()
  createKubiya(sandbox, { ...chance, is: () => false }).showBetween(nowMs - 23.5 * HOUR_MS, nowMs - 60_000, 16_656)
  const service = await start(t, sandbox, { POLL_INTERVAL_MS: '60000', POLL_MAX_INTERVAL_MS: '60000', CACHE_OPEN_TTL_MS: '1000' })
  sandbox.resetRequests()
  let summary = await service.ask(`${API}/summary`)
  while (summary.coverage.complete !== true) summary = await service.ask(`${API}/summary`)
  t.equal(summary.totals.events, 16_656)
  t.ok(sandbox.asked <= 20, `${sandbox.asked} calls`)
  const isDeep = ({ query: { filter } }: { readonly query: { readonly filter: any } }) =>
    (parseInstant(String(filter?.timestamp?.gte)) ?? 0n) < instantFromMs(nowMs - HOUR_MS)
  sandbox.resetRequests()
  for (let n = 0; n < 40; n++) {
    const filter = ['', 'status=failed', 'category_type=agents', `email=user${n % 5}%40acme.test`, 'start_time=-6h'][n % 5] ?? ''
    const path = ['summary?', 'timeline?by=email&', 'facets?', 'sessions?'][n % 4] ?? ''
    const { coverage } = await service.ask(`${API}/${path}${filter}`)
    t.equal(coverage.complete, true, `${path}${filter}`)
  }
  const deep = sandbox.requests.filter(isDeep).length
  t.ok(deep <= 2, `${deep} deep calls of ${sandbox.asked}`)
})
