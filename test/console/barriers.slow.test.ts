import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { findBarriers, inBrowser, startBrowser, type OpenOptions } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered } from '../support/console-page.ts'
import { startService, startUpstream } from '../support/support.ts'

const PAST = 40

t.test('barriers', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST, (n) => ({
    extra: { session_id: `s-${n % 4}`, tool_name: 'kubectl' },
    action_successful: n % 3 > 0
  }))
  const service = await startService(t, {}, {}, sandbox)
  const guarded = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: 'a-token-of-sixteen-characters' }, {}, sandbox)
  const visit = async (t: Test, query = '', options: OpenOptions = {}, base = service.url) =>
    (await browser.open(t, `${base}/console/${query}`, { tolerated: REFUSED, ...options })).page

  const states: Array<[name: string, query: string, arrive: (page: Page) => Promise<unknown>]> = [
    ['events', '', (page) => hasLoaded(page, PAST)],
    ['an open event', '?event=e39', (page) => page.getByRole('dialog', { name: 'Event' }).getByText('event number 39.').first().waitFor()],
    ['a menu', '', async (page) => { await hasLoaded(page, PAST); await menu(page, 'Export').click() }],
    ['paused, one row chosen', '', async (page) => { await isLive(page); await page.keyboard.press('Space'); await page.keyboard.press('j') }],
    ['sessions', '?view=sessions', (page) => page.getByRole('region', { name: 'Sessions' }).getByRole('row').nth(4).waitFor()],
    ['a conversation', '?session=s-3', (page) => page.getByRole('listitem').nth(9).waitFor()],
    ['a timeline', '?session=s-3&as=timeline', (page) => page.getByRole('row').nth(9).waitFor()],
    ['the overview', '?view=overview', (page) => page.getByRole('heading', { name: 'Tools with failures' }).waitFor()],
    ['help', '', async (page) => { await isLive(page); await page.keyboard.press('?') }]
  ]
  for (const colorScheme of ['light', 'dark'] as const) {
    t.test(`no view has barriers: ${colorScheme}`, async (t) => {
      for (const [name, query, arrive] of states) {
        const page = await visit(t, query, { colorScheme })
        await arrive(page)
        t.same(await findBarriers(page), [], name)
        await page.close()
      }
      const page = await visit(t, '', { colorScheme }, guarded.url)
      await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
      t.same(await findBarriers(page), [], 'the form for a credential')
    })
  }
})
