import t from 'tap'
import { ago, item, startService, startUpstream } from '../../support/support.ts'

type Item = Record<string, unknown>

const AN_HOUR_AGO = Date.now() - 3_600_000
const SESSIONS = '/api/v1/audit/sessions'
const [AGENT, EMAIL] = ['DevOps Helper', 'user1@acme.test']

/** Events of one session, a second apart. The last one is the newest. */
function session (id: string, events: Item[]): Item[] {
  return events.map(({ extra, ...fields }, n) => item({
    email: EMAIL,
    category_type: 'agents',
    category_name: AGENT,
    resource_type: 'Message',
    action_type: 'sent',
    action_successful: true,
    timestamp: new Date(AN_HOUR_AGO + n * 1000).toISOString(),
    ...fields,
    extra: { session_id: id, ...extra as Item }
  }))
}

const CONVERSATION = session('s-1', [
  { resource_text: 'restart é ✅', extra: { is_user_message: true } },
  { resource_text: 'Tool: kubectl\nArguments: {}', extra: { is_user_message: false } },
  { resource_text: "end=True start=True type='tool' name='kubectl' arguments='{}'", extra: { is_user_message: false } },
  { resource_type: 'Tool Execution', resource_text: 'no', action_successful: false, extra: { tool_name: 'kubectl' } },
  { resource_type: 'Tool Execution', resource_text: 'ok', extra: { tool_name: 'kubectl' } },
  { resource_text: "end=True start=True type='msg' content=\"it's done\"", extra: { is_user_message: false } }
])

t.test('one session as a conversation', async (t) => {
  const sandbox = await startUpstream(t)
  sandbox.publish([...CONVERSATION, ...session('s-2', [{ resource_text: 'other' }])])
  const service = await startService(t, {}, {}, sandbox)

  t.test('shows the events oldest first, and what each of them says', async (t) => {
    const page = await service.json(`${SESSIONS}/s-1`)
    t.same(page.entries.map(({ event, ...entry }: any) => entry), [
      { kind: 'user_message', actor: EMAIL, agent: AGENT, tool: null, text: 'restart é ✅', hidden: false },
      {
        kind: 'tool_call', actor: AGENT, agent: AGENT, tool: 'kubectl', text: 'Tool: kubectl\nArguments: {}', hidden: true
      },
      { kind: 'tool_call', actor: AGENT, agent: AGENT, tool: 'kubectl', text: '{}', hidden: false },
      { kind: 'tool_output', actor: AGENT, agent: AGENT, tool: 'kubectl', text: 'no', hidden: false },
      { kind: 'tool_output', actor: AGENT, agent: AGENT, tool: 'kubectl', text: 'ok', hidden: false },
      { kind: 'agent_message', actor: AGENT, agent: AGENT, tool: null, text: "it's done", hidden: false }
    ])
    const listed = await service.json('/api/v1/audit/events?session_id=s-1&sort_direction=asc')
    t.same(page.entries.map(({ event }: any) => event), listed.items, 'the events are those of the list')
    const { coverage, session: figures } = page
    t.match(figures, {
      id: 's-1',
      events: 6,
      success: 5,
      failed: 1,
      unknown: 0,
      outcome: 'recovered',
      title: 'restart é ✅',
      trigger: 'conversation',
      duration_seconds: 5,
      users: [{ email: EMAIL, events: 6, messages: 1 }],
      agents: [{ name: AGENT, events: 6 }],
      tools: [{ name: 'kubectl', events: 2, failed: 1 }],
      categories: [{ value: 'agents', events: 6 }],
      is_open: false,
      may_have_begun_earlier: false
    })
    t.match(coverage, { complete: true, scanned: 6, start_time: null, as_of: coverage.end_time })
    t.match(page.pagination, { page: 1, page_size: 200, has_more: false, next: null })
  })

  t.test('filters its entries by kind, status and text; the figures are those of the whole session', async (t) => {
    for (const [search, texts] of [
      ['kind=tool_output', ['no', 'ok']],
      ['status=failed', ['no']],
      ['text=RESTART%20%C3%89', ['restart é ✅']],
      ['kind=tool_output&status=success&text=ok', ['ok']],
      ['kind=webhook', []]
    ] as const) {
      const page = await service.json(`${SESSIONS}/s-1?${search}`)
      t.same(page.entries.map(({ text }: any) => text), texts, search)
      t.equal(page.session.events, 6, search)
    }
  })

  t.test('is paged by `next`, with every filter, each event once, without counting the session again', async (t) => {
    for (const [search, count] of [['', 6], ['&kind=tool_call', 2], ['&status=success', 5]] as const) {
      const ids: string[] = []
      for (let next: string | null = `${SESSIONS}/s-1?page_size=1${search}`; next !== null;) {
        const page: any = await service.json(next)
        ids.push(...page.entries.map(({ event }: any) => event.id))
        t.equal(page.session.events, 6)
        next = page.pagination.next
      }
      t.equal(ids.length, count, search)
      t.equal(new Set(ids).size, count, search)
    }
  })

  t.test('is served from the cache until an event of the session enters the log', async (t) => {
    await service.json(`${SESSIONS}/s-2`)
    sandbox.resetRequests()
    const again = await service.get(`${SESSIONS}/s-2`)
    t.match(again.headers.get('cache-status'), /hit/)
    t.same(sandbox.requests.filter(({ query }) => (query.filter as Item | undefined)?.['extra.session_id'] !== undefined), [])
    const etag = again.headers.get('etag') ?? ''
    t.equal((await service.get(`${SESSIONS}/s-2`, { 'if-none-match': etag })).status, 304)
    const stream = service.stream('?session_id=s-2')
    await stream.until(({ type }) => type === 'hello')
    sandbox.publish(item({ timestamp: ago(0), action_successful: false, extra: { session_id: 's-2' } }))
    await stream.untilEvents(1)
    const fresh = await service.json(`${SESSIONS}/s-2`)
    t.match(fresh.session, { events: 2, outcome: 'failed', is_open: true })
    t.equal(fresh.entries.length, 2)
    stream.socket.close()
  })

  t.test('is not found where Kubiya has none of its events', async (t) => {
    const answer = await service.get(`${SESSIONS}/nobody`)
    t.equal(answer.status, 404)
    t.match(await answer.json(), { code: 'not-found', scanned: 0, complete: true, detail: /No such session/ })
  })

  t.test('refuses bad parameters, and a cursor of another question', async (t) => {
    const { pagination } = await service.json(`${SESSIONS}/s-1?page_size=1`)
    const list = await service.json('/api/v1/audit/events?page_size=1&session_id=s-1')
    for (const [path, code, parameters] of [
      [`${SESSIONS}/s-1?page_size=0`, 'invalid-parameter', ['page_size']],
      [`${SESSIONS}/s-1?page_size=1001&kind=x&nope=1`, 'invalid-parameter', ['page_size', 'kind', 'nope']],
      [`${SESSIONS}/s-1?page_size=0x10`, 'invalid-parameter', ['page_size']],
      [`${SESSIONS}/${'x'.repeat(257)}`, 'invalid-parameter', ['id']],
      [`${SESSIONS}/s-2?cursor=${pagination.next_cursor}`, 'invalid-cursor', ['cursor']],
      [`${SESSIONS}/s-1?cursor=${list.pagination.next_cursor}`, 'invalid-cursor', ['cursor']],
      [`${SESSIONS}/s-1?cursor=${pagination.next_cursor}&kind=ai`, 'invalid-parameter', ['kind']],
      [`/api/v1/audit/events?cursor=${pagination.next_cursor}`, 'invalid-cursor', ['cursor']]
    ] as const) {
      const answer = await service.get(path)
      const problem = await answer.json() as any
      t.equal(answer.status, 400, path)
      t.equal(problem.code, code, path)
      t.same(problem.errors.map(({ parameter }: any) => parameter).sort(), [...parameters].sort(), path)
    }
  })
})

t.test('an outage is no empty session', async (t) => {
  const sandbox = await startUpstream(t)
  sandbox.publish(CONVERSATION)
  const service = await startService(t, {}, {}, sandbox)
  sandbox.faults.during({ kind: 'status', status: 503 })
  const answer = await service.get(`${SESSIONS}/s-1`)
  t.equal(answer.status, 502)
})
