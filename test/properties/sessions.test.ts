import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { createEventTable, type EventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import {
  SESSION_ORDERS, countSessions, type Session, type SessionOrder, type SessionPosition
} from '../../src/aggregates/sessions.ts'
import { identify } from '../../src/audit/event-id.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { compileFilter, type AuditFilter } from '../../src/audit/filter.ts'
import type { Instant } from '../../src/audit/instant.ts'
import type { SessionOutcome, SessionTrigger } from '../../src/audit/session.ts'
import { isWithin, type TimeRange } from '../../src/audit/time-range.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { at } from '../support/timeline.ts'

/** An event with the place that its table has for it. */
interface Placed {
  readonly event: AuditEvent
  readonly position: Instant
}

interface Question {
  readonly filter: AuditFilter
  readonly orderBy: SessionOrder
  readonly outcome: SessionOutcome | undefined
  readonly pageSize: number
}

const BASE = at(0)
const SECOND = 1_000_000_000n
const LONGEST_SECONDS = 900
const WHOLE: TimeRange = { start: BASE, end: BASE + BigInt(LONGEST_SECONDS + 1) * SECOND } // Instants have fractions.
const AS_OF = BASE + 700n * SECOND
const SILENCE = 300n * SECOND
const TRIGGERS: Record<string, SessionTrigger> = { triggers: 'webhook', slack: 'slack', 'my-api': 'api' }

const anySession = fc.constantFrom('a', 'b', 'c', 'ש', '', undefined)
const anyItem: fc.Arbitrary<JsonObject & { seconds: number }> = fc.record({
  seconds: fc.oneof(fc.constantFrom(-1, 0, 1, 2, 300, 301), fc.integer({ min: 0, max: LONGEST_SECONDS })),
  fraction: fc.constantFrom('', '.5', '.500000001', '.25'),
  session: anySession,
  outer: fc.option(anySession, { nil: undefined, freq: 4 }),
  status: fc.constantFrom(true, true, false, null, undefined, 'true'),
  email: fc.constantFrom('u1@acme.test', 'u2@acme.test', '', undefined),
  category: fc.constantFrom('agents', 'triggers', 'slack', 'my-api', '', undefined),
  tool: fc.constantFrom('kubectl', 'helm', undefined, undefined),
  isUser: fc.constantFrom(true, false, undefined),
  text: fc.constantFrom('restart it', 'שלום', '', "end=False start=True type='msg' content='unwrapped'")
}).map(({ category, email, fraction, isUser, outer, seconds, session, status, text, tool }) => defined({
  seconds,
  timestamp: seconds < 0 ? 'no time' : timestampAt(seconds, fraction),
  session_id: outer,
  action_successful: status,
  email,
  category_type: category,
  category_name: 'Helper',
  resource_text: text,
  extra: defined({ session_id: session, tool_name: tool, is_user_message: isUser })
}) as JsonObject & { seconds: number })

const anyQuestion: fc.Arbitrary<Question> = fc.record({
  filter: fc.constantFrom<AuditFilter>(
    {}, {}, { status: 'failed' }, { email: 'u1@acme.test' }, { tool_name: 'helm' }, { session_id: 'a' },
    { category_type: 'agents', status: 'success' }, { email: 'nobody' }
  ),
  orderBy: fc.constantFrom(...SESSION_ORDERS),
  outcome: fc.constantFrom<SessionOutcome | undefined>(undefined, undefined, 'failed', 'recovered', 'success', 'unknown'),
  pageSize: fc.integer({ min: 1, max: 4 })
})

function defined (values: Record<string, unknown>): JsonObject {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as JsonObject
}

function timestampAt (seconds: number, fraction: string): string {
  const whole = new Date(Number(BASE / 1_000_000n) + seconds * 1000).toISOString().slice(0, 19)
  return `${whole}${fraction}${seconds % 3 === 0 ? '+00:00' : 'Z'}`
}

/** Identifies the items together, so that equal ones are numbered. An undated one stands at the beginning. */
function place (items: ReadonlyArray<JsonObject & { seconds: number }>): Placed[] {
  const events = identify(items.map(({ seconds: _seconds, ...item }) => item as JsonObject))
  return events.map((event) => ({ event, position: event.instant ?? BASE + 300n * SECOND }))
}

function fill (table: EventTable, placed: readonly Placed[]): void {
  for (const { event, position } of placed) table.add(event, position)
}

// --- the recount: no code, codes or columns of the product ---

function textAt (object: unknown, name: string): string | undefined {
  const value = typeof object === 'object' && object !== null ? (object as Record<string, unknown>)[name] : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

function sessionIdOf ({ event: { item } }: Placed): string | undefined {
  return textAt(item.extra, 'session_id') ?? textAt(item, 'session_id')
}

function inOrder (a: Placed, b: Placed): number {
  if ((a.event.instant === undefined) !== (b.event.instant === undefined)) return a.event.instant === undefined ? 1 : -1
  if (a.position !== b.position) return a.position < b.position ? -1 : 1
  return a.event.id < b.event.id ? -1 : 1
}

/** The newest first. Without an instant an event comes last here too. */
function newestFirst (a: Placed, b: Placed): number {
  if ((a.event.instant === undefined) !== (b.event.instant === undefined)) return inOrder(a, b)
  return -inOrder(a, b)
}

function recount (id: string, own: readonly Placed[]): Session {
  const sorted = [...own].sort(inOrder)
  const items = sorted.map(({ event }) => event.item)
  const dated = sorted.flatMap(({ event: { instant } }) => instant === undefined ? [] : [instant])
  const [start, end] = [dated[0], dated.at(-1)]
  const failed = items.filter((item) => item.action_successful === false).length
  const success = items.filter((item) => item.action_successful === true).length
  return {
    id,
    start_time: start ?? null,
    end_time: end ?? null,
    duration_seconds: start === undefined || end === undefined ? null : Number(end - start) / 1e9,
    events: own.length,
    success,
    failed,
    unknown: own.length - success - failed,
    outcome: recountOutcome(own, failed),
    title: titleOf(own),
    trigger: TRIGGERS[textAt(items[0], 'category_type') ?? ''] ?? 'conversation',
    ...recountLists(items),
    is_open: end !== undefined && AS_OF - end < SILENCE,
    may_have_begun_earlier: start !== undefined && start - BASE < SILENCE
  }
}

function recountLists (items: readonly JsonObject[]): Pick<Session, 'users' | 'agents' | 'tools' | 'categories'> {
  return {
    users: group(items, (item) => textAt(item, 'email'), isUserMessage)
      .sort((a, b) => b.marked - a.marked || b.events - a.events || (a.value < b.value ? -1 : 1))
      .map(({ events, marked, value }) => ({ email: value, events, messages: marked })),
    agents: group(items, (item) => item.category_type === 'agents' ? 'Helper' : undefined)
      .map(({ events, value }) => ({ name: value, events })),
    tools: group(items, (item) => textAt(item.extra, 'tool_name'), (item) => item.action_successful === false)
      .map(({ events, marked, value }) => ({ name: value, events, failed: marked })),
    categories: group(items, (item) => textAt(item, 'category_type')).map(({ events, value }) => ({ value, events }))
  }
}

function recountOutcome (own: readonly Placed[], failed: number): SessionOutcome {
  const decisive = [...own].sort(newestFirst).find(({ event }) => typeof event.item.action_successful === 'boolean')
  if (decisive === undefined) return 'unknown'
  if (decisive.event.item.action_successful === false) return 'failed'
  return failed > 0 ? 'recovered' : 'success'
}

function isUserMessage ({ extra }: JsonObject): boolean {
  return (extra as JsonObject).is_user_message === true
}

function titleOf (own: readonly Placed[]): string | null {
  const byPosition = [...own].sort((a, b) =>
    a.position !== b.position ? (a.position < b.position ? -1 : 1) : a.event.id < b.event.id ? -1 : 1)
  const texts = byPosition.map(({ event: { item } }) => ({
    text: String(item.resource_text).startsWith('end=') ? 'unwrapped' : String(item.resource_text),
    isUser: isUserMessage(item)
  })).filter(({ text }) => text !== '')
  return (texts.find(({ isUser }) => isUser) ?? texts[0])?.text ?? null
}

function group (
  items: readonly JsonObject[],
  valueOf: (item: JsonObject) => string | undefined,
  isMarked: (item: JsonObject) => boolean = () => false
): Array<{ value: string, events: number, marked: number }> {
  const values = [...new Set(items.flatMap((item) => valueOf(item) ?? []))]
  return values.map((value) => {
    const own = items.filter((item) => valueOf(item) === value)
    return { value, events: own.length, marked: own.filter(isMarked).length }
  }).sort((a, b) => b.events - a.events || (a.value < b.value ? -1 : 1))
}

function recountAll (placed: readonly Placed[], { filter, orderBy, outcome }: Question) {
  const accepts = compileFilter(filter)
  const inWindow = placed.filter(({ position }) => isWithin(position, WHOLE))
  const ids = [...new Set(inWindow.flatMap((each) => sessionIdOf(each) ?? []))]
  const matching = inWindow.filter(({ event }) => accepts(event.item))
  const sessions = ids
    .filter((id) => matching.some((each) => sessionIdOf(each) === id))
    .map((id) => recount(id, inWindow.filter((each) => sessionIdOf(each) === id)))
    .filter((session) => outcome === undefined || session.outcome === outcome)
    .sort((a, b) => valueOf(b, orderBy) - valueOf(a, orderBy) || (a.id < b.id ? -1 : 1))
  return { sessions, unassigned: matching.filter((each) => sessionIdOf(each) === undefined).length }
}

function valueOf (session: Session, orderBy: SessionOrder): number {
  if (orderBy === 'end_time') return session.end_time === null ? -1e9 : Number(session.end_time - BASE)
  if (orderBy === 'duration') return session.duration_seconds ?? -1
  return session[orderBy]
}

// --- the properties ---

const anyLog = fc.record({
  items: fc.array(anyItem, { maxLength: 40 }),
  twins: fc.array(fc.nat(39), { maxLength: 4 }),
  late: fc.array(anyItem, { maxLength: 6 }),
  cut: fc.integer({ min: 0, max: LONGEST_SECONDS })
})
type Log = typeof anyLog extends fc.Arbitrary<infer Value> ? Value : never

function placedOf ({ items, twins }: Log): Placed[] {
  return place([...items, ...twins.flatMap((index) => items[index] ?? [])])
}

/** Follows `next` to the end. `between` runs after the first page. */
async function follow (parts: () => TablePart[], question: Question, between = () => {}) {
  const { filter, orderBy, outcome, pageSize } = question
  const [items, totals, unassigned]: [Session[], number[], number[]] = [[], [], []]
  let after: SessionPosition | undefined
  do {
    const page = await countSessions(parts(), filter, {
      orderBy,
      pageSize,
      asOf: AS_OF,
      ...outcome !== undefined && { outcome },
      ...after !== undefined && { after }
    })
    items.push(...page.items)
    totals.push(page.total)
    unassigned.push(page.unassigned_events)
    if (after === undefined) between()
    after = page.next
  } while (after !== undefined)
  return { items, totals, unassigned }
}

t.test('sessions equal a recount, page by page, in one table and in two parts of it', async (t) => {
  await holdsAsync(t, fc.asyncProperty(anyLog, anyQuestion, async (log, question) => {
    const placed = placedOf(log)
    const expected = recountAll(placed, question)
    const table = createEventTable({ maxEvents: 1000 })
    fill(table, placed.toReversed())
    fill(table, placed)
    const one = await follow(() => [{ snapshot: table.snapshot(), window: WHOLE }], question)
    deepStrictEqual(one.items, expected.sessions)
    deepStrictEqual([...new Set(one.totals)], [expected.sessions.length])
    deepStrictEqual([...new Set(one.unassigned)], [expected.unassigned])
    const cut = BASE + BigInt(log.cut) * SECOND
    const older = createEventTable({ maxEvents: 1000 })
    fill(older, placed.filter(({ position }) => position < cut))
    const parts = (): TablePart[] => [
      { snapshot: table.snapshot(), window: { ...WHOLE, start: cut } },
      { snapshot: older.snapshot(), window: { ...WHOLE, end: cut - 1n }, isExtra: true }
    ]
    deepStrictEqual((await follow(parts, question)).items, expected.sessions)
  }), { numRuns: runs(100) })
})

t.test('pages of a pinned question show each session that was there once, whatever is added meanwhile', async (t) => {
  await holdsAsync(t, fc.asyncProperty(anyLog, anyQuestion, async (log, question) => {
    const placed = placedOf(log)
    const table = createEventTable({ maxEvents: 1000 })
    fill(table, placed)
    const parts = (): TablePart[] => [{ snapshot: table.snapshot(), window: WHOLE }]
    const { sequence } = table.snapshot()
    const isKnown = new Set(placed.map(({ event }) => event.id))
    const late = place(log.late).filter(({ event }) => !isKnown.has(event.id))
    const pages = await follow(() => parts().map((part) => ({ ...part, sequence })), question, () => fill(table, late))
    const withoutTitles = (sessions: readonly Session[]) => sessions.map(({ title: _title, ...rest }) => rest)
    deepStrictEqual(withoutTitles(pages.items), withoutTitles(recountAll(placed, question).sessions))
    const unpinned = await follow(parts, question)
    deepStrictEqual(unpinned.items, recountAll([...placed, ...late], question).sessions)
  }), { numRuns: runs(100) })
})
