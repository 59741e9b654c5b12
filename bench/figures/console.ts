import { chromium, type Browser, type Page } from 'playwright-core'
import { findChromium } from '../../test/support/chromium.ts'
import { startConsoleStandIn } from '../console-stand-in.ts'
import { format, type Row } from '../row.ts'
import { startService } from '../service.ts'
import { median } from '../slices.ts'
import { TARGETS } from '../targets.ts'

const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--enable-precise-memory-info']
const ROW = '[role=rowgroup] [role=row]'
const ROWS = 100_000
const PER_SECOND = 1000
const FRAME_MS = 33
const LOOK_EVERY_MS = 1000

/** What the console costs the person who looks: until it shows something, and while many events come. */
export async function console (isQuick: boolean): Promise<Row[]> {
  const executablePath = findChromium()
  if (executablePath === undefined) return [{ figure: 'The console', measured: 'Chromium is not installed' }]
  const browser = await chromium.launch({ executablePath, args: FLAGS })
  try {
    return [...await firstSight(browser, isQuick ? 3 : 9), ...await underLoad(browser, isQuick ? 10_000 : 60_000)]
  } finally {
    await browser.close()
  }
}

/** From the navigation to the first paint and to the first event, in a new profile each time. */
async function firstSight (browser: Browser, rounds: number): Promise<Row[]> {
  const service = await startService()
  // Its first text costs a browser 150 ms, whatever the page: it looks for fonts.
  const warm = await browser.newPage()
  await warm.setContent('<p>text')
  await warm.close()
  const [paints, rows]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    const context = await browser.newContext()
    const page = await context.newPage()
    await page.addInitScript(RECORD_FIRST_ROW)
    await page.goto(`http://127.0.0.1:${service.port}/console/`)
    await page.locator(ROW).first().waitFor()
    rows.push(Number(await page.evaluate('firstRowMs')))
    const paint = 'performance.getEntriesByName("first-contentful-paint")[0].startTime'
    paints.push(Number(await page.evaluate(paint)))
    await context.close()
  }
  await service.stop()
  return [
    sight('The console: navigation → first contentful paint (ms)', paints, TARGETS.console.paintMs),
    sight('The console: navigation → first event (ms)', rows, TARGETS.console.rowMs)
  ]
}

function sight (figure: string, values: readonly number[], bound: { readonly most: number }): Row {
  const most = Math.max(...values)
  return { figure, measured: `median ${format(median(values))}, most ${format(most)} of ${values.length}`, value: most, bound }
}

/** Frames, heap and elements while 1 000 events a second come on top of 100 000 rows. */
async function underLoad (browser: Browser, durationMs: number): Promise<Row[]> {
  const standIn = await startConsoleStandIn()
  const page = await (await browser.newContext()).newPage()
  await page.goto(standIn.url)
  await standIn.fill(ROWS)
  await page.getByText(`${ROWS.toLocaleString('en')} loaded`).waitFor()
  await page.evaluate(RECORD_FRAMES)
  const stream = standIn.stream(PER_SECOND)
  let [mostElements, mostHeap] = [0, 0]
  for (const startedMs = performance.now(); performance.now() - startedMs < durationMs;) {
    await page.waitForTimeout(LOOK_EVERY_MS)
    mostElements = Math.max(mostElements, Number(await page.evaluate('document.querySelectorAll("*").length')))
    mostHeap = Math.max(mostHeap, await heapOf(page))
  }
  const frames = await page.evaluate('frames') as number[]
  stream.stop()
  standIn.close()
  const smooth = frames.filter((ms) => ms <= FRAME_MS).length / frames.length
  const of = `${PER_SECOND} events a second over ${ROWS} rows, ${durationMs / 1000} s`
  return [
    {
      figure: `The console, ${of}: share of frames within ${FRAME_MS} ms`,
      measured: `${frames.length} frames, the longest ${format(Math.max(...frames))} ms`,
      value: smooth,
      bound: TARGETS.console.smooth
    },
    {
      figure: 'The same: heap in use, most (MiB)',
      measured: `${format(mostHeap)} MiB`,
      value: mostHeap,
      bound: TARGETS.console.heapMiB
    },
    { figure: 'The same: elements, most', measured: String(mostElements), value: mostElements, bound: TARGETS.console.elements }
  ]
}

/** The page notes the time of its first row itself: asking for it takes time, too. */
const RECORD_FIRST_ROW = `
  new MutationObserver(() => {
    if (document.querySelector('${ROW}')) globalThis.firstRowMs ??= performance.now()
  }).observe(document, { childList: true, subtree: true })`

const RECORD_FRAMES = `
  globalThis.frames = []
  let last = performance.now()
  requestAnimationFrame(function record (now) {
    frames.push(now - last)
    last = now
    requestAnimationFrame(record)
  })`

async function heapOf (page: Page): Promise<number> {
  const session = await page.context().newCDPSession(page)
  const { usedSize } = await session.send('Runtime.getHeapUsage')
  await session.detach()
  return usedSize / 1024 / 1024
}
