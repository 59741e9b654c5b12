import t from 'tap'
import { eventually, item, startService, startUpstream } from '../support/support.ts'
import { needs } from '../support/program.ts'
import { findChromium, showPage } from '../support/chromium.ts'
import { startSite } from './page.ts'

const FOLLOW = `
  const hooks = {
    backOff: { leastMs: 5, mostMs: 50 },
    onHello: ({ resumed }) => say({ hello: resumed }),
    onReconnect: ({ reason }) => say({ lost: reason }),
    onGap: (gap) => say({ gap })
  }
  const stopping = new AbortController()
  try {
    for await (const event of openAuditStream({ url: '/', filter: { text: 'é' }, startTime: '-15m', signal: stopping.signal, ...hooks })) {
      await say({ id: event.id })
      if (event.id === 'last') stopping.abort()
    }
    await say({ ended: true })
    for await (const event of openAuditStream({ url: '/', filter: { status: 'odd' } })) await say({ id: event.id })
  } catch (error) {
    await say({ isOurs: isAuditStreamError(error), code: error.code, parameter: error.problem?.errors?.[0]?.parameter })
  }
`

const chromium = findChromium()

t.test('the client in a browser delivers each event once across a restart, and reports a refusal', {
  ...needs('Chromium', chromium !== undefined)
}, async (t) => {
  const sandbox = await startUpstream(t)
  const site = await startSite(t, '', FOLLOW)
  const settings = { ALLOWED_ORIGINS: new URL(site.url).origin }
  const before = await startService(t, settings, {}, sandbox)
  site.lead(before.url)
  showPage(t, chromium ?? '', site.url)
  const published = ['first', 'second', 'third', 'fourth', 'last']
  const publish = (id: string) => sandbox.publish(item({ id, resource_text: 'É' }), item({ resource_text: 'e' }))
  const hasCome = (id: string) => site.until((said) => said.id === id)

  await site.until(({ hello }) => hello === false)
  publish('first')
  await hasCome('first')
  site.cut()
  publish('second')
  await hasCome('second')
  await site.until(({ hello }) => hello === true)

  await before.close()
  publish('third')
  const after = await startService(t, settings, {}, sandbox)
  site.lead(after.url)
  await hasCome('third')
  publish('fourth')
  await hasCome('fourth')
  publish('last')
  await site.until(({ ended }) => ended === true)
  await eventually('the page has hung up', async () => await after.subscribers() === 0)

  await site.until(({ code }) => code !== undefined)
  t.same(site.said.filter(({ id }) => id !== undefined), published.map((id) => ({ id })))
  t.same(site.said.at(-1), { isOurs: true, code: 'invalid-parameter', parameter: 'status' })
  t.same(site.said.filter(({ unhandled, gap }) => unhandled !== undefined || gap !== undefined), [])
  t.match(site.said.filter(({ lost }) => lost !== undefined).slice(0, 2), [{ lost: 'closed' }, { lost: 'shutdown' }])
})
