import fc from 'fast-check'
import t from 'tap'
import type { Gap } from '../../../src/audit/log-batch.ts'
import { NANOS_PER_SECOND } from '../../../src/audit/instant.ts'
import type { Failure, FailureKind } from '../../../src/audit/source.ts'
import type { SkippedRange } from '../../../src/scan/skipped-range.ts'
import { createBookmark, type Bookmark, type NewEntries } from '../../../src/live/ingest/bookmark.ts'
import { nextPollDelayMs, fullReadEveryMs, type PollReport } from '../../../src/live/ingest/poll-interval.ts'
import { CLIENT_MESSAGE, CLOSE, FLOODED } from '../../../src/live/transport/close-codes.ts'
import { createUpstreamHealth, type PollOutcome } from '../../../src/live/ingest/upstream-health.ts'
import { createSkippedRanges } from '../../../src/live/ingest/skipped-ranges.ts'
import { createLocalRelay } from '../../../src/relay/local-relay.ts'
import { holds } from '../../contracts/property.ts'
import { relayContract } from '../../contracts/relay.ts'
import { at, nameOf, row, rows, type Named } from '../../support/timeline.ts'

const LATENESS_MS = 120_000

t.test('bookmark', async (t) => {
  const opened = (mostKnown = 1000, from = at(-300)) => createBookmark({ from, latenessMs: LATENESS_MS, mostKnown })
  const names = ({ announcement }: NewEntries) => announcement.entries.map(nameOf)
  /** Looks, and has it announced. */
  const take = (bookmark: Bookmark, named: Named[], now: number, passed?: SkippedRange) => {
    const find = bookmark.diff(rows(named), passed, at(now))
    find.commit()
    return find
  }

  t.test('a bookmark begins at `from`', async (t) => {
    const bookmark = opened()
    t.same([bookmark.highWater(), bookmark.lookbackStart(), bookmark.recentStart(bookmark.frontier(0))], [
      at(-300),
      at(-300),
      at(-300)
    ])
  })

  t.test('a bookmark returns each event once, in the order of the rows', async (t) => {
    const bookmark = opened()
    t.same(names(take(bookmark, [['a', -2], ['b', -1]], 0)), ['a', 'b'])
    t.same(names(take(bookmark, [['a', -2], ['b', -1], ['c', -1], ['d', 0]], 1)), ['c', 'd'])
    bookmark.advance(at(1))
    t.same(names(take(bookmark, [['a', -2], ['d', 0]], 2)), [])
  })

  t.test('a bookmark takes equal ids in one answer as one event', async (t) => {
    t.same(names(take(opened(), [['a', -2], ['a', -2]], 0)), ['a'])
  })

  t.test('a bookmark marks as late what is before the newest instant, and never within its own batch', async (t) => {
    const bookmark = opened()
    const flags = (...named: Named[]) =>
      take(bookmark, named, 60).announcement.entries.map((each) => 'event' in each && each.late)
    t.same(flags(['a', 0], ['b', 10], ['c', 5]), [false, false, false])
    t.same(flags(['d', 9.999], ['e', 10], ['f', 11], ['g', undefined]), [true, false, false, false])
    t.same(flags(['h', 10.5]), [true])
  })

  t.test('a bookmark follows the newest instant, but never past now', async (t) => {
    const bookmark = opened(1000, at(-60))
    t.equal(take(bookmark, [['a', -2], ['b', -5]], 0).announcement.highWater, at(-2))
    t.equal(take(bookmark, [['future', 3600]], 1).announcement.highWater, at(1))
    t.equal(bookmark.highWater(), at(1))
    t.equal(take(bookmark, [['c', -10]], 2).announcement.highWater, at(1))
    t.equal(
      take(bookmark, [['d', undefined]], 3).announcement.highWater,
      at(1),
      'an event without an instant moves nothing'
    )
    t.equal(take(bookmark, [], 4).announcement.highWater, at(1), 'nor does time alone')
  })

  t.test('a high-water mark minus the lateness loses nothing: it is limited by the last full read', async (t) => {
    const bookmark = opened()
    t.equal(take(bookmark, [['a', 0]], 1).announcement.highWater, at(-300 + 120))
    t.equal(bookmark.highWater(), at(0))
    bookmark.advance(at(1))
    t.equal(take(bookmark, [['b', 1]], 2).announcement.highWater, at(0))
    bookmark.advance(at(2))
    t.equal(take(bookmark, [], 3).announcement.highWater, at(1))
  })

  t.test("a bookmark reads from the newest instant minus the lateness, counted from a full read's start", async (t) => {
    const bookmark = opened()
    take(bookmark, [['a', 10]], 20)
    t.equal(bookmark.lookbackStart(), at(-300), 'until a whole read has ended')
    bookmark.advance(at(20))
    t.equal(bookmark.lookbackStart(), at(10 - 120))
    t.equal(bookmark.recentStart(bookmark.frontier(0)), at(5))
    take(bookmark, [['b', 50]], 60)
    bookmark.advance(at(40))
    t.equal(bookmark.lookbackStart(), at(40 - 120), 'what came after the read began may not have been met by it')
    bookmark.advance(at(30))
    t.equal(bookmark.lookbackStart(), at(40 - 120), 'it never moves back')
  })

  t.test('a frontier counts the time since the newest event, but never past the start of the read', async (t) => {
    const bookmark = opened()
    take(bookmark, [['a', 10]], 20)
    bookmark.advance(at(60), bookmark.frontier(30_000))
    t.equal(bookmark.lookbackStart(), at(40 - 120))
    t.same([bookmark.frontier(32_000), bookmark.recentStart(bookmark.frontier(32_000)), bookmark.recentStart(at(7))], [
      at(42),
      at(37),
      at(5)
    ])
    t.equal(bookmark.highWater(), at(10), 'which marks no event as late')
    bookmark.advance(at(60), bookmark.frontier(90_000))
    t.equal(bookmark.lookbackStart(), at(60 - 120))
    bookmark.advance(at(200), bookmark.frontier(190_000))
    t.equal(bookmark.lookbackStart(), at(80))
    t.equal(take(bookmark, [], 200).announcement.highWater, at(10))
    t.same(names(take(bookmark, [['b', 81]], 201)), ['b'])
  })

  t.test('a recent read begins no earlier than a full read', async (t) => {
    const bookmark = createBookmark({ from: at(0), latenessMs: 1000, mostKnown: 10 })
    take(bookmark, [['a', 2]], 60)
    t.equal(bookmark.recentStart(bookmark.frontier(0)), at(0))
    bookmark.advance(at(60))
    t.equal(bookmark.recentStart(bookmark.frontier(0)), at(1))
  })

  t.test('a bookmark knows everything that a full read can meet again', async (t) => {
    const bookmark = opened()
    take(bookmark, [['old', -130], ['edge', -110], ['a', 10]], 20)
    bookmark.advance(at(20))
    t.same(names(take(bookmark, [['edge', -110], ['a', 10]], 21)), [])
    t.same(names(take(bookmark, [['old', -130]], 21)), ['old'], 'what lies before it is forgotten')
  })

  t.test('a bookmark knows everything in the whole second at which a read begins', async (t) => {
    const bookmark = opened()
    take(bookmark, [['same second', -110], ['a', 10.7]], 20)
    bookmark.advance(at(20))
    t.equal(bookmark.lookbackStart(), at(10.7 - 120))
    t.same(names(take(bookmark, [['same second', -110]], 21)), [])
  })

  t.test('a bookmark holds at most mostKnown events, and never reads forgotten ones again', async (t) => {
    const bookmark = opened(3)
    take(bookmark, [['a', 1], ['b', 2], ['c', 3], ['d', 4], ['e', 5]], 20)
    t.equal(bookmark.lookbackStart(), at(2) + 1n)
    t.same(names(take(bookmark, [['c', 3], ['d', 4], ['e', 5]], 20)), [])
    take(bookmark, [['f', 6]], 20)
    t.equal(bookmark.lookbackStart(), at(3) + 1n)
  })

  t.test('a bookmark that forgets an event of the future still finds new events', async (t) => {
    const bookmark = opened(3)
    take(bookmark, [['future', 86_400]], 0)
    take(bookmark, [['a', 1], ['b', 2], ['c', 3]], 4)
    t.ok(bookmark.lookbackStart() <= bookmark.highWater())
    t.equal(bookmark.highWater(), at(3), 'nor is it led past now')
    t.ok(bookmark.recentStart(bookmark.frontier(0)) <= at(4), 'what comes next lies behind where it reads from')
  })

  t.test('a bookmark knows an event without an instant, however far its neighbours move', async (t) => {
    const bookmark = opened()
    t.same(names(take(bookmark, [['a', 0], ['undated', undefined]], 0)), ['a', 'undated'])
    for (let seconds = 100; seconds <= 1000; seconds += 100) {
      const latest: [string, number] = [`b${seconds}`, seconds]
      t.same(names(take(bookmark, [latest, ['undated', undefined]], seconds)), [latest[0]])
      bookmark.advance(at(seconds))
    }
    t.same(names(take(bookmark, [['a', 0]], 1000)), ['a'], 'while what has an instant of its own is forgotten')
  })

  t.test('a bookmark meets uncommitted entries again, and does not move before commit', async (t) => {
    const bookmark = opened(1000, at(-60))
    const passed: SkippedRange = { from: at(-3), to: at(-2), reason: 'too-large', rows: 1 }
    const lost = bookmark.diff(rows([['a', -2], ['b', -1]]), passed, at(0))
    t.same([names(lost), lost.announcement.highWater], [['too-large', 'a', 'b'], at(-1)])
    t.same([bookmark.highWater(), bookmark.skippedRanges()], [at(-60), []])
    const again = bookmark.diff(rows([['a', -2], ['b', -1], ['c', 0]]), passed, at(1))
    t.same(again.announcement.entries.map((each) => [nameOf(each), 'event' in each && each.late]), [
      ['too-large', false],
      ['a', false],
      ['b', false],
      ['c', false]
    ])
    again.commit()
    t.same([names(bookmark.diff(rows([['a', -2], ['c', 0]]), passed, at(1))), bookmark.highWater()], [[], at(0)])
  })

  t.test('a bookmark announces a skipped range once, before the events after it', async (t) => {
    const bookmark = opened()
    const told =
      take(bookmark, [['b', 5]], 10, { from: at(0), to: at(5), reason: 'too-large', rows: 1 }).announcement.entries
    t.same(told[0], { gap: { from: at(0), to: at(5), reason: 'too-large' } satisfies Gap })
    t.same(told.map(nameOf), ['too-large', 'b'])
    t.same(
      names(take(bookmark, [['b', 5]], 11, { from: at(2), to: at(4), reason: 'too-large', rows: 1 })),
      [],
      'between other neighbours too'
    )
    t.same(bookmark.skippedRanges(), [{ from: at(2), to: at(4), reason: 'too-large', rows: 1 }])
  })

  t.test('a bookmark forgets a skipped range that no read meets again', async (t) => {
    const bookmark = opened()
    take(bookmark, [['b', 5]], 10, { from: at(0), to: at(5), reason: 'too-large', rows: 1 })
    take(bookmark, [['c', 125]], 130)
    bookmark.advance(at(130))
    t.equal(bookmark.skippedRanges().length, 1, 'a read from here begins at its end')
    take(bookmark, [['d', 126]], 130)
    bookmark.advance(at(130))
    t.same(bookmark.skippedRanges(), [])
  })

  t.test('a bookmark reports its reduced lateness until it is normal again', async (t) => {
    const bookmark = opened(3)
    take(bookmark, [['a', 1], ['b', 2], ['c', 3]], 10)
    t.equal(bookmark.reducedLatenessMs(), undefined)
    take(bookmark, [['d', 4], ['e', 5]], 10)
    t.equal(bookmark.reducedLatenessMs(), 2999, 'b was forgotten last, and e is the newest')
    bookmark.advance(at(10))
    t.equal(bookmark.reducedLatenessMs(), 2999)
    take(bookmark, [['f', 60]], 61)
    bookmark.advance(at(61))
    t.ok((bookmark.reducedLatenessMs() ?? 0) > 3000, 'it grows as the log goes on')
    take(bookmark, [['g', 200]], 201)
    bookmark.advance(at(201))
    take(bookmark, [['h', 400]], 401)
    bookmark.advance(at(401))
    t.equal(bookmark.reducedLatenessMs(), undefined)
  })

  t.test('a bookmark announces every event exactly once, for any polls within the lateness', async (t) => {
    const upstream = fc.array(
      fc.record({ visible: fc.integer({ min: 0, max: 900 }), late: fc.integer({ min: 0, max: 119 }) }),
      { maxLength: 80 }
    )
    const polls = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 40 })
    holds(
      t,
      fc.property(upstream, polls, (happenings, gaps) => {
        const events = happenings.map(({ visible, late }, i) => ({ visible, row: row(`e${i}`, visible - late) }))
          .sort((a, b) => Number(a.row.key.instant - b.row.key.instant))
        const bookmark = opened(1000, at(-300))
        const announced: string[] = []
        let now = 0
        for (const gap of [...gaps, 1000]) {
          now += gap
          const start = bookmark.lookbackStart()
          const found = events.filter(({ visible, row }) => visible <= now && row.key.instant >= start).map(({ row }) =>
            row
          )
          const find = bookmark.diff(found, undefined, at(now))
          announced.push(...names(find))
          find.commit()
          bookmark.advance(at(now))
        }
        return announced.length === events.length && new Set(announced).size === events.length
      }),
      { numRuns: 300 }
    )
  })
})

t.test('skipped ranges', async (t) => {
  const told = (...met: Array<[from: number, to: number | undefined, rows?: number]>) => {
    const skippedRanges = createSkippedRanges()
    return met.map(([from, to, rows = 1]) => {
      const skippedRange: SkippedRange = {
        from: at(from),
        to: to === undefined ? undefined : at(to),
        rows,
        reason: 'too-large'
      }
      const gap = skippedRanges.newGap(skippedRange, at(100))
      skippedRanges.add(skippedRange, at(100))
      return gap && [Number(gap.from - at(0)) / 1e9, Number(gap.to - at(0)) / 1e9]
    })
  }

  t.test('a skipped range is announced once, whatever neighbours it is met between', async (t) => {
    t.same(told([0, 10], [0, 10], [3, 10], [3, 7], [0, 10]), [[0, 10], undefined, undefined, undefined, undefined])
    t.same(told([5, 5], [5, 5]), [[5, 5], undefined], 'among equal instants')
    t.same(
      told([0, 10], [5, 5], [4, 4]),
      [[0, 10], undefined, [4, 4]],
      'at a moment within it; then that is where it is known to be'
    )
  })

  t.test('two skipped ranges may touch', async (t) => {
    t.same(told([0, 10], [10, 20], [0, 10], [10, 20]), [[0, 10], [10, 20], undefined, undefined])
  })

  t.test('several skipped ranges that are met as one are not announced again', async (t) => {
    t.same(told([0, 3], [4, 12], [0, 15, 2], [0, 18, 2], [0, 20, 3]), [[0, 3], [4, 12], undefined, undefined, [12, 20]])
  })

  t.test('a skipped range with more rows is announced again', async (t) => {
    t.same(told([0, 10, 1], [0, 20, 2], [0, 20, 2], [0, 20, 1]), [[0, 10], [10, 20], undefined, undefined])
    t.same(told([0, 10, 2], [0, 5, 3]), [[0, 10], [5, 5]])
  })

  t.test('a skipped range reaches to now while no row follows it', async (t) => {
    t.same(
      told([90, undefined], [110, undefined]),
      [[90, 100], [110, 110]],
      'or to where they begin, when that lies ahead'
    )
    t.same(
      told([90, undefined], [90, 95], [95, undefined], [95, 99]),
      [[90, 100], undefined, [95, 100], undefined],
      'the next event behind it bounds it'
    )
  })

  t.test('a skipped range is announced again if it was not added', async (t) => {
    const skippedRanges = createSkippedRanges()
    const skippedRange: SkippedRange = { from: at(0), to: at(10), rows: 1, reason: 'too-large' }
    skippedRanges.newGap(skippedRange, at(100))
    t.ok(skippedRanges.newGap(skippedRange, at(100)), 'looking keeps nothing')
    skippedRanges.add(skippedRange, at(100))
    skippedRanges.forgetBefore(at(10))
    t.notOk(skippedRanges.newGap(skippedRange, at(100)))
    skippedRanges.forgetBefore(at(11))
    t.ok(skippedRanges.newGap(skippedRange, at(100)))
  })
})

t.test('poll interval', async (t) => {
  const OPTIONS = { intervalMs: 3000, maxIntervalMs: 30_000 }
  const wait = (report: Partial<PollReport>, random = 0.5) =>
    nextPollDelayMs(
      { failure: undefined, failures: 0, extraRequests: 0, quietMs: 0, subscribers: 1, scarcity: 0, ...report },
      OPTIONS,
      () =>
        random
    )
  const failed = (kind: FailureKind, failures: number, retryAfterMs?: number): Partial<PollReport> => ({
    failures,
    failure: { ok: false, kind, ...retryAfterMs === undefined ? {} : { retryAfterMs } }
  })

  t.test('the poll interval is the setting while events arrive, and grows with the quiet time', async (t) => {
    for (
      const [quietMs, waitMs] of [[0, 3000], [30_000, 3000], [60_000, 6000], [299_000, 29_900], [300_000, 30_000], [
        86_400_000,
        30_000
      ]] as const
    ) {
      t.equal(wait({ quietMs }), waitMs, `${quietMs} ms of quiet`)
    }
  })

  t.test('the poll interval takes a larger share of the quiet time as the budget is spent', async (t) => {
    for (const [scarcity, waitMs] of [[0, 3000], [0.125, 11_000], [0.25, 20_000], [1, 20_000]] as const) {
      t.equal(wait({ quietMs: 20_000, scarcity }), waitMs, `${scarcity} short`)
    }
    t.equal(wait({ quietMs: 0, scarcity: 1 }), 3000)
  })

  t.test('the poll interval grows with the requests that pass unreadable rows, up to the maximum', async (t) => {
    for (const [extraRequests, waitMs] of [[1, 3000], [5, 15_000], [50, 30_000]] as const) {
      t.equal(wait({ extraRequests }), waitMs, `${extraRequests} requests`)
    }
    t.equal(wait({ extraRequests: 2, quietMs: 200_000 }), 20_000, 'the quiet may stretch it further')
    t.equal(wait({ ...failed('unauthorized', 1), extraRequests: 50 }), 60_000)
  })

  t.test('the poll interval without subscribers is a minute, or longer if so set', async (t) => {
    t.equal(wait({ subscribers: 0 }), 60_000)
    t.equal(
      nextPollDelayMs({ failure: undefined, failures: 0, extraRequests: 0, quietMs: 0, subscribers: 0, scarcity: 0 }, {
        intervalMs: 3000,
        maxIntervalMs: 90_000
      }, () => 0),
      90_000
    )
  })

  t.test('the poll interval backs off from 0.8 s to 60 s with full jitter', async (t) => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((failures) => wait(failed('unavailable', failures), 1))
    t.same(longest, [800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000, 60_000])
    t.equal(wait(failed('timeout', 3), 0), 0)
    t.equal(wait(failed('invalid', 3), 0.25), 800)
  })

  t.test('the poll interval causes at most 25 requests in five minutes of outage, nearly always', async (t) => {
    const random = seeded(7)
    const counts = Array.from({ length: 500 }, () => {
      let requests = 0
      for (let ms = 0; ms < 300_000; requests++) {
        ms += nextPollDelayMs(
          { ...failed('unavailable', requests + 1), quietMs: 0, subscribers: 1 } as PollReport,
          OPTIONS,
          random
        )
      }
      return requests
    }).sort((a, b) => a - b)
    t.ok((counts[495] ?? 99) <= 25, `99 in 100 stay below ${counts[495]}`)
    t.ok((counts[0] ?? 0) >= 6)
  })

  t.test('the poll interval is at least the wait that the upstream asks for', async (t) => {
    t.equal(wait(failed('throttled', 1, 20_000), 1), 20_000)
    t.equal(wait(failed('unavailable', 7, 1000), 1), 51_200)
    t.equal(wait(failed('throttled', 1, 300_000), 0), 300_000)
  })

  t.test('the poll interval is a minute after a refused credential', async (t) => {
    t.equal(wait(failed('unauthorized', 1), 0), 60_000)
    t.equal(wait(failed('unauthorized', 50), 1), 60_000)
  })

  t.test('full reads are every 30 s, and up to two minutes apart with less than half of the budget', async (t) => {
    t.same([0, 0.25, 0.5].map(fullReadEveryMs), [30_000, 30_000, 30_000])
    t.ok(Math.abs(fullReadEveryMs(0.75) - 30_000 * Math.sqrt(4)) < 1)
    t.equal(fullReadEveryMs(1), 120_000)
    holds(
      t,
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }), (a, b) =>
        (fullReadEveryMs(a) <= fullReadEveryMs(b)) === (a <= b || fullReadEveryMs(a) === fullReadEveryMs(b)))
    )
  })

  t.test('the poll interval waits for the budget, and is at least the setting', async (t) => {
    t.equal(wait(failed('budget', 1, 23_000), 0), 23_000)
    t.equal(wait(failed('budget', 1, 10), 0), 3000)
    t.equal(wait(failed('budget', 1), 0), 3000)
  })
})

function seeded (seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

t.test('upstream health', async (t) => {
  const WELL: PollOutcome = { failure: undefined, isHeldBack: false, latenessMs: undefined }
  const failed = (kind: FailureKind): PollOutcome => ({ ...WELL, failure: { ok: false, kind } satisfies Failure })

  t.test('upstream health has a state with its start, and distinguishes a change from a repetition', async (t) => {
    let now = 1000
    const health = createUpstreamHealth(() => now, () => true)
    const first = {
      upstream: 'ok',
      sinceMs: 1000,
      lastGoodMs: undefined,
      lagMs: 0,
      attempted: false,
      latenessMs: undefined,
      fullReads: 0,
      isPolling: true
    }
    t.same(health.now(), first)
    now = 2000
    t.equal(health.report(failed('timeout')), true)
    t.same(health.now(), { ...first, upstream: 'degraded', sinceMs: 2000, lagMs: 1000, attempted: true })
    now = 3000
    t.equal(health.report(failed('unavailable')), false)
    t.equal(health.now().sinceMs, 2000)
    now = 4000
    t.equal(health.report(WELL), true)
    now = 4500
    health.fullReadEnded()
    t.same(health.now(), { ...first, sinceMs: 4000, lastGoodMs: 4000, lagMs: 500, attempted: true, fullReads: 1 })
    t.equal(health.report(WELL), false)
  })

  t.test('upstream health has a state for every failure', async (t) => {
    const states = {
      unauthorized: 'unauthorized',
      forbidden: 'unauthorized',
      throttled: 'throttled',
      budget: 'throttled',
      timeout: 'degraded',
      unavailable: 'degraded',
      invalid: 'degraded',
      'too-large': 'degraded'
    }
    for (const [kind, state] of Object.entries(states)) {
      const health = createUpstreamHealth(() => 0, () => true)
      t.equal(health.report(failed(kind as FailureKind)), true)
      t.equal(health.now().upstream, state, kind)
    }
  })

  t.test('upstream health is throttled while polls wait for the budget, also if each succeeds', async (t) => {
    const health = createUpstreamHealth(() => 7, () => true)
    t.equal(health.report({ ...WELL, isHeldBack: true }), true)
    t.match(health.now(), { upstream: 'throttled', lastGoodMs: 7 })
    t.equal(health.report({ ...WELL, isHeldBack: true }), false)
    t.equal(health.report({ ...failed('unavailable'), isHeldBack: true }), true)
    t.equal(health.now().upstream, 'degraded', 'a failure weighs more')
    t.equal(health.report(WELL), true)
  })

  t.test('upstream health is degraded while the lateness is reduced, and reports it', async (t) => {
    const health = createUpstreamHealth(() => 0, () => true)
    t.equal(health.report({ ...WELL, latenessMs: 4000 }), true)
    t.match(health.now(), { upstream: 'degraded', latenessMs: 4000 })
    t.equal(health.report({ ...WELL, latenessMs: 5000 }), false, 'another number is no other state')
    t.equal(health.now().latenessMs, 5000)
    health.report({ ...failed('timeout'), latenessMs: 5000 })
    t.equal(health.report(failed('timeout')), true, 'that it is over is told, whatever else is the matter')
    t.equal(health.report(WELL), true)
  })

  t.test('upstream health has no negative lag when the clock is set back', async (t) => {
    let now = 5000
    const health = createUpstreamHealth(() => now, () => true)
    health.report(WELL)
    now = 1000
    t.equal(health.now().lagMs, 0)
  })
})

t.test('close codes', async (t) => {
  t.test('each close reason has the close code and the reconnect advice of PROTOCOL.md', async (t) => {
    t.same(
      Object.entries(CLOSE).map(([name, { reason, closeCode, reconnect }]) => [name, reason, closeCode, reconnect]),
      [
        ['timeout', 'timeout', 1000, false],
        ['shutdown', 'shutdown', 1001, true],
        ['max-age', 'max-age', 1001, true],
        ['slow', 'slow', 4408, true],
        ['unauthorized', 'unauthorized', 4401, true]
      ]
    )
    t.equal(CLIENT_MESSAGE.closeCode, 4400)
    t.equal(FLOODED.closeCode, 4429)
    for (const { reason } of [CLIENT_MESSAGE, FLOODED]) {
      t.ok(Buffer.byteLength(reason) <= 123, 'RFC 6455: a close frame holds 125 bytes, two of them the code')
    }
  })
})

t.test('local relay', async (t) => {
  relayContract(t, async () => createLocalRelay())

  t.test('the local relay has delivered a batch to every follower when publish resolves', async (t) => {
    const relay = createLocalRelay()
    const taken: string[] = []
    relay.subscribe(() => { taken.push('first') })
    relay.subscribe(() => { taken.push('second') })
    await relay.publish({ entries: [], highWater: NANOS_PER_SECOND })
    t.same(taken, ['first', 'second'])
  })
})
