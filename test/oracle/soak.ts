import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { instantFromMs } from '../../src/audit/instant.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { createChance } from './chance.ts'
import type { Transport } from './connection.ts'
import { createListener, type Listener } from './listener.ts'
import { startProcess, type ServiceProcess } from './process.ts'
import { tally } from './tally.ts'
import { abuseConnections } from '../fuzz/connections.ts'
import { forgeFrames } from '../fuzz/forged-frames.ts'
import { createTraffic } from './traffic.ts'
import { createTruth, type FilterName } from './truth.ts'
import { missingOf } from './verdict.ts'

// `npm run soak -- --seconds 600 --seed 7 --history 100` kills and restarts the real process. The upstream often fails
// and its clock jumps, and hostile clients misuse connections. `--history` is the size of the log.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    history: { type: 'string', default: '2000' }
  }
})
const [seconds, seed] = [Number(values.seconds), Number(values.seed)]

const LATENESS_MS = 10_000
const IN_TIME = 0.9 // Of the lateness: whatever is published is on its way for a moment, too.
const FAULTY = 0.2
const KILLED = 0.75 // The rest is asked to end.
const SHORTEST_LIFE_MS = 4000
const LONGEST_LIFE_MS = 45_000 // Long enough for its log to be filled, fail what may.
const LONGEST_DEATH_MS = 3000
const TICK_MS = 50
const RETURN_MS = 50
const RECONNECT_MS = 1000
const STALL_MS = 6000
const PROGRESS_MS = 10_000
const PROBE_MS = 1000
const JOINERS = 8
const JOIN_MOST_AGO_MS = 60_000
const PATIENCE_MS = 45_000 // What is late comes with a full read, which may be half a minute off.
const LOOK_MS = 250
const ABUSE_MS = 1000
const FORGERY_MS = 5000
const CLOCK_MS = 3000
const CLOCK_LEAPS_MS = [-3_600_000, -90_000, -5000, 5000, 90_000, 3_600_000] as const
const PATHS = [
  '/api/v1/audit/events?limit=500',
  '/api/v1/audit/stream',
  '/livez',
  '/docs/swagger-ui-bundle.js'
] as const
const NANOS_PER_MS = 1e6
const BYTES_PER_MB = 1024 * 1024
const ENVIRONMENT = {
  PORT: '0',
  KUBIYA_REQUESTS_PER_MINUTE: '0',
  KUBIYA_REQUESTS_PER_DAY: '0',
  UPSTREAM_TIMEOUT_MS: '500',
  POLL_INTERVAL_MS: '200',
  POLL_MAX_INTERVAL_MS: '400',
  LATENESS_MS: String(LATENESS_MS),
  HISTORY_EVENTS: values.history,
  REPLAY_LIMIT: '1000000', // A gap excuses too much.
  SUBSCRIBER_BACKLOG_BYTES: '16384',
  HEARTBEAT_MS: '1000',
  DRAIN_MS: '300',
  LOG_LEVEL: 'error'
}

console.log(
  `soak: --seconds ${seconds} --seed ${seed}; LATENESS_MS ${LATENESS_MS}, ${
    FAULTY * 100
  } % of the requests to Kubiya fail`
)
const startedMs = performance.now()
const chance = createChance(seed)
const truth = createTruth()
const sandbox = await startSandbox({ pageCap: 100 })
const traffic = createTraffic({ sandbox, truth, chance, mostLateMs: LATENESS_MS * IN_TIME, faulty: FAULTY })
const loop = monitorEventLoopDelay()
const listeners: Listener[] = []
const errors: string[] = []
let service: ServiceProcess | undefined
let runs = 0
let slowestMs = 0

await start()
for (const transport of ['ws', 'sse'] as const) {
  for (const filter of ['all', 'kind', 'text'] as const) join('steady', transport, filter, 0)
  returnEvery(RECONNECT_MS, join('returning', transport, 'all', 0))
  stallEvery(STALL_MS, join('stalling', transport, 'all', 0))
}
await Promise.all([publishOn(), restartOn(), joinOn(), tellOn(), probeOn(), abuseOn(), forgeOn(), leapOn()])
await rest()
console.log(`${truth.count()} published, ${runs} runs of the service, ${errors.length} errors logged`)
for (const line of errors) console.log(line)
const holds = tally(listeners.map(({ story }) => story), truth) && errors.length === 0
console.log(`${holds ? 'held' : 'did not hold'}: --seconds ${seconds} --seed ${seed}`)
process.exitCode = holds ? 0 : 1
await Promise.all(listeners.map((listener) => listener.leave()))
await stop('SIGTERM')
await sandbox.close()

async function start (): Promise<void> {
  runs++
  service = await startProcess({ ...ENVIRONMENT, KUBIYA_API_KEY: sandbox.apiKey, KUBIYA_BASE_URL: sandbox.url })
}

async function stop (signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const stopped = service
  service = undefined
  await stopped?.end(signal)
  errors.push(...stopped?.errors ?? [])
}

function join (kind: string, transport: Transport, filter: FilterName, agoMs: number): Listener {
  const listener = createListener({
    name: `${kind} ${listeners.length}`,
    transport,
    filter,
    start: instantFromMs(Date.now() - agoMs),
    whereabouts: () => service && { url: service.url, run: runs, isFilled: false },
    lastPublishing: truth.last,
    returnMs: RETURN_MS
  })
  listeners.push(listener)
  return listener
}

function returnEvery (everyMs: number, listener: Listener): void {
  const timer = setInterval(() => isOver() ? clearInterval(timer) : listener.reconnect(chance.integer(0, 50)), everyMs)
}

function stallEvery (everyMs: number, listener: Listener): void {
  const timer = setInterval(() => {
    if (isOver()) clearInterval(timer)
    else if (listener.isStalled()) listener.wake()
    else listener.stall()
  }, everyMs)
}

async function publishOn (): Promise<void> {
  for (; !isOver(); await pause(TICK_MS)) traffic.publish()
}

async function restartOn (): Promise<void> {
  const live = () => pause(chance.integer(SHORTEST_LIFE_MS, LONGEST_LIFE_MS))
  for (await live(); !isOver(); await live()) {
    await stop(chance.is(KILLED) ? 'SIGKILL' : 'SIGTERM')
    await sleep(chance.integer(0, LONGEST_DEATH_MS))
    await start()
  }
}

async function joinOn (): Promise<void> {
  for (let joined = 0; joined < JOINERS; joined++) {
    await pause(seconds * 1000 / (JOINERS + 1))
    join(
      'joining',
      chance.pick(['ws', 'sse']),
      chance.pick(['all', 'failed', 'session']),
      chance.integer(0, JOIN_MOST_AGO_MS)
    )
  }
}

async function tellOn (): Promise<void> {
  for (await pause(PROGRESS_MS); !isOver(); await pause(PROGRESS_MS)) {
    traffic.forget()
    const behind = listeners.map(({ story }) => missingOf(story, truth).length).sort((a, b) => a - b)
    const [middle, most] = [behind[Math.floor(behind.length / 2)], behind.at(-1)]
    const memoryMb = Math.round((await service?.memoryBytes() ?? 0) / BYTES_PER_MB)
    console.log([
      `${Math.round(elapsedMs() / 1000)} s: ${truth.count()} published, ${runs} runs`,
      `${listeners.length} listeners, half of them ${middle} or less behind, one ${most}`,
      `${memoryMb} MB; slowest /livez ${slowestMs} ms, own loop ${Math.round(loop.max / NANOS_PER_MS)} ms`
    ].join('; '))
    slowestMs = 0
    loop.reset()
  }
}

/** How long the service's loop makes a caller wait; this process's own is in it. */
async function probeOn (): Promise<void> {
  loop.enable()
  for (; !isOver(); await pause(PROBE_MS)) {
    const askedMs = performance.now()
    const answer = service && await fetch(`${service.url}/livez`).catch(() => undefined)
    if (answer?.ok === true) slowestMs = Math.max(slowestMs, Math.round(performance.now() - askedMs))
  }
  loop.disable()
}

/** Strangers pipeline, upgrade, leave answers unread and hang up. */
async function abuseOn (): Promise<void> {
  for (; !isOver(); await pause(ABUSE_MS)) {
    if (service !== undefined) await abuseConnections(chance, { url: service.url, authorization: '', paths: PATHS })
  }
}

/** A service that lies to the client module must not make it throw outside its iteration. */
async function forgeOn (): Promise<void> {
  for (; !isOver(); await pause(FORGERY_MS)) {
    errors.push(...(await forgeFrames(chance)).faults.map((fault) => `forged frames: ${String(fault)}`))
  }
}

/** The upstream's clock is wrong now and then, for one answer or for some seconds. */
async function leapOn (): Promise<void> {
  for (; !isOver(); await pause(CLOCK_MS)) sandbox.quirks.clockSkewMs = chance.is(0.5) ? 0 : chance.pick(CLOCK_LEAPS_MS)
  sandbox.quirks.clockSkewMs = 0
}

/** Nothing fails and nobody stalls any more: until nobody misses anything, or nothing has come for too long. */
async function rest (): Promise<void> {
  traffic.calm()
  for (const listener of listeners) listener.wake()
  const behind = () => listeners.reduce((sum, { story }) => sum + missingOf(story, truth).length, 0)
  let [last, lastMs] = [behind(), performance.now()]
  while (last > 0 && performance.now() - lastMs < PATIENCE_MS) {
    await sleep(LOOK_MS)
    const now = behind()
    if (now !== last) [last, lastMs] = [now, performance.now()]
  }
}

function elapsedMs (): number {
  return performance.now() - startedMs
}

function isOver (): boolean {
  return elapsedMs() >= seconds * 1000
}

async function pause (ms: number): Promise<void> {
  await sleep(Math.max(0, Math.min(ms, seconds * 1000 - elapsedMs())))
}
