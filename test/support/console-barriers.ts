import type { Test } from 'tap'
import type { Page } from 'playwright-core'
import { findBarriers, startBrowser } from './browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered } from './console-page.ts'
import { startService, startUpstream } from './support.ts'

const PAST = 40

interface View {
  readonly name: string
  readonly query: string
  readonly arrive: (page: Page) => Promise<unknown>
}

const VIEWS: readonly View[] = [
  { name: 'events', query: '', arrive: (page) => hasLoaded(page, PAST) },
  { name: 'an open event', query: '?event=e39', arrive: (page) => shows(page, 'event number 39.') },
  { name: 'a menu', query: '', arrive: (page) => menu(page, 'Export').click() },
  { name: 'paused, one row chosen', query: '', arrive: choosesRow },
  { name: 'sessions', query: '?view=sessions', arrive: (page) => page.getByRole('row').nth(4).waitFor() },
  { name: 'a conversation', query: '?session=s-3', arrive: (page) => page.getByRole('listitem').nth(9).waitFor() },
  { name: 'a timeline', query: '?session=s-3&as=timeline', arrive: (page) => page.getByRole('row').nth(9).waitFor() },
  { name: 'the overview', query: '?view=overview', arrive: (page) => shows(page, 'Tools with failures') },
  { name: 'help', query: '', arrive: opensHelp }
]

/** axe finds nothing in any view of the console, nor in the form for a credential. */
export async function hasNoBarriers (t: Test, colorScheme: 'light' | 'dark'): Promise<void> {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST, (n) => ({
    extra: { session_id: `s-${n % 4}`, tool_name: 'kubectl' },
    action_successful: n % 3 > 0
  }))
  const service = await startService(t, {}, {}, sandbox)
  const guarded = await startService(t, { AUTH_MODE: 'token', AUTH_TOKENS: 'a-token-of-sixteen-characters' }, {}, sandbox)
  const options = { tolerated: REFUSED, colorScheme }
  const { page } = await browser.open(t, `${service.url}/console/`, options)
  for (const { arrive, name, query } of VIEWS) {
    await page.goto(`${service.url}/console/${query}`)
    await arrive(page)
    t.same(await findBarriers(page), [], name)
  }
  const { page: form } = await browser.open(t, `${guarded.url}/console/`, options)
  await form.getByRole('dialog', { name: 'Sign in' }).waitFor()
  t.same(await findBarriers(form), [], 'the form for a credential')
}

async function shows (page: Page, text: string): Promise<void> {
  await page.getByText(text).first().waitFor()
}

async function choosesRow (page: Page): Promise<void> {
  await isLive(page)
  await page.keyboard.press('Space')
  await page.keyboard.press('j')
}

async function opensHelp (page: Page): Promise<void> {
  await isLive(page)
  await page.keyboard.press('?')
}
