import t, { type Test } from 'tap'
import { inBrowser, startBrowser, type OpenOptions } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered, row } from '../support/console-page.ts'
import { startProxy } from '../support/console-proxy.ts'
import { item, startService, startUpstream } from '../support/support.ts'

const PAST = 40
/** A value without a place to break it. */
const LONG = 'x'.repeat(90)
const HEBREW = 'שלום עולם'

t.test('the console is for everyone', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST, (n) => ({
    extra: { session_id: `s-${n % 4}`, tool_name: 'kubectl' },
    action_successful: n % 3 > 0,
    ...n === 3 && { category_name: LONG, email: LONG }
  }))
  const service = await startService(t, {}, {}, sandbox)
  const visit = async (t: Test, query = '', options: OpenOptions = {}, base = service.url) =>
    (await browser.open(t, `${base}/console/${query}`, { tolerated: REFUSED, ...options })).page

  t.test('works under the path of a proxy: list, stream and Back', async (t) => {
    const base = await startProxy(t, service.url, { prefix: '/tools/audit' })
    const page = await visit(t, '', {}, base)
    await hasLoaded(page, PAST)
    await isLive(page)
    await page.getByRole('link', { name: 'Overview' }).click()
    await page.getByRole('heading', { name: 'Tools with failures' }).waitFor()
    t.equal(new URL(page.url()).pathname, '/tools/audit/console/')
    await page.goBack()
    await isLive(page)
  })

  t.test('a narrow screen needs no sideways scrolling of the page', async (t) => {
    const byAgent = 'by=category_name'
    const queries = [`?${byAgent}`, '?view=sessions', `?view=overview&${byAgent}`, '?session=s-3', '?event=e3']
    for (const query of queries) {
      const page = await visit(t, query, { viewport: { width: 320, height: 640 }, reducedMotion: 'reduce' })
      await page.getByText(/^x{30}/).or(page.getByRole('table')).first().waitFor()
      if (query.includes(byAgent)) await page.getByRole('list', { name: 'Divide by' }).getByText(/^x{30}/).waitFor()
      t.ok(await page.evaluate('document.documentElement.scrollWidth <= 320'), query)
      const fits = '({ clientWidth, scrollWidth }) => scrollWidth <= clientWidth'
      t.ok(await page.evaluate(`[...document.querySelectorAll('main, [role=dialog]')].every(${fits})`), query)
      await page.close()
    }
  })

  t.test('an open event shows its whole text, however much is below it', async (t) => {
    const page = await visit(t, '?event=e39', { viewport: { width: 390, height: 400 } })
    await page.getByRole('dialog', { name: 'Event' }).getByRole('link', { name: 'This session' }).waitFor()
    const fits = '({ clientHeight, scrollHeight }) => scrollHeight <= clientHeight'
    t.ok(await page.evaluate(`(${fits})(document.querySelector('[role=dialog] pre'))`))
  })

  t.test('nothing moves where a person wants less motion', async (t) => {
    const moving = async (reducedMotion: 'reduce' | 'no-preference') => {
      const page = await visit(t, '', { reducedMotion })
      await isLive(page)
      await page.getByRole('button', { name: 'Pause' }).click()
      await page.getByRole('button', { name: 'Resume' }).waitFor()
      await menu(page, 'Settings').click()
      await row(page, 'event number 39.').click()
      await page.getByRole('dialog', { name: 'Event' }).getByText('event number 39.').first().waitFor()
      return page.evaluate(`[
        document.getAnimations().length,
        [...document.querySelectorAll('*')].filter((each) => getComputedStyle(each).transitionDuration !== '0s').length
      ]`)
    }
    t.same(await moving('reduce'), [0, 0])
    t.match(await moving('no-preference'), [1])
  })

  t.test('UTC and local times, each with the other', async (t) => {
    const page = await visit(t, '', { timezoneId: 'Asia/Kolkata' })
    const time = row(page, 'event number 39.').getByRole('gridcell').first()
    const [at] = (await service.json('/api/v1/audit/events/e39')).timestamp.split('Z')
    const local = new Date(Date.parse(`${at}Z`) + 5.5 * 3_600_000).toISOString()
    t.equal(await time.innerText(), local.slice(11, 23))
    t.match(await time.getAttribute('title'), /UTC\+05:30\n.* UTC\n/)
    await page.getByRole('button', { name: 'Local' }).click()
    t.equal(await time.innerText(), at.slice(11, 23))
    t.match(page.url(), /\?tz=utc$/)
  })

  t.test('right-to-left text keeps its direction, and single keys can be off', async (t) => {
    sandbox.publish(item({ id: 'rtl', resource_text: HEBREW }))
    const page = await visit(t)
    await row(page, HEBREW).waitFor()
    const directions = await page.evaluate(`[...document.querySelectorAll('[role=gridcell]')]
      .filter(({ textContent }) => textContent === '${HEBREW}').map((text) => getComputedStyle(text).direction)`)
    t.same(directions, ['rtl'])
    await isLive(page)
    await menu(page, 'Settings').click()
    await page.getByLabel('Single keys do something').uncheck()
    await page.keyboard.press('Escape')
    for (const key of ['2', '?', 'u']) await page.keyboard.press(key)
    t.equal(new URL(page.url()).search, '')
    t.equal(await page.getByRole('dialog').count(), 0)
  })
})
