import fc from 'fast-check'
import t from 'tap'
import { fold, foldAhead, holdsText } from '../../src/audit/folded-text.ts'
import { holds, holdsAsync } from '../contracts/property.ts'
import { ago, item, startService } from '../support.ts'

const MB = 1024 * 1024
const MARKS = ['\u0345', '\u0301', '\u0323', '\u0327', '\u0334'] as const

/** A megabyte each. Where folding takes quadratic time, one of them takes minutes. */
const HOSTILE = {
  'marks out of canonical order': `a${'\u0301'.repeat(MB / 4)}${'\u0323'.repeat(MB / 4)}`,
  'one starter with marks of falling classes': `a${Array.from({ length: MB / 2 }, (_, n) => MARKS[n % MARKS.length]).join('')}`,
  'marks that become several': `a${'\u0344'.repeat(MB / 4)}${'\u0323'.repeat(MB / 4)}`,
  'jamo without end': `\u1100${'\u1161'.repeat(MB / 3)}`,
  'one character of eighteen': '\ufdfa'.repeat(MB / 3),
  'runs just short enough': `a${'\u0301\u0323'.repeat(8)}`.repeat(MB / 33)
}

t.test('fold: texts of every script fold as Unicode normalization and case mapping do', async (t) => {
  const reference = (text: string) => text.normalize('NFC').toLowerCase().toUpperCase().normalize('NFC')
  const unit = fc.constantFrom(...'abcXYZ éößẞσςϴİıĳ', 'e\u0301', '\u0323', '\u1100', '\u1161', '\u11a8', 'שָׁ', '각', '✅', '👍🏽', '\ud800', '\u0345')
  const anyText = fc.array(unit, { maxLength: 15 }).map((units) => units.join(''))
  holds(t, fc.property(anyText, (text) => fold(text) === reference(text)), { numRuns: 1000 })
})

t.test('fold: a text that was folded ahead in pieces is found as one that was folded whole', async (t) => {
  const unit = fc.constantFrom('é', 'e\u0301', 'a\u0323\u0301', '\u1100\u1161\u11a8', 'ΐς', '👍🏽', 'Straße ', '\ud83d')
  const texts = fc.tuple(fc.array(unit, { minLength: 1, maxLength: 9 }), fc.integer({ min: 60_000, max: 140_000 }))
  await holdsAsync(t, fc.asyncProperty(texts, async ([units, length]) => {
    const text = units.join('').repeat(Math.ceil(length / units.join('').length))
    const whole = fold(text)
    const ahead = { text }
    await foldAhead(ahead)
    return holdsText(ahead, whole) && !holdsText(ahead, `${whole}x`)
  }), { numRuns: 15 })
})

for (const [name, text] of Object.entries(HOSTILE)) {
  t.test(`fold: a megabyte of ${name} takes no more than time that grows with its length`, async (t) => {
    const folded = fold(text)
    t.ok(folded.length > 0)
    t.ok(holdsText({ extra: { nested: [`${text} xyz`] } }, fold('XYZ')))
    t.notOk(holdsText({ text }, fold('qqq')))
  })
}

t.test('a search and a stream by text answer although an event holds a hostile text', async (t) => {
  const service = await startService(t)
  await service.settled()
  const streams = Object.values(HOSTILE).map(() => service.stream('?text=qqq'))
  service.sandbox.publish(Object.values(HOSTILE).map((text) => item({ resource_text: text, timestamp: ago(1000) })))
  service.sandbox.publish(item({ resource_text: 'xqqqx', timestamp: ago(500) }))
  const page = await service.json('/api/v1/audit/events/search?text=QQQ')
  t.equal(page.items.length, 1)
  for (const stream of streams) t.match(await stream.until(({ type }) => type === 'event'), { event: { resource_text: 'xqqqx' } })
})

t.test('an event that is nested deeper than the stack reaches can be searched', async (t) => {
  let nested: Record<string, unknown> = { word: 'needle' }
  for (let depth = 0; depth < 50_000; depth++) nested = { n: nested }
  t.ok(holdsText(nested as Parameters<typeof holdsText>[0], fold('Needle')))
})
