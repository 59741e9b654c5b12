import fc from 'fast-check'
import t from 'tap'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { compileFilter, type AuditFilter } from '../../src/audit/filter.ts'
import { NANOS_PER_SECOND, formatInstant, type Instant } from '../../src/audit/instant.ts'
import { compareKeyedEvents, type KeyedEvent } from '../../src/audit/sort-key.ts'
import type { AuditSource, Direction, Failure, Purpose, SourceQuery } from '../../src/audit/source.ts'
import { isWithin, type TimeRange } from '../../src/audit/time-range.ts'
import { bisecting } from '../../src/scan/bisection.ts'
import type { ScanStep } from '../../src/scan/scan-step.ts'
import { scan } from '../../src/scan/scanner.ts'
import { auditSourceContract } from '../contracts/audit-source.ts'
import { USUAL_HABITS, createMemorySource, dated, type Habits, type Kept } from '../contracts/memory-source.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { CALLER, POLLER } from '../support/purposes.ts'
import { TEN } from '../support/timeline.ts'

interface Case {
  readonly quirks: Habits
  readonly pageSize: number
  readonly direction: Direction
  readonly window: TimeRange
  readonly filter: AuditFilter
  readonly events: Happening[]
  /** What becomes visible before which read. */
  readonly inserts: Array<{ readonly read: number, readonly event: Happening }>
  readonly failures: number[]
}

interface Happening {
  /** Tenths of a second, so that many share a second and some an instant. */
  readonly tenths: number
  readonly twins: number
  readonly category: string
  readonly isDated: boolean
}

const tenth = (tenths: number): Instant => TEN + BigInt(tenths) * 100_000_000n
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

function keptAs (name: string, { tenths, twins, category, isDated }: Happening): Kept[] {
  const timestamp = isDated ? formatInstant(tenth(tenths)) : 'unreadable'
  return Array.from(
    { length: twins },
    () => ({ at: tenth(tenths), item: { name, category_type: category, timestamp } })
  )
}

/** Scans to the end, going on after failures, and says what was wrong with what was given; nothing, if all was well. */
async function faultOf (given: Case): Promise<string | undefined> {
  const source = createMemorySource(given.quirks, (reads) => {
    given.inserts.forEach(({ read, event }, i) => { if (read === reads) source.keep(...keptAs(`later ${i}`, event)) })
    return given.failures.includes(reads) ? UNAVAILABLE : undefined
  })
  const kept = given.events.flatMap((event, i) => keptAs(`event ${i}`, event))
  source.keep(...kept)
  const accepts = compileFilter(given.filter)
  const isWanted = ({ at, item }: Kept) => accepts(item) && isWithin(at, given.window)
  const wanted = kept.filter(isWanted)
  const seen = new Map<string, number>()
  const ids = new Set<string>()
  let ended = false
  let failed = 0

  for await (const step of scan(bisecting(source), { ...given, scanLimit: Infinity, purpose: CALLER })) {
    if (!step.ok) {
      failed++
      continue
    }
    const fault = take(step)
    if (fault !== undefined) return fault
    ended = step.end
  }
  if (!ended) return 'stopped before its end'
  if (
    failed !== new Set(given.failures.filter((read) => read <= source.questions.length)).size
  ) { return 'a failure was kept silent' }
  return missed(wanted)

  function take ({ reached, rows }: ScanStep): string | undefined {
    for (const row of rows) {
      const fault = takeRow(row)
      if (fault !== undefined) return fault
    }
    const compare = compareKeyedEvents(given.direction)
    if (rows.some((row, i) => i > 0 && compare(rows[i - 1] ?? row, row) > 0)) return 'a step out of order'
    return reached === undefined ? undefined : missedBefore(reached)
  }

  function takeRow ({ event, key }: KeyedEvent): string | undefined {
    if (ids.has(event.id)) return `${event.id} came twice`
    ids.add(event.id)
    const isInside = event.instant === undefined || isWithin(key.instant, given.window)
    if (!accepts(event.item) || !isInside) return 'a row outside the question'
    const name = String(event.item.name)
    seen.set(name, (seen.get(name) ?? 0) + 1)
    return undefined
  }

  function missedBefore (reached: Instant): string | undefined {
    const due = wanted.filter(({ at, item }) =>
      item.timestamp !== 'unreadable' && (given.direction === 'asc' ? at < reached : at > reached)
    )
    return missed(due) === undefined ? undefined : `reached ${formatInstant(reached)}, but ${missed(due)}`
  }

  function missed (due: Kept[]): string | undefined {
    const counts = new Map<string, number>()
    for (const { item } of due) counts.set(String(item.name), (counts.get(String(item.name)) ?? 0) + 1)
    const short = [...counts].find(([name, count]) => seen.get(name) !== count)
    return short === undefined ? undefined : `${short[0]}: ${seen.get(short[0]) ?? 0} of ${short[1]} came`
  }
}

function cases (
  options: { dated?: boolean, twins?: number, sizes?: [number, number], ignoring?: boolean, span?: number } = {}
): fc.Arbitrary<Case> {
  const { twins = 1, sizes: [min, max] = [1, 12], ignoring = false, span = 60 } = options
  const happening: fc.Arbitrary<Happening> = fc.record({
    tenths: fc.integer({ min: -span, max: span }),
    twins: fc.integer({ min: 1, max: twins }),
    category: fc.constantFrom('a', 'b'),
    isDated: options.dated === false ? fc.integer({ min: 0, max: 9 }).map((n) => n > 0) : fc.constant(true)
  })
  const bound = fc.integer({ min: -span, max: span }).map((tenths) => tenth(tenths) + 1n)
  return fc.record({
    quirks: fc.record({
      pageCap: fc.integer({ min, max }),
      offsetBy: fc.constantFrom('capped' as const, 'asked' as const),
      ignoresSort: fc.constant(false),
      ignoresBounds: ignoring ? fc.boolean() : fc.constant(false),
      ignoresFilter: fc.boolean()
    }),
    pageSize: fc.integer({ min, max: max * 2 }),
    direction: fc.constantFrom('asc' as const, 'desc' as const),
    window: fc.record({ start: bound, end: bound }, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<
      TimeRange
    >,
    filter: fc.constantFrom({}, { category_type: 'a' }, { status: 'failed' as const }),
    events: fc.array(happening, { maxLength: 60 }),
    // More of them than a page holds could hide a page's worth of old events behind known ones.
    inserts: min < 8
      ? fc.constant([])
      : fc.array(
        fc.record({ read: fc.integer({ min: 1, max: 12 }), event: happening.map((event) => ({ ...event, twins: 1 })) }),
        { maxLength: 6 }
      ),
    failures: fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 4 })
  })
}

t.test('scan', async (t) => {
  const walksWell = (given: fc.Arbitrary<Case>) => fc.asyncProperty(given, async (each) => {
    const fault = await faultOf(each)
    if (fault !== undefined) throw new Error(fault)
  })

  t.test('a scan returns every event exactly once, through page caps and failures', async (t) => {
    await holdsAsync(t, walksWell(cases()), { numRuns: runs(300) })
  })

  t.test('a scan returns every event exactly once, and events that appear meanwhile at most once', async (t) => {
    await holdsAsync(t, walksWell(cases({ sizes: [8, 24] })), { numRuns: runs(200) })
  })

  t.test('a scan returns every event exactly once if many have one instant', async (t) => {
    await holdsAsync(t, walksWell(cases({ span: 3 })), { numRuns: runs(150) })
  })

  t.test('a scan returns every exact duplicate', async (t) => {
    await holdsAsync(t, walksWell(cases({ twins: 3, sizes: [8, 24] })), { numRuns: runs(200) })
  })

  t.test('a scan returns every event exactly once if the bounds are ignored', async (t) => {
    await holdsAsync(t, walksWell(cases({ ignoring: true, sizes: [8, 24] })), { numRuns: runs(200) })
  })

  t.test('a scan returns both twins that a page boundary separates behind other twins', async (t) => {
    const event = { tenths: 23, category: 'a', isDated: true }
    const fault = await faultOf({
      quirks: { ...USUAL_HABITS, pageCap: 8 },
      pageSize: 8,
      direction: 'desc',
      window: {},
      filter: {},
      events: [2, 3, 1, 3].map((twins) => ({ ...event, twins })),
      inserts: [],
      failures: []
    })
    t.equal(fault, undefined)
  })

  t.test('a scan returns events without an instant', async (t) => {
    await holdsAsync(t, walksWell(cases({ dated: false, sizes: [8, 24] })), { numRuns: runs(200) })
  })

  const stepsOf = async (
    quirks: Partial<Habits>,
    items: JsonObject[],
    request: { direction?: Direction, pageSize?: number, window?: TimeRange, filter?: AuditFilter } = {}
  ) => {
    const source = createMemorySource({ ...USUAL_HABITS, ...quirks })
    source.keep(...items.map(dated))
    const steps: ScanStep[] = []
    for await (
      const step of scan(source, {
        filter: {},
        window: {},
        direction: 'asc',
        pageSize: 10,
        scanLimit: Infinity,
        purpose: CALLER,
        ...request
      })
    ) if (step.ok) steps.push(step)
    return {
      steps,
      questions: source.questions,
      numbers: steps.flatMap(({ rows }) => rows.map(({ event }) => event.item.n))
    }
  }
  const perSecond = Array.from(
    { length: 30 },
    (_, n) => ({ n, timestamp: formatInstant(TEN + BigInt(n) * NANOS_PER_SECOND) })
  )

  t.test('a scan continues by instant, so its bound moves and its page number does not', async (t) => {
    const { questions, numbers } = await stepsOf({}, perSecond)
    t.same(numbers, perSecond.map(({ n }) => n))
    t.same(questions.map(({ page }) => page), [1, 1, 1, 1])
    t.same(questions.map(({ window }) => window.start), [
      undefined,
      ...[9, 18, 27].map((n) => TEN + BigInt(n) * NANOS_PER_SECOND)
    ])
  })

  t.test('a scan uses page numbers in a second that is longer than a page', async (t) => {
    const busy = Array.from({ length: 45 }, (_, n) => ({ n, timestamp: '2025-06-03T10:00:00.5Z' }))
    const { questions, numbers } = await stepsOf({}, busy)
    t.same([...numbers].map(Number).sort((a, b) => a - b), busy.map(({ n }) => n))
    t.ok(questions.some(({ page }) => page > 1))
  })

  t.test('a scan of unsorted rows reads to the end, newest first, and sorts them', async (t) => {
    const { steps, numbers } = await stepsOf({ ignoresSort: true }, perSecond)
    t.same([...numbers].map(Number).sort((a, b) => a - b), perSecond.map(({ n }) => n))
    t.ok(steps.every(({ reached }) => reached === undefined), 'nothing is certain before the end')
    t.equal(steps.at(-1)?.end, true)
  })

  t.test('a scan reads by page number from its first query if the upstream is known not to sort', async (t) => {
    const source = createMemorySource({ ...USUAL_HABITS, ignoresSort: true })
    source.keep(...perSecond.map(dated))
    const directions: string[][] = []
    for (let i = 0; i < 2; i++) {
      const request = {
        filter: {},
        window: {},
        direction: 'asc',
        pageSize: 10,
        scanLimit: 30,
        purpose: CALLER
      } as const
      const rows: unknown[] = []
      for await (const step of scan(source, request)) { if (step.ok) rows.push(...step.rows.map(({ event }) => event.item.n)) }
      t.equal(rows.length, 30)
      directions.push(source.questions.splice(0).map(({ direction }) => direction))
    }
    t.same(directions[1], directions[0]?.slice(1), 'one query less')
    t.same([...new Set(directions[1])], ['desc'])
  })

  t.test('a scan of too many unsorted rows is invalid, and begins again when it is continued', async (t) => {
    const source = createMemorySource({ ...USUAL_HABITS, ignoresSort: true })
    source.keep(...perSecond.map(dated))
    const request = { filter: {}, window: {}, direction: 'asc', pageSize: 10, scanLimit: 15, purpose: CALLER } as const
    const outcomes: Array<ScanStep | Failure> = []
    for await (const step of scan(source, request)) {
      outcomes.push(step)
      if (outcomes.filter(({ ok }) => !ok).length === 2) source.lose(16)
      if (outcomes.length > 20) break
    }
    t.same(outcomes.filter(({ ok }) => !ok), [{ ok: false, kind: 'invalid' }, { ok: false, kind: 'invalid' }])
    t.match(outcomes.at(-1), { ok: true, end: true }, 'a shorter range is read to its end')
    const numbers = outcomes.flatMap((step) => step.ok ? step.rows.map(({ event }) => Number(event.item.n)) : [])
    t.same(numbers.length, new Set(numbers).size)
    t.same(numbers.filter((n) => n >= 16).sort((a, b) => a - b), Array.from({ length: 14 }, (_, n) => n + 16))
  })

  t.test('a scan of sorted rows has no limit', async (t) => {
    const source = createMemorySource({ ...USUAL_HABITS, ignoresSort: true })
    source.keep(...perSecond.map(dated))
    source.reportQuirk('ignores-sort')
    const request = { filter: {}, window: {}, direction: 'desc', pageSize: 10, scanLimit: 15, purpose: CALLER } as const
    const outcomes: Array<ScanStep | Failure> = []
    for await (const step of scan(source, request)) outcomes.push(step)
    t.ok(outcomes.every((step) => step.ok && (step.end || step.reached !== undefined)))
  })

  t.test('a scan does not derive the order from a newest page within one second', async (t) => {
    const crowded = Array.from(
      { length: 10 },
      (_, n) => ({ n: 30 + n, timestamp: formatInstant(TEN + 60n * NANOS_PER_SECOND + BigInt(n) * 90_000_000n) })
    )
    const { numbers, steps } = await stepsOf({ ignoresSort: true }, [...perSecond, ...crowded])
    t.ok(steps.every(({ reached }) => reached === undefined))
    t.same([...numbers].map(Number).sort((a, b) => a - b), Array.from({ length: 40 }, (_, n) => n))
  })

  t.test('a scan is certain of nothing after undated rows alone, and loses none', async (t) => {
    for (const direction of ['asc', 'desc'] as const) {
      const source = createMemorySource(USUAL_HABITS)
      source.keep(...Array.from({ length: 30 }, (_, n): Kept => {
        const isDated = n < 10 || n >= 20
        const instant = TEN + BigInt(n) * NANOS_PER_SECOND
        return { at: instant, item: { n, timestamp: isDated ? formatInstant(instant) : 'unreadable' } }
      }).slice(direction === 'asc' ? 10 : 0, direction === 'asc' ? 30 : 20))
      const steps: ScanStep[] = []
      for await (
        const step of scan(source, {
          filter: {},
          window: {},
          direction,
          pageSize: 10,
          scanLimit: Infinity,
          purpose: CALLER
        })
      ) { if (step.ok) steps.push(step) }
      t.ok(steps[0]?.rows.every(({ event }) => event.instant === undefined) && steps[0].rows.length === 10)
      t.equal(steps[0]?.reached, undefined, direction)
      const given = steps.flatMap(({ rows }) => rows.map(({ event }) => Number(event.item.n))).sort((a, b) => a - b)
      t.same(given, Array.from({ length: 20 }, (_, n) => direction === 'asc' ? n + 10 : n), direction)
    }
  })

  t.test('a scan counts the scanned and the rejected rows', async (t) => {
    const marked = perSecond.map((item) => ({ ...item, category_type: item.n % 3 === 0 ? 'a' : 'b' }))
    const { steps, numbers } = await stepsOf({ ignoresFilter: true }, marked, { filter: { category_type: 'a' } })
    t.same(numbers, [0, 3, 6, 9, 12, 15, 18, 21, 24, 27])
    t.equal(steps.reduce((sum, { scanned }) => sum + scanned, 0), 30)
    t.equal(steps.reduce((sum, { rejected }) => sum + rejected, 0), 20)
  })

  t.test('a scan rejects rows outside its window if the bounds are ignored', async (t) => {
    const second = (n: number) => TEN + BigInt(n) * NANOS_PER_SECOND
    const { steps, numbers } = await stepsOf({ ignoresBounds: true }, perSecond, {
      direction: 'desc',
      pageSize: 50,
      window: { start: second(10), end: second(19) }
    })
    t.same(numbers, [19, 18, 17, 16, 15, 14, 13, 12, 11, 10])
    t.equal(steps.reduce((sum, { rejected }) => sum + rejected, 0), 20)
  })

  t.test('a scan requests no more rows than the upstream returns', async (t) => {
    const { questions } = await stepsOf({ pageCap: 7 }, perSecond, { pageSize: 50 })
    t.equal(questions[0]?.pageSize, 50)
    t.ok(questions.slice(3).every(({ pageSize }) => pageSize <= 7))
  })

  t.test('a scan finds rows that moved between two pages after a removal', async (t) => {
    const source = createMemorySource(USUAL_HABITS, (reads) => {
      if (reads === 3) source.lose(8)
      return undefined
    })
    source.keep(...Array.from({ length: 40 }, (_, n) => dated({ n, timestamp: '2025-06-03T10:00:00.5Z' })))
    const given = new Set<unknown>()
    for await (
      const step of scan(source, {
        filter: {},
        window: {},
        direction: 'asc',
        pageSize: 10,
        scanLimit: Infinity,
        purpose: CALLER
      })
    ) {
      if (step.ok) { for (const { event } of step.rows) given.add(event.item.n) }
    }
    t.same(Array.from({ length: 32 }, (_, n) => n + 8).filter((n) => !given.has(n)), [])
  })

  t.test('a scan of an empty window ends at once', async (t) => {
    const { steps, questions } = await stepsOf({}, [])
    t.match(steps, [{ ok: true, rows: [], scanned: 0, rejected: 0, reached: undefined, end: true }])
    t.equal(steps.length, 1)
    t.equal(questions.length, 1)
  })

  t.test('a scan ends if the upstream ignores page numbers', async (t) => {
    const source = createMemorySource(USUAL_HABITS)
    source.keep(...Array.from({ length: 10 }, (_, n) => dated({ n, timestamp: '2025-06-03T10:00:00Z' })))
    const stubborn = {
      ...source,
      read: (query: SourceQuery, purpose: Purpose) => source.read({ ...query, page: 1, pageSize: 4 }, purpose)
    }
    const given: unknown[] = []
    for await (
      const step of scan(stubborn, {
        filter: {},
        window: {},
        direction: 'asc',
        pageSize: 4,
        scanLimit: Infinity,
        purpose: CALLER
      })
    ) {
      if (step.ok) given.push(...step.rows.map(({ event }) => event.item.n))
    }
    t.same(given.map(Number).sort(), [0, 1, 2, 3])
    t.ok(source.questions.length < 15)
  })

  t.test('a scan requests smaller pages if an answer is too large, and loses nothing', async (t) => {
    const source = createMemorySource(USUAL_HABITS)
    source.keep(
      ...Array.from({ length: 40 }, (_, n) => dated({ n, timestamp: formatInstant(TEN + BigInt(n) * 300_000_000n) }))
    )
    const heavy: AuditSource = {
      ...source,
      read: async (query, purpose) =>
        query.pageSize > 6 ? { ok: false, kind: 'too-large' } : source.read(query, purpose)
    }
    const steps: Array<ScanStep | Failure> = []
    for await (
      const step of scan(bisecting(heavy), {
        filter: {},
        window: {},
        direction: 'asc',
        pageSize: 50,
        scanLimit: Infinity,
        purpose: POLLER
      })
    ) { steps.push(step) }
    t.ok(steps.every(({ ok }) => ok), 'giving way is no failure')
    t.same(
      steps.flatMap((step) => step.ok ? step.rows.map(({ event }) => event.item.n) : []),
      Array.from({ length: 40 }, (_, n) => n)
    )
    t.ok(source.questions.slice(4).every(({ pageSize }) => pageSize <= 12))
  })

  t.test('a scan is too-large if a page of one row is', async (t) => {
    const source = createMemorySource(USUAL_HABITS, () => ({ ok: false, kind: 'too-large' }))
    const steps = scan(bisecting(source), {
      filter: {},
      window: {},
      direction: 'asc',
      pageSize: 8,
      scanLimit: Infinity,
      purpose: POLLER
    })
    t.match((await steps.next()).value, { ok: false, kind: 'too-large' })
    t.same(source.questions.map(({ pageSize }) => pageSize), [8, 4, 2, 1])
  })

  t.test('a scan repeats its query after a failure', async (t) => {
    const source = createMemorySource(USUAL_HABITS, (reads) => reads === 2 || reads === 3 ? UNAVAILABLE : undefined)
    source.keep(...perSecond.map(dated))
    const outcomes: Array<ScanStep | Failure> = []
    for await (
      const step of scan(source, {
        filter: {},
        window: {},
        direction: 'desc',
        pageSize: 20,
        scanLimit: Infinity,
        purpose: POLLER
      })
    ) { outcomes.push(step) }
    t.same(outcomes.map(({ ok }) => ok), [true, false, false, true])
    t.same(source.questions[2], source.questions[1])
    t.same(source.questions[3], source.questions[1])
  })
})

t.test('the memory source of these tests fulfils the contract of an audit source', async (t) => {
  auditSourceContract(t, async () => {
    const source = createMemorySource(USUAL_HABITS)
    return { source, publish: (items) => source.keep(...items.map(dated)) }
  })
})
