import type { Test } from 'tap'
import { parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { Answer, AuditSource, SourceQuery } from '../../src/audit/source.ts'
import { CALLER } from '../support/purposes.ts'

export interface StockedSource {
  readonly source: AuditSource
  publish (items: JsonObject[]): void
}

type Open = (t: Test) => Promise<StockedSource>

const SECONDS = Array.from({ length: 10 }, (_, n) => ({ n, timestamp: `2025-06-03T10:00:0${n}Z` }))

/** What everyone who reads from an `AuditSource` may count on, for a source over an orderly log. */
export function auditSourceContract (t: Test, open: Open): void {
  pages(t, open)
  windows(t, open)
  ids(t, open)
}

function pages (t: Test, open: Open): void {
  t.test('a source returns rows in the requested direction', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS)
    t.same(numbers(await answerOf(source, { direction: 'asc' })), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    t.same(numbers(await answerOf(source, { direction: 'desc' })), [9, 8, 7, 6, 5, 4, 3, 2, 1, 0])
  })

  t.test('a source numbers pages from 1, at multiples of their size', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS)
    const pages = []
    for (const page of [1, 2, 3, 4]) pages.push(await answerOf(source, { direction: 'asc', page, pageSize: 4 }))
    t.same(pages.map(numbers), [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []])
    t.same(pages.map(({ rows }) => rows), [4, 4, 2, 0])
    t.same(pages.map(({ end }) => end), [false, false, true, true])
  })

  t.test('a source does not take a first short answer as the end', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS)
    t.equal((await answerOf(source, { pageSize: 500 })).end, undefined)
    t.equal((await answerOf(source, { pageSize: 10 })).end, false)
  })
}

function windows (t: Test, open: Open): void {
  t.test('a source answers an empty window without rows, at the end', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS)
    const answer = await answerOf(source, { window: { start: instant('2030-01-01T00:00:00Z') } })
    t.same([answer.events, answer.rows, answer.end], [[], 0, true])
  })

  t.test('a source includes both bounds, and the whole seconds around them', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS)
    const window = { start: instant('2025-06-03T10:00:03.5Z'), end: instant('2025-06-03T10:00:05.000000001Z') }
    t.same(numbers(await answerOf(source, { direction: 'asc', window })), [3, 4, 5, 6])
  })

  t.test('a source filters by a field', async (t) => {
    const { source, publish } = await open(t)
    publish(SECONDS.map((item) => ({ ...item, category_type: item.n % 2 === 0 ? 'even' : 'odd' })))
    t.same(numbers(await answerOf(source, { direction: 'asc', filter: { category_type: 'odd' } })), [1, 3, 5, 7, 9])
  })
}

function ids (t: Test, open: Open): void {
  t.test('a source gives an event the same id in every answer, and exact duplicates an ordinal', async (t) => {
    const { source, publish } = await open(t)
    publish([...SECONDS, { n: 10, timestamp: '2025-06-03T10:00:10Z' }, { n: 10, timestamp: '2025-06-03T10:00:10Z' }])
    const all = await answerOf(source, { direction: 'asc' })
    const some = await answerOf(source, { direction: 'desc', pageSize: 3 })
    t.equal(new Set(all.events.map(({ id }) => id)).size, 12)
    t.same(some.events.map(({ id }) => id).sort(), all.events.slice(-3).map(({ id }) => id).sort())
    t.ok(all.events.every(({ id, json }) => (JSON.parse(json) as { id: string }).id === id))
  })

  t.test('a source finds an event by id, and returns no event for an unknown id', async (t) => {
    const { source, publish } = await open(t)
    publish([{ id: 'own-1', n: 1, timestamp: '2025-06-03T10:00:00Z' }])
    const found = await source.find('own-1', CALLER)
    t.equal(found.ok && found.event?.id, 'own-1')
    t.equal(found.ok && found.event?.instant, instant('2025-06-03T10:00:00Z'))
    t.same(await source.find('own-2', CALLER), { ok: true, event: undefined })
  })
}

async function answerOf (source: AuditSource, query: Partial<SourceQuery>): Promise<Answer> {
  const answer = await source.read(
    { filter: {}, window: {}, direction: 'desc', page: 1, pageSize: 100, ...query },
    CALLER
  )
  if (!answer.ok) throw new Error(`the source failed: ${answer.kind}`)
  return answer
}

function numbers ({ events }: Answer): unknown[] {
  return events.map(({ item }) => item.n)
}

function instant (text: string): Instant {
  return parseInstant(text) ?? 0n
}
