import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, focused, hasLoaded, isLive, publishNumbered, row, rows, tabTo } from '../support/console-page.ts'
import { ndjsonOf } from '../support/exported.ts'
import { ago, evenDates, eventually, startService, startUpstream } from '../support/support.ts'

const PAST = 30
const DATE_PARTS = 3

t.test('the keyboard alone', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates((PAST + 10) * 60_000, 60_000)
  publishNumbered(sandbox, PAST, (n) => ({ timestamp: dateOf(n) }))
  const service = await startService(t, {}, {}, sandbox)
  await service.settled() // What the first poll finds would come as live events.
  const visit = async (t: Test, query = '') =>
    (await browser.open(t, `${service.url}/console/${query}`, { tolerated: REFUSED })).page
  const has = (page: Page, name: string) => eventually(`${name} has the focus`, async () => await focused(page) === name)
  const startIs = (page: Page, start: string) =>
    eventually(`the range begins at ${start}`, () => new URL(page.url()).searchParams.get('start_time') === start)

  t.test('opens the export menu, chooses a format and downloads', async (t) => {
    const page = await visit(t)
    await hasLoaded(page, PAST)
    await tabTo(page, 'Export')
    await page.keyboard.press('Enter')
    await tabTo(page, 'NDJSON')
    const [download] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
    const { end, lines } = ndjsonOf({ text: await readFile(await download.path(), 'utf8') })
    t.equal(lines.length, PAST)
    t.ok(end.complete)
    await has(page, 'Export')
    await page.getByRole('link', { name: 'NDJSON' }).waitFor({ state: 'hidden' })

    await page.keyboard.press('e')
    await has(page, 'CSV')
    const [table] = await Promise.all([page.waitForEvent('download'), page.keyboard.press('Enter')])
    t.match(table.suggestedFilename(), /\.csv$/)
    await page.keyboard.press('e')
    await page.keyboard.press('Escape')
    await has(page, 'Export')
    await page.getByRole('link', { name: 'CSV' }).waitFor({ state: 'hidden' })
    await page.keyboard.press('e')
    await tabTo(page, '☰Settings')
    await page.getByRole('link', { name: 'CSV' }).waitFor({ state: 'hidden' })
  })

  t.test('sets a time range: a preset, two times, steps and zoom', async (t) => {
    const page = await visit(t, '?tz=utc')
    await hasLoaded(page, PAST)
    await tabTo(page, 'Last 24 hours')
    await page.keyboard.press('Enter')
    await tabTo(page, 'Last hour')
    await page.keyboard.press('Enter')
    await startIs(page, '-1h')
    await has(page, 'Last hour')

    await page.keyboard.press('Enter')
    await tabTo(page, 'Last 30 days')
    for (let part = 0; part <= DATE_PARTS; part++) await page.keyboard.press('Tab')
    const before = await page.getByLabel('From').inputValue()
    await page.keyboard.press('ArrowDown')
    const start = await page.getByLabel('From').inputValue()
    t.not(start, before)
    t.equal(start.slice(0, 11), before.slice(0, 11), 'another hour of the day')
    await page.keyboard.press('Enter')
    await startIs(page, new Date(`${start}Z`).toISOString())

    await page.keyboard.press('[')
    await page.getByText('Not live').waitFor()
    const moved = new URL(page.url()).searchParams
    t.ok(String(moved.get('end_time')) < ago(0))
    await page.keyboard.press('+')
    await eventually('the range is half as wide', () => {
      const narrow = new URL(page.url()).searchParams
      return String(narrow.get('start_time')) > String(moved.get('start_time'))
    })
  })

  t.test('moves in the list, opens and closes events, and the list keeps the focus', async (t) => {
    const page = await visit(t)
    const dialog = page.getByRole('dialog', { name: 'Event' })
    const chosen = rows(page).and(page.locator('[aria-selected=true]'))
    const isChosen = async (n: number) => chosen.getByText(`event number ${n}.`).waitFor()
    const shows = async (n: number) => dialog.getByText(`event number ${n}.`).first().waitFor()
    await hasLoaded(page, PAST)
    await isLive(page)
    await page.keyboard.press('j')
    await isChosen(29)
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('k')
    await isChosen(28)
    await has(page, 'Events')
    const [named, id] = await Promise.all([
      page.getByRole('grid', { name: 'Events' }).getAttribute('aria-activedescendant'),
      chosen.getAttribute('id')
    ])
    t.equal(named, id, 'a screen reader reads this row')

    await page.keyboard.press('Enter')
    await shows(28)
    await has(page, 'Event')
    await tabTo(page, 'Next')
    await page.keyboard.press('Enter')
    await shows(27)
    await has(page, 'Next')
    await page.keyboard.press('Enter')
    await shows(26)
    await page.keyboard.press('k')
    await shows(27)
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    await has(page, 'Events')
    await isChosen(27)
    await page.keyboard.press('ArrowDown')
    await isChosen(26)
    await isLive(page)
    await page.goBack()
    await shows(27)
    await page.goBack()
    await dialog.waitFor({ state: 'detached' })
  })

  t.test('a closed event gives the focus back to its link', async (t) => {
    const page = await visit(t, '?session=s-1&as=timeline')
    await page.getByRole('region', { name: 'Session' }).getByRole('row').nth(PAST - 1).waitFor()
    await tabTo(page, 'event number 1.')
    await page.keyboard.press('Enter')
    await has(page, 'Event')
    await page.keyboard.press('Escape')
    await has(page, 'event number 1.')
  })

  t.test('opens the help, searches, and changes the view and the zone', async (t) => {
    const page = await visit(t)
    await row(page, 'event number 29.').waitFor()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor({ state: 'detached' })
    await page.keyboard.press('/')
    await page.keyboard.type('number 12.')
    await page.keyboard.press('Enter')
    await hasLoaded(page, 1)
    await has(page, 'Search in all fields')
    await page.keyboard.press('Escape')
    await page.keyboard.press('2')
    await page.getByRole('region', { name: 'Sessions' }).waitFor()
    await page.keyboard.press('u')
    await eventually('the zone is in the URL', () => page.url().includes('tz=utc'))
  })

  t.test('searches on Enter alone, and follows the URL', async (t) => {
    const page = await visit(t, '?text=number+7.')
    const field = page.getByRole('searchbox', { name: 'Search in all fields' })
    await hasLoaded(page, 1)
    t.equal(await field.inputValue(), 'number 7.')
    await page.keyboard.press('/')
    await page.keyboard.type('half')
    await page.keyboard.press('Tab')
    t.equal(new URL(page.url()).searchParams.get('text'), 'number 7.', 'a field that is left searches nothing')
    await page.keyboard.press('/')
    await page.keyboard.press('Control+a')
    await page.keyboard.press('Delete')
    await hasLoaded(page, PAST)
    await has(page, 'Search in all fields')
    await page.goBack()
    await hasLoaded(page, 1)
    t.equal(await field.inputValue(), 'number 7.')
  })

  t.test('chooses bars of the histogram', async (t) => {
    const page = await visit(t, '?start_time=-2h')
    await page.getByRole('slider', { name: 'Events over time' }).waitFor()
    await tabTo(page, 'Events over time')
    await page.keyboard.press('End')
    await page.keyboard.press('Shift+ArrowLeft')
    await page.keyboard.press('Enter')
    await eventually('two bars are the range', () => /start_time=20/.test(page.url()))
    await page.goBack()
    await startIs(page, '-2h')
  })
})
