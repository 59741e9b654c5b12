import fc from 'fast-check'
import t from 'tap'
import { type JsonObject } from '../../src/audit/exact-json.ts'
import { createRequestBudget } from '../../src/kubiya/request-budget.ts'
import { readWhole, type ParsedList } from '../../src/kubiya/list-parser.ts'
import { holdsAsync } from '../contracts/property.ts'
import { POLLER } from '../support/purposes.ts'
import { started, kindOf, MANY_ROWS, createReader, readListing, createPolledReader } from './started-client.ts'

t.test('list answer', async (t) => {
  t.test('a list answer is too large if all rows together have too many values', async (t) => {
    const deep = `{"a":${'['.repeat(4900)}${']'.repeat(4900)}}`
    const wide = `{"a":[${'[],'.repeat(20_000)}[]]}`
    for (const [row, rows] of [[deep, 204], [wide, 25]] as const) {
      const body = (count: number) => `[${Array(count).fill(row).join()}]`
      t.equal((await readListing(body(rows - 5)))?.events.length, rows - 5)
      for (const remembers of [false, true]) {
        await t.rejects(createReader(remembers)(body(rows)), { message: 'too-large' })
      }
    }
  })

  t.test('the time to parse a list answer grows only with its bytes', async (t) => {
    const most = 4_000_000
    for (
      const body of [
        `[{"a":1}]${' '.repeat(most)}x`,
        `[{"a":1}${' '.repeat(most)}`,
        '['.repeat(most),
        '[{"a":'.repeat(most / 6),
        `[${'{},'.repeat(most / 3)}{}]`,
        `[{"a":"${'\\'.repeat(most / 2)}"}]x`,
        `{"items":[]${','.repeat(most)}`,
        `{${'"a":1,'.repeat(most / 6)}"items":[]}`
      ]
    ) t.equal(await readListing(body), undefined, body.slice(0, 20))
  })
})

t.test('repeated list answers', async (t) => {
  t.test('a repeated list answer gives the same events as a first one', async (t) => {
    const quirk = fc.constantFrom<JsonObject>({}, { text: '}],[{"\\' }, { text: 'é ✅ "quoted"' }, {
      deep: [[{ a: [] }], {}]
    }, { big: 0.1, list: [1, 2] })
    const element = fc.oneof({
      weight: 8,
      arbitrary: fc.tuple(fc.integer({ min: 0, max: 6 }), quirk).map(([n, more]) => JSON.stringify({ n, ...more }))
    }, {
      weight: 1,
      arbitrary: fc.constantFrom(
        'null',
        '5',
        '0',
        '[]',
        '"x"',
        '{"n":1,"big":9007199254740993}',
        `{"deep":${'['.repeat(300)}${']'.repeat(300)}}`
      )
    })
    const whole = fc.record({
      wrapper: fc.constantFrom(
        ['[', ']'],
        ['[', ']'],
        ['[', ']'],
        [' [ ', ' ] '],
        ['{"items":[', ']}'],
        ['{"data": [', ']}'],
        ['{"data":[', '],"items":[{"n":9}]}'],
        ['{"items":[', '],"total":3}'],
        ['[', '{"n":3}]'],
        ['[', ',]'],
        ['[', ''],
        ['[', ']\u00a0'],
        ['{"items":[', ']'],
        ['[', ']}'],
        ['[', ',"open']
      ),
      separator: fc.constantFrom(',', ',', ', ', '\n,\n', '', '\u00a0,', ',,'),
      elements: fc.array(element, { maxLength: 8 })
    })
    const step = fc.record({ drop: fc.nat(3), add: fc.array(element, { maxLength: 3 }), fresh: fc.option(whole) })
    await holdsAsync(
      t,
      fc.asyncProperty(whole, fc.array(step, { maxLength: 6 }), async (first, steps) => {
        const read = createPolledReader()
        let { elements, separator, wrapper } = first
        for (const step of [undefined, ...steps]) {
          if (step !== undefined) {
            ({ elements, separator, wrapper } = step.fresh ??
              { elements: [...elements.slice(step.drop), ...step.add], separator, wrapper })
          }
          const body = `${wrapper[0]}${elements.join(separator)}${wrapper[1]}`
          const [read1, read2, whole] = await Promise.all([read(body), readListing(body), readWhole(body, MANY_ROWS)])
          if (new Set([read1, read2, whole].map((each) => JSON.stringify(comparable(each)))).size > 1) return false
        }
        return true
      }),
      { numRuns: 1000 }
    )
  })

  t.test('an unchanged element gives the same event object, and a changed one another', async (t) => {
    const read = createPolledReader()
    const [a, b, c] = [1, 2, 3].map((n) => `{"n":${n},"timestamp":"2025-06-03T10:00:0${n}Z"}`)
    const before = (await read(`[${a},${b},${b}]`))?.events ?? []
    const after = (await read(`[${b},${b},${c}]`))?.events ?? []
    t.equal(after[0], before[1], 'neither parsed nor identified again')
    t.equal(after[1]?.id, before[2]?.id, 'a twin is still one')
    t.same(after.map(({ item }) => item.n), [2, 2, 3])
    const other = (await read(`[{"n":2.0,"timestamp":"2025-06-03T10:00:02Z"},${b}]`))?.events ?? []
    t.not(other[0], before[1])
    t.equal(other[0]?.id, before[1]?.id, 'the same event, written otherwise')
  })

  function comparable (listing: ParsedList | undefined) {
    return listing &&
      { rows: listing.rows, events: listing.events.map(({ id, instant, json }) => [id, String(instant), json]) }
  }
})

t.test('upstream answer', async (t) => {
  t.test('the client waits for Retry-After for all callers, whatever limit an answer then reports', async (t) => {
    const { sandbox, read } = await started(t, { rateLimit: { perMinute: 100 } })
    let release = () => {}
    sandbox.faults.next({
      kind: 'held',
      until: new Promise<void>((resolve) => {
        release = resolve
      }),
      when: ({ query }) => query.pageSize === 7
    })
    const underWay = read({ pageSize: 7 })
    sandbox.faults.next({
      kind: 'status',
      status: 429,
      headers: { 'retry-after': '4' },
      when: ({ query }) => query.pageSize === 8
    })
    t.equal(kindOf(await read({ pageSize: 8 }, POLLER)), 'throttled')
    const early = [await read(), await read({}, POLLER)]
    release()
    t.equal(kindOf(await underWay), 'ok')
    early.push(await read(), await read({}, POLLER))
    t.same(early.map(kindOf), ['budget', 'budget', 'budget', 'budget'])
    t.equal(sandbox.asked, 2)
    const [last] = early.slice(-1)
    const waitMs = last === undefined || last.ok ? 0 : last.retryAfterMs ?? 0
    t.ok(waitMs > 0 && waitMs <= 4000, `${waitMs} ms`)
    await new Promise((resolve) => { setTimeout(resolve, waitMs) }) // As long as it was told to wait.
    t.equal(kindOf(await read()), 'ok')
  })
})

t.test('retry', async (t) => {
  t.test('a retry that the deadline ends returns the earlier failure', async (t) => {
    const { sandbox, read } = await started(t, {}, { timeoutMs: 2000 })
    sandbox.faults.next({ kind: 'status', status: 500 })
    sandbox.faults.during({ kind: 'hang' })
    t.equal(kindOf(await read()), 'unavailable')
    t.equal(sandbox.asked, 2)
  })

  t.test('a retry is charged to the budget', async (t) => {
    const { sandbox, read } = await started(t, {}, { budget: createRequestBudget({ perMinute: 12, perDay: 0 }) })
    sandbox.faults.during({ kind: 'status', status: 500 })
    t.equal(kindOf(await read()), 'budget', 'three tokens, one of them the poller\'s')
    t.equal(sandbox.asked, 2)
  })
})
