import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { inBrowser, startBrowser, type TestBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, menu, publishNumbered, row, rows } from '../support/console-page.ts'
import { buildVariant, startProxy, type Replacement } from '../support/console-proxy.ts'
import { ago, evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

const PAST = 1200
const [BURST, BATCHES] = [3000, 30]
const MOST_NODES = 3000
const PAUSED = 30

/** Counts the nodes of the document after each change of it, and keeps the most. */
const WATCH_NODES = `
  window.mostNodes = 0
  const count = () => { window.mostNodes = Math.max(window.mostNodes, document.querySelectorAll('*').length) }
  new MutationObserver(count).observe(document, { subtree: true, childList: true })
  count()
`
/** Scrolls to the end of the range, and collects the texts of the rows on the way. */
const SCROLL_THROUGH = `(async () => {
  const table = document.querySelector('[role=grid]').parentElement
  const texts = new Set()
  const isAtEnd = () => table.querySelector('.foot').innerText === 'No older events in this range.' &&
    table.scrollTop + table.clientHeight + 1 >= table.scrollHeight
  for (let step = 0, isOver = false; !isOver && step < 5000; step++) {
    isOver = isAtEnd()
    for (const row of table.querySelectorAll('[role=rowgroup] [role=row]')) texts.add(row.innerText)
    table.scrollTop += table.clientHeight
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame)
  }
  return [...texts]
})()`
const mostNodes = async (page: Page) => Number(await page.evaluate('window.mostNodes'))

/** The list without windowing: each row is in the document. */
const ALL_ROWS: Replacement = {
  file: /event-table\.tsx$/,
  change: (source) => source.replace(/const last = Math\.min\(rows\.length, .*\)/, 'const last = rows.length')
}
/** A pause that drops what arrives. */
const DROPPING: Replacement = {
  file: /row-log\.ts$/,
  change: (source) => source.replace('insert(row)\n    return row', 'if (frozen === undefined) insert(row)\n    return row')
}
/** Rows as HTML. */
const AS_HTML: Replacement = {
  file: /event-table\.tsx$/,
  change: (source) => source.replace(/>\s*\{shown\}\s*<\/span>/, ' dangerouslySetInnerHTML={{ __html: shown }} />')
}

t.test('the list', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates((PAST + 60) * 1000, 1000)
  publishNumbered(sandbox, PAST, (n) => ({ timestamp: dateOf(n) }))
  const service = await startService(t, {}, {}, sandbox)
  await service.settled() // What the first poll finds would come as live events.
  const visit = async (t: Test, query = '', base = service.url) =>
    (await browser.open(t, `${base}/console/${query}`, { tolerated: REFUSED })).page
  const publish = (id: string, text: string, fields = {}) => sandbox.publish(item({ id, resource_text: text, ...fields }))

  t.test('loads older pages to the end of the range, each event once, in few nodes', async (t) => {
    const page = await visit(t)
    await page.evaluate(WATCH_NODES)
    await hasLoaded(page, 100, false)
    const seen = await scrollThrough(page)
    t.equal(await page.getByText('No older events in this range.').count(), 1)
    await hasLoaded(page, PAST)
    t.same(seen, Array.from({ length: PAST }, (_, at) => PAST - 1 - at), 'newest first')
    t.ok(await mostNodes(page) < MOST_NODES, `${await mostNodes(page)} nodes`)
  })

  t.test('goes on to older pages, although the stream has brought the rows of some', async (t) => {
    const upstream = await startUpstream(t)
    const young = await startService(t, {}, {}, upstream)
    await young.settled()
    const { live_cursor: early } = await young.json('/api/v1/audit/events')
    const dateOf = evenDates(20_000, 50)
    publishNumbered(upstream, 400, (n) => ({ timestamp: dateOf(n) }))
    const watching = young.stream('?start_time=-15m')
    await watching.untilEvents(400)
    const { page } = await browser.open(t, 'about:blank', { tolerated: /foreign request/ })
    // As if the page had been listed before the first poll: the stream brings all 400.
    await page.route(/\/events\?page_size/, async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, json: { ...await response.json(), live_cursor: early } })
    })
    await page.goto(`${young.url}/console/`)
    await hasLoaded(page, 400, false)
    await scrollThrough(page)
    await page.getByText('No older events in this range.').waitFor()
    await hasLoaded(page, 400)
  })

  t.test('pauses while it is scrolled or a text is selected, and goes on at the top', async (t) => {
    const page = await visit(t)
    await isLive(page)
    await row(page, 'event number 1199.').hover()
    await page.mouse.wheel(0, 300)
    await page.getByText('Paused', { exact: true }).waitFor()
    publish('p1', 'while scrolled', { action_successful: false })
    await page.getByRole('button', { name: 'Resume (1 new, 1 failed)' }).waitFor()
    publish('p2', 'behind time', { timestamp: ago(30_000) })
    await page.getByRole('button', { name: 'Resume (2 new, 1 failed)' }).waitFor()
    await page.mouse.wheel(0, -1000)
    await isLive(page)
    t.match((await rows(page).allInnerTexts()).slice(0, 2), [/while scrolled/, /late[^]*behind time/])
    await row(page, 'while scrolled').getByText('while scrolled').selectText()
    await page.getByText('Paused', { exact: true }).waitFor()
    await page.evaluate('getSelection().removeAllRanges()')
    await isLive(page)
  })

  t.test('shows a gap of the stream as a row that leads to its interval', async (t) => {
    const upstream = await startUpstream(t)
    const small = { HISTORY_EVENTS: '100', REPLAY_LIMIT: '20', CACHE_OPEN_TTL_MS: '0' }
    const before = await startService(t, small, {}, upstream)
    upstream.publish(item({ id: 'before', resource_text: 'before the gap' }))
    const page = await visit(t, '', before.url)
    await isLive(page)
    await row(page, 'before the gap').waitFor()
    await before.close()
    await page.getByText('Reconnecting').waitFor()
    upstream.publish(Array.from({ length: 300 }, (_, n) => item({ id: `g${n}`, resource_text: `missed ${n}.` })))
    const after = await startService(t, { ...small, PORT: new URL(before.url).port }, {}, upstream)
    const gap = row(page, 'Events may be missing from')
    await gap.waitFor()
    await gap.getByRole('link', { name: 'List this interval' }).click()
    await page.getByText('Not live').waitFor()
    await eventually('the interval is in the URL', () => /start_time=.*end_time=/.test(page.url()))
    await row(page, 'missed').waitFor()
    await page.goBack()
    await isLive(page)
    await after.close()
  })

  t.test('keeps its columns and its wrapping in the URL', async (t) => {
    const page = await visit(t)
    await row(page, 'event number 1199.').waitFor()
    await menu(page, 'Columns').click()
    await page.getByRole('group', { name: 'Columns' }).getByLabel('Session').check()
    await page.getByRole('group', { name: 'Columns' }).getByLabel('Agent').uncheck()
    await page.getByLabel('Wrap lines').check()
    t.same(new URL(page.url()).searchParams.get('cols'), 'time,status,kind,user,text,session')
    t.equal(new URL(page.url()).searchParams.get('wrap'), '1')
    await page.reload()
    await row(page, 'event number 1199.').waitFor()
    const columns = await page.getByRole('grid').getByRole('columnheader').allInnerTexts()
    t.same(columns, ['Time', 'Status', 'Kind', 'User', 'What', 'Session'])
    const box = await row(page, 'event number 1199.').boundingBox()
    t.ok(box !== null && box.height > 60, 'three lines')
  })

  t.test('3 000 events in 3 s are all there, each once, in few nodes', async (t) => {
    const page = await visit(t)
    await isLive(page)
    await hasLoaded(page, 100, false)
    await page.evaluate(WATCH_NODES)
    await burst((n) => publish(`b${n}`, `burst ${n}.`))
    await hasLoaded(page, 100 + BURST, false)
    await row(page, `burst ${BURST - 1}.`).waitFor()
    t.match(await rows(page).first().innerText(), new RegExp(`burst ${BURST - 1}\\.`))
    t.ok(await mostNodes(page) < MOST_NODES, `${await mostNodes(page)} nodes`)
  })

  t.test('the checks fail on a faulty console', (t) => failsOnFaults(t, browser, service.url))

  async function failsOnFaults (t: Test, browser: TestBrowser, url: string): Promise<void> {
    const open = async (replacement: Replacement) => {
      const base = await startProxy(t, url, { script: await buildVariant(replacement) })
      return browser.open(t, `${base}/console/`, { tolerated: REFUSED })
    }

    const { page: unwindowed } = await open(ALL_ROWS)
    await isLive(unwindowed)
    await unwindowed.evaluate(WATCH_NODES)
    await burst((n) => publish(`again${n}`, `again ${n}.`))
    await eventually('too many nodes', async () => await mostNodes(unwindowed) > MOST_NODES)
    await unwindowed.close()

    const { page: dropping } = await open(DROPPING)
    await isLive(dropping)
    await dropping.getByRole('button', { name: 'Pause' }).click()
    for (let n = 0; n < PAUSED; n++) publish(`held${n}`, `while paused ${n}.`)
    await dropping.getByRole('button', { name: `Resume (${PAUSED} new)` }).click()
    publish('on', 'after the pause')
    await row(dropping, 'after the pause').waitFor()
    t.equal(await rows(dropping).filter({ hasText: 'while paused' }).count(), 0)
    await dropping.close()

    const { page: html, takeFaults } = await open(AS_HTML)
    const faults: string[] = []
    await eventually('the policy refuses rows as HTML', () =>
      faults.push(...takeFaults()) > 0 && faults.some((each) => /require-trusted-types-for/.test(each)))
    await html.close()
    takeFaults()
  }
})

/** 3 000 events in three seconds. */
async function burst (publish: (n: number) => void): Promise<void> {
  const size = BURST / BATCHES
  const startedMs = Date.now()
  for (let batch = 0; batch < BATCHES; batch++) {
    await eventually('the time of the batch', () => Date.now() - startedMs >= batch * 100)
    for (let n = batch * size; n < (batch + 1) * size; n++) publish(n)
  }
}

/** The numbers of all rows from the newest to the oldest, as a person sees them who scrolls to the end. */
async function scrollThrough (page: Page): Promise<number[]> {
  const texts = await page.evaluate(SCROLL_THROUGH) as string[]
  return texts.map((text) => Number(/event number (\d+)\./.exec(text)?.[1]))
}
