import t from 'tap'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, publishNumbered, row, rows } from '../support/console-page.ts'
import { listening, run } from '../support/process.ts'
import { item, settingsFor, startUpstream } from '../support/support.ts'

const PAST = 30
const MISSED = 20

t.test('the list continues without a gap after `kill -9` of the service', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST)
  const killed = run(t, settingsFor(sandbox))
  const url = await listening(killed)
  const { page } = await browser.open(t, `${url}/console/`, { tolerated: REFUSED })
  await hasLoaded(page, PAST)
  await isLive(page)
  killed.child.kill('SIGKILL')
  await killed.exited
  await page.getByText('Reconnecting').waitFor()
  for (let n = 0; n < MISSED; n++) sandbox.publish(item({ id: `m${n}`, resource_text: `missed ${n}.` }))

  await listening(run(t, { ...settingsFor(sandbox), PORT: new URL(url).port }))
  await page.getByText('The connection was lost and is back.').first().waitFor()
  await isLive(page)
  sandbox.publish(item({ id: 'after', resource_text: 'after the kill' }))
  await row(page, 'after the kill').waitFor()
  for (let n = 0; n < MISSED; n++) await row(page, `missed ${n}.`).waitFor()
  await hasLoaded(page, PAST + MISSED + 2) // One row tells of the lost connection.
  t.equal(await rows(page).filter({ hasText: 'missed' }).count(), MISSED, 'each once')
  t.equal(await rows(page).filter({ hasText: 'Events may be missing' }).count(), 0)
})
