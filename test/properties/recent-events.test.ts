import fc from 'fast-check'
import t from 'tap'
import { readPage } from '../../src/archive/keyset-page.ts'
import type { PageRequest } from '../../src/archive/page-query.ts'
import type { AuditFilter } from '../../src/audit/filter.ts'
import { EARLIEST, formatInstant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import type { RecentAnswer, RecentEvents } from '../../src/audit/recent-events.ts'
import type { SortKey } from '../../src/audit/sort-key.ts'
import type { AuditSource, Direction } from '../../src/audit/source.ts'
import type { TimeRange } from '../../src/audit/time-range.ts'
import { createRecentEvents } from '../../src/live/recent/recent-events.ts'
import { createRecentRows } from '../../src/live/recent/recent-rows.ts'
import { holdsAsync, runs } from '../contracts/property.ts'
import { CALLER } from '../support/purposes.ts'
import { createRecentWorld, type RecentWorld } from '../support/recent-world.ts'
import { at } from '../support/timeline.ts'

/** What happens to the upstream and to the service. */
type Step =
  | { readonly kind: 'event', readonly category: string, readonly backMs: number, readonly twins: number }
  | { readonly kind: 'ahead', readonly aheadMs: number }
  | { readonly kind: 'undated' }
  | { readonly kind: 'outage', readonly isOut: boolean }
  | { readonly kind: 'pass', readonly ms: number }
  | { readonly kind: 'query', readonly query: Query }

interface Query {
  readonly filter: AuditFilter
  readonly direction: Direction
  readonly page: number
  readonly pageSize: number
  readonly backMs: number | undefined
  readonly endBackMs: number | undefined
  readonly followed: number
}

const anyQuery: fc.Arbitrary<Query> = fc.record({
  filter: fc.constantFrom<AuditFilter>({}, {}, { category_type: 'a' }, { text: 'B' }, { category_type: 'none' }),
  direction: fc.constantFrom<Direction>('asc', 'desc'),
  page: fc.constantFrom(1, 1, 1, 2, 3),
  pageSize: fc.integer({ min: 1, max: 12 }),
  backMs: fc.option(fc.integer({ min: 0, max: 60_000 }), { nil: undefined, freq: 3 }),
  endBackMs: fc.option(fc.integer({ min: -1000, max: 20_000 }), { nil: undefined, freq: 2 }),
  followed: fc.constantFrom(0, 0, 1, 2)
})

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('event' as const),
      category: fc.constantFrom('a', 'b'),
      backMs: fc.constantFrom(0, 0, 0, 5, 900, 4000, 9000),
      twins: fc.constantFrom(1, 1, 1, 1, 2, 3)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('ahead' as const), aheadMs: fc.integer({ min: 1000, max: 40_000 }) })
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('outage' as const), isOut: fc.boolean() }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(1, 200, 1000, 3100, 8000, 31_000) })
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('query' as const), query: anyQuery }) }
)
const anyUndated: fc.Arbitrary<Step> = fc.record({ kind: fc.constant('undated' as const) })

const anyStory = fc.record({
  steps: fc.array(anyStep, { minLength: 10, maxLength: 60 }),
  undated: fc.option(fc.tuple(fc.nat(30), anyUndated), { nil: undefined, freq: 4 }),
  historyEvents: fc.constantFrom(8, 20, 1000),
  pollPageSize: fc.constantFrom(5, 100),
  subscribers: fc.constantFrom(0, 1)
})
type Story = typeof anyStory extends fc.Arbitrary<infer T> ? T : never

/** Plays a story. Returns how the log's answers differ from a scan, and how many answers there were. */
async function play (story: Story, recentOf: (world: RecentWorld) => RecentEvents) {
  const world = createRecentWorld(story)
  const { clock, feed } = world
  const differences: string[] = []
  let answers = 0
  let serial = 0
  for (let past = 30; past > 0; past--) world.show(itemOf(-past * 700, 'a'), -past * 700)
  clock.advance(1)
  feed.poller.start()
  await world.settle()
  const recent = recentOf(world)
  const steps = [...story.steps]
  if (story.undated !== undefined) steps.splice(story.undated[0], 0, story.undated[1])
  for (const step of steps) await take(step)
  await feed.poller.stop()
  return { answers, differences }

  function itemOf (ms: number, category: string): JsonObject {
    return { n: serial++, category_type: category, timestamp: formatInstant(at(ms / 1000)) }
  }

  async function take (step: Step): Promise<void> {
    const nowMs = clock.monotonicMs()
    switch (step.kind) {
      case 'event': {
        const item = itemOf(nowMs - step.backMs, step.category)
        for (let i = 0; i < step.twins; i++) world.show(item, nowMs - step.backMs)
        return
      }
      case 'ahead': return world.show(itemOf(nowMs + step.aheadMs, 'a'), nowMs + step.aheadMs)
      case 'undated': return world.show({ n: serial++, category_type: 'a' }, nowMs)
      case 'outage': return world.fall(step.isOut)
      case 'pass': {
        await clock.pass(step.ms)
        return world.settle()
      }
      case 'query': {
        clock.advance(1)
        await compare(step.query)
        clock.advance(1)
      }
    }
  }

  async function compare (query: Query): Promise<void> {
    let after: SortKey | undefined
    const window = windowOf(query)
    for (let page = query.page, turn = 0; turn <= query.followed; page++, turn++) {
      const { direction, filter, pageSize } = query
      const skip = after === undefined ? (page - 1) * pageSize : 0
      const from = after === undefined ? {} : { after }
      const answering = recent({ filter, window: () => window, direction, skip, count: pageSize, ...from })
      const answer = await whileTimersFire(answering)
      if (answer === undefined || !answer.ok) return
      answers++
      const truth = world.truthAt(feed.poller.completedReads())
      const difference = await differenceOf(answer, truth, { filter, window, direction, page, pageSize, ...from })
      if (difference !== undefined) differences.push(`${JSON.stringify(query)}: ${difference}`)
      after = answer.hasMore ? answer.rows.at(-1)?.key : undefined
      if (after === undefined) return
    }
  }

  /** A poll may still run when the query comes. The next one then begins by a timer of no wait. */
  async function whileTimersFire<Value> (awaited: Promise<Value>): Promise<Value> {
    const pending = new Set([awaited])
    const settle = () => { pending.delete(awaited) }
    awaited.then(settle, settle)
    while (pending.size > 0) {
      clock.advance(0)
      await new Promise((resolve) => { setImmediate(resolve) })
    }
    return awaited
  }

  function windowOf ({ backMs, endBackMs }: Query): TimeRange {
    const nowMs = clock.monotonicMs()
    return {
      ...backMs !== undefined && { start: at((nowMs - backMs) / 1000) },
      ...endBackMs !== undefined && { end: at((nowMs - Math.min(endBackMs, backMs ?? Infinity)) / 1000) }
    }
  }
}

/** How an answer differs from what a scan gives: in its rows, or in where the next page begins. */
async function differenceOf (
  answer: RecentAnswer,
  truth: AuditSource,
  request: PageRequest
): Promise<string | undefined> {
  const expected = await readPage(truth, request, Infinity, CALLER)
  if (!expected.ok) throw new Error('the truth has an answer')
  const [actual, wanted] = [answer.rows.map(({ event }) => event.id), expected.events.map(({ id }) => id)]
  if (actual.join() !== wanted.join()) return `${actual.join()} instead of ${wanted.join()}`
  if (answer.hasMore) return expected.next?.id === actual.at(-1) ? undefined : 'the next page begins elsewhere'
  if (expected.next === undefined) return undefined
  // A scan may announce a page that is empty.
  const following = await readPage(truth, { ...request, page: request.page + 1, after: expected.next }, Infinity, CALLER)
  return following.ok && following.events.length === 0 ? undefined : 'the next page is missing'
}

t.test('the log answers as a scan of the upstream does, or not at all', async (t) => {
  let answers = 0
  await holdsAsync(
    t,
    fc.asyncProperty(anyStory, async (story) => {
      const played = await play(story, ({ feed }) => feed.recent)
      answers += played.answers
      if (played.differences.length > 0) throw new Error(played.differences.join('\n'))
    }),
    { numRuns: runs(75) }
  )
  t.ok(answers > runs(75), `the log gave ${answers} answers`)
})

t.test('a log that ignores what it has evicted answers otherwise than a scan', async (t) => {
  const { failed } = await fc.check(
    fc.asyncProperty(anyStory, async (story) => {
      const { differences } = await play(story, withoutCompleteness)
      return differences.length === 0
    }),
    { numRuns: runs(150) }
  )
  t.ok(failed)
})

function withoutCompleteness ({ clock, feed }: RecentWorld): RecentEvents {
  return createRecentEvents({
    rows: createRecentRows({ log: feed.log, start: EARLIEST, now: clock.now }),
    find: () => undefined,
    end: feed.log.end,
    freshness: feed.freshness
  })
}
