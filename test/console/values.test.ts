import t from 'tap'
import { curlCommand } from '../../src/console/curl.ts'
import { createEventRate } from '../../src/console/event-rate.ts'
import { foldTools } from '../../src/console/folded-entries.ts'
import { moved, rangeName, rangeOf, writeRange, zoomed } from '../../src/console/range.ts'
import { retryMs } from '../../src/console/retry.ts'
import { duration, fromInputTime, inputTime, resolveTime, dateTime } from '../../src/console/time-format.ts'
import { timeTicks } from '../../src/console/time-ticks.ts'
import { oneLine, visibleText } from '../../src/console/visible-text.ts'

const NOON = Date.UTC(2026, 10, 28, 12)

t.test('a text shows what cannot be seen', async (t) => {
  t.equal(visibleText('a\u001b[31mb'), 'a␛[31mb')
  t.equal(visibleText('abc\u202Edef'), 'abc⟨RLO⟩def')
  t.equal(visibleText('\u200b\ufeff\u0085'), '⟨ZWSP⟩⟨BOM⟩⟨U+0085⟩')
  t.equal(visibleText('line\n\ttab'), 'line\n\ttab', 'line feeds and tabs stay')
  t.equal(visibleText('👩‍💻 می‌خواهم עוזר'), '👩‍💻 می‌خواهم עוזר', 'joiners between letters stay')
  t.equal(oneLine('a\n\n\tb', 10), 'a b')
  t.equal(oneLine('abcdef', 3), 'abc…')
})

t.test('times are shown and read in both zones', async (t) => {
  t.equal(dateTime(NOON, 'utc'), '2026-11-28 12:00:00')
  for (const zone of ['utc', 'local'] as const) {
    t.equal(fromInputTime(inputTime(NOON, zone), zone), new Date(NOON).toISOString(), zone)
  }
  t.equal(fromInputTime('', 'utc'), undefined)
  t.equal(resolveTime('-15m', NOON), NOON - 900_000)
  t.equal(resolveTime('2026-11-28T12:00:00+02:00', NOON), NOON - 7_200_000)
  t.equal(resolveTime('soon', NOON), undefined)
})

t.test('durations are short', async (t) => {
  const written = [0.25, 12, 60, 245, 12_000, 190_000].map(duration)
  t.same(written, ['250 ms', '12 s', '1 min', '4 min 5 s', '3 h 20 min', '2 d 4 h'])
})

t.test('a range moves and zooms', async (t) => {
  const range = rangeOf({ start: '-1h', end: undefined }, NOON)
  t.same(range, { startMs: NOON - 3_600_000, endMs: NOON })
  t.same(writeRange(range, NOON), { start: new Date(NOON - 3_600_000).toISOString(), end: undefined }, 'now stays open')
  t.same(moved(range, -1), { startMs: NOON - 5_400_000, endMs: NOON - 1_800_000 })
  t.same(zoomed(range, 2, NOON), { startMs: NOON - 7_200_000, endMs: NOON }, 'a wider one ends no later than now')
  t.same(zoomed(range, 0.5, NOON), { startMs: NOON - 2_700_000, endMs: NOON - 900_000 })
  t.same(rangeOf({ start: undefined, end: undefined }, NOON).startMs, NOON - 86_400_000)
  t.equal(rangeName({ start: undefined, end: undefined }, 'utc', NOON), 'Last 24 hours')
  t.equal(
    rangeName({ start: '2026-11-28T10:00:00Z', end: '2026-11-28T11:00:00Z' }, 'utc', NOON),
    '2026-11-28 10:00:00 – 2026-11-28 11:00:00 UTC'
  )
})

t.test('a time axis has round times: the day where it begins', async (t) => {
  const hours = (from: number, to: number) => ({ startMs: NOON + from * 3_600_000, endMs: NOON + to * 3_600_000 })
  const labels = (range: ReturnType<typeof hours>) => timeTicks(range, 'utc').map(({ label }) => label)
  t.same(labels(hours(-20.5, 3.5)), ['11-27 18:00', '11-28', '06:00', '12:00'], 'none where it has no room')
  t.same(labels(hours(0.01, 0.02)), ['11-28 12:00:40', '12:00:50', '12:01:00'])
  t.same(labels(hours(-24 * 7, 0)), ['11-22', '11-23', '11-24', '11-25', '11-26', '11-27'])
  t.same(timeTicks(hours(0, 5), 'utc').map(({ part }) => part), [0, 0.2, 0.4, 0.6, 0.8])
})

t.test('a rate counts whole seconds of the last ten', async (t) => {
  const rate = createEventRate()
  t.equal(rate.perSecond(NOON), 0)
  for (let ms = 0; ms < 3000; ms += 100) rate.count(NOON + ms)
  t.equal(rate.perSecond(NOON + 3000), 10)
  t.equal(rate.perSecond(NOON + 10_000), 3)
  t.equal(rate.perSecond(NOON + 60_000), 0)
})

t.test('a failed load is tried again where that can help', async (t) => {
  const trouble = { status: 502, code: '', detail: '', retryAfter: undefined, schemes: [] }
  t.same([1, 2, 3, 9].map((failures) => retryMs(trouble, failures)), [2000, 4000, 8000, 60_000])
  t.equal(retryMs({ ...trouble, status: 503, retryAfter: 7 }, 1), 7000)
  t.equal(retryMs({ ...trouble, status: 503, retryAfter: 86_400 }, 1), 60_000)
  t.equal(retryMs({ ...trouble, status: 400 }, 1), undefined)
})

t.test('a tool output stands with the nearest call of its tool', async (t) => {
  const entry = (id: string, kind: string, tool: string | null) =>
    ({ kind, tool, actor: null, agent: null, text: '', hidden: false, event: { id } }) as never
  const folded = foldTools([
    entry('m', 'user_message', null),
    entry('c1', 'tool_call', 'x'),
    entry('c2', 'tool_call', 'y'),
    entry('o2', 'tool_output', 'y'),
    entry('o1', 'tool_output', 'x'),
    entry('o3', 'tool_output', 'x')
  ])
  t.same(folded.map((each) => [each.entry.event.id, each.output?.event.id]), [
    ['m', undefined], ['c1', 'o1'], ['c2', 'o2'], ['o3', undefined]
  ])
})

t.test('a curl command holds no credential, and no quote ends it early', async (t) => {
  const address = new URL("http://127.0.0.1:3000/api/v1/audit/events?email=o'neill")
  t.equal(
    curlCommand(address, 'Bearer'),
    'curl -H "Authorization: Bearer $TOKEN" \'http://127.0.0.1:3000/api/v1/audit/events?email=o%27neill\''
  )
})
