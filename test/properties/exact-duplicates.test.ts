import fc from 'fast-check'
import t, { type Test } from 'tap'
import { readPage } from '../../src/archive/keyset-page.ts'
import { formatInstant, type Instant } from '../../src/audit/instant.ts'
import type { Direction } from '../../src/audit/source.ts'
import { scan } from '../../src/scan/scanner.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { createMemorySource, USUAL_HABITS, type Kept, type MemorySource } from '../contracts/memory-source.ts'
import { CALLER, POLLER } from '../support/purposes.ts'
import { TEN } from '../support/timeline.ts'

const NONE = { filter: {}, window: { start: TEN } }

// Instants of up to forty events, each event alone or in two or three items that are equal in every field, side by
// side.
const anyLog = fc.array(
  fc.record({
    twins: fc.array(fc.constantFrom(1, 1, 1, 2, 3), { minLength: 1, maxLength: 40 }),
    stepMs: fc.integer({ min: 1, max: 900 })
  }),
  { minLength: 1, maxLength: 12 }
)
type Log = Array<{ twins: number[], stepMs: number }>

function keep (log: Log, pageCap: number): { source: MemorySource, count: number } {
  const source = createMemorySource({ ...USUAL_HABITS, pageCap })
  const kept: Kept[] = []
  let at: Instant = TEN
  let n = 0
  for (const { twins, stepMs } of log) {
    at += BigInt(stepMs) * 1_000_000n
    for (const times of twins) {
      n++
      for (let i = 0; i < times; i++) kept.push({ at, item: { n, timestamp: formatInstant(at) } })
    }
  }
  source.keep(...kept)
  return { source, count: kept.length }
}

/** A log at a source, and how to read it. */
interface Reading {
  readonly source: MemorySource
  readonly count: number
  readonly log: Log
  readonly pageSize: number
  readonly direction: Direction
}

const anyReading = fc.record({
  log: anyLog,
  pageCap: fc.integer({ min: 20, max: 60 }),
  pageSize: fc.integer({ min: 1, max: 70 }),
  direction: fc.constantFrom<Direction>('asc', 'desc')
})

/** Asserts that so many random readings are correct. */
async function holdsFor (t: Test, numRuns: number, isCorrect: (reading: Reading) => Promise<boolean>): Promise<void> {
  const property = fc.asyncProperty(anyReading, ({ pageCap, ...rest }) =>
    isCorrect({ ...rest, ...keep(rest.log, pageCap) }))
  await holdsAsync(t, property, { numRuns })
}

t.test('a scan meets each exact duplicate once, wherever pages end', (t) =>
  holdsFor(t, runs(60), async ({ source, count, direction }) => {
    const ids: string[] = []
    for await (
      const step of scan(source, { ...NONE, direction, pageSize: 50, scanLimit: Infinity, purpose: POLLER })
    ) {
      if (step.ok) ids.push(...step.rows.map(({ event }) => event.id))
    }
    return ids.length === count && new Set(ids).size === count
  }))

t.test('pages by next have each exact duplicate once, in one order', (t) =>
  holdsFor(t, runs(20), async ({ source, count, pageSize, direction }) => {
    const ids: string[] = []
    const question = { ...NONE, direction, pageSize }
    let page = await readPage(source, { ...question, page: 1 }, Infinity, CALLER)
    for (let number = 2; page.ok; number++) {
      ids.push(...page.events.map(({ id }) => id))
      if (page.next === undefined) break
      page = await readPage(source, { ...question, page: number, after: page.next }, Infinity, CALLER)
    }
    return ids.length === count && new Set(ids).size === count
  }))

t.test('numbered pages equal the pages by next, also if one ends between exact duplicates', (t) =>
  holdsFor(t, runs(20), async ({ source, count, log, pageSize, direction }) => {
    const events: Array<{ n: unknown, instant: unknown }> = []
    for (let number = 1; events.length < count && number <= count; number++) {
      const page = await readPage(source, { ...NONE, direction, page: number, pageSize }, Infinity, CALLER)
      if (!page.ok) return false
      if (page.events.length !== Math.min(pageSize, count - events.length)) return false
      events.push(...page.events.map(({ item, instant }) => ({ n: item.n, instant })))
    }
    const times = new Map<unknown, number>()
    for (const { n } of events) times.set(n, (times.get(n) ?? 0) + 1)
    const twins = log.flatMap((each) => each.twins)
    return twins.every((expected, index) => times.get(index + 1) === expected)
  }))
