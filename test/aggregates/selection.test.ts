import t from 'tap'
import { positionAt } from '../../src/aggregates/chunk.ts'
import { createEventTable, type TablePart } from '../../src/aggregates/event-table.ts'
import { selectRows } from '../../src/aggregates/selection.ts'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { numberedEvent, partOf, tableOf, type CountedRow } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

/** The numbers of the selected rows, and whether they are exact. */
async function selected (part: TablePart, filter: AuditFilter = {}) {
  const numbers: number[] = []
  const isExact = await selectRows(part, filter, (chunk, { count, indices }) => {
    for (let place = 0; place < count; place++) numbers.push(chunk.numbers[indices[place] ?? 0] ?? -1)
  })
  return { numbers, isExact }
}

const ROWS: CountedRow[] = [0, 1, 2, 3, 4, 5, 6].map((seconds) => [seconds])

t.test('a window has both of its ends, to the nanosecond', async (t) => {
  const { snapshot } = partOf(ROWS)
  const within = async (start?: bigint, end?: bigint) =>
    (await selected({ snapshot, window: { ...start !== undefined && { start }, ...end !== undefined && { end } } })).numbers
  t.same(await within(at(2), at(4)), [2, 3, 4])
  t.same(await within(at(2) + 1n, at(4) - 1n), [3])
  t.same(await within(at(5)), [5, 6])
  t.same(await within(undefined, at(1)), [0, 1])
  t.same(await within(at(3) + 1n, at(4) - 1n), [])
  t.same(await within(at(4), at(3)), [])
})

t.test('positions before 1970 are compared to the nanosecond', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  const instants = [-1_500_000_001n, -1_500_000_000n, -1n, 0n, 1n]
  instants.forEach((instant, number) => table.add(numberedEvent(number, instant), instant))
  const part = { snapshot: table.snapshot(), window: { start: -1_500_000_000n, end: 0n } }
  t.same((await selected(part)).numbers, [1, 2, 3])
})

t.test('chunks of which no row is selected are not visited', async (t) => {
  const snapshot = tableOf([...ROWS, [0, { email: 'u' }]], 2).snapshot()
  const visited: number[] = []
  const visit = async (part: TablePart, filter: AuditFilter) => {
    visited.length = 0
    await selectRows(part, filter, (chunk) => { visited.push(Number(positionAt(chunk, 0) - at(0)) / 1e9) })
    return visited
  }
  t.same(await visit({ snapshot, window: { start: at(3), end: at(5) } }, {}), [2, 4])
  t.same(await visit({ snapshot, window: {} }, { email: 'u' }), [6])
  t.same(await visit({ snapshot, window: {} }, { email: 'nobody' }), [])
})

t.test('a row matches all filters, by exact values', async (t) => {
  const one = {
    category_type: 'agents',
    category_name: 'Helper',
    resource_type: 'Message',
    action_type: 'invoke',
    email: 'u@acme.test',
    action_successful: false,
    extra: { tool_name: 'kubectl' }
  }
  const part = partOf([[0, one], [1, { ...one, email: 'U@acme.test' }], [2, { ...one, action_successful: null }], [3]])
  const filter: AuditFilter = {
    category_type: 'agents',
    category_name: 'Helper',
    resource_type: 'Message',
    action_type: 'invoke',
    email: 'u@acme.test',
    status: 'failed',
    tool_name: 'kubectl'
  }
  t.same(await selected(part, filter), { numbers: [0], isExact: true })
  for (const [name, value] of Object.entries(filter)) {
    const expected = name === 'email' ? [0, 2] : name === 'status' ? [0, 1] : [0, 1, 2]
    t.same((await selected(part, { [name]: value })).numbers, expected, name)
  }
  t.same((await selected(part, { status: 'success' })).numbers, [])
})

t.test('a filter by session finds a row by either of the two that its event names', async (t) => {
  const part = partOf([
    [0, { session_id: 'a' }], [1, { session_id: 'a', extra: { session_id: 'b' } }], [2, { extra: { session_id: 'a' } }],
    [3, { session_id: 'b' }], [4]
  ])
  t.same((await selected(part, { session_id: 'a' })).numbers, [0, 1, 2])
  t.same((await selected(part, { session_id: 'b' })).numbers, [1, 3])
})

t.test('a filter by text finds the rows that were marked when they were added', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  for (let number = 0; number < 4; number++) table.add(numberedEvent(number, at(number)), at(number), number % 2 === 0)
  t.same((await selected({ snapshot: table.snapshot(), window: {} }, { text: 'x' })).numbers, [0, 2])
})

t.test('a value that no row has selects nothing, and is not exact where the dictionary is capped', async (t) => {
  const rows: CountedRow[] = [[0, { email: 'x'.repeat(2000) }], [1, { email: 'u' }]]
  t.same(await selected(partOf(rows), { email: 'nobody' }), { numbers: [], isExact: false })
  t.same(await selected(partOf(rows), { category_type: 'nothing' }), { numbers: [], isExact: true })
  t.same(await selected(partOf(rows), { email: 'u' }), { numbers: [1], isExact: true })
})

t.test('a pinned part keeps its rows, also after rows were dropped and codes were replaced', async (t) => {
  const table = tableOf(Array.from({ length: 20 }, (_, number) => [number % 5, { email: `u${number}` }] as const), 8)
  const pinned = table.snapshot()
  t.same((await selected({ snapshot: pinned, window: {}, sequence: 11 })).numbers, Array.from({ length: 11 }, (_, n) => n))
  for (let number = 20; number < 30; number++) table.add(numberedEvent(number, at(4)), at(4))
  await table.dropBefore(at(3)) // The first two chunks are mostly older: what is left of them moves.
  await table.compact()
  const part = { snapshot: table.snapshot(), window: { start: at(3) }, sequence: pinned.sequence }
  t.same((await selected(part)).numbers.sort((a, b) => a - b), [3, 4, 8, 9, 13, 14, 18, 19])
  t.same((await selected(part, { email: 'u14' })).numbers, [14])
  t.same((await selected({ ...part, sequence: 0 })).numbers, [])
})
