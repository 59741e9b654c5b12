import t from 'tap'
import { containsText, fold } from '../../src/audit/folded-text.ts'
import { HOSTILE } from './hostile-texts.ts'

for (const [name, text] of Object.entries(HOSTILE)) {
  t.test(`fold takes linear time for a megabyte of ${name}`, async (t) => {
    const folded = fold(text)
    t.ok(folded.length > 0)
    t.ok(containsText({ extra: { nested: [`${text} xyz`] } }, fold('XYZ')))
    t.notOk(containsText({ text }, fold('qqq')))
  })
}
