import t from 'tap'
import { containsText, fold } from '../../src/audit/folded-text.ts'
import { ago, item, startService } from '../support/support.ts'
import { HOSTILE } from './hostile-texts.ts'

for (const [name, text] of Object.entries(HOSTILE)) {
  t.test(`fold takes linear time for a megabyte of ${name}`, async (t) => {
    const folded = fold(text)
    t.ok(folded.length > 0)
    t.ok(containsText({ extra: { nested: [`${text} xyz`] } }, fold('XYZ')))
    t.notOk(containsText({ text }, fold('qqq')))
  })
}

t.test('text filters of a search and a stream work beside a hostile text', async (t) => {
  const service = await startService(t)
  await service.settled()
  const streams = Object.values(HOSTILE).map(() => service.stream('?text=qqq'))
  service.sandbox.publish(Object.values(HOSTILE).map((text) => item({ resource_text: text, timestamp: ago(1000) })))
  service.sandbox.publish(item({ resource_text: 'xqqqx', timestamp: ago(500) }))
  const page = await service.json('/api/v1/audit/events/search?text=QQQ')
  t.equal(page.items.length, 1)
  for (const stream of streams) {
    t.match(await stream.until(({ type }) => type === 'event'), { event: { resource_text: 'xqqqx' } })
  }
})
