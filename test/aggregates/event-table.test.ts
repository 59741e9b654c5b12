import t from 'tap'
import { MOST_CHUNK_ROWS, UNDATED, USER_MESSAGE, MATCHES_TEXT, positionAt, type Chunk } from '../../src/aggregates/chunk.ts'
import type { DictionaryColumn } from '../../src/aggregates/columns.ts'
import { MOST_GAPS } from '../../src/aggregates/gap-list.ts'
import { createEventTable, type EventTable, type TableSnapshot } from '../../src/aggregates/event-table.ts'
import { createIdSet, type IdSet } from '../../src/aggregates/id-set.ts'
import { identify } from '../../src/audit/event-id.ts'
import { EARLIEST, LATEST, formatInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { numberedEvent } from '../support/counted-rows.ts'
import { at } from '../support/timeline.ts'

function addItems (table: EventTable, items: JsonObject[], position = at(0)): boolean[] {
  return identify(items).map((event) => table.add(event, event.instant ?? position))
}

const dated = (seconds: number, more: JsonObject = {}): JsonObject => ({ timestamp: formatInstant(at(seconds)), ...more })

function positions ({ chunks, evictedUpTo = EARLIEST - 1n }: TableSnapshot): Instant[] {
  return chunks.flatMap((chunk) => Array.from({ length: chunk.rows }, (_, row) => positionAt(chunk, row)))
    .filter((position) => position > evictedUpTo)
}

function texts ({ chunks, dictionaries }: TableSnapshot, column: DictionaryColumn): Array<string | undefined> {
  return chunks.flatMap((chunk) =>
    Array.from(chunk.codes[column].subarray(0, chunk.rows), (code) => dictionaries[column].textOf(code)))
}

function titles ({ dictionaries: { session: ids }, sessions }: TableSnapshot): string[][] {
  return Array.from({ length: ids.size }, (_, code) => code).flatMap((code) => {
    const side = sessions.sideOf(code)
    return side === undefined ? [] : [[ids.textOf(code) ?? '', side.title]]
  })
}

t.test('a table adds an event once, and exact duplicates as often as they are numbered', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  t.same(addItems(table, [dated(1), dated(1), dated(2)]), [true, true, true])
  t.same(addItems(table, [dated(1), dated(1), dated(1), dated(3)]), [false, false, true, true])
  t.same([table.usage().events, table.snapshot().sequence], [5, 5])
})

t.test('a row holds what the event says', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  const [event] = identify([{
    ...dated(1.5),
    email: 'u@acme.test',
    category_type: 'agents',
    category_name: 'Helper',
    resource_type: 7,
    action_type: '',
    action_successful: false,
    session_id: 's2',
    extra: { session_id: 's1', tool_name: 'kubectl', is_user_message: true }
  }])
  if (event === undefined) return t.fail('there is an event')
  table.add(event, at(1.5), true)
  const { chunks: [chunk], dictionaries } = table.snapshot()
  const held = Object.entries(chunk?.codes ?? {}).map(([column, codes]) =>
    [column, dictionaries[column as DictionaryColumn].textOf(codes[0] ?? 0)])
  t.same(Object.fromEntries(held), {
    category_type: 'agents',
    category_name: 'Helper',
    resource_type: '7',
    action_type: undefined,
    email: 'u@acme.test',
    session: 's1',
    tool: 'kubectl',
    agent: 'Helper'
  })
  t.equal(chunk?.flags[0], 1 | USER_MESSAGE | MATCHES_TEXT)
  t.equal(dictionaries.session.textOf(chunk?.secondSessions?.[0] ?? 0), 's2')
})

t.test('positions are exact from year 0000 to 9999, to the nanosecond', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  const exact = [EARLIEST, -1n, 0n, 1n, 1_748_942_047_218_334_001n, LATEST - 1n, LATEST]
  const [event] = identify([{}])
  if (event === undefined) return t.fail('there is an event')
  exact.forEach((position, n) => table.add({ ...event, id: `id ${n}` }, position))
  const snapshot = table.snapshot()
  t.same(positions(snapshot), exact)
  t.same([snapshot.chunks[0]?.least, snapshot.chunks[0]?.most], [EARLIEST, LATEST])
  t.ok(snapshot.chunks[0]?.flags.subarray(0, exact.length).every((flags) => (flags & UNDATED) !== 0))
})

t.test('a snapshot does not change when rows are added, dropped and compacted', async (t) => {
  const table = createEventTable({ maxEvents: 20_000 })
  const session = (n: number) => ({ extra: { session_id: `s${n % 50}` }, resource_text: `text ${n}` })
  addItems(table, Array.from({ length: 5000 }, (_, n) => dated(n, session(n))))
  const before = table.snapshot()
  const read = () => JSON.stringify([texts(before, 'session'), titles(before), positions(before).map(String)])
  const held = read()
  addItems(table, [dated(-5, session(7)), ...Array.from({ length: 5000 }, (_, n) => dated(9000 + n, { email: `u${n}` }))])
  await table.dropBefore(at(4200))
  await table.compact()
  table.clear()
  addItems(table, [dated(1, { email: 'x' })])
  t.equal(read(), held)
  t.equal(before.sequence, 5000)
  t.equal(table.snapshot().sequence, 10_002)
})

t.test('codes that need more than two bytes are exact, also in snapshots from before', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  const emails = Array.from({ length: 0x10000 + 50 }, (_, n) => `u${n}`)
  const add = (email: string, n: number) => table.add(numberedEvent(n, at(n), { email }), at(n))
  const shortOnes = emails.slice(0, 0x10000 - 10)
  shortOnes.forEach(add)
  const before = table.snapshot()
  emails.slice(shortOnes.length).forEach((email, n) => add(email, shortOnes.length + n))
  // Joined, because a comparison of so many elements takes minutes.
  const emailsIn = (snapshot: TableSnapshot) => texts(snapshot, 'email').join()
  t.ok(emailsIn(table.snapshot()) === emails.join())
  t.ok(emailsIn(before) === shortOnes.join())
  await table.compact()
  t.ok(emailsIn(table.snapshot()) === emails.join())
})

t.test('beyond maxEvents the oldest rows go, in whatever order rows were added', async (t) => {
  const evicted: Instant[] = []
  const table = createEventTable({ maxEvents: 1600, onEvicted: (newest) => evicted.push(newest) })
  // Newest first, as a fill reads, and between them new events.
  const items = Array.from({ length: 1600 }, (_, n) => n % 10 === 0 ? dated(n) : dated(-n))
  addItems(table, items)
  t.same(evicted, [])
  addItems(table, [dated(1701)])
  const [newest = 0n] = evicted
  t.equal(evicted.length, 1)
  const expected = [...items.map(({ timestamp }) => String(timestamp)), formatInstant(at(1701))]
    .filter((timestamp) => timestamp > formatInstant(newest)).sort()
  t.same(positions(table.snapshot()).map(formatInstant).sort(), expected)
  t.ok(expected.length >= 1500, `${expected.length} rows are left`)
  t.same(addItems(table, [dated(-1599)]), [false], 'what was dropped is not added again')
  t.same(addItems(table, [items[10] ?? {}]), [false], 'what was not dropped is recognised')
})

t.test('each added row frees at most one chunk of evicted rows, and memory keeps its bound', async (t) => {
  let evictions = 0
  let freed = 0
  const ids = createIdSet()
  const counting: IdSet = { ...ids, size: 0, remove: (key) => { freed++; ids.remove(key) } }
  const [maxEvents, chunkRows] = [4096, 64]
  const table = createEventTable({ maxEvents, chunkRows, ids: counting, onEvicted: () => { evictions++ } })
  let [mostFreed, mostChanged, mostRows] = [0, 0, 0]
  let held = new Set<Chunk>()
  for (let n = 0; n < 2 * maxEvents; n++) {
    const before = freed
    const seconds = n * 7919 % 2 ** 17 // In no order.
    table.add(numberedEvent(n, at(seconds), { email: `u${n % 99}` }), at(seconds))
    mostFreed = Math.max(mostFreed, freed - before)
    mostRows = Math.max(mostRows, table.usage().events)
    if (n < maxEvents) continue
    const now = new Set(table.snapshot().chunks)
    if (n > maxEvents) mostChanged = Math.max(mostChanged, [...held].filter((chunk) => !now.has(chunk)).length)
    held = now
  }
  t.ok(evictions > 4, `${evictions} evictions`)
  t.ok(mostFreed > 0 && mostFreed <= chunkRows, `${mostFreed} rows`)
  t.ok(mostChanged <= 4, `${mostChanged} chunks: the newest, the swept one, and what is left of those before`)
  t.ok(mostRows <= maxEvents * 33 / 32 + 1, `${mostRows} rows`)
})

t.test('rows before an instant are dropped, and may be added again', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  const items = Array.from({ length: 3 * MOST_CHUNK_ROWS }, (_, n) => dated(n))
  addItems(table, items)
  await table.dropBefore(at(MOST_CHUNK_ROWS + 3000))
  const left = positions(table.snapshot())
  t.equal(left.length, 2 * MOST_CHUNK_ROWS - 3000)
  t.equal(left[0], at(MOST_CHUNK_ROWS + 3000))
  await table.dropBefore(at(2 * MOST_CHUNK_ROWS + 100))
  t.equal(table.usage().events, MOST_CHUNK_ROWS, 'a chunk that is mostly newer stays')
  t.same(addItems(table, [items[0] ?? {}, items.at(-1) ?? {}]), [true, false])
})

t.test('one row of a wrong clock does not keep a chunk', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  addItems(table, [dated(10_000_000), ...Array.from({ length: MOST_CHUNK_ROWS }, (_, n) => dated(n))])
  await table.dropBefore(at(MOST_CHUNK_ROWS))
  t.same(positions(table.snapshot()), [at(10_000_000)])
})

t.test('a table that was emptied adds its events again', async (t) => {
  const table = createEventTable({ maxEvents: 16 })
  addItems(table, Array.from({ length: 17 }, (_, n) => dated(n)))
  table.addGap({ from: at(1), to: at(2) })
  table.clear()
  t.same([table.usage().events, table.snapshot().chunks, table.snapshot().gaps], [0, [], []])
  t.same(addItems(table, [dated(0), dated(1)]), [true, true])
})

t.test('compaction drops texts that no row has, and keeps the rest', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  const itemOf = (n: number) => dated(n, {
    email: `u${n}`, session_id: `b${n}`, extra: { session_id: `s${n}` }, resource_text: `text ${n}`
  })
  addItems(table, Array.from({ length: MOST_CHUNK_ROWS + 3 }, (_, n) => itemOf(n)))
  await table.dropBefore(at(MOST_CHUNK_ROWS))
  const before = table.usage().bytes
  await table.compact()
  const snapshot = table.snapshot()
  const [a, b, c] = [MOST_CHUNK_ROWS, MOST_CHUNK_ROWS + 1, MOST_CHUNK_ROWS + 2]
  t.same(texts(snapshot, 'email'), [`u${a}`, `u${b}`, `u${c}`])
  t.same(snapshot.dictionaries.email.codeOf('u5'), undefined)
  t.same(titles(snapshot), [a, b, c].map((n) => [`s${n}`, `text ${n}`]))
  const [chunk] = snapshot.chunks
  t.same(Array.from(chunk?.secondSessions?.subarray(0, 3) ?? [], snapshot.dictionaries.session.textOf), [`b${a}`, `b${b}`, `b${c}`])
  t.ok(table.usage().bytes < before / 2, `${table.usage().bytes} of ${before} bytes`)
})

t.test('a table may be filled and emptied while it is compacted', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  const add = (from: number, count: number) => {
    for (let n = from; n < from + count; n++) table.add(numberedEvent(n, at(n), { category_type: `c${n}` }), at(n))
  }
  add(0, 2 * MOST_CHUNK_ROWS + 100)
  const first = table.compact()
  const second = table.compact()
  table.clear()
  add(0, 2000)
  await Promise.all([first, second])
  t.equal(table.usage().events, 2000)
  t.same(texts(table.snapshot(), 'category_type').slice(1998), ['c1998', 'c1999'])
  const third = table.compact()
  add(2000, 900)
  await third
  t.same(texts(table.snapshot(), 'category_type').slice(1998), Array.from({ length: 902 }, (_, n) => `c${1998 + n}`))
})

t.test('a text that is not held stays in the count of others until its rows go', async (t) => {
  const table = createEventTable({ maxEvents: 100_000 })
  addItems(table, [dated(0, { email: 'x'.repeat(2000) }), ...Array.from({ length: MOST_CHUNK_ROWS }, (_, n) => dated(n + 1))])
  await table.compact()
  t.ok(table.snapshot().dictionaries.email.isCapped)
  await table.dropBefore(at(MOST_CHUNK_ROWS))
  await table.compact()
  t.notOk(table.snapshot().dictionaries.email.isCapped)
})

t.test("a session's title is its first user message, otherwise its first text", async (t) => {
  const titleOf = (items: JsonObject[]) => {
    const table = createEventTable({ maxEvents: 100 })
    addItems(table, items.map((item, n) => ({ ...item, extra: { session_id: 's', ...item.extra as JsonObject, n } })))
    return titles(table.snapshot())
  }
  const user = { extra: { is_user_message: true } }
  t.same(titleOf([dated(3, { resource_text: 'c' }), dated(1, { resource_text: ' ' }), dated(2, { resource_text: 'b' })]), [
    ['s', 'b']
  ])
  const spoken = [dated(3, { resource_text: 'c', ...user }), dated(2, { resource_text: 'b', ...user })]
  t.same(titleOf([dated(1, { resource_text: 'a' }), ...spoken]), [['s', 'b']])
  t.same(titleOf([dated(1), dated(2, { resource_text: '' })]), [])
  for (let n = 0; n < 10; n++) {
    const behind = titleOf([{ resource_text: `undated ${n}` }, dated(0, { resource_text: 'dated' })])
    t.same(behind, [['s', 'dated']], 'an event without an instant stands behind its neighbour')
  }
  t.same(titleOf([dated(1, { resource_text: 'é'.repeat(300) })]), [['s', 'é'.repeat(200)]])
  t.same(titleOf([dated(1, { resource_text: `${'x'.repeat(199)}😀` })]), [['s', 'x'.repeat(199)]])
})

t.test('gaps are joined where they overlap, and where there are too many', async (t) => {
  const table = createEventTable({ maxEvents: 100 })
  table.addGap({ from: at(10), to: at(20) })
  table.addGap({ from: at(1), to: at(2) })
  table.addGap({ from: at(15), to: at(25) })
  const before = table.snapshot()
  t.same(before.gaps, [{ from: at(1), to: at(2) }, { from: at(10), to: at(25) }])
  for (let n = 0; n < 1000; n++) table.addGap({ from: at(100 + 2 * n), to: at(101 + 2 * n) })
  const { gaps } = table.snapshot()
  t.equal(gaps.length, MOST_GAPS)
  t.ok(Array.from({ length: 1000 }, (_, n) => at(100 + 2 * n)).every((lost) =>
    gaps.some(({ from, to }) => from <= lost && lost <= to)), 'no lost instant is forgotten')
  await table.dropBefore(at(2098))
  t.same(table.snapshot().gaps.at(-1)?.to, at(2099))
  t.equal(before.gaps.length, 2)
})
