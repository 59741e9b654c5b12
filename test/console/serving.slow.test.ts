import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { CONSOLE_HEADERS } from '../../src/http/response-headers.ts'
import { findBarriers, inBrowser, startBrowser, type TestBrowser } from '../support/browser.ts'
import { eventually, startService } from '../support/support.ts'

/** A page with faults, under the policy of the console unless other headers are given. */
async function startFaulty (t: Test, html: string, script = '', headers = CONSOLE_HEADERS): Promise<string> {
  const server = createServer((request, response) => {
    response.writeHead(200, { ...headers, 'content-type': request.url === '/' ? 'text/html' : 'text/javascript' })
    response.end(request.url === '/' ? `<!doctype html><html lang="en"><link rel="icon" href="data:,">${html}` : script)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

t.test('the console in a browser', inBrowser, async (t) => {
  const browser = await startBrowser(t)

  t.test('loads from `/`, under its policy, from its own origin alone', async (t) => {
    const service = await startService(t)
    const { page } = await browser.open(t, `${service.url}/`)
    t.equal(page.url(), `${service.url}/console/`)
    await page.getByRole('heading', { level: 1 }).waitFor()
    await page.reload()
    await page.getByRole('heading', { level: 1 }).waitFor()
  })

  t.test('has no barriers, in both colour schemes', async (t) => {
    const service = await startService(t)
    for (const colorScheme of ['light', 'dark'] as const) {
      const { page } = await browser.open(t, `${service.url}/console/`, { colorScheme })
      await page.getByRole('heading', { level: 1 }).waitFor()
      t.same(await findBarriers(page), [], colorScheme)
    }
  })

  t.test('the checks find each kind of fault', (t) => findsFaults(t, browser))
})

async function findsFaults (t: Test, browser: TestBrowser): Promise<void> {
  const SCRIPT = '<script src="script.js"></script>'
  const kinds: Array<[kind: RegExp, html: string, script?: string, headers?: Record<string, string>]> = [
    [/^error: .*of the page/, SCRIPT, "throw new Error('of the page')"],
    [/^error: .*of a promise/, SCRIPT, "Promise.reject(new Error('of a promise'))"],
    [/^console: .*said/, SCRIPT, "console.error('said')"],
    [/^policy: script-src-elem inline/, '<script>document.title = 1</script>'],
    [/^policy: style-src-attr inline/, '<p style="color: red">'],
    [/^policy: require-trusted-types-for/, SCRIPT, "document.documentElement.innerHTML = '<p>'"],
    [/^policy: trusted-types/, SCRIPT, "trustedTypes.createPolicy('mine', {})"],
    [/^policy: connect-src http:\/\/127\.0\.0\.1:9\//, SCRIPT, "fetch('http://127.0.0.1:9/').catch(() => {})"],
    [/^policy: img-src http:\/\/127\.0\.0\.1:9\//, '<img alt="" src="http://127.0.0.1:9/">'],
    [/^foreign request: http:\/\/127\.0\.0\.1:9\//, '<img alt="" src="http://127.0.0.1:9/">', '', {}],
    [/^foreign request: ws:\/\/127\.0\.0\.1:9\//, SCRIPT, "new WebSocket('ws://127.0.0.1:9/')", {}]
  ]
  for (const [kind, html, script, headers] of kinds) {
    const { page, takeFaults } = await browser.open(t, await startFaulty(t, html, script, headers))
    const faults: string[] = []
    await eventually(`${kind} is found`, () => faults.push(...takeFaults()) > 0 && faults.some((each) => kind.test(each)))
    await page.close()
    takeFaults()
  }
  t.pass(`${kinds.length} kinds`)

  const { page } = await browser.open(t, await startFaulty(t, '<title>x</title><main><h1>x</h1><button></button></main>'))
  t.match(await findBarriers(page), [/^button-name: /])
  t.same(await findBarriers(page, { without: ['button-name'] }), [])

  const tolerant = await browser.open(t, await startFaulty(t, SCRIPT, "console.error('known')"), { tolerated: /known/ })
  t.same(tolerant.takeFaults(), [])

  const ending: Array<() => unknown> = []
  const owner = { teardown: (action: () => unknown) => { ending.push(action) }, passing: () => true }
  await browser.open(owner, await startFaulty(t, SCRIPT, "throw new Error('of the page')"))
  await t.rejects(Promise.all(ending.map(async (action) => action())), /the page has faults:\nerror: .*of the page/)
}
