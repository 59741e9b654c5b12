import t from 'tap'
import { eventsOfHour } from '../../src/sandbox/history/event-generator.ts'
import { instantOf } from '../../src/sandbox/instant.ts'
import { type Row, HOUR_MS, NOON_MS, started, rows } from './generated-day.ts'

t.test('generated day', async (t) => {
  const HOUR = Math.floor(NOON_MS / HOUR_MS)

  t.test('the generated day depends on the seed alone', async (t) => {
    t.same(eventsOfHour(1, HOUR), eventsOfHour(1, HOUR))
    t.not(JSON.stringify(eventsOfHour(1, HOUR)), JSON.stringify(eventsOfHour(2, HOUR)))
    const now = (): number => NOON_MS
    const [one, two, three] = await Promise.all([1, 1, 2].map((seed) => started(t, { history: 'day', seed, now })))
    if (one === undefined || two === undefined || three === undefined) return t.fail('three were started')
    const question = { page_size: 1000, page: 3 }
    const page = await rows(one, question)
    t.equal(page.length, 1000)
    t.same(page, await rows(two, question))
    t.not(JSON.stringify(page), JSON.stringify(await rows(three, question)))
  })

  t.test('the generated day has a plausible rate in every hour', async (t) => {
    let bursts = 0
    for (let hour = HOUR; hour < HOUR + 48; hour++) {
      const instants = eventsOfHour(1, hour).map((event) => Number((instantOf(event.timestamp) ?? 0n) / 1_000_000n))
      t.ok(instants.length >= 360 && instants.length <= 1500, `${instants.length} events`)
      const edges = [hour * HOUR_MS, ...instants, (hour + 1) * HOUR_MS]
      const gaps = edges.slice(1).map((at, place) => at - (edges[place] ?? 0))
      t.ok(gaps.every((gapMs) => gapMs >= 0 && gapMs < 14_000), `longest gap ${Math.max(...gaps)} ms`)
      bursts += gaps.filter((gapMs, at) => gapMs < 400 && (gaps[at + 1] ?? 0) < 400).length
    }
    t.ok(bursts > 100, 'with bursts')
    const byDay = eventsOfHour(1, HOUR - HOUR % 24 + 11).length
    const byNight = eventsOfHour(1, HOUR - HOUR % 24 + 2).length
    t.ok(byDay > byNight * 1.2, `${byDay} by day, ${byNight} by night`)
  })

  t.test('the generated day has events like those of the real log', async (t) => {
    const events = Array.from({ length: 24 }, (_, place) => eventsOfHour(1, HOUR + place)).flat()
    const kinds = new Set(events.map((event) => `${event.category_type}/${event.action_type}`))
    const wanted = [
      'agents/sent', 'agents/invoke', 'agents/executed', 'agents/output', 'tool_execution/executed', 'ai/output',
      'triggers/received', 'webhook/triggered', 'workflows/execute', 'users/authentication'
    ]
    for (const kind of wanted) t.ok(kinds.has(kind), kind)
    const spellings = [/:\d\dZ$/, /\.\d{3}Z$/, /\.\d{6}Z$/, /\.\d{6}\+00:00$/]
    for (const spelling of spellings) {
      t.ok(events.some(({ timestamp }) => spelling.test(String(timestamp))), String(spelling))
    }
    t.ok(new Set(events.map(({ email }) => email)).size >= 12)
    t.ok(events.every((event) => event.org === 'acme' && !('id' in event)))
    const text = JSON.stringify(events)
    for (const script of ['é', '✅', 'עוזר']) t.ok(text.includes(script), script)
  })

  t.test('the generated day has the examples of the documentation in every hour', async (t) => {
    let nowMs = NOON_MS - NOON_MS % (24 * HOUR_MS)
    const sandbox = await started(t, { history: 'day', now: () => nowMs })
    const examples: Row[] = [
      { category_type: 'agents', action_type: 'invoke' }, { category_type: 'workflows', action_type: 'execute' },
      { resource_type: 'agent' }, { category_name: 'my-agent' }, { 'extra.session_id': 'session-123' }
    ]
    for (let hour = 0; hour < 24; hour++, nowMs += HOUR_MS) {
      const timestamp = { gte: new Date(nowMs - 24 * HOUR_MS).toISOString() }
      for (const example of examples) {
        const found = await rows(sandbox, { filter: { timestamp, ...example } })
        t.ok(found.length > 2, `${JSON.stringify(example)} at ${hour}`)
      }
      const events = eventsOfHour(1, nowMs / HOUR_MS)
      t.ok(events.some((event) => event.action_type === 'authentication' && event.action_successful === false))
      for (const text of ['authentication', 'error', 'timeout']) {
        t.ok(events.some((event) => Object.values(event).some((value) => String(value).includes(text))), text)
      }
    }
  })
})
