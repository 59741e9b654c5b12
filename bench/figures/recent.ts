import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram, type Child } from '../child.ts'
import { format, ratioRow, type Row } from '../row.ts'
import { STREAM, startService, type Service } from '../service.ts'
import { alternate, type Contender } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const LIST = '/api/v1/audit/events'
const ITEMS = '/api/v1/auditing/items'
const PROGRAMS = 50
const VIEWERS = 20
const POLL_INTERVAL_MS = 3000
// A poll then reads the last few events again. It has seen a longer answer, so one call shows the end.
const SHORT_WINDOW = { LATENESS_MS: '1000' }
const LISTS = 200
const SIZES = 48 // The log holds 200 events: the last row of each of these pages is among them.
const CONNECTIONS = 32
const TICK = { events: 2, everyMs: 1000 }

/** Answers out of the event log: what they cost Kubiya, and what they cost the service. */
export async function recent (isQuick: boolean): Promise<Row[]> {
  const windowMs = isQuick ? 15_000 : 60_000
  const one = await callsPerMinute(windowMs, TICK, subscribe)
  const many = await callsPerMinute(windowMs, TICK, pollAndView)
  const quiet = await callsPerMinute(windowMs, null, pollAndView)
  const readers = `${PROGRAMS} polling programs and ${VIEWERS} viewers`
  return [
    {
      figure: `Upstream calls of ${readers}, of one subscriber`,
      measured: `${format(many)} and ${format(one)} a minute`,
      value: many / one,
      bound: TARGETS.recent.readers
    },
    {
      figure: `Upstream calls of ${readers} on a quiet log`,
      measured: `${format(quiet)} a minute`,
      value: quiet,
      bound: TARGETS.recent.quiet
    },
    await differentLists(),
    await answers(isQuick)
  ]
}

/** Calls to Kubiya, a minute, while readers read. */
async function callsPerMinute (
  windowMs: number,
  tick: typeof TICK | null,
  read: (service: Service) => Promise<() => Promise<unknown>>
): Promise<number> {
  const service = await startService(SHORT_WINDOW)
  await sleep(2000)
  await service.upstream.ask({ make: 5 })
  await service.upstream.ask({ tick })
  const stop = await read(service)
  await sleep(POLL_INTERVAL_MS + 1000)
  const before = await service.upstream.ask<number>({ requests: true })
  await sleep(windowMs)
  const after = await service.upstream.ask<number>({ requests: true })
  await stop()
  await service.stop()
  return (after - before) * 60_000 / windowMs
}

async function subscribe ({ port }: Service): Promise<() => Promise<unknown>> {
  const generator = startProgram('measuring', 'subscribers')
  await generator.ask({ open: { port, paths: [STREAM], count: 1 } })
  return () => generator.stop()
}

/** Programs that ask once a second for what is not older than the newest event that they know, and viewers of a list. */
async function pollAndView ({ port }: Service): Promise<() => Promise<unknown>> {
  const origin = `http://127.0.0.1:${port}`
  const ending = new AbortController()
  const loops = [
    ...Array.from({ length: PROGRAMS }, () => everySecond(async (newest: string | undefined) => {
      const filter = newest === undefined ? {} : { timestamp: { gte: newest } }
      const query = new URLSearchParams({
        filter: JSON.stringify(filter),
        page: '1',
        page_size: '50',
        sort: '{"timestamp":-1}'
      })
      const items = await ask(`${origin}${ITEMS}?${query}`) as Array<{ timestamp: string }>
      return items[0]?.timestamp ?? newest
    })),
    ...Array.from({ length: VIEWERS }, () => everySecond(async () => {
      await ask(origin + LIST)
      return undefined
    }))
  ]
  return async () => {
    ending.abort()
    await Promise.all(loops)
  }

  async function everySecond (turn: (last: string | undefined) => Promise<string | undefined>): Promise<void> {
    for (let last: string | undefined; !ending.signal.aborted; await sleep(1000)) last = await turn(last)
  }
}

async function ask (url: string): Promise<unknown> {
  const response = await fetch(url)
  if (response.status !== 200) throw new Error(`${url} was answered with ${response.status}`)
  return response.json()
}

async function differentLists (): Promise<Row> {
  const service = await startService(SHORT_WINDOW)
  await sleep(2000)
  await service.upstream.ask({ make: 5 })
  await sleep(POLL_INTERVAL_MS + 1000)
  await ask(`http://127.0.0.1:${service.port}${LIST}`)
  await sleep(POLL_INTERVAL_MS + 1000) // The last poll is too old now, and the poller sleeps for a minute.
  const before = await service.upstream.ask<number>({ requests: true })
  await Promise.all(Array.from({ length: LISTS }, (_, n) =>
    ask(`http://127.0.0.1:${service.port}${LIST}?page_size=${1 + n % SIZES}&page=${1 + Math.floor(n / SIZES)}`)))
  const calls = await service.upstream.ask<number>({ requests: true }) - before
  await service.stop()
  return {
    figure: `Upstream calls for ${LISTS} different lists at once, the poller asleep`,
    measured: `${calls}`,
    value: calls,
    bound: TARGETS.recent.lists
  }
}

/** The default list out of the log, against the same list as a cached answer of Kubiya. */
async function answers (isQuick: boolean): Promise<Row> {
  const callers = startProgram('measuring', 'callers')
  const withLog = await startService()
  const withoutLog = await startService({ HISTORY_EVENTS: '1' })
  const contenders = [slices('log', withLog), slices('hit', withoutLog)]
  await alternate(contenders, 2)
  const { costs, steal } = await alternate(contenders, isQuick ? 3 : 9)
  await Promise.all([callers, withLog, withoutLog].map((child: Child) => child.stop()))
  const perCpu = (name: string) => 1000 / (costs.get(name) ?? NaN)
  return ratioRow(
    'The default list out of the log, of a cached answer of Kubiya',
    ['log', perCpu('log')],
    ['hit', perCpu('hit')],
    'requests per ms of CPU',
    TARGETS.recent.answer,
    steal
  )

  function slices (name: string, service: Service): Contender {
    return {
      name,
      async slice () {
        const before = service.cpuMicros()
        const { answered } = await callers.ask<{ answered: number }>({
          load: { port: service.port, path: LIST, connections: CONNECTIONS, forMs: 1200 }
        })
        return { micros: service.cpuMicros() - before, units: answered }
      }
    }
  }
}
