import t from 'tap'
import { ExactNumber, parseJson, type JsonObject } from '../../src/audit/exact-json.ts'

t.test('JSON', async (t) => {
  t.test('parseJson reads 8 MB of escapes next to an exact number', async (t) => {
    for (const held of ['\\', '"', '\n', '\\"', '\u0000', 'x"12345678901234567890"']) {
      const escaped = JSON.stringify(held.repeat(4_000_000 / held.length))
      const parsed = parseJson(`{"held":${escaped},"n":12345678901234567890}`) as JsonObject
      t.ok(parsed.held === held.repeat(4_000_000 / held.length), JSON.stringify(held))
      t.same(parsed.n, new ExactNumber('12345678901234567890'))
    }
  })
})
