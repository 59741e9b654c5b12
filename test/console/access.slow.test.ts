import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered, removeEvents, row, rows, signIn } from '../support/console-page.ts'
import { exported, ndjsonOf } from '../support/exported.ts'
import { eventually, item, startService, startUpstream } from '../support/support.ts'

const [TOKEN, OTHER] = ['a-token-of-sixteen-characters', 'another-token-of-enough-characters']
const PAST = 70
const SESSIONS = 60
/** Chromium ignores a header over plain HTTP from an address that is not this machine's own, and says so. */
const OVER_HTTP = new RegExp(`${REFUSED.source}|Cross-Origin-Opener-Policy header has been ignored`)

async function isAsked (page: Page): Promise<void> {
  await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
}

/** Every text of an event has `event number` in it, or a domain of ours. */
async function showsNothing (t: Test, page: Page): Promise<void> {
  await isAsked(page)
  const text = await page.locator('body').innerText()
  t.notMatch(text, /event number|acme\.test/, 'nothing of the events is left')
}

t.test('who may see the events', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST, (n) => ({ extra: { session_id: `s-${n % SESSIONS}` } }))
  const file = join(t.testdir(), 'tokens')
  await writeFile(file, `${TOKEN}\n`)
  const byToken = { AUTH_MODE: 'token', AUTH_TOKENS_FILE: file, AUTH_RECHECK_MS: '100' }
  const service = await startService(t, byToken, {}, sandbox)
  /** Makes one token the only good one. */
  const admit = async (token: string) => {
    await writeFile(file, `${token}\n`)
    const headers = { authorization: `Bearer ${token}` }
    await eventually('the file is read', async () => (await service.get('/api/v1/audit/events', headers)).status === 200)
  }
  const open = (t: Test, url: string, tolerated = REFUSED) => browser.open(t, url, { tolerated })

  t.test('a token opens the page: events, stream and download, and is in no URL and no log', async (t) => {
    const { page, requested } = await open(t, `${service.url}/console/`)
    await isAsked(page)
    await signIn(page, OTHER)
    await page.getByRole('alert').getByText('The service refused this credential.').waitFor()
    t.equal(await rows(page).count(), 0)
    await signIn(page, TOKEN)
    await hasLoaded(page, PAST)
    await isLive(page)
    sandbox.publish(item({ id: 'live', resource_text: 'event number live' }))
    await row(page, 'event number live').waitFor()

    await menu(page, 'Export').click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'NDJSON' }).click()
    ])
    const own = ndjsonOf({ text: await readFile(await download.path(), 'utf8') })
    const { lines } = ndjsonOf(await exported(service.url, '?format=ndjson', { authorization: `Bearer ${TOKEN}` }))
    t.equal(own.lines.length, PAST + 1)
    t.same(own.lines, lines)
    t.ok(own.end.complete)
    t.match(download.suggestedFilename(), /\.ndjson$/)

    t.ok(requested.some((each) => /^ws:.*\bticket=/.test(each)), 'the stream runs by ticket')
    t.match(download.url(), /\/export\?.*\bticket=/, 'and the download')
    t.notOk([...requested, download.url()].some((each) => each.includes(TOKEN) || each.includes(OTHER)))
    const logged = JSON.stringify(service.logs)
    t.notOk(logged.includes(TOKEN) || logged.includes(OTHER))
    removeEvents(sandbox, (id) => id === 'live')
  })

  t.test('signing out clears the page, also the sessions of later pages', async (t) => {
    const { page } = await open(t, `${service.url}/console/?view=sessions`)
    await signIn(page, TOKEN, { isKept: true })
    await page.getByRole('button', { name: `Load more of ${SESSIONS - 50}` }).click()
    await page.getByRole('link', { name: 'event number 10.', exact: true }).waitFor()
    await menu(page, 'Settings').click()
    await page.getByRole('button', { name: 'Sign out' }).click()
    await showsNothing(t, page)
    await page.reload()
    await showsNothing(t, page)
  })

  t.test('a credential survives a reload only where that was wanted', async (t) => {
    const { page } = await open(t, `${service.url}/console/`)
    await signIn(page, TOKEN)
    await hasLoaded(page, PAST)
    await page.reload()
    await isAsked(page)
    await signIn(page, TOKEN, { isKept: true })
    await hasLoaded(page, PAST)
    await page.reload()
    await hasLoaded(page, PAST)
    await isLive(page)
    const elsewhere = await open(t, `${service.url}/console/`)
    await isAsked(elsewhere.page)
  })

  t.test('a revoked token clears the list, and the page asks for another', async (t) => {
    const { page } = await open(t, `${service.url}/console/?event=e60`)
    await signIn(page, TOKEN)
    await hasLoaded(page, PAST)
    await page.getByRole('dialog', { name: 'Event' }).getByText('event number 60.').first().waitFor()
    await admit(OTHER)
    await page.getByRole('alert').getByText('The service refused this credential.').waitFor()
    await showsNothing(t, page)
    await signIn(page, OTHER)
    await hasLoaded(page, PAST)
    await page.keyboard.press('Escape')
    await isLive(page)
  })

  t.test('a revoked token clears an open session', async (t) => {
    await admit(TOKEN)
    const { page } = await open(t, `${service.url}/console/?session=s-9`)
    await signIn(page, TOKEN)
    const bubbles = page.getByRole('region', { name: 'Session' }).getByRole('listitem')
    await bubbles.filter({ hasText: 'event number 69.' }).waitFor()
    sandbox.publish(item({ id: 'more', resource_text: 'event number more.', extra: { session_id: 's-9' } }))
    await bubbles.filter({ hasText: 'event number more.' }).waitFor()
    await admit(OTHER)
    await showsNothing(t, page)
    removeEvents(sandbox, (id) => id === 'more')
  })

  t.test('an address that is not allowed: the page says which setting would admit it', async (t) => {
    await admit(TOKEN)
    const { port } = new URL(service.url)
    const { page } = await open(t, `http://audit.rebound.test:${port}/console/`, OVER_HTTP)
    await signIn(page, TOKEN)
    await hasLoaded(page, PAST)
    await page.getByText('ALLOWED_HOSTS=audit.rebound.test').first().waitFor()
    t.equal(await page.getByText('Live', { exact: true }).count(), 0)
  })

  t.test('in mode none, an address that is not allowed gets no data at all (DNS rebinding)', async (t) => {
    const none = await startService(t, {}, {}, sandbox)
    const { port } = new URL(none.url)
    await none.settled()
    const { page } = await open(t, `http://audit.rebound.test:${port}/console/`, OVER_HTTP)
    await page.getByText('ALLOWED_HOSTS=audit.rebound.test').waitFor()
    for (const path of ['events', 'events/e1', 'export', 'facets', 'sessions']) {
      const answer = await page.goto(`http://audit.rebound.test:${port}/api/v1/audit/${path}`)
      t.equal(answer?.status(), 403, path)
      t.notMatch(await answer?.text(), /event number/)
    }
    const allowed = await startService(t, { ALLOWED_HOSTS: 'audit.rebound.test' }, {}, sandbox)
    const admitted = await open(t, `http://audit.rebound.test:${new URL(allowed.url).port}/console/`, OVER_HTTP)
    await hasLoaded(admitted.page, PAST)
    await isLive(admitted.page)
  })

  t.test('passthrough: an API key of Kubiya, or a token, shows what it shows', async (t) => {
    const own = await startService(t, { AUTH_MODE: 'passthrough' }, {}, sandbox)
    const { page } = await open(t, `${own.url}/console/`)
    await isAsked(page)
    const form = page.getByRole('dialog', { name: 'Sign in' })
    await eventually('both schemes are there', async () =>
      (await form.getByLabel('Kind').getByRole('option').allInnerTexts()).join() === 'Bearer,UserKey')
    await signIn(page, 'not-the-key-of-anybody', { kind: 'UserKey' })
    await page.getByRole('alert').getByText('The service refused this credential.').waitFor()
    await signIn(page, sandbox.apiKey, { kind: 'UserKey' })
    await hasLoaded(page, PAST)
    await isLive(page)
  })
})
