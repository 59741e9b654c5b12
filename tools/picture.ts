import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'
import { findChromium } from '../test/support/chromium.ts'

// npm run picture: takes the picture of the console for the README, from the service with its sandbox.

const TARGET = 'docs/console.png'
const SIZE = { width: 1280, height: 760 }
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']

const service = spawn(process.execPath, ['dist/main.js'], {
  env: { PATH: process.env.PATH, PORT: '0' },
  stdio: ['ignore', 'pipe', 'inherit']
})
const address = await printedAddress()
const browser = await chromium.launch({ executablePath: findChromium() ?? 'chromium', args: FLAGS })
const page = await browser.newPage({ viewport: SIZE, timezoneId: 'UTC', locale: 'en-GB', colorScheme: 'light' })
await page.goto(address)
await page.getByRole('link', { name: /^agents/ }).waitFor()
await page.getByText('Live', { exact: true }).waitFor()
await page.screenshot({ path: TARGET })
await browser.close()
service.kill()
await once(service, 'exit')
process.stdout.write(`${TARGET} written\n`)

/** The address of the console, which the service prints first. */
async function printedAddress (): Promise<string> {
  for await (const line of createInterface({ input: service.stdout })) {
    const [, found] = /"console: (http[^"]+)"/.exec(line) ?? []
    if (found !== undefined) return found
  }
  throw new Error('the service has printed no address')
}
