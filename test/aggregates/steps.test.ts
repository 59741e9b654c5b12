import t from 'tap'
import { COUNTED_FIELDS, DICTIONARY_COLUMNS } from '../../src/aggregates/columns.ts'
import { MOST_CHUNK_ROWS, type Chunk } from '../../src/aggregates/chunk.ts'
import type { Dictionary } from '../../src/aggregates/dictionary.ts'
import { createEventTable, type TablePart, type TableSnapshot } from '../../src/aggregates/event-table.ts'
import { countFacets } from '../../src/aggregates/facets.ts'
import { SESSION_ORDERS, countSessions } from '../../src/aggregates/sessions.ts'
import { sortedNumbers } from '../../src/aggregates/sorted-numbers.ts'
import { countSummary } from '../../src/aggregates/summary.ts'
import { countTimeline } from '../../src/aggregates/timeline.ts'
import { createTableScan } from '../../src/aggregates/table-scan.ts'
import { renderCounts } from '../../src/archive/count-body.ts'
import { formatInstant } from '../../src/audit/instant.ts'
import { USUAL_HABITS, createMemorySource } from '../contracts/memory-source.ts'
import { numberedEvent } from '../support/counted-rows.ts'
import { createManualClock } from '../support/manual-clock.ts'
import { TEN_MS, at } from '../support/timeline.ts'
import { uniqueItem } from './filled-table.ts'

const EVENTS = 12_000
const MOST_STEPS = MOST_CHUNK_ROWS + 1000

/** Counts steps between two looks at the clock: work may pause there. */
function createStepCounter () {
  const now = performance.now
  let [steps, most, total, looks] = [0, 0, 0, 0]
  return {
    add (count: number) {
      steps += count
      total += count
      most = Math.max(most, steps)
    },
    watch () {
      [steps, most, total, looks] = [0, 0, 0, 0]
      performance.now = () => {
        steps = 0
        looks++
        return now.call(performance)
      }
    },
    end () {
      performance.now = now
      return { looks, most, total }
    }
  }
}

const counter = createStepCounter()
t.teardown(counter.end)

function countedDictionary (dictionary: Dictionary): Dictionary {
  return {
    isCapped: dictionary.isCapped,
    get size () {
      counter.add(1)
      return dictionary.size
    },
    textOf (code) {
      counter.add(1)
      return dictionary.textOf(code)
    },
    codeOf (text) {
      counter.add(1)
      return dictionary.codeOf(text)
    }
  }
}

/** Each look at the number of rows counts as a look at all rows. */
function countedChunk (chunk: Chunk): Chunk {
  return {
    ...chunk,
    get rows () {
      counter.add(chunk.rows)
      return chunk.rows
    }
  }
}

function counted (snapshot: TableSnapshot): TableSnapshot {
  const dictionaries = DICTIONARY_COLUMNS.map((column) => [column, countedDictionary(snapshot.dictionaries[column])])
  return {
    ...snapshot,
    chunks: snapshot.chunks.map(countedChunk),
    dictionaries: Object.fromEntries(dictionaries) as TableSnapshot['dictionaries']
  }
}

/** Two tables with a value of its own in each row and column. The second one holds the older half again. */
function tables (): TableSnapshot[] {
  return [EVENTS, EVENTS / 2].map((events) => {
    const table = createEventTable({ maxEvents: EVENTS })
    for (let n = 0; n < events; n++) table.add(numberedEvent(n, at(n), uniqueItem(n, String)), at(n))
    return counted(table.snapshot())
  })
}

const [newer, older] = tables()
const oneTable = newer === undefined ? [] : [{ snapshot: newer, window: {} }]
const twoTables = newer === undefined || older === undefined
  ? []
  : [{ snapshot: newer, window: { start: at(EVENTS / 2 - 100) } }, { snapshot: older, window: { end: at(EVENTS / 2 - 101) } }]
const span = { start: at(0), end: at(EVENTS), intervalSeconds: 100 }

const questions: Record<string, (parts: TablePart[]) => Promise<unknown>> = {
  'a summary': (parts) => countSummary(parts, {}, { top: 100 }),
  'a summary that matches one event': (parts) => countSummary(parts, { email: '7' }, { top: 10 }),
  facets: (parts) => countFacets(parts, {}, { fields: COUNTED_FIELDS, top: 200 }),
  'facets of a filtered field': (parts) => countFacets(parts, { email: '7' }, { fields: ['email', 'tool_name'], top: 20 }),
  'a timeline': (parts) => countTimeline(parts, {}, { ...span, by: 'email', top: 50 }),
  ...Object.fromEntries(SESSION_ORDERS.map((orderBy) =>
    [`sessions by ${orderBy}`, (parts: TablePart[]) => countSessions(parts, { status: 'failed' }, { orderBy, pageSize: 50 })]))
}

for (const [name, ask] of Object.entries(questions)) {
  t.test(`${name} over ${EVENTS} different values may pause after each chunk and each thousand values`, async (t) => {
    for (const parts of [oneTable, twoTables]) {
      counter.watch()
      await ask(parts)
      const { most, total } = counter.end()
      t.ok(total >= EVENTS, `${total} steps were counted`)
      t.ok(most <= MOST_STEPS, `${most} steps without a pause`)
    }
  })
}

t.test('a page of sessions may pause after each session while it is written', async (t) => {
  const { items } = await countSessions(oneTable, {}, { orderBy: 'end_time', pageSize: 200 })
  const coverage = { complete: true, scanned: 1, start: at(0), end: at(9), asOf: at(9), retryAfterMs: undefined, skipped: [] }
  counter.watch()
  const { body } = await renderCounts({ items, total: items.length }, {}, coverage, () => {})
  t.ok(counter.end().looks >= items.length)
  t.match(JSON.parse(String(body)), { items: items.map(({ id }) => ({ id })), total: 200 })
})

t.test('a page of events may pause after each event while it enters the table', async (t) => {
  const source = createMemorySource(USUAL_HABITS, () => undefined)
  source.keep(...Array.from({ length: 500 }, (_, n) => ({ at: at(n), item: { timestamp: formatInstant(at(n)) } })))
  let added = 0
  const scan = createTableScan({
    source,
    table: { add, addGap () {} },
    filter: {},
    rowLimit: 10_000,
    clock: createManualClock(TEN_MS),
    onError: (error) => { throw error }
  })
  counter.watch()
  await scan.advance(at(0), { key: 'someone', reserve: () => ({ ok: true, read () {}, end () {} }) }, 1000)
  const { most } = counter.end()
  t.equal(added, 500)
  t.equal(most, 1)

  function add (): boolean {
    added++
    counter.add(1)
    return true
  }
})

t.test('numbers are sorted as by sort, in steps of at most 4096', async (t) => {
  let longest = 0
  class Watched extends Float64Array {
    override sort () {
      longest = Math.max(longest, this.length)
      return super.sort()
    }
  }
  for (const length of [0, 1, 2, 4095, 4096, 4097, 8192, 50_001]) {
    const numbers = Watched.from({ length }, (_, n) => (n * 7919) % 10_007) as Watched
    const before = numbers.slice()
    counter.watch()
    const sorted = await sortedNumbers(numbers)
    counter.end()
    t.ok(Buffer.from(sorted.buffer).equals(Buffer.from(Float64Array.from(numbers).sort().buffer)), `${length} numbers`)
    t.same(numbers.subarray(0, 10), before.subarray(0, 10), 'the numbers stay as they are')
  }
  t.ok(longest > 0 && longest <= 4096, `${longest} numbers in one step`)
})
