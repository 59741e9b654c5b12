import fc from 'fast-check'
import t from 'tap'
import { holdsAsync } from '../contracts/property.ts'
import type { Substitutes } from '../oracle/composition.ts'
import { anyCalmSchedule, anySchedule, type Schedule } from '../oracle/schedule.ts'
import { withCliKey, withLateJoin, withOnePage } from '../oracle/substitutes.ts'
import { runTrial } from '../oracle/trial.ts'
import type { Fault } from '../oracle/verdict.ts'

// The same trials again: `ORACLE_SEED=…`; others: another seed, more of them: `ORACLE_RUNS=…`; one of them, made
// smaller: `ORACLE_PATH=…`.
const seed = Number(process.env.ORACLE_SEED ?? 1)
const numRuns = Number(process.env.ORACLE_RUNS ?? 6)
const path = process.env.ORACLE_PATH
const MOST_SHOWN = 10
const PATIENCE_MS = 4000 // A replay that failed may wait as long before it is tried again.
const CALM_PATIENCE_MS = 500
const MOST_CONTROLS = 10
const ROOMY_PAGE = 1000
const SMALL_PAGE = 20

/** The verdict on a trial, as an error where it is not clean. */
async function tried (schedule: Schedule, patienceMs: number, substitutes: Substitutes = {}): Promise<Set<Fault>> {
  const { violations } = await runTrial(schedule, { patienceMs, substitutes })
  const faults = new Set(violations.map(({ fault }) => fault))
  if (faults.size === 0) return faults
  const shown = violations.slice(0, MOST_SHOWN).map(({ fault, what, who }) => `${fault}: ${who}: ${what}`)
  throw new Error([`${violations.length} violations`, ...shown].join('\n'), { cause: faults })
}

t.test('the oracle: every subscriber receives everything once, in order, or a gap', async (t) => {
  t.comment(`ORACLE_SEED=${seed} ORACLE_RUNS=${numRuns}`)
  const options = path === undefined ? { seed, numRuns, endOnFailure: true } : { seed, numRuns: 1, path }
  await holdsAsync(
    t,
    fc.asyncProperty(anySchedule, async (schedule) => {
      await tried(schedule, PATIENCE_MS)
    }),
    options
  )
})

t.test('the oracle finds lost events in a service without a part of it:', async (t) => {
  const controls: Array<[what: string, substitutes: Substitutes, pageCap: number]> = [
    ['the overlap', { latenessMs: 0 }, ROOMY_PAGE],
    ['all of an event\'s identity but the CLI\'s key', { source: withCliKey }, ROOMY_PAGE],
    ['every page but the first', { source: withOnePage }, SMALL_PAGE],
    ['the synchrony of joining', { hub: withLateJoin(20) }, ROOMY_PAGE]
  ]
  for (const [what, substitutes, pageCap] of controls) {
    t.test(what, async (t) => {
      const property = fc.asyncProperty(anyCalmSchedule(pageCap), async (schedule) => {
        await tried(schedule, CALM_PATIENCE_MS, substitutes)
      })
      const { errorInstance, failed, numRuns: runs } = await fc.check(property, {
        seed,
        numRuns: MOST_CONTROLS,
        endOnFailure: true
      })
      t.comment(`failed in run ${runs}`)
      t.ok(failed, 'does not hold')
      t.ok(
        errorInstance instanceof Error && errorInstance.cause instanceof Set && errorInstance.cause.has('lost'),
        'because events are lost'
      )
    })
  }

  const nothing: typeof controls = [
    ['nothing', {}, ROOMY_PAGE],
    ['nothing, in small pages', {}, SMALL_PAGE],
    ['nothing, by the hub that joins late', { hub: withLateJoin(undefined) }, ROOMY_PAGE]
  ]
  for (const [what, substitutes, pageCap] of nothing) {
    t.test(`${what}: the oracle finds no loss`, async (t) => {
      await holdsAsync(t, fc.asyncProperty(anyCalmSchedule(pageCap), async (schedule) => {
        await tried(schedule, CALM_PATIENCE_MS, substitutes)
      }), { seed, numRuns: 1, endOnFailure: true })
    })
  }
})
