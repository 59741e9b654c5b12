import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered, removeEvents, row, signIn } from '../support/console-page.ts'
import { startProxy } from '../support/console-proxy.ts'
import { ndjsonOf } from '../support/exported.ts'
import { startKeyServer } from '../support/key-server.ts'
import { eventually, item, startService, startUpstream } from '../support/support.ts'

const PAST = 30
const UNAUTHORIZED = 4401
const [FIRST, SECOND] = ['a-token-of-sixteen-characters', 'another-token-of-enough-characters']

t.test('credentials that end', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  publishNumbered(sandbox, PAST)

  t.test('the page says that one expires, and no more after another sign-in', async (t) => {
    const { settings, tokenFor } = await startKeyServer(t)
    const service = await startService(t, settings, {}, sandbox)
    const { page } = await browser.open(t, `${service.url}/console/?tz=utc`, { tolerated: REFUSED })
    const note = page.getByRole('status').filter({ hasText: /^The credential expires at \d{4}-\d\d-\d\d [\d:]{8}\./ })
    await signIn(page, await tokenFor(55))
    await hasLoaded(page, PAST)
    await note.waitFor()
    await note.getByRole('button', { name: 'Sign in again' }).click()
    await signIn(page, await tokenFor(3600))
    await hasLoaded(page, PAST)
    await isLive(page)
    t.equal(await note.count(), 0)
  })

  t.test('a proxy that signs people in: the page works without a form, also after the end of its token', async (t) => {
    const file = join(t.testdir(), 'tokens')
    const write = (...tokens: string[]) => writeFile(file, tokens.join('\n'))
    await write(FIRST)
    const byToken = { AUTH_MODE: 'token', AUTH_TOKENS_FILE: file, AUTH_RECHECK_MS: '100' }
    const service = await startService(t, byToken, {}, sandbox)
    let token = FIRST
    const base = await startProxy(t, service.url, { added: () => ({ authorization: `Bearer ${token}` }) })
    const { page, requested } = await browser.open(t, `${base}/console/`)
    const form = page.getByRole('dialog', { name: 'Sign in' })
    const publish = (id: string) =>
      sandbox.publish(item({ id, resource_text: `event ${id}.`, extra: { session_id: 's' } }))
    await hasLoaded(page, PAST)
    await isLive(page)
    publish('p1')
    await row(page, 'event p1.').waitFor()
    await menu(page, 'Export').click()
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'NDJSON' }).click()
    ])
    t.equal(ndjsonOf({ text: await readFile(await download.path(), 'utf8') }).lines.length, PAST + 1)
    const { page: other } = await browser.open(t, `${base}/console/?session=s`)
    const session = other.getByRole('region', { name: 'Session' }).getByRole('listitem')
    await session.getByText('event p1.').waitFor()
    publish('p2')
    await session.getByText('event p2.').waitFor()

    const status = async (given: string) =>
      (await service.get('/api/v1/audit/events', { authorization: `Bearer ${given}` })).status
    await write(FIRST, SECOND)
    await eventually('the next token is known', async () => await status(SECOND) === 200)
    token = SECOND
    const streams = () => requested.filter((each) => each.startsWith('ws:')).length
    const before = streams()
    await write(SECOND)
    await eventually('the first token has ended', async () => await status(FIRST) === 401)
    await eventually('another stream is open', () => streams() > before)
    await isLive(page)
    publish('p3')
    await row(page, 'event p3.').waitFor()
    await session.getByText('event p3.').waitFor()
    t.equal(await form.count(), 0)
    t.equal(await other.getByRole('dialog', { name: 'Sign in' }).count(), 0)
    t.notOk(requested.some((each) => each.includes('ticket=')), 'and needs no tickets')
    removeEvents(sandbox, (id) => /^p\d/.test(id))
  })

  t.test('a proxy whose credential no stream keeps: the page asks for another one, after few streams', async (t) => {
    const service = await startService(t, {}, {}, sandbox)
    const { page } = await browser.open(t, 'about:blank', { tolerated: /foreign request/ })
    let streams = 0
    await page.routeWebSocket(/\/stream/, (socket) => {
      streams++
      socket.send(JSON.stringify({ type: 'hello', cursor: 'c', resumed: true, heartbeat_seconds: 20 }))
      setTimeout(() => socket.close({ code: UNAUTHORIZED }), 50)
    })
    await page.goto(`${service.url}/console/`)
    await page.getByRole('dialog', { name: 'Sign in' }).waitFor()
    t.equal(streams, 2)
  })
})
