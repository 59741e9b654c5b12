import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { MIB, mib, publishedBytes, startMeasured, sum, unaccounted, type Held } from '../support/measured.ts'
import { KINDS, visit, type Visitor } from '../support/visitor.ts'
import { createChance } from './chance.ts'

// `npm run soak:memory -- --minutes 20 --streams 300 --seed 7`: streams come, replay five minutes and go, while events
// come and lists are asked for. Resident memory must level off, and what is held at the end must be accounted for.
// `--history` is the log's bound in events, `--cache` the cache's in MiB: small ones are reached in the first minutes.
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '20' },
    streams: { type: 'string', default: '300' },
    history: { type: 'string', default: '10000' },
    cache: { type: 'string', default: '64' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) }
  }
})
const [minutes, streams, seed] = [Number(values.minutes), Number(values.streams), Number(values.seed)]
const historyEvents = Number(values.history)
const bounds = `--history ${historyEvents} --cache ${values.cache}`
const asGiven = `--minutes ${minutes} --streams ${streams} ${bounds} --seed ${seed}`

const MINUTE_MS = 60_000
const EVENT_MS = 200
const PAST_MS = 5 * MINUTE_MS
const QUESTION_MS = 500
const LOOK_MS = 100
const SHORTEST_STAY_MS = 5000
const LONGEST_STAY_MS = 35_000
const MOST_LINES = 60
const SETTLE_MS = 15_000 // Replays are kept for ten seconds after the last of them.
const MOST_UNACCOUNTED = 64 * MIB
const MOST_GROWTH = 0.1 // Of resident memory from the third quarter to the last.
const FILTERS = [
  '',
  '&category_type=agents',
  '&category_type=users',
  '&status=success',
  '&status=failed',
  '&text=restart',
  '&session_id=s-3',
  '&category_name=helper-7',
  '&action_type=sent',
  '&text=number%201&status=success'
] as const

console.log(`soak:memory: ${asGiven}`)
const startedMs = performance.now()
const chance = createChance(seed)
const sandbox = await startSandbox()
const service = await startMeasured({
  KUBIYA_API_KEY: sandbox.apiKey,
  KUBIYA_BASE_URL: sandbox.url,
  POLL_INTERVAL_MS: '1000',
  POLL_MAX_INTERVAL_MS: '1000',
  HISTORY_EVENTS: values.history,
  CACHE_MAX_BYTES: String(Number(values.cache) * MIB)
})
const visitors = new Map<Visitor, number>() // And when they go.
const logged: number[] = [] // Bytes of each event that the log keeps.
const resident: number[] = []
let published = 0
let visits = 0
let received = 0
await sleep(1000)
const base = await service.held()
console.log(`base: ${told(base)}`)

for (let agoMs = PAST_MS; agoMs > 0; agoMs -= EVENT_MS) publish(agoMs)
await Promise.all([publishOn(), visitOn(), askOn(), tellOn()])
for (const visitor of visitors.keys()) visitor.leave()
await sleep(SETTLE_MS)
await conclude()
await service.end()
await sandbox.close()

async function publishOn (): Promise<void> {
  for (; !isOver(); await pause(EVENT_MS)) publish(0)
}

function publish (agoMs: number): void {
  const item = madeUp(published++, agoMs)
  sandbox.publish(item)
  logged.push(publishedBytes(item))
  if (logged.length > historyEvents) logged.shift()
}

/** There are always as many: whoever goes makes room for another. */
async function visitOn (): Promise<void> {
  for (; !isOver(); await pause(LOOK_MS)) {
    for (const [visitor, untilMs] of visitors) {
      if (performance.now() < untilMs) continue
      visitors.delete(visitor)
      visitor.leave()
    }
    while (visitors.size < streams) come()
  }
}

function come (): void {
  const visitor = visit(service.url, chance.pick(KINDS), `?start_time=-5m${chance.pick(FILTERS)}`)
  visitors.set(visitor, performance.now() + chance.integer(SHORTEST_STAY_MS, LONGEST_STAY_MS))
  visits++
  visitor.gone.then((bytes) => { received += bytes }, () => {})
}

async function askOn (): Promise<void> {
  for (; !isOver(); await pause(QUESTION_MS)) {
    const query = `page_size=${chance.integer(1, 200)}&page=${chance.integer(1, 5)}${chance.pick(FILTERS)}`
    const headers = { 'accept-encoding': chance.pick(['br', 'gzip', 'identity']) }
    const answer = await fetch(`${service.url}/api/v1/audit/events/search?${query}`, { headers })
    await answer.arrayBuffer()
  }
}

async function tellOn (): Promise<void> {
  for (await pause(MINUTE_MS); ; await pause(MINUTE_MS)) {
    const held = await service.holds()
    resident.push(held.rss)
    const come = `${visits} visits, ${mib(received)} taken`
    console.log(`${Math.round(elapsedMs() / MINUTE_MS)} min: ${told(held)}; ${await usage()}; ${come}`)
    if (isOver()) return
  }
}

async function conclude (): Promise<void> {
  const held = await service.held()
  const beyond = unaccounted(held, { base, logBytes: logBytes(), cacheBytes: await sum(service, 'cache_bytes') })
  const [before, last] = [quarter(2), quarter(3)]
  console.log(`all have left: ${told(held)}; ${await usage()}; ${await sum(service, 'subscribers')} streams`)
  console.log(`${mib(beyond)} are not accounted for; resident ${mib(before)} in the third quarter, then ${mib(last)}`)
  const holds = beyond < MOST_UNACCOUNTED && last < before * (1 + MOST_GROWTH)
  console.log(`${holds ? 'held' : 'did not hold'}: ${asGiven}`)
  process.exitCode = holds ? 0 : 1
}

/** The mean of resident memory in a quarter of the time. */
function quarter (number: number): number {
  const length = Math.max(1, Math.floor(resident.length / 4))
  const part = resident.slice(resident.length - (4 - number) * length).slice(0, length)
  return part.reduce((total, bytes) => total + bytes, 0) / Math.max(1, part.length)
}

function madeUp (number: number, agoMs: number): object {
  const text = `restart of the notifications pods, number ${number}; `
  return {
    org: 'acme',
    email: `user${chance.integer(1, 50)}@acme.test`,
    category_type: chance.pick(['agents', 'users', 'tools']),
    category_name: `helper-${chance.integer(1, 20)}`,
    resource_type: 'Message',
    resource_text: text + 'log line '.repeat(chance.integer(0, MOST_LINES)),
    action_type: chance.pick(['sent', 'executed']),
    action_successful: chance.is(0.9),
    timestamp: new Date(Date.now() - agoMs).toISOString(),
    extra: { session_id: `s-${chance.integer(1, 30)}`, number },
    scope: 'org'
  }
}

async function usage (): Promise<string> {
  return `cache ${mib(await sum(service, 'cache_bytes'))}, log ${mib(logBytes())} in ${logged.length} events`
}

function logBytes (): number {
  return logged.reduce((total, bytes) => total + bytes, 0)
}

function told ({ arrayBuffers, external, heapTotal, heapUsed, rss }: Held): string {
  const buffers = `external ${mib(external)} (buffers ${mib(arrayBuffers)})`
  return `heap ${mib(heapUsed)} of ${mib(heapTotal)}, ${buffers}, resident ${mib(rss)}`
}

function elapsedMs (): number {
  return performance.now() - startedMs
}

function isOver (): boolean {
  return elapsedMs() >= minutes * MINUTE_MS
}

async function pause (ms: number): Promise<void> {
  await sleep(Math.max(0, Math.min(ms, minutes * MINUTE_MS - elapsedMs())))
}
