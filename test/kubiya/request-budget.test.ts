import fc from 'fast-check'
import t from 'tap'
import type { Purpose } from '../../src/audit/source.ts'
import { createRequestBudget } from '../../src/kubiya/request-budget.ts'
import { holds } from '../contracts/property.ts'
import { CALLER, POLLER } from '../support/purposes.ts'

const BULK: Purpose = { ...CALLER, isBulk: true }
const purpose = fc.constantFrom<Purpose>(CALLER, POLLER, BULK)
const limits = fc.record({ perMinute: fc.integer({ min: 0, max: 120 }), perDay: fc.integer({ min: 0, max: 6000 }) })
const asked = fc.array(
  fc.record({
    afterMs: fc.integer({ min: 0, max: 90_000 }),
    purpose,
    pausesMs: fc.option(fc.integer({ min: 0, max: 30_000 }), { nil: undefined })
  }),
  { maxLength: 60 }
)

t.test('request budget', async (t) => {
  t.test('waitMs returns the wait of a request, and takes nothing', async (t) => {
    holds(
      t,
      fc.property(limits, asked, (given, happenings) => {
        const [budget, untouched] = [createRequestBudget(given), createRequestBudget(given)]
        let nowMs = 1_750_000_000_000
        const least = (atMs: number) => Math.min(...budget.levels(atMs).map(({ left }) => left))
        return happenings.every(({ afterMs, pausesMs, purpose }) => {
          nowMs += afterMs
          if (pausesMs !== undefined) { for (const each of [budget, untouched]) each.pauseUntil(nowMs + pausesMs) }
          const told = [budget.waitMs(purpose, nowMs), budget.waitMs(purpose, nowMs), budget.waitMs(POLLER, nowMs)]
          const left = least(nowMs)
          const taken = budget.take(purpose, nowMs)
          return told[0] === told[1] && told[0] === taken && taken === untouched.take(purpose, nowMs) &&
            left >= least(nowMs)
        })
      }),
      { numRuns: 200 }
    )
  })

  t.test('take admits a request after the wait that it returned', async (t) => {
    holds(t, fc.property(limits, purpose, fc.integer({ min: 0, max: 2000 }), (given, purpose, count) => {
      const budget = createRequestBudget(given)
      for (let i = 0; i < count && budget.take(CALLER, 0) === 0; i++);
      return budget.take(purpose, budget.waitMs(purpose, 0)) === 0
    }), { numRuns: 100 })
  })

  t.test('scarcity is 0 for a full or disabled budget, and 1 when the poller has only the inflow', async (t) => {
    t.equal(createRequestBudget({ perMinute: 0, perDay: 0 }).scarcity(0), 0)
    const budget = createRequestBudget({ perMinute: 400, perDay: 0 })
    t.equal(budget.scarcity(0), 0)
    for (let i = 0; i < 45; i++) budget.take(POLLER, 0)
    t.equal(budget.scarcity(0), 0.5, '55 of 100 are left, 10 of which are not the poller\'s')
    while (budget.take(POLLER, 0) === 0);
    t.equal(budget.scarcity(0), 1)
    while (budget.take(CALLER, 0) === 0);
    t.equal(budget.scarcity(0), 1)
    t.equal(budget.scarcity(20_000), 0, 'five a second flow in')
  })

  t.test('scarcity follows the emptiest bucket', async (t) => {
    const budget = createRequestBudget({ perMinute: 4000, perDay: 400 })
    for (let i = 0; i < 45; i++) budget.take(POLLER, 0)
    t.equal(budget.scarcity(0), 0.5)
    t.ok(budget.scarcity(60_000) > 0.49, 'a minute fills the one of the minute, and little of that of the day')
  })

  t.test('scarcity is between 0 and 1, and falls while no request is sent', async (t) => {
    holds(t, fc.property(limits, asked, (given, happenings) => {
      const budget = createRequestBudget(given)
      let nowMs = 0
      return happenings.every(({ afterMs, purpose }) => {
        const before = budget.scarcity(nowMs)
        nowMs += afterMs
        const after = budget.scarcity(nowMs)
        budget.take(purpose, nowMs)
        return before >= after && after >= 0 && budget.scarcity(nowMs) >= after && budget.scarcity(nowMs) <= 1
      })
    }), { numRuns: 200 })
  })

  t.test('bulk work gets half of every minute, and other requests of its caller get the rest', async (t) => {
    const budget = createRequestBudget({ perMinute: 100, perDay: 0 })
    const bulkMs: number[] = []
    for (let nowMs = 0; nowMs < 300_000; nowMs += 100) if (budget.take(BULK, nowMs) === 0) bulkMs.push(nowMs)
    const inMinuteFrom = (startMs: number) => bulkMs.filter((ms) => ms >= startMs && ms < startMs + 60_000).length
    const most = Math.max(...bulkMs.map(inMinuteFrom))
    t.ok(most <= 50 && most >= 49, `${most} in a minute`)
    t.ok(bulkMs.length > 190, `${bulkMs.length} in five minutes`)
    const lastMs = bulkMs.at(-1) ?? 0
    const waitMs = budget.waitMs(BULK, lastMs)
    t.ok(waitMs > 1000, `${waitMs} ms`)
    t.equal(budget.take(CALLER, lastMs), 0)
    t.equal(budget.take(BULK, lastMs + waitMs), 0, 'after the wait it goes on')
  })

  t.test("bulk work leaves a quarter of the day's bucket to others", async (t) => {
    const budget = createRequestBudget({ perMinute: 0, perDay: 400 })
    let bulk = 0
    while (budget.take(BULK, 0) === 0) bulk++
    t.same(budget.levels(0), [{ span: 'day', left: 25, capacity: 100 }])
    t.equal(bulk, 75)
    t.equal(budget.take(CALLER, 0), 0)
    const waitMs = budget.waitMs(BULK, 0)
    t.ok(waitMs > 0)
    t.equal(budget.take(BULK, waitMs), 0)
  })
})
