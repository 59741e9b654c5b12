import t from 'tap'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { hasLoaded, isLive, row } from '../support/console-page.ts'
import { ago, item, startService } from '../support/support.ts'

const DEEP = 60
const TOO_DEEP = 5000
const LONG = 2_000_000

t.test('events of every shape are listed and opened', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const service = await startService(t)
  const text = (fields: Record<string, unknown>) => JSON.stringify(item(fields))
  const wide = Object.fromEntries(Array.from({ length: 3000 }, (_, n) => [`key ${n}`, n]))
  const nested = (id: string, depth: number) => text({ id, resource_text: `a ${id} event`, extra: 'NESTED' })
    .replace('"NESTED"', `{"nested":${'['.repeat(depth)}${']'.repeat(depth)}}`)
  const shapes: Record<string, string> = {
    deep: nested('deep', DEEP),
    long: text({ id: 'long', resource_text: `a long event ${'x '.repeat(LONG / 2)}` }),
    wide: text({ id: 'wide', resource_text: 'a wide event', extra: wide }),
    prototype: text({ id: 'prototype', resource_text: 'an odd event' }).replace('"scope"', '"__proto__":{"toString":1},"scope"'),
    number: text({ id: 'number', resource_text: 'an exact event', extra: 'BIG' })
      .replace('"BIG"', '{"exact":12345678901234567890.10}'),
    undated: text({ id: 'undated', resource_text: 'an undated event', timestamp: 'yesterday' }),
    empty: JSON.stringify({ id: 'empty', timestamp: ago(0) })
  }

  t.test('live', async (t) => {
    const { page } = await browser.open(t, `${service.url}/console/`)
    await isLive(page)
    for (const shape of Object.values(shapes)) service.sandbox.publishRaw(shape)
    await hasLoaded(page, Object.keys(shapes).length - 1) // The stand-in shows an undated event in older windows only.
    await row(page, 'a deep event').waitFor()
  })

  t.test('what the service could not read is a row, live and in a list', async (t) => {
    const { page } = await browser.open(t, `${service.url}/console/`)
    await isLive(page)
    service.sandbox.publishRaw(nested('lost', TOO_DEEP))
    await row(page, 'Events may be missing').waitFor()
    await page.reload()
    await row(page, 'Events may be missing').waitFor()
  })

  for (const id of Object.keys(shapes)) {
    t.test(`opened: ${id}`, async (t) => {
      const { page } = await browser.open(t, `${service.url}/console/?event=${id}`)
      const dialog = page.getByRole('dialog', { name: 'Event' })
      await dialog.getByText(id, { exact: true }).first().waitFor()
      if (id === 'number') await dialog.getByText('12345678901234567890.10', { exact: true }).waitFor()
      if (id === 'deep') await dialog.getByText('nested').first().waitFor()
      if (id === 'long') await dialog.getByRole('button', { name: 'Show all 2,000,013 characters' }).first().waitFor()
      if (id === 'wide') t.ok(Number(await page.evaluate('document.querySelectorAll("*").length')) < 3000)
      t.equal(await page.getByText('This part of the page has failed.').count(), 0)
    })
  }
})
