import type { AuditFilter } from '../../src/audit/filter.ts'

/** An event as a recount sees it: the JSON that is published, and where it stands, in nanoseconds since 1970. */
export interface CountedEvent {
  readonly json: string
  readonly position: bigint
}

export interface CountedWindow {
  readonly start?: bigint
  readonly end?: bigint
}

interface Facts {
  readonly position: bigint
  readonly instant: bigint | undefined
  readonly status: 'success' | 'failed' | 'unknown'
  readonly session: string
  readonly sessions: readonly string[]
  readonly fields: Readonly<Record<string, string>>
  readonly text: string
}

const FIELDS = ['category_type', 'category_name', 'resource_type', 'action_type', 'status', 'email', 'tool_name']

/** A recount of whole lists of events, without anything of the service: for tests of the counts. */
export function recountSummary (events: readonly CountedEvent[], filter: AuditFilter, window: CountedWindow, top: number) {
  const rows = select(events, filter, window)
  const instants = rows.flatMap(({ instant }) => instant ?? []).sort(ascending)
  const ids = new Set(rows.map(({ session }) => session).filter((session) => session !== ''))
  const sessions = [...ids].map((id) => rows.filter(({ session }) => session === id))
  const spans = sessions.map((each) => each.flatMap(({ instant }) => instant ?? []).sort(ascending))
    .flatMap((each) => each.length === 0 ? [] : [Number((each.at(-1) ?? 0n) - (each[0] ?? 0n)) / 1e9])
  const sizes = sessions.map(({ length }) => length)
  const tally = tallyOf(rows)
  const known = tally.success + tally.failed
  return {
    totals: {
      ...tally,
      success_rate: known === 0 ? null : tally.success / known,
      users: new Set(rows.map(({ fields }) => fields.email).filter((email) => email !== '')).size,
      sessions: sessions.length,
      undated: rows.filter(({ instant }) => instant === undefined).length
    },
    by: Object.fromEntries(FIELDS.map((field) => [field, countValues(rows, field, top)])),
    sessions: {
      count: sessions.length,
      events_without_session: rows.filter(({ session }) => session === '').length,
      events_per_session: {
        mean: sizes.length === 0 ? null : sizes.reduce((sum, each) => sum + each, 0) / sizes.length,
        ...distribution(sizes)
      },
      duration_seconds: distribution(spans)
    },
    first_event: instants[0] ?? null,
    last_event: instants.at(-1) ?? null
  }
}

export function recountFacets (
  events: readonly CountedEvent[],
  filter: AuditFilter,
  window: CountedWindow,
  fields: readonly string[],
  top: number
) {
  const without = (field: string) => Object.fromEntries(Object.entries(filter).filter(([name]) => name !== field))
  return { facets: fields.map((field) => ({ field, ...countValues(select(events, without(field), window), field, top) })) }
}

export function recountTimeline (
  events: readonly CountedEvent[],
  filter: AuditFilter,
  window: Required<CountedWindow>,
  intervalSeconds: number,
  by: string,
  top: number
) {
  const rows = select(events, filter, window).filter(({ instant }) => instant !== undefined)
  const { values, ...others } = by === 'none' ? { values: [] } : countValues(rows, by, top)
  const rest = 'distinct' in others ? others.other_events + others.missing_events : 0
  const named = values.map(({ events, value }) => ({ value, events }))
  const series = rest === 0 ? named : [...named, { value: '', events: rest }]
  const width = BigInt(intervalSeconds) * 1_000_000_000n
  const buckets = []
  let from = window.start
  while (from % width !== 0n) from -= from % width > 0n ? from % width : width + from % width
  for (; window.start <= window.end && from <= window.end; from += width) {
    const within = rows.filter(({ position }) => position >= from && position < from + width)
    buckets.push({
      start_time: from,
      end_time: from + width,
      events: within.length,
      counts: series.map(({ value }) => within.filter(({ fields }) =>
        value === (named.some((each) => each.value === fields[by]) ? fields[by] : '')).length),
      ...from < window.start || from + width > window.end + 1n ? { partial: true } : {}
    })
  }
  return { interval_seconds: intervalSeconds, by, series, buckets }
}

function select (events: readonly CountedEvent[], filter: AuditFilter, { end, start }: CountedWindow): Facts[] {
  return events.map(factsOf).filter((facts) =>
    (start === undefined || facts.position >= start) && (end === undefined || facts.position <= end) &&
    Object.entries(filter).every(([field, value]) =>
      field === 'session_id'
        ? facts.sessions.includes(value)
        : field === 'text' ? facts.text.includes(value) : facts.fields[field] === value))
}

function factsOf ({ json, position }: CountedEvent): Facts {
  const item = JSON.parse(json) as Record<string, unknown>
  const extra = (typeof item.extra === 'object' && item.extra !== null ? item.extra : {}) as Record<string, unknown>
  const status = item.action_successful === true ? 'success' : item.action_successful === false ? 'failed' : 'unknown'
  const plain = FIELDS.filter((field) => field in item).map((field) => [field, textOf(item[field])])
  const empty = FIELDS.map((field) => [field, ''])
  const sessions = [textOf(extra.session_id), textOf(item.session_id)]
  return {
    position,
    instant: nanosOf(item.timestamp),
    status,
    session: sessions.find((each) => each !== '') ?? '',
    sessions,
    fields: { ...Object.fromEntries([...empty, ...plain]), status, tool_name: textOf(extra.tool_name) },
    text: textOf(item.resource_text)
  }
}

function textOf (value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''
}

/** A timestamp in nanoseconds, read in another way than the service does. */
function nanosOf (timestamp: unknown): bigint | undefined {
  const parts = /^([-\d]{10})[T ]([:\d]{8})(?:\.(\d{1,9}))?(Z|[-+]\d\d:\d\d)?$/.exec(String(timestamp))
  if (parts === null) return undefined
  const [, day = '', clock = '', fraction = '', zone = 'Z'] = parts
  return BigInt(Date.parse(`${day}T${clock}${zone}`)) * 1_000_000n + BigInt(`${fraction}000000000`.slice(0, 9))
}

function tallyOf (rows: readonly Facts[]) {
  const countOf = (status: string) => rows.filter((row) => row.status === status).length
  return { events: rows.length, success: countOf('success'), failed: countOf('failed'), unknown: countOf('unknown') }
}

function countValues (rows: readonly Facts[], field: string, top: number) {
  const valueOf = ({ fields }: Facts) => fields[field] ?? ''
  const all = [...new Set(rows.map(valueOf))].filter((value) => value !== '')
    .map((value) => ({ value, ...tallyOf(rows.filter((row) => valueOf(row) === value)) }))
    .sort((a, b) => b.events - a.events || (a.value < b.value ? -1 : 1))
  return {
    values: all.slice(0, top),
    distinct: all.length,
    other_events: all.slice(top).reduce((sum, { events }) => sum + events, 0),
    missing_events: rows.filter((row) => valueOf(row) === '').length
  }
}

function distribution (values: readonly number[]) {
  const sorted = [...values].sort((a, b) => a - b)
  if (sorted.length === 0) return { median: null, p95: null, max: null }
  const middle = sorted.length / 2
  const at = (index: number) => sorted[index] ?? NaN
  return {
    median: sorted.length % 2 === 1 ? at(Math.floor(middle)) : (at(middle - 1) + at(middle)) / 2,
    p95: at(Math.ceil(0.95 * sorted.length) - 1),
    max: Math.max(...sorted)
  }
}

function ascending (a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}
