import { setTimeout as sleep } from 'node:timers/promises'
import { startProgram, type Child } from '../child.ts'
import { format, type Row } from '../row.ts'
import { startService, type Service } from '../service.ts'
import { alternate, type Contender } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const EVENTS = 200_000
const SLICE_EVENTS = 20_000
const EXPORT = '/api/v1/audit/export'
const LIST = '/api/v1/audit/events'
const SETTLE_MS = 6000 // Idle connections to Kubiya have ended by then.
const LOOK_EVERY_MS = 20
const MIB = 1024 * 1024

/** What an export costs in the service's process: CPU per event, and resident memory. */
export async function exports (isQuick: boolean): Promise<Row[]> {
  const service = await startService()
  const callers = startProgram('measuring', 'callers')
  const firstMs = await service.upstream.ask<number>({ spread: EVENTS })
  const growthBytes = await growth(service, callers, windowOf(firstMs, EVENTS))
  const contenders = ['ndjson', 'csv', 'pages'].map((name) => contender(name, service, callers, firstMs))
  await alternate(contenders, 1)
  const { costs, steal } = await alternate(contenders, isQuick ? 3 : 7)
  await Promise.all([callers, service].map((child) => child.stop()))
  const [ndjson, csv, pages] = ['ndjson', 'csv', 'pages'].map((name) => costs.get(name) ?? NaN)
  const row = (name: string, micros = NaN): Row => ({
    figure: `CPU per exported event, ${name} (µs)`,
    measured: `${format(micros)}, a loop over the pages of the list ${format(pages ?? NaN)}`,
    value: micros,
    bound: TARGETS.export.micros,
    steal
  })
  return [row('NDJSON', ndjson), row('CSV', csv), {
    figure: `Growth of resident memory during an export of ${EVENTS} events (MiB)`,
    measured: `${format(growthBytes / MIB)}`,
    value: growthBytes / MIB,
    bound: TARGETS.export.growthMib
  }]
}

/** The largest resident memory during an export, less that after one list. */
async function growth (service: Service, callers: Child, window: string): Promise<number> {
  await (await fetch(`http://127.0.0.1:${service.port}${LIST}?${window}&page_size=1000`)).arrayBuffer()
  await sleep(SETTLE_MS)
  const base = service.residentBytes()
  let most = base
  const watch = setInterval(() => { most = Math.max(most, service.residentBytes()) }, LOOK_EVERY_MS)
  const { lines } = await callers.ask<{ lines: number }>({ lines: { port: service.port, path: `${EXPORT}?${window}` } })
  clearInterval(watch)
  if (lines !== EVENTS + 1) throw new Error(`${EVENTS} events, and ${lines} lines`)
  return most - base
}

/** Each slice reads a window of its own, so that no page of the list is on the cache. */
function contender (name: string, { cpuMicros, port }: Service, callers: Child, firstMs: number): Contender {
  let slices = 0
  return {
    name,
    async slice () {
      const window = windowOf(firstMs + slices++ * 1000, SLICE_EVENTS)
      const before = cpuMicros()
      const units = name === 'pages' ? await eventsOfPages(window) : await eventsOfExport(window)
      if (units < SLICE_EVENTS) throw new Error(`${name} gave ${units} events`)
      return { micros: cpuMicros() - before, units }
    }
  }

  async function eventsOfExport (window: string): Promise<number> {
    const path = `${EXPORT}?${window}&format=${name}`
    return (await callers.ask<{ lines: number }>({ lines: { port, path } })).lines - 1 // The end, or the header.
  }

  async function eventsOfPages (window: string): Promise<number> {
    const path = `${LIST}?${window}&page_size=1000&sort_direction=asc`
    return (await callers.ask<{ events: number }>({ pages: { port, path } })).events
  }
}

/** The window of so many events, one each second. */
function windowOf (startMs: number, events: number): string {
  const [start, end] = [startMs, startMs + events * 1000 - 1].map((ms) => new Date(ms).toISOString())
  return `start_time=${start}&end_time=${end}`
}
