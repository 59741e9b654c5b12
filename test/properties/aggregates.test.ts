import fc from 'fast-check'
import t from 'tap'
import { createEventTable, type EventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import { COUNTED_FIELDS, type CountedField } from '../../src/aggregates/columns.ts'
import { countFacets } from '../../src/aggregates/facets.ts'
import type { IdSet } from '../../src/aggregates/id-set.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import { countTimeline, type TimelineField } from '../../src/aggregates/timeline.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { identify } from '../../src/audit/event-id.ts'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { formatInstant, maxInstant, type Instant } from '../../src/audit/instant.ts'
import type { Json, JsonObject } from '../../src/audit/exact-json.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { recountFacets, recountSummary, recountTimeline, type CountedEvent } from '../support/recount.ts'
import { at } from '../support/timeline.ts'

const SPAN_SECONDS = 100
const NEEDLE = 'needle'

const anyText = fc.constantFrom<Json | undefined>(undefined, '', 'a', 'a', 'b', 'B', 'שלום', 'x'.repeat(300), 7, null, ['a'])
const anyPlace = fc.oneof(fc.integer({ min: 0, max: SPAN_SECONDS * 1000 }), fc.constantFrom(0, 5000, 60_000))
/** The same instant in the forms that Kubiya may write. */
const anyForm = fc.constantFrom<(instant: Instant) => string>(
  formatInstant,
formatInstant,
(instant) => formatInstant(instant).replace('T', ' ').replace('Z', ''),
(instant) => formatInstant(instant + 7200_000_000_000n).replace('Z', '+02:00'),
(instant) => formatInstant(instant).replace(/(\.\d+)?Z/, (_, fraction: string = '.') => `${fraction.padEnd(10, '0')}Z`)
)

const anyItem: fc.Arbitrary<JsonObject> = fc.record({
  timestamp: fc.option(
    fc.tuple(anyPlace, fc.nat(2), anyForm).map(([ms, nanos, form]) => form(at(ms / 1000) + BigInt(nanos))),
    { nil: undefined, freq: 8 }
  ),
  category_type: anyText,
  category_name: anyText,
  resource_type: fc.constantFrom('Message', 'Tool Execution'),
  resource_text: fc.constantFrom('', 'text', `a ${NEEDLE} in hay`),
  action_type: anyText,
  action_successful: fc.constantFrom<Json | undefined>(true, true, false, null, undefined, 'true'),
  email: anyText,
  session_id: anyText,
  extra: fc.oneof(
    fc.constantFrom<Json | undefined>(undefined, null, 'text'),
    fc.record({ session_id: anyText, tool_name: anyText }).map(defined)
  )
}).map(defined)

function defined (fields: Record<string, Json | undefined>): JsonObject {
  return Object.fromEntries(Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [[name, value]]))
}

const anyValue = fc.constantFrom('a', 'b', 'שלום', '7', 'nobody')
const anyFilter: fc.Arbitrary<AuditFilter> = fc.oneof(
  fc.constant({}),
  fc.record({
    category_type: anyValue,
    category_name: anyValue,
    email: anyValue,
    session_id: anyValue,
    tool_name: anyValue,
    action_type: anyValue,
    resource_type: fc.constant('Message'),
    status: fc.constantFrom('success' as const, 'failed' as const),
    text: fc.constant(NEEDLE)
  }, { requiredKeys: [] }).map((filter) => Object.fromEntries(Object.entries(filter).slice(0, 3)) as AuditFilter)
)

interface Question {
  readonly filter: AuditFilter
  readonly startMs: number | undefined
  readonly endMs: number | undefined
  /** Where the window is parted between two tables. */
  readonly partedMs: number | undefined
  readonly top: number
  readonly by: TimelineField
  readonly intervalSeconds: number
  readonly fields: readonly CountedField[]
}

const anyQuestion: fc.Arbitrary<Question> = fc.record({
  filter: anyFilter,
  startMs: fc.option(anyPlace, { nil: undefined }),
  endMs: fc.option(anyPlace, { nil: undefined }),
  partedMs: fc.option(anyPlace, { nil: undefined, freq: 2 }),
  top: fc.constantFrom(0, 1, 2, 10),
  by: fc.constantFrom<TimelineField>(...COUNTED_FIELDS, 'none'),
  intervalSeconds: fc.constantFrom(1, 5, 7, 60, 3600),
  fields: fc.subarray([...COUNTED_FIELDS])
})

type Step =
  /** New events: those of the shares, in any order. */
  | { readonly kind: 'feed', readonly shares: readonly number[] }
  /** A page of the log, newest first. */
  | { readonly kind: 'fill', readonly share: number, readonly length: number }
  | { readonly kind: 'compact' }
  | { readonly kind: 'drop', readonly ms: number }
  | { readonly kind: 'ask', readonly question: Question }

const anyShare = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('feed' as const), shares: fc.array(anyShare, { maxLength: 8 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('fill' as const), share: anyShare, length: fc.integer({ min: 1, max: 20 }) })
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop' as const), ms: fc.integer({ min: 0, max: 30_000 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('ask' as const), question: anyQuestion }) }
)

const anyStory = fc.record({
  items: fc.array(fc.tuple(anyItem, fc.constantFrom(1, 1, 1, 2, 3)), { minLength: 1, maxLength: 40 }),
  steps: fc.array(anyStep, { minLength: 5, maxLength: 30 }),
  chunkRows: fc.constantFrom(1, 4, 4096),
  maxEvents: fc.constantFrom(12, 40, 1000, 1000)
})
type Story = typeof anyStory extends fc.Arbitrary<infer T> ? T : never

interface Placed {
  readonly event: AuditEvent
  readonly position: Instant
}

interface World {
  readonly ids?: () => IdSet
  readonly isFed?: boolean
}

/** Plays a story on two equal tables. Returns how the counts differ from a recount, and how many there were. */
async function play ({ chunkRows, items, maxEvents, steps }: Story, { ids, isFed = true }: World = {}) {
  const log = placed(items.flatMap(([item, copies]) => Array<JsonObject>(copies).fill(item)))
  const union = new Map<string, CountedEvent>()
  let lostUpTo = at(-1)
  const lose = (instant: Instant) => { lostUpTo = maxInstant(lostUpTo, instant) }
  const tables = [0, 1].map(() =>
    createEventTable({ maxEvents, chunkRows, onEvicted: lose, ...ids !== undefined && { ids: ids() } }))
  const differences: string[] = []
  let counts = 0
  let running: Array<Promise<void>> = []
  for (const step of steps) await take(step)
  await Promise.all(running)
  return { counts, differences }

  async function take (step: Step): Promise<void> {
    switch (step.kind) {
      case 'feed': return add(step.shares.flatMap((share) => log[Math.floor(share * log.length)] ?? []), isFed)
      case 'fill': {
        const end = Math.ceil(step.share * log.length)
        return add(log.slice(Math.max(0, end - step.length), end).reverse(), true)
      }
      case 'compact': {
        running.push(...tables.map((table) => table.compact()))
        return
      }
      case 'drop': {
        lose(at(step.ms / 1000) - 1n)
        await Promise.all(tables.map((table) => table.dropBefore(at(step.ms / 1000))))
        return
      }
      case 'ask': {
        // The counts run while further steps are taken: they see the rows of this moment.
        running.push(ask(step.question))
        if (running.length < 3) return
        await Promise.all(running)
        running = []
      }
    }
  }

  function add (rows: readonly Placed[], isSeen: boolean): void {
    for (const { event, position } of rows) {
      union.set(event.id, { json: event.json, position })
      if (isSeen) for (const table of tables) table.add(event, position, event.json.includes(NEEDLE))
    }
  }

  async function ask (question: Question): Promise<void> {
    const { by, endMs, fields, filter, intervalSeconds, startMs, top } = question
    const start = maxInstant(lostUpTo + 1n, at((startMs ?? 0) / 1000))
    const end = endMs === undefined ? undefined : at(endMs / 1000)
    const window = { start, ...end !== undefined && { end } }
    const closed = { start, end: end ?? at(SPAN_SECONDS + 1) }
    const [events, parts] = [[...union.values()], partsOf(tables, window, question)]
    compare('summary', await countSummary(parts, filter, { top }), recountSummary(events, filter, window, top))
    compare('facets', await countFacets(parts, filter, { fields, top }), recountFacets(events, filter, window, fields, top))
    compare(
      'timeline',
      await countTimeline(parts, filter, { ...closed, by, intervalSeconds, top }),
      recountTimeline(events, filter, closed, intervalSeconds, by, top)
    )
  }

  function compare (name: string, actual: object, expected: object): void {
    counts++
    const [a, b] = [canonical(actual), canonical(expected)]
    if (a !== b) differences.push(`${name}: ${a} instead of ${b}`)
  }
}

/** Events in the order of time. An undated one stands where its neighbour does. */
function placed (items: JsonObject[]): Placed[] {
  const events = identify(items)
  const first = events.find(({ instant }) => instant !== undefined)?.instant ?? at(0)
  let last = first
  const rows = events.map((event) => {
    last = event.instant ?? last
    return { event, position: last }
  })
  return rows.sort((a, b) => a.position < b.position ? -1 : a.position > b.position ? 1 : 0)
}

function partsOf (tables: readonly EventTable[], window: { start: Instant, end?: Instant }, { partedMs }: Question): TablePart[] {
  const [first, second] = tables.map((table) => table.snapshot())
  if (first === undefined || second === undefined) return []
  const parted = partedMs === undefined ? undefined : at(partedMs / 1000)
  if (parted === undefined || parted <= window.start || parted > (window.end ?? parted)) return [{ snapshot: first, window }]
  return [
    { snapshot: first, window: { ...window, start: parted } },
    { snapshot: second, window: { start: window.start, end: parted - 1n }, isExtra: true }
  ]
}

function canonical (value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return `${each}n`
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => a < b ? -1 : 1))
  })
}

t.test('counts equal a recount, however events came into the table', async (t) => {
  let counts = 0
  await holdsAsync(
    t,
    fc.asyncProperty(anyStory, async (story) => {
      const played = await play(story)
      counts += played.counts
      if (played.differences.length > 0) throw new Error(played.differences.join('\n'))
    }),
    { numRuns: runs(100) }
  )
  t.ok(counts > runs(100), `${counts} counts were compared`)
})

const failsWith = async (world: World) => {
  const property = fc.asyncProperty(anyStory, async (story) => (await play(story, world)).differences.length === 0)
  return (await fc.check(property, { numRuns: runs(200), endOnFailure: true })).failed
}

t.test('a table that does not recognise repeats counts otherwise than a recount', async (t) => {
  const forgetful: IdSet = { add: () => true, remove () {}, clear () {}, size: 0, bytes: () => 0 }
  t.ok(await failsWith({ ids: () => forgetful }))
})

t.test('a table that is not fed counts otherwise than a recount', async (t) => {
  t.ok(await failsWith({ isFed: false }))
})
