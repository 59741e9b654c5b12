import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { ExportCursor } from '../../src/audit/cursor.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import type { Requester } from '../../src/audit/requester.ts'
import type { AuditSource, CallerPurpose, Direction, Failure, FailureKind } from '../../src/audit/source.ts'
import { readExport, type ExportReaderOptions } from '../../src/export/export-reader.ts'
import type { ExportEnd, ExportRequest, ExportStep } from '../../src/export/export-request.ts'
import { USUAL_HABITS, createMemorySource, dated, type Habits, type Kept, type MemorySource } from '../contracts/memory-source.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { eventually } from '../support/support.ts'
import { at } from '../support/timeline.ts'

const ALL: ExportRequest = { filter: {}, window: { start: at(0), end: at(100_000) }, direction: 'asc', limit: 1_000_000 }
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }
const FREE: Requester = { key: 'a-caller', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) }

interface Outcome {
  readonly events: AuditEvent[]
  readonly names: unknown[]
  readonly end: ExportEnd
  /** How long the export waited, milliseconds. */
  readonly waitedMs: number
}

function keptAt (seconds: number, item: JsonObject = {}): Kept {
  return dated({ name: `at ${seconds}`, timestamp: formatInstant(at(seconds)), ...item })
}

/** So many events, one second apart, named by their numbers. */
function seconds (count: number): Kept[] {
  return Array.from({ length: count }, (_, name) => keptAt(name, { name }))
}

/** A source of these, and what its reads fail with. */
function sourceOf (
  kept: readonly Kept[],
  habits: Partial<Habits> = {},
  interfere: (reads: number) => Failure | undefined = () => undefined
): MemorySource {
  const source = createMemorySource({ ...USUAL_HABITS, ...habits }, interfere)
  source.keep(...kept)
  return source
}

/** Reads an export to its end. Its waits pass at once. */
async function read (
  source: AuditSource,
  request: Partial<ExportRequest> = {},
  options: Partial<ExportReaderOptions> = {}
): Promise<Outcome> {
  const clock = createManualClock()
  const events: AuditEvent[] = []
  let end: ExportEnd | undefined
  const reading = (async () => {
    for await (const step of steps(source, request, { clock, ...options })) {
      if (end !== undefined) throw new Error('a step after the end')
      if (step.kind === 'end') end = step
      else events.push(...step.events)
    }
    return true
  })()
  // An export has one timer at most.
  while (!await Promise.race([reading, turn(false)])) clock.advance(clock.waitsMs()[0] ?? 0)
  if (end === undefined) throw new Error('an export without an end')
  return { events, names: events.map(({ item }) => item.name), end, waitedMs: clock.monotonicMs() }
}

function steps (
  source: AuditSource,
  request: Partial<ExportRequest>,
  options: Partial<ExportReaderOptions>
): AsyncGenerator<ExportStep, void, void> {
  return readExport(source, { ...ALL, ...request }, {
    requester: FREE,
    signal: new AbortController().signal,
    readLimit: 1_000_000,
    scanLimit: 100_000,
    clock: createManualClock(),
    ...options
  })
}

/** The request for the next part. */
function after (cursor: ExportCursor | undefined): Partial<ExportRequest> {
  if (cursor === undefined) throw new Error('no next part')
  const { kind: _kind, ...rest } = cursor
  return rest
}

/** All parts of an export, with at most so many events each. */
async function parts (source: MemorySource, direction: Direction, limits: readonly number[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  let request: Partial<ExportRequest> = { direction }
  for (let part = 0; part < 300; part++) {
    const outcome = await read(source, { ...request, limit: limits[part % limits.length] ?? 1 })
    outcomes.push(outcome)
    if (outcome.end.next === undefined) return outcomes
    request = after(outcome.end.next)
  }
  throw new Error('the parts have no end')
}

t.test('an export is in order, in both directions, and complete', async (t) => {
  const source = sourceOf(seconds(2500))
  const numbers = Array.from({ length: 2500 }, (_, n) => n)
  for (const direction of ['asc', 'desc'] as const) {
    const { end, names } = await read(source, { direction })
    t.same(names, direction === 'asc' ? numbers : numbers.toReversed())
    t.match(end, { complete: true, next: undefined, reason: 'end', skipped: [] })
  }
})

t.test('an export has the events of its window and filter only', async (t) => {
  const source = sourceOf(Array.from({ length: 300 }, (_, name) =>
    keptAt(name / 10, { name, category_type: name % 2 === 0 ? 'ai' : 'agents', email: name % 3 === 0 ? 'a' : 'b' })))
  const window = { start: at(10.1), end: at(20) }
  t.same((await read(source, { window })).names, Array.from({ length: 100 }, (_, n) => 101 + n))
  const { names } = await read(source, { window, filter: { category_type: 'ai', email: 'a' } })
  t.same(names, [102, 108, 114, 120, 126, 132, 138, 144, 150, 156, 162, 168, 174, 180, 186, 192, 198])
})

t.test('an export that its limit ends continues after its last event', async (t) => {
  const source = sourceOf(seconds(50))
  const first = await read(source, { limit: 20 })
  t.same(first.names, Array.from({ length: 20 }, (_, n) => n))
  t.match(first.end, { complete: false, reason: 'limit' })
  const rest = await read(source, { ...after(first.end.next), limit: 30 })
  t.same(rest.names, Array.from({ length: 30 }, (_, n) => 20 + n))
  t.match(rest.end, { complete: true, next: undefined, reason: 'end' }, 'as many as the limit are no cut')
})

t.test('the parts of an export are together the whole one, with twins and undated events, however it is cut', async (t) => {
  const happening = fc.record({
    tenths: fc.integer({ min: 0, max: 30 }),
    twins: fc.constantFrom(1, 1, 1, 2, 3),
    isDated: fc.constantFrom(true, true, true, false)
  })
  const cases = fc.tuple(
    fc.array(happening, { maxLength: 25 }),
    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
    fc.constantFrom<Direction>('asc', 'desc'),
    fc.constantFrom(1000, 40),
    fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 3 })
  )
  await holdsAsync(t, fc.asyncProperty(cases, async ([happenings, limits, direction, pageCap, refused]) => {
    const kept = happenings.flatMap(({ isDated, tenths, twins }, name) => {
      const timestamp = isDated ? formatInstant(at(tenths / 10)) : 'unreadable'
      const place = at(tenths / 10 + (isDated ? 0 : 0.06))
      return Array.from({ length: twins }, (): Kept => ({ at: place, item: { name, timestamp } }))
    })
    // The upstream's bounds are whole seconds, so an event without an instant is found by a dated one of its second.
    for (const second of [0, 1, 2, 3]) kept.push(keptAt(second + 0.05))
    const whole = await read(sourceOf(kept, { pageCap }), { direction })
    if (!whole.end.complete || whole.names.length !== kept.length) throw new Error(`${whole.names.length} events of ${kept.length}`)
    if (new Set(whole.events.map(({ id }) => id)).size !== kept.length) throw new Error('an id came twice')
    const source = sourceOf(kept, { pageCap }, (reads) =>
      refused.includes(reads) ? { ok: false, kind: 'unauthorized' } : undefined)
    const outcomes = await parts(source, direction, limits)
    const joined = outcomes.flatMap(({ events }) => events.map(({ id }) => id))
    const ids = whole.events.map(({ id }) => id)
    if (joined.join() !== ids.join()) throw new Error(`${joined.length} events in parts, ${ids.length} in the whole`)
  }), { numRuns: runs(150) })
})

t.test('events without an instant before the first dated one, and without any, are in the parts too', async (t) => {
  const undated = [0, 1, 2].map((name): Kept => ({ at: at(name), item: { name, timestamp: 'unreadable' } }))
  for (const kept of [undated, [...undated, keptAt(9, { name: 9 })]]) {
    const outcomes = await parts(sourceOf(kept), 'asc', [1])
    t.same(outcomes.flatMap(({ names }) => names), kept.map(({ item }) => item.name))
  }
})

t.test('undated events far from the dated one before them are in the parts of a descending export', async (t) => {
  const undated = [3, 3, 4].map((second, n): Kept => ({ at: at(second), item: { name: `u${n}`, timestamp: 'unreadable' } }))
  const source = sourceOf([keptAt(0, { name: 'a' }), ...undated, keptAt(9, { name: 'z' })])
  const whole = await read(source, { direction: 'desc' })
  t.same(whole.names, ['z', 'u2', 'u1', 'u0', 'a'])
  for (const limit of [1, 2, 3]) {
    const outcomes = await parts(source, 'desc', [limit])
    t.same(outcomes.flatMap(({ names }) => names), whole.names, `${limit} in a part`)
  }
})

t.test('an undated event that waits for its place is in the next part of a descending export', async (t) => {
  const undated: Kept = { at: at(8), item: { name: 'u', timestamp: 'unreadable' } }
  const kept = [keptAt(0, { name: 'a' }), keptAt(5, { name: 'b' }), undated, keptAt(12, { name: 'c' })]
  // The first page ends with the dated event before the undated one, so both wait.
  const source = sourceOf(kept, { pageCap: 3 }, (reads) => reads === 2 ? { ok: false, kind: 'unauthorized' } : undefined)
  const outcomes = await parts(source, 'desc', [1000])
  t.same(outcomes.map(({ names }) => names), [['c'], ['u', 'b', 'a']])
})

t.test('one instant with more rows than a page is exported whole, by id', async (t) => {
  const rows = Array.from({ length: 2300 }, (_, n) => keptAt(5, { id: `id-${String((n * 7919) % 2300).padStart(4, '0')}` }))
  const source = sourceOf([keptAt(4), ...rows, keptAt(6)])
  for (const direction of ['asc', 'desc'] as const) {
    const { end, events } = await read(source, { direction })
    const ids = events.slice(1, -1).map(({ id }) => id)
    t.equal(end.complete, true)
    t.same(ids, direction === 'asc' ? ids.toSorted() : ids.toSorted().reverse())
    t.equal(new Set(ids).size, 2300)
    const outcomes = await parts(source, direction, [900])
    t.same(outcomes.flatMap((each) => each.events.map(({ id }) => id)), events.map(({ id }) => id))
  }
})

t.test('an upstream that ignores the sort is exported in order', async (t) => {
  const { end, names } = await read(sourceOf(seconds(2500), { ignoresSort: true }))
  t.same(names, Array.from({ length: 2500 }, (_, n) => n))
  t.equal(end.complete, true)
})

t.test('one instant that is larger than the memory for it is refused, and is no part without events', async (t) => {
  const text = 'x'.repeat(1024 * 1024)
  const source = sourceOf(Array.from({ length: 40 }, (_, name) => keptAt(5, { name, text })), { pageCap: 8 })
  const { end, names } = await read(source)
  t.same(names, [])
  t.match(end, { complete: false, reason: 'too-large', failure: { ok: false, kind: 'too-large' } })
})

t.test('a page that fails', async (t) => {
  const failing = (from: number, to = from, kind: FailureKind = 'unavailable') => (reads: number): Failure | undefined =>
    reads >= from && reads <= to ? { ok: false, kind } : undefined

  t.test('has three tries, one and two seconds apart', async (t) => {
    const { end, names, waitedMs } = await read(sourceOf(seconds(1500), {}, failing(2, 3)))
    t.equal(names.length, 1500)
    t.equal(end.complete, true)
    t.equal(waitedMs, 3000)
  })

  t.test('has three tries, although pages before it failed too', async (t) => {
    const fails = new Set([1, 2, 5, 6, 9, 10])
    const source = sourceOf(seconds(2500), {}, (reads) => fails.has(reads) ? UNAVAILABLE : undefined)
    const { end, names } = await read(source)
    t.equal(names.length, 2500)
    t.equal(end.complete, true)
  })

  t.test('for the third time ends the export as incomplete, and the next part has the rest', async (t) => {
    let isDown = true
    const source = sourceOf(seconds(2500), {}, (reads) => isDown && reads > 1 ? UNAVAILABLE : undefined)
    const first = await read(source)
    t.match(first.end, { complete: false, reason: 'unavailable', next: Object, failure: undefined })
    t.equal(source.questions.length, 4, 'three tries of the second page')
    t.equal(first.waitedMs, 3000)
    isDown = false
    const rest = await read(source, after(first.end.next))
    t.same([...first.names, ...rest.names], Array.from({ length: 2500 }, (_, n) => n))
    t.equal(rest.end.complete, true)
  })

  t.test('is the failure of the request if nothing was read before', async (t) => {
    const { end } = await read(sourceOf(seconds(10), {}, () => UNAVAILABLE))
    t.match(end, { complete: false, reason: 'unavailable', failure: UNAVAILABLE })
  })

  t.test('with a refused credential ends the export at once', async (t) => {
    for (const kind of ['unauthorized', 'forbidden'] as const) {
      const source = sourceOf(seconds(2500), {}, failing(2, 9, kind))
      const { end, waitedMs } = await read(source)
      t.match(end, { complete: false, reason: kind })
      t.equal(waitedMs, 0)
      t.equal(source.questions.length, 2)
    }
  })
})

t.test('a shortage of the budget', async (t) => {
  const short = (from: number, to: number, retryAfterMs: number, kind: FailureKind = 'budget') => (reads: number) =>
    reads >= from && reads <= to ? { ok: false, kind, retryAfterMs } as const : undefined

  t.test('is waited for, for any number of tries up to 50 seconds', async (t) => {
    for (const kind of ['budget', 'share', 'throttled', 'overloaded'] as const) {
      const { end, waitedMs } = await read(sourceOf(seconds(1500), {}, short(2, 11, 5000, kind)))
      t.equal(end.complete, true, kind)
      t.equal(waitedMs, 50_000)
    }
  })

  t.test('that lasts longer ends the export as incomplete', async (t) => {
    const { end, names, waitedMs } = await read(sourceOf(seconds(1500), {}, short(2, 99, 20_000)))
    t.match(end, { complete: false, reason: 'budget', next: Object })
    t.ok(names.length > 900)
    t.equal(waitedMs, 40_000, 'a third wait would be too long')
    const long = await read(sourceOf(seconds(1500), {}, short(2, 99, 50_001)))
    t.equal(long.waitedMs, 0, 'a wait that is too long is not begun')
  })

  t.test('may be waited for again after events were exported', async (t) => {
    const isShort = new Set([2, 4])
    const { end, waitedMs } = await read(sourceOf(seconds(2500), {}, (reads) =>
      isShort.has(reads) ? { ok: false, kind: 'budget', retryAfterMs: 40_000 } : undefined))
    t.equal(end.complete, true)
    t.equal(waitedMs, 80_000)
  })

  t.test("of the caller's own share is one too, and the share is charged for what is read", async (t) => {
    let left = 1
    let charged = 0
    const requester: Requester = {
      key: 'a-caller',
      reserve: () => left-- > 0
        ? { ok: true, read: (events) => { charged += events }, end: () => {} }
        : { ok: false, kind: 'share', retryAfterMs: 60_000 }
    }
    const { end, names } = await read(sourceOf(seconds(1500)), {}, { requester })
    t.match(end, { complete: false, reason: 'share' })
    t.ok(names.length > 900)
    t.equal(charged, 1000)
  })
})

t.test('a row that cannot be read makes the export incomplete, and every later part', async (t) => {
  const spoils = ({ name }: JsonObject) => name === 30 ? 'too-large' as const : undefined
  const source = sourceOf(seconds(100), { spoils })
  const whole = await read(source)
  t.same(whole.names, Array.from({ length: 100 }, (_, n) => n).filter((n) => n !== 30))
  t.match(whole.end, { complete: false, next: undefined, reason: 'end' })
  t.equal(whole.end.skipped.length, 1)
  const [{ from, to } = { from: 0n, to: 0n }] = whole.end.skipped
  t.ok(from <= at(30) && (to === undefined || to >= at(30)), 'the interval has the row')
  const [first, ...rest] = await parts(source, 'asc', [60, 100])
  t.equal(first?.end.next?.hasSkipped, true)
  t.same(rest.map(({ end }) => end.complete), [false])
})

t.test('the most events that are read are a limit too, also where few match', async (t) => {
  const kept = Array.from({ length: 5000 }, (_, name) => keptAt(name, { name, email: name === 4500 ? 'a' : 'b' }))
  const source = sourceOf(kept)
  const first = await read(source, { filter: { email: 'a' } }, { readLimit: 2000 })
  t.match(first.end, { complete: false, reason: 'limit', next: Object })
  t.ok(source.questions.length <= 4, `${source.questions.length} pages`)
  const rest = await read(source, after(first.end.next))
  t.same(rest.names, [4500])
  t.equal(rest.end.complete, true)
})

t.test('an abort', async (t) => {
  t.test('during a request ends it, and nothing is read afterwards', async (t) => {
    const controller = new AbortController()
    const source = sourceOf(seconds(5000))
    const hanging: AuditSource = {
      ...source,
      async read (query, purpose) {
        if (source.questions.length < 2) return source.read(query, purpose)
        source.questions.push(query)
        const { isBulk, signal } = purpose as CallerPurpose
        t.equal(isBulk, true)
        return new Promise((resolve) => signal?.addEventListener('abort', () => resolve(UNAVAILABLE)))
      }
    }
    const reading = read(hanging, {}, { signal: controller.signal })
    await eventually('the third page is asked for', () => source.questions.length === 3)
    controller.abort()
    const { end, names } = await reading
    t.match(end, { complete: false, reason: 'stopped', next: Object })
    t.ok(names.length > 1900)
    t.equal(source.questions.length, 3)
  })

  t.test('during a wait ends the wait', async (t) => {
    const controller = new AbortController()
    const clock = createManualClock()
    const source = sourceOf(seconds(1500), {}, (reads) => reads === 2 ? { ok: false, kind: 'budget', retryAfterMs: 40_000 } : undefined)
    const generator = steps(source, {}, { signal: controller.signal, clock })
    await generator.next()
    while (clock.waitsMs().length === 0) await turn()
    const next = generator.next()
    controller.abort()
    t.match((await next).value, { kind: 'end', complete: false, reason: 'stopped' })
    t.same(clock.waitsMs(), [], 'the timer is cancelled')
    t.equal(source.questions.length, 2)
  })

  t.test('reads one page ahead, and no more, while nobody pulls', async (t) => {
    const source = sourceOf(seconds(5000))
    const generator = steps(source, {}, {})
    await generator.next()
    for (let turns = 0; turns < 20; turns++) await turn()
    t.equal(source.questions.length, 2)
    await generator.return()
    for (let turns = 0; turns < 20; turns++) await turn()
    t.equal(source.questions.length, 2)
  })
})
