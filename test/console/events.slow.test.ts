import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, publishNumbered, removeEvents, row, rows } from '../support/console-page.ts'
import { ago, evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

const BIDI = 'abc\u202Edef\u001b[31m'
const SCRIPT = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>'
const PAST = 30

t.test('the events view', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates((PAST + 10) * 60_000, 60_000)
  publishNumbered(sandbox, PAST, (n) => ({
    timestamp: dateOf(n),
    action_successful: n % 5 !== 0,
    email: n % 2 === 0 ? 'ann@acme.test' : 'bob@acme.test'
  }))
  const service = await startService(t, {}, {}, sandbox)
  await service.settled() // What the first poll finds would come as live events.
  const address = `${service.url}/console/`
  const visit = async (t: Test, url: string, act: (visited: { page: Page }) => Promise<void>) => {
    await act(await browser.open(t, url, { tolerated: REFUSED }))
  }
  const remove = (prefix: string) => removeEvents(sandbox, (id) => id.startsWith(prefix))

  t.test('shows the newest event first, facets, a histogram and the state of Kubiya', (t) =>
    visit(t, address, async ({ page }) => {
      await row(page, 'event number 29.').waitFor()
      t.match(await rows(page).first().innerText(), /event number 29/)
      await page.getByText('Kubiya answers').waitFor()
      await isLive(page)
      await page.getByRole('link', { name: /ann@acme\.test 15/ }).waitFor()
      await page.getByRole('slider', { name: 'Events over time' }).waitFor()
      t.ok(await page.getByRole('table', { name: 'Events over time' }).getByRole('row').count() > 10)
    }))

  t.test('a facet, the search and Back change the list and the URL', (t) =>
    visit(t, address, async ({ page }) => {
      await hasLoaded(page, PAST)
      await page.getByRole('link', { name: /^bob@acme\.test/ }).click()
      await hasLoaded(page, 15)
      t.equal(new URL(page.url()).search, '?email=bob%40acme.test')
      await page.getByRole('searchbox', { name: 'Search in all fields' }).fill('NUMBER 7.')
      await page.keyboard.press('Enter')
      await hasLoaded(page, 1)
      await page.goBack()
      await hasLoaded(page, 15)
      await page.goBack()
      await hasLoaded(page, PAST)
      t.equal(new URL(page.url()).search, '')
    }))

  t.test('a search without a match so far says so, and continues on demand', async (t) => {
    const hasty = await startService(t, { SEARCH_SCAN_LIMIT: '10' }, {}, sandbox)
    await visit(t, `${hasty.url}/console/?text=number+0.`, async ({ page }) => {
      await page.getByText('None of the events that were looked at match.').waitFor()
      t.equal(await rows(page).count(), 0)
      const more = page.getByRole('button', { name: 'Load older events' })
      // The button is gone once the row has come.
      while (await rows(page).count() === 0) await more.click({ timeout: 1000 }).catch(() => {})
      await row(page, 'event number 0.').waitFor()
    })
  })

  t.test('a pause loses nothing: it counts, and Resume shows all', (t) =>
    visit(t, address, async ({ page }) => {
      await isLive(page)
      await page.getByRole('button', { name: 'Pause' }).click()
      for (let n = 0; n < 30; n++) {
        sandbox.publish(item({ id: `p${n}`, resource_text: `while paused ${n}`, action_successful: n > 2 }))
      }
      await page.getByRole('button', { name: 'Resume (30 new, 3 failed)' }).waitFor()
      await hasLoaded(page, PAST)
      await page.keyboard.press('Space')
      await hasLoaded(page, PAST + 30)
      await row(page, 'while paused 29').waitFor()
      remove('p')
    }))

  t.test('a late event stands in its place and is marked', (t) =>
    visit(t, address, async ({ page }) => {
      await isLive(page)
      sandbox.publish(item({ id: 'now', resource_text: 'in time' }))
      await row(page, 'in time').waitFor()
      sandbox.publish(item({ id: 'late', resource_text: 'behind time', timestamp: ago(20_000) }))
      await row(page, 'behind time').waitFor()
      const texts = await rows(page).allInnerTexts()
      t.match(texts.slice(0, 2), [/in time/, /late[^]*behind time/])
      t.notMatch(texts[0], /late/)
    }))

  t.test('an outage is said, and so is its end', (t) =>
    visit(t, address, async ({ page }) => {
      await isLive(page)
      const end = sandbox.faults.during({ kind: 'status', status: 500 })
      const alert = page.getByRole('alert').filter({ hasText: 'Kubiya does not answer since' })
      await alert.waitFor()
      sandbox.publish(item({ id: 'during', resource_text: 'during the outage' }))
      end()
      await alert.waitFor({ state: 'detached' })
      await row(page, 'during the outage').waitFor()
    }))

  t.test('a permalink opens its event in another page, and Esc closes it', async (t) => {
    let link = ''
    await visit(t, address, async ({ page }) => {
      await row(page, 'event number 28.').click()
      await page.getByRole('dialog', { name: 'Event' }).getByText('event number 28.').first().waitFor()
      link = page.url()
    })
    t.match(link, /\?event=e28$/)
    await visit(t, link, async ({ page }) => {
      const dialog = page.getByRole('dialog', { name: 'Event' })
      await dialog.getByText('event number 28.').first().waitFor()
      await page.keyboard.press('Escape')
      await dialog.waitFor({ state: 'detached' })
      t.equal(new URL(page.url()).search, '')
    })
  })

  t.test('scripts and right-to-left marks in every field and key are text', async (t) => {
    const session = SCRIPT.slice(0, 60)
    sandbox.publish(item({
      id: 'hostile',
      email: SCRIPT,
      category_name: SCRIPT,
      category_type: SCRIPT,
      resource_text: `${BIDI} ${SCRIPT}`,
      action_type: SCRIPT,
      resource_type: SCRIPT,
      action_successful: false,
      extra: { [SCRIPT]: SCRIPT, [BIDI]: BIDI, session_id: session, tool_name: SCRIPT }
    }))
    const views = ['?event=hostile', '?view=sessions', '?view=overview', `?session=${encodeURIComponent(session)}`]
    for (const query of views) {
      await visit(t, `${address}${query}`, async ({ page }) => {
        await page.getByText(query === '?event=hostile' ? 'abc⟨RLO⟩def␛[31m' : 'onerror').first().waitFor()
        t.equal(await page.evaluate('window.harmed'), undefined)
        t.equal(await page.locator('img').count(), 0)
      })
    }
    remove('hostile')
  })

  t.test('the list continues without a gap after a restart of the service', async (t) => {
    const before = await startService(t, { HISTORY_EVENTS: '1000' }, {}, sandbox)
    const { port } = new URL(before.url)
    await visit(t, `${before.url}/console/`, async ({ page }) => {
      await isLive(page)
      await before.close()
      await page.getByText('Reconnecting').waitFor()
      for (let n = 0; n < 5; n++) sandbox.publish(item({ id: `r${n}`, resource_text: `during the restart ${n}` }))
      const after = await startService(t, { PORT: port }, {}, sandbox)
      await isLive(page)
      for (let n = 0; n < 5; n++) await row(page, `during the restart ${n}`).waitFor()
      t.equal(await rows(page).filter({ hasText: 'during the restart' }).count(), 5, 'each once')
      await page.getByText('The connection was lost and is back.').first().waitFor()
      await after.close()
    })
    remove('r')
  })

  t.test('a drag over the histogram leads to a narrower range', (t) =>
    visit(t, `${address}?start_time=-2h`, async ({ page }) => {
      const bars = page.getByRole('slider', { name: 'Events over time' })
      await bars.waitFor()
      const box = await bars.boundingBox()
      if (box === null) throw new Error('the histogram has no place')
      await page.mouse.move(box.x + box.width * 0.3, box.y + 20)
      await page.mouse.down()
      await page.mouse.move(box.x + box.width * 0.6, box.y + 20)
      await page.mouse.up()
      await eventually('the range has both ends', () => /start_time=20.*end_time=20/.test(page.url()))
      await page.getByText('Not live').waitFor()
    }))
})
