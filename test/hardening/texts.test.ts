import fc from 'fast-check'
import t from 'tap'
import { containsText, fold, foldAhead } from '../../src/audit/folded-text.ts'
import { holds, holdsAsync } from '../contracts/property.ts'
import { scrape } from '../support/figures.ts'
import { ago, startService } from '../support/support.ts'

t.test('fold folds every script like Unicode normalization and case mapping', async (t) => {
  const reference = (text: string) => text.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
  const unit = fc.constantFrom(
    ...'abcXYZ éößẞσςϴİıĳ',
    'e\u0301',
    '\u0323',
    '\u1100',
    '\u1161',
    '\u11a8',
    'שָׁ',
    '각',
    '✅',
    '👍🏽',
    '\ud800',
    '\u0345'
  )
  const anyText = fc.array(unit, { maxLength: 15 }).map((units) => units.join(''))
  holds(t, fc.property(anyText, (text) => fold(text) === reference(text)), { numRuns: 1000 })
})

t.test('foldAhead finds the same texts as fold', async (t) => {
  const unit = fc.constantFrom('é', 'e\u0301', 'a\u0323\u0301', '\u1100\u1161\u11a8', 'ΐς', '👍🏽', 'Straße ', '\ud83d')
  const texts = fc.tuple(fc.array(unit, { minLength: 1, maxLength: 9 }), fc.integer({ min: 60_000, max: 140_000 }))
  await holdsAsync(t, fc.asyncProperty(texts, async ([units, length]) => {
    const text = units.join('').repeat(Math.ceil(length / units.join('').length))
    const whole = fold(text)
    const ahead = { text }
    await foldAhead(ahead)
    return containsText(ahead, whole) && !containsText(ahead, `${whole}x`)
  }), { numRuns: 15 })
})

t.test('an event that is nested deeper than the stack can be searched', async (t) => {
  let nested: Record<string, unknown> = { word: 'needle' }
  for (let depth = 0; depth < 50_000; depth++) nested = { n: nested }
  t.ok(containsText(nested as Parameters<typeof containsText>[0], fold('Needle')))
})

t.test('an event nested three thousand deep is an event like any other', async (t) => {
  const service = await startService(t)
  await service.settled()
  const stream = service.stream('?start_time=-1m')
  const deep = `${'{"a":['.repeat(1500)}"needle"${']}'.repeat(1500)}`
  service.sandbox.publishRaw(`{"timestamp":"${ago(1000)}","extra":${deep}}`)
  const frame = await stream.until(({ type }) => type === 'event') as unknown as { event: { id: string } }
  for (const path of [`${EVENTS}?page_size=1`, `${EVENTS}/search?text=NEEDLE`]) {
    t.equal((await service.json(path)).items[0].id, frame.event.id, path)
  }
  const described = await (await service.get(`${EVENTS}/${frame.event.id}`)).text()
  t.ok(described.includes(deep))
})

t.test('rows that are not events are omitted, logged once, and counted', async (t) => {
  const service = await startService(t, { METRICS_PORT: '0' })
  await service.settled()
  const stream = service.stream()
  await stream.until(({ type }) => type === 'hello')
  service.sandbox.faults.during({ kind: 'body', body: `[null,{"timestamp":"${ago(1000)}","n":1},"a text",[]]` })
  await stream.untilEvents(1)
  t.same((await service.json(EVENTS)).items.map(({ n }: { n: number }) => n), [1])
  const figures = await scrape(service)
  t.ok(figures.of('upstream_skipped_rows_total{reason="no-event"}') >= 3)
  t.equal(figures.of('upstream_skipped_rows_total{reason="unreadable"}'), 0)
  t.equal(service.logs.filter(({ quirk }) => quirk === 'sends-what-is-no-event').length, 1)
})

for (const [name, extra] of [
  ['nested too deep', `${'['.repeat(6000)}${']'.repeat(6000)}`],
  ['of too many values', `[${'1,'.repeat(60_000)}1]`]
] as const) {
  t.test(`an event ${name} is skipped, and reported on streams, in lists and in the log`, async (t) => {
    const service = await startService(t, { METRICS_PORT: '0' })
    await service.settled()
    const stream = service.stream('?start_time=-1m&category_type=nothing')
    await stream.until(({ type }) => type === 'hello')
    const times = [3000, 2000, 1000].map(ago)
    const [before = '', , behind = ''] = times
    for (const [n, timestamp] of times.entries()) {
      service.sandbox.publishRaw(`{"n":${n},"timestamp":"${timestamp}","extra":${n === 1 ? extra : '{}'}}`)
    }
    t.match(await stream.until(({ type }) => type === 'gap'), {
      reason: 'too-large',
      from: before.replace(/\.?0+Z$/, 'Z')
    })
    for (const direction of ['asc', 'desc']) {
      const { items, pagination } = await service.json(`${EVENTS}?sort_direction=${direction}`)
      t.same(items.map(({ n }: { n: number }) => n).sort(), [0, 2])
      t.equal(pagination.skipped.length, 1)
      const [{ from, reason, to }] = pagination.skipped
      t.equal(reason, 'too-large')
      t.same([Date.parse(from), Date.parse(to)], [Date.parse(before), Date.parse(behind)])
    }
    t.equal(
      (await service.json(`${EVENTS}?page_size=1`)).pagination.skipped?.length ?? 0,
      1,
      'a page that ends before it tells it too'
    )
    t.equal(service.logs.filter(({ quirk }) => quirk === 'sends-unreadable-events').length, 1)
    t.ok(
      (await scrape(service)).of('upstream_skipped_rows_total{reason="unreadable"}') >= 4,
      'each time that it was met'
    )
  })
}

const EVENTS = '/api/v1/audit/events'
