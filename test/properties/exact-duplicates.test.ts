import fc from 'fast-check'
import t from 'tap'
import { readPage } from '../../src/archive/keyset-page.ts'
import { formatInstant, parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { Direction } from '../../src/audit/source.ts'
import { scan } from '../../src/scan/scanner.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { createMemorySource, USUAL_HABITS, type Kept, type MemorySource } from '../contracts/memory-source.ts'
import { CALLER, POLLER } from '../support/purposes.ts'

const TEN = parseInstant('2025-06-03T10:00:00Z') ?? 0n
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

const anyDirection = fc.constantFrom<Direction>('asc', 'desc')

t.test('a scan meets each exact duplicate once, wherever pages end', async (t) => {
  await holdsAsync(
    t,
    fc.asyncProperty(anyLog, fc.integer({ min: 20, max: 60 }), anyDirection, async (log, pageCap, direction) => {
      const { source, count } = keep(log, pageCap)
      const ids: string[] = []
      for await (
        const step of scan(source, { ...NONE, direction, pageSize: 50, scanLimit: Infinity, purpose: POLLER })
      ) {
        if (step.ok) ids.push(...step.rows.map(({ event }) => event.id))
      }
      return ids.length === count && new Set(ids).size === count
    }),
    { numRuns: runs(60) }
  )
})

t.test('pages by next have each exact duplicate once, in one order', async (t) => {
  await holdsAsync(
    t,
    fc.asyncProperty(
      anyLog,
      fc.integer({ min: 20, max: 60 }),
      fc.integer({ min: 1, max: 70 }),
      anyDirection,
      async (log, pageCap, pageSize, direction) => {
        const { source, count } = keep(log, pageCap)
        const ids: string[] = []
        let page = await readPage(source, { ...NONE, direction, page: 1, pageSize }, Infinity, CALLER)
        for (let number = 2; page.ok; number++) {
          ids.push(...page.events.map(({ id }) => id))
          if (page.next === undefined) break
          page = await readPage(
            source,
            { ...NONE, direction, page: number, pageSize, after: page.next },
            Infinity,
            CALLER
          )
        }
        return ids.length === count && new Set(ids).size === count
      }
    ),
    { numRuns: runs(20) }
  )
})

t.test('numbered pages equal the pages by next, also if one ends between exact duplicates', async (t) => {
  await holdsAsync(
    t,
    fc.asyncProperty(
      anyLog,
      fc.integer({ min: 20, max: 60 }),
      fc.integer({ min: 1, max: 70 }),
      anyDirection,
      async (log, pageCap, pageSize, direction) => {
        const { source, count } = keep(log, pageCap)
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
        return twins.every((expected, index) =>
          times.get(index + 1) === expected
        )
      }
    ),
    { numRuns: runs(20) }
  )
})
