import t, { type Test } from 'tap'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, publishNumbered, row } from '../support/console-page.ts'
import { buildVariant, startProxy, type Replacement } from '../support/console-proxy.ts'
import { evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

const PAST = 30
const MOST_ROWS = 40
const PAUSED = 20
const FAILURE = 'This part of the page has failed.'

/** A list that holds few rows. */
const SMALL: Replacement = {
  file: /event-list\.ts$/,
  change: (source) => source.replace('maxRows: 100_000', `maxRows: ${MOST_ROWS}`)
}

/** A component that throws until `mended` is true. */
function failing (file: string, component: string): Replacement {
  const opening = new RegExp(`export function ${component} \\([^]*?\\) \\{\\n`)
  const fault = "if (globalThis.mended !== true) throw new Error('on purpose')\n"
  return { file: new RegExp(`${file}\\.tsx$`), change: (source) => source.replace(opening, `$&${fault}`) }
}

t.test('the console, with faults built in', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates((PAST + 10) * 1000, 1000)
  publishNumbered(sandbox, PAST, (n) => ({ timestamp: dateOf(n) }))
  const service = await startService(t, {}, {}, sandbox)
  await service.settled() // What the first poll finds would come as live events.
  const visit = async (t: Test, replacement: Replacement) => {
    const base = await startProxy(t, service.url, { script: await buildVariant(replacement) })
    return (await browser.open(t, `${base}/console/`, { tolerated: REFUSED })).page
  }

  const parts: Array<[file: string, component: string]> = [
    ['header', 'Header'],
    ['banner', 'Banner'],
    ['histogram', 'Histogram'],
    ['facet-list', 'FacetList'],
    ['event-table', 'EventTable'],
    ['detail', 'Detail']
  ]
  for (const [file, component] of parts) {
    t.test(`a part that fails says so, and the rest works: ${component}`, async (t) => {
      const page = await visit(t, failing(file, component))
      await page.getByRole('alert').filter({ hasText: `${FAILURE} Error: on purpose` }).waitFor()
      const rest: Record<string, () => Promise<unknown>> = {
        Header: () => page.getByRole('searchbox', { name: 'Search in all fields' }).waitFor(),
        Histogram: () => page.getByRole('slider', { name: 'Events over time' }).waitFor(),
        FacetList: () => page.getByRole('link', { name: /^helper/ }).waitFor(),
        EventTable: () => row(page, 'event number 29.').waitFor()
      }
      await hasLoaded(page, PAST)
      await isLive(page)
      for (const [other, works] of Object.entries(rest)) if (other !== component) await works()
      t.equal(await page.getByText(FAILURE).count(), 1)
      await page.evaluate('globalThis.mended = true')
      await page.getByRole('button', { name: 'Try again' }).click()
      await page.getByText(FAILURE).waitFor({ state: 'detached' })
      await rest[component]?.()
    })
  }

  t.test('a part that fails is tried again with another URL', async (t) => {
    const page = await visit(t, failing('facet-list', 'FacetList'))
    await page.getByText(FAILURE).waitFor()
    await page.evaluate('globalThis.mended = true')
    await page.keyboard.press('u')
    await page.getByText(FAILURE).waitFor({ state: 'detached' })
  })

  t.test('rows that a paused list cannot keep: it says how many, and leads to them', async (t) => {
    const page = await visit(t, SMALL)
    await hasLoaded(page, PAST)
    await isLive(page)
    await page.getByRole('button', { name: 'Pause' }).click()
    for (let n = 0; n < PAUSED; n++) sandbox.publish(item({ id: `p${n}`, resource_text: `while paused ${n}.` }))
    await page.getByRole('button', { name: `Resume (${PAUSED} new)` }).waitFor()
    const note = page.getByText(`${PAST + PAUSED - MOST_ROWS} of the oldest rows will be dropped when the list goes on`)
    await note.waitFor()
    await hasLoaded(page, PAST)
    await page.getByRole('button', { name: 'Resume' }).click()
    await note.waitFor({ state: 'detached' })
    await hasLoaded(page, MOST_ROWS)
    await row(page, `while paused ${PAUSED - 1}.`).waitFor()
    await page.getByText('This page holds no more rows.').waitFor()
    await page.getByRole('link', { name: 'List the older ones' }).click()
    await page.getByText('Not live').waitFor()
    await eventually('the dropped rows are there', async () => await row(page, 'event number 0.').count() === 1)
  })
})
