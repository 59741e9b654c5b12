import { readFile } from 'node:fs/promises'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'
import { findHeadlessChromium } from './chromium.ts'
import { DEADLINE_MS } from './inbox.ts'
import { needs } from './program.ts'

interface Owner {
  teardown (action: () => unknown): void
  passing (): boolean
}

type ContextOption =
  'acceptDownloads' | 'colorScheme' | 'forcedColors' | 'permissions' | 'reducedMotion' | 'timezoneId' | 'viewport'

export interface OpenOptions extends Pick<BrowserContextOptions, ContextOption> {
  /** Messages of the page that the test provokes: a request that is refused, for example, is an error in the console. */
  readonly tolerated?: RegExp
}

/** A page in a real browser, with a profile of its own. */
export interface BrowserPage {
  readonly page: Page
  /** Every address that the page has requested, also of WebSockets. */
  readonly requested: readonly string[]
  /**
   * What went wrong in the page since the last call: errors, policy violations, requests to other origins. Faults that
   * nobody has taken fail the test at its end.
   */
  takeFaults (): string[]
}

export interface TestBrowser {
  /** Opens a page, and closes it at the end of the test `t`. */
  open (t: Owner, url: string, options?: OpenOptions): Promise<BrowserPage>
}

export interface AxeOptions {
  /** Rules that do not apply, each with the reason at the call. */
  readonly without?: readonly string[]
}

// `--no-sandbox`: it may run as root in a container. The rest: nothing asks the world outside, and every name below
// `.test` is this machine, as a stranger's DNS could say.
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--host-resolver-rules=MAP *.test 127.0.0.1',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync'
]
const MOST_TEXT = 2000
const AXE = 'node_modules/axe-core/axe.min.js'
const AXE_TAGS = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const REPORT_VIOLATIONS = `addEventListener('securitypolicyviolation', ({ blockedURI, effectiveDirective, sample }) => {
  reportViolation([effectiveDirective, blockedURI, sample].join(' '))
})`
const executable = findHeadlessChromium()

/** Options of a test that needs the browser: without one it is skipped with a loud line, and fails in CI. */
export const inBrowser = needs('Chromium', executable !== undefined)

/** Starts a browser without a window, with an empty profile, until the end of the test `t`. */
export async function startBrowser (t: Owner): Promise<TestBrowser> {
  const browser = await chromium.launch({ executablePath: executable ?? '', headless: true, args: FLAGS })
  t.teardown(() => browser.close())
  return { open: (owner, url, options = {}) => openPage(owner, browser, url, options) }
}

async function openPage (t: Owner, browser: Browser, url: string, options: OpenOptions): Promise<BrowserPage> {
  const { tolerated, ...rest } = options
  const faults: string[] = []
  const requested: string[] = []
  const context = await browser.newContext({ locale: 'en-GB', ...rest })
  context.setDefaultTimeout(DEADLINE_MS)
  const page = await context.newPage()
  page.on('pageerror', (error) => report(`error: ${error.stack ?? error.message}`))
  page.on('console', (message) => {
    if (message.type() === 'error') report(`console: ${message.text()} (${message.location().url})`)
  })
  page.on('request', (request) => take(request.url()))
  page.on('websocket', (socket) => take(socket.url()))
  page.on('crash', () => report('the page crashed'))
  await page.exposeBinding('reportViolation', (_source, violation: string) => report(`policy: ${violation}`))
  await page.addInitScript({ content: REPORT_VIOLATIONS })
  t.teardown(async () => {
    if (!t.passing()) await describe(page)
    await context.close()
    if (faults.length > 0) throw new Error(`the page has faults:\n${faults.join('\n')}`)
  })
  await page.goto(url)
  return { page, requested, takeFaults: () => faults.splice(0) }

  function report (fault: string): void {
    if (tolerated?.test(fault) !== true) faults.push(fault)
  }

  function take (address: string): void {
    requested.push(address)
    const { host, protocol } = new URL(address)
    if (/^(?:https?|wss?):$/.test(protocol) && host !== new URL(url).host) report(`foreign request: ${address}`)
  }
}

/** Says what a failed test has left in its page: the address, and the end of the text. */
async function describe (page: Page): Promise<void> {
  const text = await page.locator('body').innerText({ timeout: 2000 }).catch(String)
  console.error(`the page of the failed test: ${page.url()}\n${text.slice(-MOST_TEXT)}`)
}

/**
 * What axe finds in a page, one line for each element. axe runs in an isolated world, so the page's policy stays on and
 * its scripts see nothing of axe.
 */
export async function findBarriers (page: Page, { without = [] }: AxeOptions = {}): Promise<string[]> {
  const session = await page.context().newCDPSession(page)
  try {
    const { frameTree } = await session.send('Page.getFrameTree')
    const { executionContextId: contextId } = await session.send('Page.createIsolatedWorld', {
      frameId: frameTree.frame.id,
      worldName: 'axe'
    })
    const evaluate = async (expression: string): Promise<unknown> => {
      const options = { expression, contextId, awaitPromise: true, returnByValue: true }
      const { exceptionDetails, result } = await session.send('Runtime.evaluate', options)
      if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
      return result.value
    }
    await evaluate(`${await readFile(AXE, 'utf8')}; undefined`)
    const rules = Object.fromEntries(without.map((rule) => [rule, { enabled: false }]))
    const settings = JSON.stringify({ runOnly: AXE_TAGS, rules, resultTypes: ['violations'] })
    const violations = await evaluate(`axe.run(document, ${settings}).then(({ violations }) => violations.flatMap(
      ({ id, nodes }) => nodes.map(({ failureSummary, html }) => id + ': ' + html.slice(0, 200) + ' ' + failureSummary)
    ))`)
    if (!Array.isArray(violations)) throw new Error('axe has not answered')
    return violations.map(String)
  } finally {
    await session.detach()
  }
}
