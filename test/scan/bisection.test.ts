import fc from 'fast-check'
import t from 'tap'
import { formatInstant, type Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { bisecting, nextState, type BisectionState, type FailedPage } from '../../src/scan/bisection.ts'
import type { RowQuery } from '../../src/scan/page-run.ts'
import type { AuditSource, Failure, FailureKind, SourceQuery } from '../../src/audit/source.ts'
import type { ScanStep } from '../../src/scan/scan-step.ts'
import { scan } from '../../src/scan/scanner.ts'
import type { SkippedRange } from '../../src/scan/skipped-range.ts'
import { createSkippedRanges } from '../../src/live/ingest/skipped-ranges.ts'
import { USUAL_HABITS, createMemorySource, dated, type Habits, type MemorySource } from '../contracts/memory-source.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { TEN, at } from '../support/timeline.ts'
import { POLLER } from '../support/purposes.ts'

const POISONS: FailureKind[] = ['invalid', 'unavailable', 'timeout']

interface Case {
  /** Tenths of a second after ten o'clock at which there is an event, in order. */
  readonly tenths: number[]
  /** Which of them cannot be read, and why. */
  readonly spoilt: Map<number, FailureKind>
  readonly pageSize: number
  readonly failures?: number[]
  readonly quirks?: Partial<Habits>
  readonly skipsRows?: boolean
  readonly known?: readonly SkippedRange[]
}

interface Outcome {
  readonly source: MemorySource
  readonly steps: ScanStep[]
  readonly failures: Failure[]
  readonly passed: SkippedRange[]
  /** The numbers of the events that came. */
  readonly numbers: number[]
}

const instantAt = (tenths: number): Instant => at(tenths / 10)

async function walked (given: Case): Promise<Outcome> {
  const { failures = [], pageSize, spoilt, tenths } = given
  const spoils = ({ n }: JsonObject) => spoilt.get(Number(n))
  const source = createMemorySource(
    { ...USUAL_HABITS, ...given.quirks, spoils },
    (reads) => failures.includes(reads) ? { ok: false, kind: 'unavailable' } : undefined
  )
  source.keep(...tenths.map((each, n) => dated({ n, timestamp: formatInstant(instantAt(each)) })))
  const outcome = {
    source,
    steps: [] as ScanStep[],
    failures: [] as Failure[],
    passed: [] as SkippedRange[],
    numbers: [] as number[]
  }
  const { known = [], skipsRows = true } = given
  for await (
    const step of scan(bisecting(source, { skipsRows, known: () => known }), {
      filter: {},
      window: { start: at(-60) },
      direction: 'asc',
      pageSize,
      scanLimit: Infinity,
      purpose: POLLER
    })
  ) {
    if (!step.ok) outcome.failures.push(step)
    else {
      outcome.steps.push(step)
      outcome.numbers.push(...step.rows.map(({ event }) => Number(event.item.n)))
      if (step.skipped !== undefined) outcome.passed.push(step.skipped)
    }
    if (outcome.failures.length > 200) break
  }
  return outcome
}

/** What was wrong with a scan past what cannot be read; nothing, if all was well. */
function faultOf ({ spoilt, tenths }: Case, { numbers, passed, steps }: Outcome): string | undefined {
  if (steps.at(-1)?.end !== true) return 'stopped before its end'
  const readable = tenths.map((_, n) => n).filter((n) => !spoilt.has(n))
  const missing = readable.filter((n) => !numbers.includes(n))
  if (missing.length > 0) return `lost ${missing.join()}`
  if (numbers.length !== readable.length) return 'something came twice'
  const covers = ({ from, to }: SkippedRange, n: number) =>
    from <= instantAt(tenths[n] ?? 0) && (to === undefined || to >= instantAt(tenths[n] ?? 0))
  const silent = [...spoilt.keys()].filter((n) => n < tenths.length && !passed.some((each) => covers(each, n)))
  if (silent.length > 0) return `nothing was said of ${silent.join()}`
  const idle = passed.filter((each) => ![...spoilt.keys()].some((n) => covers(each, n)))
  if (idle.length > 0) {
    return `${idle.map(({ from, to }) => `${from - TEN}…${(to ?? 0n) - TEN}`).join()} holds nothing that is missing`
  }
  return undefined
}

async function fault (given: Case): Promise<string | undefined> {
  return faultOf(given, await walked(given))
}

const evenly = (count: number, apart = 10) => Array.from({ length: count }, (_, n) => n * apart)
const spoiltAs = (kind: FailureKind, ...which: number[]) => new Map(which.map((n) => [n, kind]))

function summed (gaps: number[]): number[] {
  let sum = 0
  return gaps.map((gap) => {
    sum += gap
    return sum
  })
}

const NONE = new Map<number, FailureKind>()

t.test('scan that skips rows', async (t) => {
  const places: Record<string, number[]> = {
    first: [0],
    middle: [17],
    last: [39],
    'first and last': [0, 39],
    'next but one': [16, 18],
    'three in a row': [16, 17, 18],
    'the last two': [38, 39]
  }
  const spreads = { 'a second apart': evenly(40), 'four in a second': evenly(40, 3), 'of one instant': evenly(40, 0) }

  for (const kind of ['too-large', ...POISONS] as FailureKind[]) {
    for (const [where, which] of Object.entries(places)) {
      t.test(`a scan skips a row that fails as ${kind}, ${where}`, async (t) => {
        for (const [spread, tenths] of Object.entries(spreads)) {
          const faults = await Promise.all(
            [1, 2, 5, 16, 1000].map((pageSize) => fault({ tenths, pageSize, spoilt: spoiltAs(kind, ...which) }))
          )
          t.same(
            faults,
            [undefined, undefined, undefined, undefined, undefined],
            `events ${spread}, pages of 1, 2, 5, 16 and 1000`
          )
        }
      })
    }
  }

  t.test('a skipped range has its neighbours and its reason', async (t) => {
    t.same((await walked({ tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('too-large', 17) })).passed, [{
      from: at(16),
      to: at(18),
      reason: 'too-large',
      rows: 1
    }])
    t.same((await walked({ tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('invalid', 17) })).passed, [{
      from: at(16),
      to: at(18),
      reason: 'upstream-outage',
      rows: 1
    }])
    t.same((await walked({ tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('too-large', 16, 17, 18) })).passed, [{
      from: at(15),
      to: at(19),
      reason: 'too-large',
      rows: 3
    }], 'several in a row are one')
    t.same((await walked({ tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('too-large', 39) })).passed, [{
      from: at(38),
      to: undefined,
      reason: 'too-large',
      rows: 1
    }], 'nothing came behind the last')
    t.same((await walked({ tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('too-large', 0) })).passed, [{
      from: at(-60),
      to: at(1),
      reason: 'too-large',
      rows: 1
    }], 'before the first was the start')
  })

  t.test('a scan returns every readable event once, and covers every other one by a skipped range', async (t) => {
    const happening = fc.record({
      gap: fc.constantFrom(0, 0, 1, 2, 3, 10, 25),
      kind: fc.constantFrom(undefined, undefined, undefined, undefined, 'too-large' as const, ...POISONS)
    })
    await holdsAsync(
      t,
      fc.asyncProperty(
        fc.array(happening, { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 60 }),
        async (happenings, pageSize, pageCap) => {
          const given = {
            tenths: summed(happenings.map(({ gap }) => gap)),
            pageSize,
            quirks: { pageCap },
            spoilt: new Map<number, FailureKind>()
          }
          happenings.forEach(({ kind }, n) => {
            if (kind !== undefined) given.spoilt.set(n, kind)
          })
          const found = await fault(given)
          if (found !== undefined) throw new Error(found)
        }
      ),
      { numRuns: runs(150) }
    )
  })

  t.test('a skipped range covers the row if the upstream sorts by whole seconds', async (t) => {
    const tenths = Array.from({ length: 48 }, (_, n) => Math.floor(n / 4) * 10 + ([9, 1, 5, 3][n % 4] ?? 0))
    const source = createMemorySource({ ...USUAL_HABITS, spoils: ({ n }) => n === 25 ? 'too-large' : undefined })
    source.keep(
      ...tenths.map((each, n) => ({
        at: at(Math.floor(n / 4)),
        item: { n, timestamp: formatInstant(instantAt(each)) }
      }))
    )
    const passed: SkippedRange[] = []
    for await (
      const step of scan(bisecting(source, { skipsRows: true }), {
        filter: {},
        window: { start: at(-60) },
        direction: 'asc',
        pageSize: 10,
        scanLimit: Infinity,
        purpose: POLLER
      })
    ) {
      if (step.ok && step.skipped !== undefined) passed.push(step.skipped)
    }
    t.ok(
      passed.some(({ from, to }) => from <= at(6.1) && to !== undefined && to >= at(6.1)),
      `${passed.map(({ from, to }) => `${from - TEN}…${(to ?? 0n) - TEN}`).join()} holds 6.1 s`
    )
  })

  t.test('a scan of unsorted rows skips a row, and its range is the whole window', async (t) => {
    for (const kind of ['too-large', 'invalid'] as const) {
      const given: Case = {
        tenths: evenly(60),
        pageSize: 10,
        spoilt: spoiltAs(kind, 25),
        quirks: { ignoresSort: true }
      }
      const outcome = await walked(given)
      t.same([...outcome.numbers].sort((a, b) => a - b), evenly(60, 1).filter((n) => n !== 25))
      t.same(outcome.passed, [{
        from: at(-60),
        to: undefined,
        reason: kind === 'too-large' ? 'too-large' : 'upstream-outage',
        rows: 1
      }])
    }
  })

  t.test('a scan reports no failure for a known unreadable row', async (t) => {
    const given = { tenths: evenly(40), pageSize: 10, spoilt: spoiltAs('invalid', 17) }
    const known: SkippedRange = { from: at(16), to: at(18), reason: 'upstream-outage', rows: 1 }
    t.equal((await walked(given)).failures.length, 2, 'the first time it asks twice, and says so')
    t.equal((await walked({ ...given, known: [known] })).failures.length, 0)
    t.equal((await walked({ ...given, known: [{ ...known, to: undefined }] })).failures.length, 0)
    t.equal(
      (await walked({ ...given, known: [{ ...known, from: at(-90), to: at(-80) }] })).failures.length,
      2,
      'what lies before its window is nothing to go by'
    )
  })

  t.test('a scan recognises a skipped row that it meets again after the bound has moved', async (t) => {
    for (const n of [4, 17, 24, 27]) {
      const { failures, passed } = await walked({ tenths: evenly(40, 3), pageSize: 10, spoilt: spoiltAs('invalid', n) })
      const skippedRanges = createSkippedRanges()
      const told = passed.filter((each) => {
        const gap = skippedRanges.newGap(each, at(100))
        skippedRanges.add(each, at(100))
        return gap !== undefined
      })
      t.same(told.map(({ from, reason, to }) => [from, to, reason]), [[
        instantAt(n * 3 - 3),
        instantAt(n * 3 + 3),
        'upstream-outage'
      ]], `row ${n}`)
      t.equal(failures.length, 2, 'nor does it ask anything twice again')
    }
  })

  t.test('a scan requests whole pages again after a skipped row', async (t) => {
    for (const kind of ['too-large', 'invalid'] as const) {
      const { source } = await walked({ tenths: evenly(400), pageSize: 100, spoilt: spoiltAs(kind, 150) })
      t.equal(source.questions.at(-1)?.pageSize, 100)
      t.ok(source.questions.length < 50, `${source.questions.length} questions for 400 events and one ${kind}`)
    }
  })

  t.test('a scan requests whole pages after a skipped row in a long instant, and of unsorted rows', async (t) => {
    for (const given of [{ tenths: evenly(500, 0) }, { tenths: evenly(500), quirks: { ignoresSort: true } }]) {
      const { source } = await walked({ ...given, pageSize: 100, spoilt: spoiltAs('too-large', 250) })
      t.ok(source.questions.length < 80, `${source.questions.length} questions for 500 events`)
    }
  })

  t.test('a scan with small pages does not take a known second as the end', async (t) => {
    for (const kind of ['too-large', 'invalid'] as const) {
      const tenths = [
        ...evenly(900, 1),
        ...Array.from({ length: 100 }, (_, n) => 1000 + n / 50),
        1005,
        1006,
        1007,
        1100,
        1200
      ]
      t.equal(await fault({ tenths, pageSize: 1000, spoilt: spoiltAs(kind, 1000) }), undefined, kind)
    }
  })
})

t.test('scan during an outage', async (t) => {
  t.test('an outage loses and skips nothing, however long it is and wherever it begins', async (t) => {
    for (const length of [1, 2, 3, 4, 7, 20]) {
      for (const begins of [1, 2, 3, 5]) {
        const given = {
          tenths: evenly(40, 3),
          pageSize: 10,
          spoilt: NONE,
          failures: Array.from({ length }, (_, i) => begins + i)
        }
        const outcome = await walked(given)
        t.same(
          [faultOf(given, outcome), outcome.passed],
          [undefined, []],
          `${length} failures from question ${begins} on`
        )
      }
    }
  })

  t.test('an outage loses and skips nothing, whatever requests fail', async (t) => {
    const gaps = fc.array(fc.constantFrom(0, 1, 2, 3, 10, 25), { maxLength: 40 })
    // Each time it is there for two questions at least: one that fails every other question cannot be told from a row
    // that does.
    const schedule = fc.array(
      fc.record({ fine: fc.integer({ min: 2, max: 6 }), failing: fc.integer({ min: 1, max: 9 }) }),
      { maxLength: 8 }
    )
    await holdsAsync(
      t,
      fc.asyncProperty(gaps, schedule, fc.integer({ min: 1, max: 50 }), async (gaps, runs, pageSize) => {
        let read = 0
        const failures = runs.flatMap(({ failing, fine }) => {
          read += fine
          return Array.from({ length: failing }, () => read++)
        })
        const given = { tenths: summed(gaps), pageSize, spoilt: NONE, failures }
        const outcome = await walked(given)
        const found = faultOf(given, outcome) ?? (outcome.passed.length > 0 ? 'passed something by' : undefined)
        if (found !== undefined) throw new Error(found)
      }),
      { numRuns: runs(150) }
    )
  })

  t.test('an outage costs one request for each try, and whole pages are requested after it', async (t) => {
    const { failures, source } = await walked({
      tenths: evenly(500),
      pageSize: 1000,
      spoilt: NONE,
      failures: Array.from({ length: 12 }, (_, i) => i + 1)
    })
    t.equal(failures.length, 12)
    t.ok(source.questions.length <= 12 + 3, `${source.questions.length} questions, 12 of which failed`)
  })

  t.test('a refusal is not taken as an unreadable row, and the same query is repeated', async (t) => {
    for (const kind of ['throttled', 'budget', 'unauthorized', 'forbidden'] as const) {
      const source = createMemorySource(USUAL_HABITS, (reads) => reads <= 12 ? { ok: false, kind } : undefined)
      source.keep(dated({ n: 1, timestamp: formatInstant(at(0)) }))
      const outcomes: Array<ScanStep | Failure> = []
      for await (
        const step of scan(bisecting(source, { skipsRows: true }), {
          filter: {},
          window: {},
          direction: 'asc',
          pageSize: 100,
          scanLimit: Infinity,
          purpose: POLLER
        })
      ) outcomes.push(step)
      t.same(outcomes.slice(0, 12).map((each) => !each.ok && each.kind), Array.from({ length: 12 }, () => kind))
      t.same(
        new Set(source.questions.slice(0, 13).map(({ page, pageSize }) => `${page} of ${pageSize}`)),
        new Set(['1 of 100'])
      )
    }
  })
})

t.test('a scan without skipping stops at an unreadable row', async (t) => {
  const given = { tenths: evenly(40), pageSize: 16, skipsRows: false }
  const tooLarge = await walked({ ...given, spoilt: spoiltAs('too-large', 5) })
  t.same([tooLarge.numbers, tooLarge.passed, tooLarge.failures.every(({ kind }) => kind === 'too-large')], [
    [0, 1, 2, 3, 4],
    [],
    true
  ])
  t.equal(tooLarge.source.questions.at(-1)?.pageSize, 1)
  const invalid = await walked({ ...given, spoilt: spoiltAs('invalid', 20) })
  t.same([invalid.numbers, invalid.passed], [evenly(16, 1), []])
  t.same(
    new Set(invalid.source.questions.slice(1).map(({ pageSize }) => pageSize)),
    new Set([16]),
    'in pages as large as before'
  )
})

t.test('nextState', async (t) => {
  const NORMAL: BisectionState = { tag: 'normal' }
  const RETRYING: BisectionState = { tag: 'retrying' }
  const probing = (failures: number): BisectionState => ({ tag: 'probing', failures })
  const narrowing = (failures: number): BisectionState => ({ tag: 'narrowing', failures })
  const failed = (kind: FailureKind, rest: Partial<FailedPage> = {}): FailedPage =>
    ({ kind, rows: 1000, isKnown: false, isPart: false, ...rest })
  const rows: Array<[string, BisectionState, FailedPage | undefined, ReturnType<typeof nextState>]> = [
    ['an answer', RETRYING, undefined, { state: NORMAL, move: 'read' }],
    ['a page that failed', NORMAL, failed('invalid'), { state: RETRYING, move: 'report' }],
    ['a page that failed again', RETRYING, failed('timeout'), { state: probing(0), move: 'report' }],
    ['part of a page that failed', NORMAL, failed('invalid', { isPart: true }), { state: probing(0), move: 'read' }],
    ['a row skipped before', NORMAL, failed('invalid', { isKnown: true }), { state: probing(0), move: 'read' }],
    ['a failing control query', probing(1), failed('unavailable'), { state: probing(1), move: 'report' }],
    ['an answered control query', probing(1), undefined, { state: narrowing(1), move: 'read' }],
    ['a control query too large', probing(0), failed('too-large'), { state: narrowing(0), move: 'read' }],
    ['a proven page', narrowing(0), failed('invalid'), { state: NORMAL, move: 'halve' }],
    ['a proven row', narrowing(0), failed('invalid', { rows: 1 }), { state: probing(1), move: 'report' }],
    ['a thrice proven row', narrowing(2), failed('invalid', { rows: 1 }), { state: NORMAL, move: 'skip' }],
    ['a known row', narrowing(0), failed('invalid', { rows: 1, isKnown: true }), { state: NORMAL, move: 'skip' }],
    ['a page too large', NORMAL, failed('too-large'), { state: NORMAL, move: 'halve' }],
    ['a row too large', NORMAL, failed('too-large', { rows: 1 }), { state: NORMAL, move: 'skip' }]
  ]
  for (const [what, state, page, expected] of rows) t.same(nextState(state, page), expected, what)
  for (const kind of ['throttled', 'budget', 'share', 'unauthorized', 'forbidden', 'overloaded'] as const) {
    for (const state of [NORMAL, RETRYING, probing(1), narrowing(2)]) {
      t.same(nextState(state, failed(kind, { rows: 1 })), { state, move: 'report' }, `${kind} when ${state.tag}`)
    }
  }
})

t.test('bisecting', async (t) => {
  const QUERY: RowQuery = { filter: {}, window: { start: at(0) }, direction: 'asc', page: 1, pageSize: 1000, row: 0 }
  const isControl = ({ window }: SourceQuery) => window.start !== undefined && window.start < at(-1000)

  /** A source that fails as told; `undefined`: it answers with as many rows as asked for. */
  function failing (fails: (query: SourceQuery) => FailureKind | undefined) {
    const asked: Array<number | 'control'> = []
    let n = 0
    const source: AuditSource = {
      ...createMemorySource(USUAL_HABITS),
      read: async (query) => {
        asked.push(isControl(query) ? 'control' : query.pageSize)
        const kind = fails(query)
        if (kind !== undefined) return { ok: false, kind }
        const events = Array.from(
          { length: query.pageSize },
          () => ({ id: `e${n++}`, instant: at(n), item: {}, json: '{}' })
        )
        return { ok: true, events, rows: events.length, end: false, upstreamMs: undefined }
      }
    }
    return { source, asked }
  }

  /** The first row fails whenever it is in the page, until it is skipped. The control query is answered. */
  async function skippedFirst (kind: FailureKind, pageSize: number, known: SkippedRange[] = []) {
    const { asked, source } = failing((query) => !isControl(query) && query.page === 1 ? kind : undefined)
    const pages = bisecting(source, { skipsRows: true, known: () => known })
    let reports = 0
    while (reports < 50) {
      const answer = await pages.read({ ...QUERY, pageSize }, POLLER)
      if (answer.ok) return { asked, reports, answer, controls: asked.filter((each) => each === 'control').length }
      reports++
    }
    throw new Error('the row was never skipped')
  }

  t.test('bisecting halves pages, and skips a row after three failures between answered controls', async (t) => {
    const { answer, asked, controls, reports } = await skippedFirst('invalid', 1000)
    t.same([...new Set(asked)], [1000, 'control', 500, 250, 125, 62, 31, 15, 7, 3, 1])
    t.same([asked.slice(0, 3), reports], [[1000, 1000, 'control'], 2], 'the same page is asked twice, after a wait')
    t.ok(controls >= 4)
    t.match(answer, { skipped: { rows: 1, reason: 'upstream-outage' }, span: { start: 1 } })
    t.equal((await skippedFirst('timeout', 1)).controls, 3)
  })

  t.test('bisecting does not wait at a known row, but skips it only after an answered control query', async (t) => {
    const known: SkippedRange = { from: at(0), to: at(1), rows: 1, reason: 'upstream-outage' }
    for (const pageSize of [1000, 1]) {
      const { asked, controls, reports } = await skippedFirst('invalid', pageSize, [known])
      t.equal(reports, 0)
      t.ok(controls >= 1 && asked.length < 40, `${asked.length} queries`)
    }
  })

  t.test('bisecting skips a row that is too large without proof', async (t) => {
    const { asked, controls, reports } = await skippedFirst('too-large', 100)
    t.same([asked.slice(0, 7), controls, reports], [[100, 50, 25, 12, 6, 3, 1], 0, 0])
  })

  t.test('bisecting reports an outage with one request for each try, while the control query fails', async (t) => {
    for (const pageSize of [1000, 1]) {
      let isOut = true
      const { asked, source } = failing(() => isOut ? 'unavailable' : undefined)
      const pages = bisecting(source, { skipsRows: true })
      for (let i = 0; i < 20; i++) t.match(await pages.read({ ...QUERY, pageSize }, POLLER), { kind: 'unavailable' })
      t.same(asked, [pageSize, pageSize, ...Array.from({ length: 18 }, () => 'control')])
      isOut = false
      t.match(await pages.read({ ...QUERY, pageSize }, POLLER), { ok: true, rows: pageSize })
      t.equal(pages.isReduced(), false)
      isOut = true
      asked.splice(0)
      for (const row of [1000, 1000]) await pages.read({ ...QUERY, row, pageSize, page: 2 }, POLLER)
      t.same(asked, [pageSize, pageSize], 'the next outage is judged anew')
    }
  })

  t.test('bisecting accepts a control answer that is too large', async (t) => {
    const { asked, source } = failing((query) =>
      isControl(query) ? 'too-large' : query.pageSize > 500 ? 'invalid' : undefined
    )
    const pages = bisecting(source, { skipsRows: true })
    for (let i = 0; i < 2; i++) await pages.read(QUERY, POLLER)
    t.match(await pages.read(QUERY, POLLER), { ok: true, rows: 500, span: { page: 1, size: 500, start: 0 } })
    t.same(asked, [1000, 1000, 'control', 1000, 500])
    t.ok(pages.isReduced())
  })

  t.test('bisecting forgets the failures of a query that is not repeated', async (t) => {
    let kind: FailureKind | undefined = 'invalid'
    const { asked, source } = failing((query) => isControl(query) ? undefined : kind)
    const pages = bisecting(source, { skipsRows: true })
    for (let i = 0; i < 2; i++) await pages.read(QUERY, POLLER)
    const other = { ...QUERY, window: { start: at(60) } }
    t.match(await pages.read(other, POLLER), { ok: false })
    kind = undefined
    t.match(await pages.read(other, POLLER), { ok: true, rows: 1000 })
    t.same(asked, [1000, 1000, 1000, 1000])
  })

  t.test('bisecting keeps pages small until all suspect rows were read, then doubles them', async (t) => {
    let largest = 500
    const { source } = failing(({ pageSize }) => pageSize > largest ? 'too-large' : undefined)
    const pages = bisecting(source, { skipsRows: true })
    const sizeOf = async (): Promise<number> => {
      const answer = await pages.read(QUERY, POLLER)
      return answer.ok ? answer.rows : 0
    }
    t.same([await sizeOf(), pages.isReduced()], [500, true])
    largest = 1000
    t.same([await sizeOf(), await sizeOf(), pages.isReduced()], [500, 1000, false])
    largest = 100
    t.equal(await sizeOf(), 62)
    largest = 1000
    const sizes: number[] = []
    for (let i = 0; i < 8; i++) sizes.push(await sizeOf())
    t.same(sizes, [62, 62, 124, 248, 496, 992, 1000, 1000])
  })

  t.test('bisecting begins the next scan with the last page size', async (t) => {
    const { asked, source } = failing(({ pageSize }) => pageSize > 400 ? 'too-large' : undefined)
    const pages = bisecting(source, { skipsRows: true })
    await pages.read(QUERY, POLLER)
    asked.splice(0)
    await pages.read({ ...QUERY, window: { start: at(60) } }, POLLER)
    t.same(asked, [250])
  })
})
