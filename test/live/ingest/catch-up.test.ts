import fc from 'fast-check'
import t from 'tap'
import { formatInstant, type Instant } from '../../../src/audit/instant.ts'
import type { Failure } from '../../../src/audit/source.ts'
import { createCatchUp, type CatchUpStep } from '../../../src/live/ingest/catch-up.ts'
import { bisecting } from '../../../src/scan/bisection.ts'
import { USUAL_HABITS, createMemorySource, type MemorySource } from '../../contracts/memory-source.ts'
import { holdsAsync } from '../../contracts/property.ts'
import { evenly, numbered, sourceOf } from '../../support/past.ts'
import { at } from '../../support/timeline.ts'

const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

t.test('a catch-up read', async (t) => {
  const read = async (source: MemorySource, pageSize = 10) => {
    const catchUp = createCatchUp({
      source: bisecting(source, { skipsRows: true }),
      start: at(-60),
      pageSize,
      scanLimit: 10_000
    })
    const steps: Array<CatchUpStep | Failure> = []
    for (let next = await catchUp.next(); next !== undefined; next = await catchUp.next()) steps.push(next)
    const rows = steps.flatMap((each) => each.ok ? each.rows : [])
    return {
      steps,
      ids: rows.map(({ event }) => event.id),
      instants: rows.map(({ key }) => key.instant),
      isLong: catchUp.isLong()
    }
  }
  const isInOrder = (instants: Instant[]) =>
    instants.every((instant, i) => i === 0 || instant >= (instants[i - 1] ?? instant))

  t.test('returns everything, one upstream answer a step', async (t) => {
    const { steps, ids } = await read(sourceOf(evenly(25)))
    t.same(ids, numbered(25))
    t.ok(steps.length >= 3 && steps.every((each) => each.ok))
  })

  t.test('sorts the rows of an upstream that does not sort', async (t) => {
    for (const quirks of [{ ignoresSort: true }, { ignoresSort: true, ignoresBounds: true }]) {
      const { ids } = await read(sourceOf(evenly(45), quirks))
      t.same(ids, numbered(45))
    }
  })

  t.test('judges the order by more than the pages of one second', async (t) => {
    const { ids } = await read(sourceOf([0, ...Array.from({ length: 30 }, () => 20)], { ignoresSort: true }))
    t.same(new Set(ids), new Set(numbered(31)))
  })

  t.test('holds an unsorted second until all of it was read', async (t) => {
    const source = createMemorySource(USUAL_HABITS)
    source.keep(
      ...evenly(60).map((n) => ({
        at: at(Math.floor(n / 7)),
        item: { id: `e${n}`, timestamp: formatInstant(at(Math.floor(n / 7) + (n * 5 % 7) / 10)) }
      }))
    )
    const { ids, instants } = await read(source)
    t.same(new Set(ids), new Set(numbered(60)))
    t.equal(ids.length, 60)
    t.ok(isInOrder(instants))
  })

  t.test('keeps held rows through failures', async (t) => {
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
          const source = sourceOf(
            seconds,
            { ignoresSort },
            (reads) => failing.includes(reads) ? UNAVAILABLE : undefined
          )
          const { ids, instants, steps } = await read(source, pageSize)
          if (!isInOrder(instants)) throw new Error('out of order')
          if (new Set(ids).size !== seconds.length || ids.length !== seconds.length) {
            throw new Error(
              `${ids.length} of ${seconds.length} came`
            )
          }
          if (failing.includes(2) && steps.length > 1 && steps.every(({ ok }) => ok)) {
            throw new Error('a failure was kept silent')
          }
        }
      ),
      { numRuns: 150 }
    )
  })

  t.test('is long where one answer does not hold it, except for a few events that arrive meanwhile', async (t) => {
    t.equal((await read(sourceOf([]))).isLong, false)
    t.equal((await read(sourceOf(evenly(5)))).isLong, false)
    t.equal((await read(sourceOf(evenly(20)))).isLong, false, 'ten more')
    t.equal((await read(sourceOf(evenly(21)))).isLong, true, 'eleven more')
    t.equal((await read(sourceOf(evenly(220)), 200)).isLong, false, 'a tenth')
    t.equal((await read(sourceOf(evenly(221)), 200)).isLong, true)
  })
})
