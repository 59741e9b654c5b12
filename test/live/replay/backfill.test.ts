import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import { weightOf } from '../../../src/audit/event.ts'
import { createBytePool } from '../../../src/audit/byte-pool.ts'
import type { AuditFilter } from '../../../src/audit/filter.ts'
import { LATEST, formatInstant, type Instant } from '../../../src/audit/instant.ts'
import type { Failure } from '../../../src/audit/source.ts'
import { bisecting } from '../../../src/scan/bisection.ts'
import { createCatchUp, type CatchUpStep } from '../../../src/live/ingest/catch-up.ts'
import { createBackfill, type Backfill, type BackfillOptions } from '../../../src/live/replay/backfill.ts'
import {
  createBackfillPool,
  type BackfillRequest,
  type BackfillPoolOptions
} from '../../../src/live/replay/backfill-pool.ts'
import {
  USUAL_HABITS,
  createMemorySource,
  dated,
  type Habits,
  type MemorySource
} from '../../contracts/memory-source.ts'
import { holdsAsync } from '../../contracts/property.ts'
import { at, batch, nameOf, openLog } from '../../support/timeline.ts'

const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

/** Events e0, e1 … so many seconds after ten. */
function stocked (
  seconds: number[],
  quirks: Partial<Habits> = {},
  interfere: (reads: number) => Failure | undefined = () => undefined
): MemorySource {
  const source = createMemorySource({ ...USUAL_HABITS, ...quirks }, interfere)
  source.keep(...seconds.map((each, n) => dated({ id: `e${n}`, timestamp: formatInstant(at(each)) })))
  return source
}

const evenly = (count: number, apart = 1) => Array.from({ length: count }, (_, n) => n * apart)
const idsOf = (count: number) => Array.from({ length: count }, (_, n) => `e${n}`)

async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(1)
}

/** Whatever was due has happened: the source answers at once. */
async function settled (): Promise<void> {
  for (let turns = 0; turns < 20; turns++) await sleep(1)
}

/** Back-off without waiting. */
function hurry (t: { teardown (action: () => void): void }): void {
  const { random } = Math
  Math.random = () => 0
  t.teardown(() => { Math.random = random })
}

t.test('a reading', async (t) => {
  const read = async (source: MemorySource, pageSize = 10) => {
    const reading = createCatchUp({
      source: bisecting(source, { skipsRows: true }),
      start: at(-60),
      pageSize,
      scanLimit: 10_000
    })
    const portions: Array<CatchUpStep | Failure> = []
    for (let next = await reading.next(); next !== undefined; next = await reading.next()) portions.push(next)
    const rows = portions.flatMap((each) => each.ok ? each.rows : [])
    return {
      portions,
      ids: rows.map(({ event }) => event.id),
      instants: rows.map(({ key }) => key.instant),
      isLong: reading.isLong()
    }
  }
  const isInOrder = (instants: Instant[]) =>
    instants.every((instant, i) => i === 0 || instant >= (instants[i - 1] ?? instant))

  t.test('gives everything in batches, an answer at a time', async (t) => {
    const { portions, ids } = await read(stocked(evenly(25)))
    t.same(ids, idsOf(25))
    t.ok(portions.length >= 3 && portions.every((each) => each.ok))
  })

  t.test('holds back the rows of an upstream that does not sort until they come in the order of instants', async (t) => {
    for (const quirks of [{ ignoresSort: true }, { ignoresSort: true, ignoresBounds: true }]) {
      const { ids } = await read(stocked(evenly(45), quirks))
      t.same(ids, idsOf(45))
    }
  })

  t.test('is not deceived about the order by several pages that lie within one second', async (t) => {
    const { ids } = await read(stocked([0, ...Array.from({ length: 30 }, () => 20)], { ignoresSort: true }))
    t.same(new Set(ids), new Set(idsOf(31)))
  })

  t.test('holds back a second that is not sorted until all of it is there', async (t) => {
    const source = createMemorySource(USUAL_HABITS)
    source.keep(
      ...evenly(60).map((n) => ({
        at: at(Math.floor(n / 7)),
        item: { id: `e${n}`, timestamp: formatInstant(at(Math.floor(n / 7) + (n * 5 % 7) / 10)) }
      }))
    )
    const { ids, instants } = await read(source)
    t.same(new Set(ids), new Set(idsOf(60)))
    t.equal(ids.length, 60)
    t.ok(isInOrder(instants))
  })

  t.test('keeps what it holds back through failures, wherever they come', async (t) => {
    // A page of one instant does not show that an upstream does not sort.
    const events = fc.oneof(
      fc.record({
        seconds: fc.array(fc.integer({ min: 0, max: 30 }).map((tenths) => tenths / 10), { maxLength: 40 }),
        ignoresSort: fc.constant(false)
      }),
      fc.record({
        seconds: fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 40 }),
        ignoresSort: fc.constant(true)
      })
    )
    await holdsAsync(
      t,
      fc.asyncProperty(
        events,
        fc.uniqueArray(fc.integer({ min: 1, max: 10 }).map((n) => 2 * n)),
        fc.integer({ min: 2, max: 15 }),
        async ({ ignoresSort, seconds }, failing, pageSize) => {
          const source = stocked(seconds, { ignoresSort }, (reads) => failing.includes(reads) ? UNAVAILABLE : undefined)
          const { ids, instants, portions } = await read(source, pageSize)
          if (!isInOrder(instants)) throw new Error('out of order')
          if (new Set(ids).size !== seconds.length || ids.length !== seconds.length) {
            throw new Error(
              `${ids.length} of ${seconds.length} came`
            )
          }
          if (failing.includes(2) && portions.length > 1 && portions.every(({ ok }) => ok)) {
            throw new Error('a failure was kept silent')
          }
        }
      ),
      { numRuns: 150 }
    )
  })

  t.test('is long where one answer does not hold it, but not for a few that come meanwhile', async (t) => {
    t.equal((await read(stocked([]))).isLong, false)
    t.equal((await read(stocked(evenly(5)))).isLong, false)
    t.equal((await read(stocked(evenly(20)))).isLong, false, 'ten more')
    t.equal((await read(stocked(evenly(21)))).isLong, true, 'eleven more')
    t.equal((await read(stocked(evenly(220)), 200)).isLong, false, 'a tenth')
    t.equal((await read(stocked(evenly(221)), 200)).isLong, true)
  })
})

t.test('a reread', async (t) => {
  const begun = (source: MemorySource, options: Partial<BackfillOptions> = {}) => createBackfill({
    clock: systemClock,
    source,
    filter: {},
    from: at(-60),
    kept: { since: LATEST, entries: [] },
    until: openLog().end(),
    newest: at(1000),
    mostEvents: Infinity,
    countFrom: at(-60),
    mostScanned: Infinity,
    scanLimit: 10_000,
    requester: { key: 'a-caller', reserve: () => ({ ok: true, read: () => {}, end: () => {} }) },
    mostAnswers: Infinity,
    isUpstreamThere: () => true,
    nextPoll: async () => {},
    onGrowth: () => true,
    onError: (error) => { throw error },
    ...options
  })
  const over = async (replay: Backfill) => {
    await until(() => replay.state() !== 'reading')
    return replay.rows().map(nameOf)
  }

  t.test('gives the past from Kubiya in the order of instants, and says when that was all', async (t) => {
    for (const quirks of [{}, { ignoresSort: true }, { pageCap: 7 }]) {
      const backfill = begun(stocked(evenly(50), quirks))
      t.same([await over(backfill), backfill.state()], [idsOf(50), 'done'])
      t.equal(
        backfill.bytes(),
        backfill.rows().reduce((sum, row) => sum + ('event' in row ? weightOf(row.event) : 0), 0)
      )
    }
  })

  t.test('tells its followers of more and of the end, until they leave', async (t) => {
    const backfill = begun(stocked(evenly(50), { pageCap: 7 }))
    const told: string[] = []
    const counts: number[] = []
    const leave = backfill.follow(() => { told.push(backfill.state()) })
    backfill.follow(() => {
      counts.push(backfill.rows().length)
      if (counts.length === 2) leave()
    })
    await over(backfill)
    t.same(told, ['reading', 'reading'])
    t.ok(counts.length > 5 && counts.every((count, i) => i === 0 || count >= (counts[i - 1] ?? 0)))
  })

  t.test('goes on where it stood after failures, and gives nothing twice', async (t) => {
    hurry(t)
    const backfill = begun(stocked(evenly(50), { pageCap: 7 }, (reads) => reads % 4 < 2 ? UNAVAILABLE : undefined))
    t.same([await over(backfill), backfill.state()], [idsOf(50), 'done'])
  })

  t.test('gives up after more than eight failures in a row, while Kubiya is there for the tail', async (t) => {
    hurry(t)
    const source = stocked(
      evenly(50),
      { pageCap: 7 },
      (reads) => reads > 3 ? { ok: false, kind: 'throttled' } : undefined
    )
    const backfill = begun(source)
    const ids = await over(backfill)
    t.equal(backfill.state(), 'failed')
    t.equal(source.questions.length, 3 + 9)
    t.same(ids, idsOf(ids.length))
    t.equal(backfill.reached(), at(ids.length), 'from there on events may be missing')
  })

  t.test('does not give up, and asks nothing, while Kubiya is not there for the poller either', async (t) => {
    hurry(t)
    let isThere = false
    let waiting: Array<() => void> = []
    const source = stocked(evenly(5), {}, () => isThere ? undefined : UNAVAILABLE)
    const backfill = begun(source, {
      isUpstreamThere: () => isThere,
      nextPoll: () =>
        new Promise((resolve) => {
          waiting.push(resolve)
        })
    })
    const poll = async () => {
      await until(() => waiting.length > 0)
      const [asked, told] = [source.questions.length, waiting]
      waiting = []
      for (const resolve of told) resolve()
      return asked
    }
    const asked: number[] = []
    for (let i = 0; i < 20; i++) asked.push(await poll())
    t.same(new Set(asked), new Set([1]))
    isThere = true
    await poll()
    t.same([await over(backfill), backfill.state()], [idsOf(5), 'done'])
  })

  t.test('does not give up while Kubiya goes as soon as it has come', async (t) => {
    hurry(t)
    let isThere = true
    const source = stocked(evenly(5), {}, (reads) => {
      isThere = reads > 20
      return isThere ? undefined : { ok: false, kind: 'throttled' }
    })
    const backfill = begun(source, { isUpstreamThere: () => isThere, nextPoll: async () => { isThere = true } })
    t.same([await over(backfill), backfill.state()], [idsOf(5), 'done'])
  })

  t.test('is cut where it has given as many as it may, and nothing is missing before', async (t) => {
    for (const limit of [{ mostEvents: 20 }, { mostScanned: 20 }, { mostAnswers: 3 }]) {
      const backfill = begun(stocked(evenly(50), { pageCap: 7 }), limit)
      const ids = await over(backfill)
      t.equal(backfill.state(), 'cut')
      t.ok(ids.length >= 10 && ids.length < 35, `${ids.length} events`)
      t.same([ids, backfill.reached()], [idsOf(ids.length), at(ids.length)])
    }
  })

  t.test('counts from where it is told to', async (t) => {
    const backfill = begun(stocked(evenly(50), { pageCap: 7 }), { mostEvents: 5, countFrom: at(30) })
    t.ok((await over(backfill)).length >= 35)
    t.equal(backfill.state(), 'cut')
  })

  t.test('is full when there is no more room', async (t) => {
    const backfill = begun(stocked(evenly(50), { pageCap: 7 }), { onGrowth: () => backfill.bytes() < 1000 })
    const ids = await over(backfill)
    t.equal(backfill.state(), 'full')
    t.same([ids, backfill.reached()], [idsOf(ids.length), at(ids.length)])
  })

  t.test('drops its rows and asks no further when it is forgotten', async (t) => {
    const source = stocked(evenly(50), { pageCap: 7 })
    const backfill = begun(source)
    let isTold = false
    await until(() => backfill.rows().length > 0)
    backfill.follow(() => { isTold = true })
    backfill.forget()
    const asked = source.questions.length
    await settled()
    t.same([backfill.state(), backfill.rows(), backfill.bytes(), isTold], ['forgotten', [], 0, true])
    t.ok(source.questions.length <= asked + 1)
  })

  t.test('has word of what cannot be read, between its neighbours', async (t) => {
    hurry(t)
    for (const kind of ['too-large', 'invalid'] as const) {
      const backfill = begun(stocked(evenly(20), { spoils: ({ id }) => id === 'e7' ? kind : undefined }))
      const ids = await over(backfill)
      const gap = backfill.rows()[7]
      t.same(ids, idsOf(20).with(7, kind === 'too-large' ? 'too-large' : 'upstream-outage'))
      t.same(gap !== undefined && 'gap' in gap && [gap.gap.from, gap.gap.to], [at(6), at(8)])
    }
  })

  t.test('has failed, and says so, when something unforeseen happens', async (t) => {
    const errors: unknown[] = []
    const source = stocked([], {}, () => { throw new Error('unforeseen') })
    const backfill = begun(source, { onError: (error) => { errors.push(error) } })
    await over(backfill)
    t.same([backfill.state(), errors.length], ['failed', 1])
  })

  t.test('gives every event once and in order, whatever fails and however the upstream sorts', async (t) => {
    hurry(t)
    const events = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 40 })
    await holdsAsync(
      t,
      fc.asyncProperty(
        events,
        fc.boolean(),
        fc.uniqueArray(fc.integer({ min: 1, max: 20 }), { maxLength: 5 }),
        fc.integer({ min: 2, max: 15 }),
        async (tenths, ignoresSort, failing, pageCap) => {
          const source = stocked(
            tenths.map((each) => each / 10),
            { ignoresSort, pageCap },
            (reads) => failing.includes(reads) ? UNAVAILABLE : undefined
          )
          const backfill = begun(source)
          const ids = await over(backfill)
          const instants = backfill.rows().map(({ key }) => key.instant)
          if (
            backfill.state() !== 'done' || ids.length !== tenths.length || new Set(ids).size !== ids.length
          ) { throw new Error(`${ids.length} of ${tenths.length} came, ${backfill.state()}`) }
          if (instants.some((instant, i) => i > 0 && instant < (instants[i - 1] ?? instant))) {
            throw new Error('out of order')
          }
        }
      ),
      { numRuns: 40 }
    )
  })
})

t.test('rereads', async (t) => {
  const RETURN: BackfillRequest = { filter: {}, from: at(0), until: undefined, countFrom: at(0), kind: 'shared' }
  const FILTER: AuditFilter = { category_type: 'a' }
  const prepared = (source: MemorySource, options: Partial<BackfillPoolOptions> = {}) => {
    const log = openLog()
    log.append(batch(0, ['x', 'y', 'z']))
    const backfills = createBackfillPool({
      clock: systemClock,
      source,
      log: { ...log, completeSince: () => LATEST }, // As if it kept nothing.
      limit: 1000,
      scanLimit: 10_000,
      maxBytes: 1_000_000,
      isUpstreamThere: () => true,
      onError: (error) => { throw error },
      ...options
    })
    const open = (request: Partial<BackfillRequest> = {}) => backfills.open({ ...RETURN, ...request })
    return { log, open, backfills }
  }
  const done = async (...replays: Backfill[]) => {
    for (const replay of replays) await until(() => replay.state() !== 'reading')
  }
  /** Whether they are one and the same read. */
  const areOne = (a: Backfill, b: Backfill) => a.rows() === b.rows()

  t.test('are one for all who ask for a part of what is being read', async (t) => {
    const source = stocked(evenly(50))
    const { open } = prepared(source)
    const all = [
      open(),
      open({ from: at(7) }),
      open({ from: at(30), filter: FILTER }),
      open({ from: at(3), kind: 'own' })
    ]
    await done(...all)
    const [first, ...others] = all
    t.ok(first !== undefined && others.every((each) => areOne(each, first)))
    const asked = source.questions.length
    await done(open())
    t.equal(source.questions.length, asked, 'one that is just over serves too')
    await done(open({ from: at(-20) }))
    t.ok(source.questions.length > asked, 'what begins before it does not')
  })

  t.test('begin at whole tens of seconds, so that those who come back together share one', async (t) => {
    const source = stocked(evenly(50))
    const { open } = prepared(source)
    const replays = [open({ from: at(9.9) }), open({ from: at(4) }), open({ from: at(0) })]
    await done(...replays)
    t.ok(replays.every((each) => areOne(each, replays[0] ?? each)))
    t.equal(source.questions[0]?.window.start, at(0))
    const early = stocked([])
    await done(prepared(early).open({ from: -15_000_000_001n }))
    t.equal(early.questions[0]?.window.start, -20_000_000_000n, 'before 1970 too')
  })

  t.test('are read with a filter for its own, and without one for those who come back', async (t) => {
    const source = stocked(evenly(5))
    const { open } = prepared(source)
    const own = open({ filter: FILTER, kind: 'own' })
    const shared = open({ filter: FILTER, from: at(-10) })
    await done(own, shared)
    t.same(new Set(source.questions.map(({ filter }) => filter.category_type)), new Set(['a', undefined]))
    t.notOk(areOne(own, shared))
    t.ok(areOne(open({ filter: FILTER, kind: 'own' }), own))
    t.notOk(areOne(open({ filter: { category_type: 'b' }, kind: 'own' }), own))
  })

  t.test('are not joined by whom they would leave a hole: the read must begin behind the place that is fixed', async (t) => {
    const { log, open } = prepared(stocked(evenly(5)))
    const first = open()
    await done(first)
    log.append(batch(3, ['later']))
    t.ok(areOne(open(), first), 'without a place of its own it takes over that of the read')
    t.equal(open().until.offset, 3)
    t.ok(areOne(open({ until: 3 }), first))
    t.ok(areOne(open({ until: 1 }), first))
    const second = open({ until: 4 })
    t.equal(second.until.offset, 4)
    await done(second)
    t.notOk(areOne(second, first))
  })

  t.test('are not joined when the log has let go of their place', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append(batch(0, ['x', 'y', 'z']))
    const { open } = prepared(stocked(evenly(5)), {
      log: { ...log, completeSince: () => LATEST }
    })
    const first = open()
    await done(first)
    log.append(batch(3, ['a', 'b']))
    t.ok(areOne(open(), first))
    log.append(batch(5, ['c']))
    const second = open()
    t.equal(second.until.offset, 6)
    await done(second)
    t.notOk(areOne(second, first))
  })

  t.test('are joined while there is something to be had of them: not when cut, failed or forgotten', async (t) => {
    hurry(t)
    let fails = false
    const source = stocked(evenly(50), {}, () => fails ? { ok: false, kind: 'throttled' } : undefined)
    const { open } = prepared(source, { limit: 10 })
    const cut = open()
    await done(cut)
    t.equal(cut.state(), 'cut')
    fails = true
    const failed = open()
    await done(failed)
    t.equal(failed.state(), 'failed')
    fails = false
    const another = open({ from: at(40) })
    await done(another)
    t.equal(another.state(), 'done')
  })

  t.test('are short when they are for all, with whichever filters', async (t) => {
    const source = stocked(evenly(100), { pageCap: 5 })
    const { open } = prepared(source)
    const [forAll, own] = [open({ filter: FILTER }), open({ kind: 'own' })]
    await done(forAll, own)
    t.same([forAll.state(), own.state()], ['cut', 'done'])
    t.ok(forAll.rows().length <= 50 && forAll.rows().length >= 30, `${forAll.rows().length} rows in ten answers`)
  })

  t.test('look through ten times as many events as they give, at most', async (t) => {
    const { open } = prepared(stocked(evenly(100), { pageCap: 5, ignoresFilter: true }), { limit: 4 })
    const own = open({ filter: FILTER, kind: 'own' })
    await done(own)
    t.same([own.state(), own.rows()], ['cut', []])
    t.ok(own.reached() >= at(35) && own.reached() <= at(50))
  })

  t.test('are dropped for newer ones when they hold too much, and the one that grows is full when it is too much alone', async (t) => {
    const { open } = prepared(stocked(evenly(100)), { maxBytes: 12_000 })
    const first = open({ from: at(20) })
    await done(first)
    t.equal(first.state(), 'done')
    const second = open({ from: at(10), kind: 'own' })
    await done(second)
    t.same([first.state(), second.state()], ['forgotten', 'done'])
    const { open: openSmall } = prepared(stocked(evenly(100), { pageCap: 10 }), { maxBytes: 4000 })
    const small = openSmall()
    await done(small)
    t.equal(small.state(), 'full')
    t.ok(small.rows().length > 10 && small.rows().length < 60)
  })

  t.test('of several tenants share a bound: the tenant that holds most drops its oldest', async (t) => {
    const pool = createBytePool(5000)
    const [one, other] = [prepared(stocked(evenly(100)), { pool }), prepared(stocked(evenly(100)), { pool })]
    const first = one.open({ from: at(20) })
    await done(first)
    const second = other.open({ from: at(60) })
    await done(second)
    t.same([first.state(), second.state()], ['forgotten', 'done'])
    t.ok(pool.bytes() > 0 && pool.bytes() <= 5000)
    other.backfills.close()
    t.equal(pool.bytes(), 0)
  })

  t.test('are kept for five seconds after the last follower has left, and then dropped', async (t) => {
    const clock = createManualClock()
    const { open } = prepared(stocked(evenly(5)), { clock })
    const replay = open()
    const leaves = [replay.follow(() => {}), replay.follow(() => {})]
    await done(replay)
    leaves[0]?.()
    leaves[0]?.()
    clock.advance(10_000)
    t.equal(replay.state(), 'done', 'one follows still')
    leaves[1]?.()
    clock.advance(4900)
    t.equal(replay.state(), 'done')
    const leave = open().follow(() => {})
    clock.advance(10_000)
    t.equal(replay.state(), 'done', 'a new one has come')
    leave()
    clock.advance(5000)
    t.equal(replay.state(), 'forgotten')
  })

  t.test('go on with the next poll after an outage', async (t) => {
    hurry(t)
    let isThere = false
    const source = stocked(evenly(5), {}, () => isThere ? undefined : UNAVAILABLE)
    const { open, backfills } = prepared(source, { isUpstreamThere: () => isThere })
    const replay = open()
    await until(() => source.questions.length > 0)
    await settled()
    t.same([replay.state(), source.questions.length], ['reading', 1])
    backfills.polled()
    await settled()
    t.equal(source.questions.length, 1)
    isThere = true
    backfills.polled()
    await done(replay)
    t.same([replay.state(), replay.rows().length], ['done', 5])
  })
})
