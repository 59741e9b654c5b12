import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { COUNTED_FIELDS } from '../../src/aggregates/columns.ts'
import { createEventTable, type EventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import { countFacets } from '../../src/aggregates/facets.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import { countTimeline } from '../../src/aggregates/timeline.ts'
import { identify } from '../../src/audit/event-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { parseJson, type JsonObject } from '../../src/audit/exact-json.ts'
import { NANOS_PER_SECOND } from '../../src/audit/instant.ts'
import { eventsOfHour } from '../../src/sandbox/history/event-generator.ts'
import { format, type Row } from '../row.ts'
import { alternate, type Contender } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const HELD = 200_000
const DAY = 16_656
const LARGE = 100_000
const FIRST_HOUR = 480_000 // Of the year 2024, counted from 1970.
const HOURS = 200 // Longer than the larger log.
const SEED = 1
const BUCKET_SECONDS = 1800

/** What counts cost in the process: to hold the events, and to count them. A plain array of items is the peer. */
export async function aggregates (isQuick: boolean): Promise<Row[]> {
  const { bytes, micros, table } = held()
  const rounds = isQuick ? 3 : 9
  const rows: Row[] = [
    {
      figure: 'CPU to add an event to the table (µs)',
      measured: format(micros),
      value: micros,
      bound: TARGETS.aggregates.addMicros
    },
    {
      figure: `Memory of an event in a table of ${HELD} (bytes)`,
      measured: `${format(bytes)}; the table says ${format(table.usage().bytes / HELD)}`,
      value: bytes,
      bound: TARGETS.aggregates.bytes
    }
  ]
  for (const [count, bound] of [[DAY, TARGETS.aggregates.dayMs], [LARGE, TARGETS.aggregates.largeMs]] as const) {
    for (const row of await counting(count, rounds)) rows.push({ ...row, bound })
  }
  return rows
}

/** Fills a table. The events are made in portions: all of them at once would be half a gigabyte. */
function held (): { readonly micros: number, readonly bytes: number, readonly table: EventTable } {
  warmUp()
  const collect = collector()
  const table = createEventTable({ maxEvents: HELD })
  const before = usedBytes(collect)
  let micros = 0
  for (const events of portions(HELD)) {
    const start = process.cpuUsage()
    for (const event of events) table.add(event, event.instant ?? 0n)
    micros += since(start)
  }
  return { micros: micros / HELD, bytes: (usedBytes(collect) - before) / HELD, table }
}

function warmUp (): void {
  const table = createEventTable({ maxEvents: HELD })
  for (const events of portions(DAY)) for (const event of events) table.add(event, event.instant ?? 0n)
}

async function counting (count: number, rounds: number): Promise<Row[]> {
  const table = createEventTable({ maxEvents: count })
  const items: JsonObject[] = []
  for (const events of portions(count)) {
    for (const event of events) {
      table.add(event, event.instant ?? 0n)
      items.push(event.item)
    }
  }
  const parts: TablePart[] = [{ snapshot: table.snapshot(), window: {} }]
  const hour = (number: number) => BigInt(number * 3600) * NANOS_PER_SECOND
  const span = { start: hour(FIRST_HOUR), end: hour(FIRST_HOUR + HOURS) }
  const options = { ...span, intervalSeconds: BUCKET_SECONDS, by: 'status' as const, top: 8 }
  const questions = {
    Summary: [() => countSummary(parts, {}, { top: 10 }), () => plainSummary(items)],
    Timeline: [() => countTimeline(parts, {}, options), () => plainTimeline(items)],
    Facets: [
      () => countFacets(parts, { status: 'failed' }, { fields: COUNTED_FIELDS, top: 20 }),
      () => plainFacets(items, false)
    ]
  } as const
  const rows: Row[] = []
  for (const [name, [ours, plain]] of Object.entries(questions)) {
    const contenders = [contender('table', ours), contender('array', async () => plain())]
    await alternate(contenders, 2)
    const { costs, steal } = await alternate(contenders, rounds)
    const [ms, peerMs] = [costs.get('table') ?? NaN, costs.get('array') ?? NaN].map((cost) => cost / 1000)
    const measured = `${format(ms ?? NaN)} ms, a plain array ${format(peerMs ?? NaN)} ms`
    const figure = `${name} of ${count} events (ms of CPU)`
    rows.push({ figure, measured, steal, ...ms !== undefined && { value: ms } })
  }
  return rows
}

function contender (name: string, turn: () => Promise<unknown>): Contender {
  return {
    name,
    async slice () {
      const start = process.cpuUsage()
      let units = 0
      for (; units < 3 || since(start) < 100_000; units++) await turn()
      return { micros: since(start), units }
    }
  }
}

function since (start: NodeJS.CpuUsage): number {
  const { system, user } = process.cpuUsage(start)
  return system + user
}

function usedBytes (collect: () => void): number {
  collect()
  collect()
  const { external, heapUsed } = process.memoryUsage()
  return external + heapUsed
}

function collector (): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

/** Events as they come from Kubiya's answers, hour by hour: items with texts of their own. */
function * portions (count: number): Generator<AuditEvent[], void, void> {
  for (let hour = FIRST_HOUR, left = count; left > 0; hour++) {
    const items = parseJson(JSON.stringify(eventsOfHour(SEED, hour))) as JsonObject[]
    const events = identify(items.slice(0, left))
    left -= events.length
    yield events
  }
}

// The peer: the same questions to a list of items, with one `Map` for each field.

function valueOf (item: JsonObject, field: typeof COUNTED_FIELDS[number]): unknown {
  if (field === 'status') return item.action_successful
  return field === 'tool_name' ? (item.extra as JsonObject | null)?.tool_name : item[field]
}

function plainFacets (items: readonly JsonObject[], isAll: boolean): unknown {
  return COUNTED_FIELDS.map((field) => {
    const counts = new Map<unknown, number>()
    for (const item of items.filter((each) => isAll || field === 'status' || each.action_successful === false)) {
      const value = valueOf(item, field)
      counts.set(value, (counts.get(value) ?? 0) + 1)
    }
    return [...counts].sort(([, a], [, b]) => b - a).slice(0, 20)
  })
}

function plainSummary (items: readonly JsonObject[]): unknown {
  const sessions = new Map<unknown, { events: number, first: string, last: string }>()
  for (const item of items) {
    const [id, time] = [(item.extra as JsonObject | null)?.session_id ?? item.session_id, String(item.timestamp)]
    const known = sessions.get(id)
    if (known === undefined) sessions.set(id, { events: 1, first: time, last: time })
    else {
      known.events++
      if (time < known.first) known.first = time
      if (time > known.last) known.last = time
    }
  }
  return [plainFacets(items, true), [...sessions.values()].map(({ events }) => events).sort((a, b) => a - b)]
}

function plainTimeline (items: readonly JsonObject[]): unknown {
  const buckets = new Map<number, Map<unknown, number>>()
  for (const item of items) {
    const bucket = Math.floor(Date.parse(String(item.timestamp)) / (1000 * BUCKET_SECONDS))
    const counts = buckets.get(bucket) ?? new Map<unknown, number>()
    counts.set(item.action_successful, (counts.get(item.action_successful) ?? 0) + 1)
    buckets.set(bucket, counts)
  }
  return buckets
}
