import t from 'tap'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { ago, eventually, item, startService } from '../support/support.ts'

t.test('counts that the service has in memory are loaded again, others are not', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const service = await startService(t)
  service.sandbox.publish(item({ id: 'e1', resource_text: 'found', timestamp: ago(60_000) }))
  // The other view asks for no counts of these kinds.
  const { page } = await browser.open(t, `${service.url}/console/?view=sessions`)
  await page.clock.install()
  let counts = 0
  page.on('request', (request) => { if (/\/(?:timeline|facets)\?/.test(request.url())) counts++ })

  await page.goto(`${service.url}/console/?text=found`)
  await page.getByText('1 loaded', { exact: true }).waitFor()
  await page.getByRole('slider', { name: 'Events over time' }).waitFor()
  await eventually('both counts were asked for', () => counts === 2)
  for (let minute = 0; minute < 5; minute++) await page.clock.runFor(60_000)
  t.equal(counts, 2, 'a count with a text reads Kubiya each time')

  await page.getByRole('link', { name: 'Remove Text: found' }).click()
  await page.getByText('1 loaded', { exact: true }).waitFor()
  await eventually('the counts go on', async () => {
    await page.clock.runFor(5000)
    return counts >= 6
  })
})
