import t, { type Test } from 'tap'
import type { Locator, Page } from 'playwright-core'
import { inBrowser, startBrowser } from '../support/browser.ts'
import { REFUSED, hasLoaded, isLive, removeEvents, row } from '../support/console-page.ts'
import { ago, evenDates, eventually, item, startService, startUpstream } from '../support/support.ts'

const SESSIONS = 120
const A_PAGE = 50
const MINUTE_MS = 60_000
/** The session that is told as a conversation. */
const TOLD = 'told'
const USER = { category_type: 'users', category_name: 'slack', email: 'ann@acme.test' }
const AGENT = { category_type: 'agents', category_name: 'helper', email: 'ann@acme.test' }
const TOOL = { ...AGENT, resource_type: 'Tool Execution' }

/** A message, a tool call that an agent repeats as a message, a failed output, another try, and an answer. */
function conversation (): object[] {
  const dateOf = evenDates(20_000, 1000)
  const event = (n: number, fields: object) => item({
    id: `t${n}`,
    timestamp: dateOf(n),
    extra: { session_id: TOLD, ...'tool' in fields && { tool_name: fields.tool } },
    ...fields
  })
  return [
    event(1, { ...USER, resource_text: 'please count the pods' }),
    event(2, { ...TOOL, tool: 'kubectl', action_type: 'call', resource_text: 'get pods' }),
    event(3, { ...AGENT, resource_text: 'Tool: kubectl\nArguments: get pods' }),
    event(4, { ...TOOL, tool: 'kubectl', action_type: 'result', resource_text: 'no access', action_successful: false }),
    event(5, { ...TOOL, tool: 'kubectl', action_type: 'call', resource_text: 'get pods --as ann' }),
    event(6, { ...TOOL, tool: 'kubectl', action_type: 'result', resource_text: 'seven pods' }),
    event(7, { ...AGENT, resource_text: 'There are seven pods.' })
  ]
}

t.test('the sessions', inBrowser, async (t) => {
  const browser = await startBrowser(t)
  const sandbox = await startUpstream(t)
  const dateOf = evenDates((SESSIONS + 10) * MINUTE_MS, 1000)
  for (let n = 0; n < SESSIONS; n++) {
    const events = Array.from({ length: 1 + n % 3 }, (_, at) => item({
      resource_text: `task ${n}.`,
      timestamp: dateOf(60 * n + at), // A session a minute.
      action_successful: n % 4 !== 0,
      extra: { session_id: `s-${n}` }
    }))
    sandbox.publish(events)
  }
  sandbox.publish(conversation())
  const service = await startService(t, {}, {}, sandbox)
  const open = (t: Test, query: string) =>
    browser.open(t, `${service.url}/console/${query}`, { tolerated: REFUSED })
  const visit = async (t: Test, query: string) => (await open(t, query)).page
  const tableRows = (page: Page) => page.getByRole('region', { name: 'Sessions' }).locator('tbody').getByRole('row')
  const has = (name: string, rows: Locator, count: number) =>
    eventually(`${count} ${name}`, async () => await rows.count() === count)

  t.test('are a table by outcome and order, and further pages bring each of them once', async (t) => {
    const { page, requested } = await open(t, '?view=sessions')
    await has('sessions', tableRows(page), A_PAGE)
    t.match(await tableRows(page).first().innerText(), /recovered\s+please count the pods/)
    t.match(await tableRows(page).nth(1).innerText(), new RegExp(`success\\s+task ${SESSIONS - 1}\\.`))
    await page.getByRole('button', { name: `Load more of ${SESSIONS + 1 - A_PAGE}` }).click()
    await has('sessions', tableRows(page), 2 * A_PAGE)
    await page.getByRole('button', { name: `Load more of ${SESSIONS + 1 - 2 * A_PAGE}` }).click()
    await has('sessions', tableRows(page), SESSIONS + 1)
    t.equal(await page.getByRole('button', { name: /Load more/ }).count(), 0)
    const titles = await page.getByRole('link', { name: /^task/ }).allInnerTexts()
    const newestFirst = Array.from({ length: SESSIONS }, (_, at) => `task ${SESSIONS - 1 - at}.`)
    t.same(titles, newestFirst, 'each once, newest first')

    await eventually('the first page was loaded again', () =>
      requested.filter((each) => each.includes('/sessions?page_size=')).length > 1)
    sandbox.publish(item({ id: 'new', resource_text: 'task new.', extra: { session_id: 's-new' } }))
    await has('sessions, and none has gone', tableRows(page), SESSIONS + 2)
    t.match(await tableRows(page).first().innerText(), /task new/)
    removeEvents(sandbox, (id) => id === 'new')
  })

  t.test('can be chosen by outcome and ordered, and Back undoes it', async (t) => {
    const page = await visit(t, '?view=sessions')
    await has('sessions', tableRows(page), A_PAGE)
    await page.getByLabel('Outcome').selectOption('failed')
    await has('failed sessions', tableRows(page), SESSIONS / 4)
    t.ok((await tableRows(page).allInnerTexts()).every((text) => /^failed/.test(text)))
    await page.getByLabel('Order').selectOption('Most events')
    await eventually('the longest is first', async () => /\t3\t3\t/.test(await tableRows(page).first().innerText()))
    t.match(page.url(), /\?view=sessions&outcome=failed&order_by=events$/)
    await page.goBack()
    await page.goBack()
    await has('sessions', tableRows(page), A_PAGE)
  })

  t.test('open as a conversation: bubbles by kind, tool calls with their outputs, repeats hidden', async (t) => {
    const page = await visit(t, '?view=sessions')
    await page.getByRole('link', { name: 'please count the pods' }).click()
    t.match(page.url(), new RegExp(`\\?session=${TOLD}$`))
    const session = page.getByRole('region', { name: 'Session' })
    const bubbles = session.getByRole('listitem')
    await has('bubbles', bubbles, 4)
    const texts = await bubbles.allInnerTexts()
    t.match(texts, [
      /^ann@acme\.test\s+user\s[^]*please count the pods/,
      /^helper\s+tool call\s[^]*kubectl failed[^]*Arguments[^]*get pods[^]*Output[^]*no access/,
      /^helper\s+tool call\s[^]*kubectl ok$/,
      /^helper\s+agent\s[^]*There are seven pods/
    ])
    await bubbles.nth(2).getByText('kubectl').click()
    await bubbles.nth(2).getByText('seven pods').waitFor()
    await session.getByLabel('Show repeated tool calls (1)').check()
    await has('bubbles', bubbles, 5)

    await session.getByRole('searchbox', { name: 'Search in this session' }).fill('SEVEN')
    await has('found', bubbles, 2)
    await session.getByRole('searchbox', { name: 'Search in this session' }).fill('')
    await session.getByRole('link', { name: 'Timeline' }).click()
    await has('events', session.getByRole('row'), 7)
    t.match(await session.getByRole('row').allInnerTexts(), [/^\+0 ms/, /^\+1 s/, /^\+2 s/, /^\+3 s/, /^\+4 s/, /^\+5 s/, /^\+6 s/])
    await session.getByRole('link', { name: 'There are seven pods.' }).click()
    await page.getByRole('dialog', { name: 'Event' }).getByText('There are seven pods.').first().waitFor()
    t.match(page.url(), /event=t7/)
    for (let step = 0; step < 3; step++) await page.goBack()
    await has('sessions', tableRows(page), A_PAGE)
  })

  t.test('lead from an event of a session to the events of its user, and around it', async (t) => {
    const page = await visit(t, `?session=${TOLD}&event=t1`)
    const dialog = page.getByRole('dialog', { name: 'Event' })
    await dialog.getByRole('link', { name: 'This user' }).click()
    await dialog.waitFor({ state: 'detached' })
    await hasLoaded(page, 7)
    await page.goBack()
    await dialog.getByRole('link', { name: 'Around this (± 5 min)' }).click()
    await row(page, 'There are seven pods.').waitFor()
    await page.goBack()
    await dialog.getByRole('link', { name: 'This session' }).click()
    await dialog.waitFor({ state: 'detached' })
    await page.getByRole('region', { name: 'Session' }).getByText('There are seven pods.').waitFor()
  })

  t.test('go on live while they are open, late events in their place', async (t) => {
    const page = await visit(t, `?session=${TOLD}`)
    const session = page.getByRole('region', { name: 'Session' })
    const bubbles = session.getByRole('listitem')
    await has('bubbles', bubbles, 4)
    sandbox.publish(item({ id: 'm1', ...USER, resource_text: 'thank you', extra: { session_id: TOLD } }))
    await bubbles.last().getByText('thank you').waitFor()
    sandbox.publish(
      item({ id: 'm2', ...USER, resource_text: 'one moment', timestamp: ago(2500), extra: { session_id: TOLD } })
    )
    await bubbles.filter({ hasText: 'one moment' }).waitFor()
    t.match((await bubbles.allInnerTexts()).slice(-2), [/one moment/, /thank you/])
    await session.getByText('9 events · 1 failed').waitFor()
    removeEvents(sandbox, (id) => /^m\d/.test(id))
  })

  t.test('and events open by the deep links of the chat interface', async (t) => {
    const page = await visit(t, '?session=s-7')
    await has('bubbles', page.getByRole('region', { name: 'Session' }).getByRole('listitem'), 2)
    await page.goto(`${service.url}/console/?event=t4`)
    await page.getByRole('dialog', { name: 'Event' }).getByText('no access').first().waitFor()
    await hasLoaded(page, 100, false)
    const at = new Date(Date.now() - 60 * MINUTE_MS)
    await page.goto(`${service.url}/console/?event=${encodeURIComponent(at.toISOString())}`)
    await page.getByText('Not live').waitFor()
    const [from, to] = ['start_time', 'end_time'].map((name) => Date.parse(new URL(page.url()).searchParams.get(name) ?? ''))
    t.same([from, to], [at.getTime() - 5 * MINUTE_MS, at.getTime() + 5 * MINUTE_MS])
    const answer = await service.json(`/api/v1/audit/events${new URL(page.url()).search}`)
    t.ok(answer.items.length > 10)
    await hasLoaded(page, answer.items.length)
    await page.goto(`${service.url}/console/?event=nothing-like-it`)
    await page.getByRole('alert').getByText('This event was not found.').waitFor()
    await page.keyboard.press('Escape')
    await isLive(page)
  })
})
