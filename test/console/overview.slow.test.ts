import t, { type Test } from 'tap'
import type { Page } from 'playwright-core'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded } from '../support/console-page.ts'
import type { components } from '../../openapi/openapi.d.ts'
import type { ReceivedRequest } from '../../src/sandbox/sandbox.ts'
import { evenDates, item, startService, startUpstream } from '../support/support.ts'

type Counted = components['schemas']['Facets']['facets'][number]['values'][number]

const PAST = 90
/** Failed logins, tools and agents: each with another number of events. */
function eventOf (n: number, timestamp: string): object {
  const extra = { session_id: `s-${n % 7}` }
  if (n % 10 === 0) {
    return item({
      timestamp,
      category_type: 'users',
      category_name: 'web',
      action_type: 'authentication',
      action_successful: false,
      email: `user${n % 3}@acme.test`,
      extra
    })
  }
  if (n % 3 === 0) {
    const tool = { ...extra, tool_name: n % 2 === 0 ? 'kubectl' : 'terraform' }
    return item({ timestamp, resource_type: 'Tool Execution', action_successful: n % 4 !== 0, extra: tool })
  }
  const agent = n % 2 === 0 ? 'helper' : 'reviewer'
  return item({ timestamp, category_name: agent, action_successful: n % 8 === 0 ? null : n % 5 !== 1, extra })
}

const whole = (value: number) => new Intl.NumberFormat('en').format(value)
const rate = (value: number) => new Intl.NumberFormat('en', { style: 'percent', maximumFractionDigits: 1 }).format(value)

function pairsOf (counted: readonly Counted[]): Array<[value: string | null, events: number]> {
  return counted.map(({ events, value }) => [value, events])
}

/** The texts of the links of a ranking: value and number. */
async function ranking (page: Page, name: string): Promise<Array<[value: string, events: number]>> {
  const section = page.getByRole('region', { name: 'Events', exact: true }).locator('section')
    .filter({ has: page.getByRole('heading', { name }) })
  const texts = await section.getByRole('listitem').allInnerTexts()
  return texts.map((text) => {
    const [, value = '', events = ''] = /^(\S+)\s+(\d+)/.exec(text.trim()) ?? []
    return [value, Number(events)]
  })
}

t.test('the overview', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates(PAST * 20_000, 20_000)
  sandbox.publish(Array.from({ length: PAST }, (_, n) => eventOf(n, dateOf(n))))
  const service = await startService(t, {}, {}, sandbox)
  const visit = async (t: Test, url: string) => (await browser.open(t, url, { tolerated: REFUSED })).page

  t.test('shows the figures of the summary and the facets, and each leads to its events', async (t) => {
    const { by, sessions, totals } = await service.json('/api/v1/audit/summary?top=8')
    const page = await visit(t, `${service.url}/console/?view=overview`)
    const cards: Array<[name: RegExp, figure: string, events: number | undefined]> = [
      [/^Events /, whole(totals.events), totals.events],
      [/^Success rate /, rate(totals.success_rate), totals.success],
      [/^Failures /, whole(totals.failed), totals.failed],
      [/^Users /, whole(totals.users), totals.events],
      [/^Sessions /, whole(sessions.count), undefined]
    ]
    for (const [name, figure, events] of cards) {
      const card = page.getByRole('region', { name: 'Events', exact: true }).getByRole('link', { name })
      t.equal(await card.locator('strong').innerText(), figure, String(name))
      await card.click()
      if (events === undefined) {
        await page.getByRole('region', { name: 'Sessions' }).getByRole('row').nth(sessions.count).waitFor()
        t.equal(await page.getByRole('region', { name: 'Sessions' }).locator('tbody').getByRole('row').count(), sessions.count)
      } else await hasLoaded(page, events)
      await page.goBack()
      await card.waitFor()
    }

    const failed = 'status=failed&top=8&fields='
    const questions: Array<[name: string, field: string, query: string]> = [
      ['Agents with failures', 'category_name', `${failed}category_name&category_type=agents`],
      ['Tools with failures', 'tool_name', `${failed}tool_name`],
      ['Failed logins', 'email', `${failed}email&category_type=users&action_type=authentication`]
    ]
    for (const [name, field, query] of questions) {
      const { facets } = await service.json(`/api/v1/audit/facets?${query}`)
      const values = pairsOf(facets[0].values)
      t.ok(values.length > 0)
      t.same(await ranking(page, name), values, name)
      const [value, events] = values[0] ?? ['', 0]
      await page.locator('section').filter({ has: page.getByRole('heading', { name }) }).last()
        .getByRole('link', { name: new RegExp(`^${value}\\b`) }).click()
      await hasLoaded(page, events)
      t.equal(new URL(page.url()).searchParams.get(field), value)
      t.equal(new URL(page.url()).searchParams.get('status'), 'failed')
      await page.goBack()
      await page.getByRole('heading', { name }).waitFor()
    }
    t.same(await ranking(page, 'Most active users'), pairsOf(by.email.values))
  })

  t.test('says that a count is incomplete, and no more when it is complete', async (t) => {
    let release = () => {}
    const held = new Promise<void>((resolve) => { release = resolve })
    const upstream = await startUpstream(t)
    const dateOf = evenDates(0, -60_000)
    upstream.publish(Array.from({ length: 400 }, (_, n) => item({ timestamp: dateOf(n) })))
    // Kubiya answers the first page of the scan for the counts, and holds the others back.
    upstream.faults.during({ kind: 'held', until: held, when: isLaterPage })
    const slow = await startService(
      t,
      { UPSTREAM_TIMEOUT_MS: '2000', POLL_PAGE_SIZE: '100', HISTORY_EVENTS: '100', CACHE_OPEN_TTL_MS: '1000' },
      {},
      upstream
    )
    const page = await visit(t, `${slow.url}/console/?view=overview`)
    const note = page.getByRole('status').filter({ hasText: /^Counted back to .+ so far\. The rest follows\.$/ })
    await note.waitFor()
    upstream.faults.clear()
    release()
    await note.waitFor({ state: 'detached' })
    await page.getByRole('link', { name: /^Events 400/ }).waitFor()
  })
})

/** Whether a request to Kubiya asks for events that are older than those of the first page. */
function isLaterPage ({ query }: ReceivedRequest): boolean {
  return /lte/.test(String(query.filter)) || Number(query.page ?? 1) > 1
}
