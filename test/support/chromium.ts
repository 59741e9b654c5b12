import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

interface Owner {
  teardown (action: () => unknown): void
  testdir (): string
}

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
// Without a sandbox, because it may run as root in a container; and with nothing that asks the world outside.
const FLAGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-extensions',
  '--mute-audio'
]

/** Where a Chromium is: in `CHROMIUM`, or on the path. */
export function findChromium (names: readonly string[] = NAMES): string | undefined {
  const { CHROMIUM, PATH = '' } = process.env
  if (CHROMIUM !== undefined && CHROMIUM !== '') return CHROMIUM
  return names.flatMap((name) => PATH.split(delimiter).map((folder) => join(folder, name))).find(isExecutable)
}

/** The same engine without the windows of a browser, which costs less CPU time; otherwise any Chromium. */
export function findHeadlessChromium (): string | undefined {
  return findChromium(['chromium-headless-shell', ...NAMES])
}

function isExecutable (path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** A browser without a window that shows a page until the test is over. */
export function showPage (t: Owner, chromium: string, url: string): void {
  const profile = t.testdir()
  const browser = spawn(chromium, [...FLAGS, `--user-data-dir=${profile}`, url], { stdio: 'ignore', detached: true })
  t.teardown(async () => {
    if (browser.pid === undefined || browser.exitCode !== null) return
    const closed = once(browser, 'close')
    process.kill(-browser.pid, 'SIGKILL') // Its helpers too, which are of its group.
    await closed
  })
}
