import fc from 'fast-check'
import t from 'tap'
import { identify } from '../../src/audit/event-id.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { txtFormat } from '../../src/export/txt.ts'
import { anyCharacter, holds, runs } from '../contracts/property.ts'

const ITEM = {
  timestamp: '2025-06-03T09:14:07.218334Z',
  category_type: 'agents',
  category_name: 'helper',
  action_type: 'executed',
  resource_text: 'restarted',
  action_successful: true
}
const values = fc.oneof(
  fc.string({ unit: fc.oneof(fc.constantFrom('\n', '\r', '\u2028', '\u2029', '\u0085', '\0', '\x1b', '\v', '\f'), anyCharacter) }),
  fc.integer(),
  fc.constant(null),
  fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 })
)
const FIELDS = ['timestamp', 'category_type', 'category_name', 'action_type', 'resource_text', 'action_successful', 'extra']
const items = fc.record(Object.fromEntries(FIELDS.map((name) => [name, values])), { requiredKeys: [] })
// Everything that some program takes for the end of a line.
const LINE_BREAK = /[\n\r\v\f\u0085\u2028\u2029]/g

function lineOf (item: object): string {
  return identify([item as JsonObject]).map((event) => txtFormat.event(event, 0)).join('')
}

t.test("a line is that of Kubiya's CLI, with the whole instant", async (t) => {
  t.equal(lineOf(ITEM), '[2025-06-03T09:14:07.218334Z] agents/helper - executed: restarted (true)\n')
  t.equal(
    lineOf({ ...ITEM, timestamp: '2025-06-03T11:14:07.123456789+02:00', action_successful: false }),
    '[2025-06-03T09:14:07.123456789Z] agents/helper - executed: restarted (false)\n'
  )
  for (const outcome of [null, undefined, 'true', 1]) t.match(lineOf({ ...ITEM, action_successful: outcome ?? null }), / \(unknown\)\n$/)
})

t.test('a line break is written out, and a control character too', async (t) => {
  t.match(lineOf({ ...ITEM, resource_text: 'a\nb\r\nc' }), ': a\\nb\\r\\nc (true)\n')
  t.match(lineOf({ ...ITEM, category_name: 'a\u2028b\u2029c\u0085d' }), '/a\\u2028b\\u2029c\\u0085d - ')
  t.match(lineOf({ ...ITEM, action_type: '\x1b[2J\x07' }), ' - \\u001b[2J\\u0007: ')
  t.match(lineOf({ ...ITEM, resource_text: 'a\tb' }), ': a\tb (', 'a tab stays')
})

t.test('an event without a readable time shows what Kubiya sent', async (t) => {
  t.match(lineOf({ ...ITEM, timestamp: 'yester\nday' }), /^\[yester\\nday\] agents/)
  t.match(lineOf({ category_type: 'x' }), '[no time] x/ - :  (unknown)\n')
})

t.test('any event is one line', async (t) => {
  holds(t, fc.property(items, (item) => {
    const breaks = lineOf(item).match(LINE_BREAK) ?? []
    if (breaks.length !== 1 || !lineOf(item).endsWith('\n')) throw new Error(JSON.stringify(lineOf(item)))
  }), { numRuns: runs(500) })
})

t.test('only an incomplete text has a last line', async (t) => {
  const summary = { complete: false, events: 2, next: '1.a.b', sha256: '', skipped: [] }
  t.equal(txtFormat.head, '')
  t.equal(txtFormat.end(summary), '# incomplete: events=2 next=1.a.b\n')
  t.equal(txtFormat.end({ ...summary, complete: true, next: null }), '')
})
