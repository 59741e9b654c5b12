import t from 'tap'
import { createPollLoop, type Pause } from '../../../src/live/ingest/poll-loop.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const PATIENCE_MS = 60_000

/** A loop whose polls end at once, and when they began. */
function started (pauseAfter: (polls: number) => Pause) {
  const clock = createManualClock()
  const polledMs: number[] = []
  const loop = createPollLoop({
    clock,
    patienceMs: PATIENCE_MS,
    poll: async () => pauseAfter(polledMs.push(clock.monotonicMs()))
  })
  loop.start()
  loop.start()
  return { clock, loop, polledMs }
}

t.test('poll loop', async (t) => {
  t.test('a poll loop polls and pauses in turn, for the time that the poll returns', async (t) => {
    const { clock, loop, polledMs } = started((polls) => ({ waitMs: polls * 1000, isBackOff: false }))
    await clock.pass(0)
    await clock.pass(6000)
    t.same(polledMs, [0, 1000, 3000, 6000])
    await loop.stop()
    await clock.pass(60_000)
    t.same([polledMs.length, clock.waitsMs()], [4, []], 'nothing is left of it once it is stopped')
  })

  t.test('a poll loop ends a pause on wake, but not a back-off', async (t) => {
    for (const isBackOff of [false, true]) {
      const { clock, loop, polledMs } = started(() => ({ waitMs: 30_000, isBackOff }))
      await clock.pass(0)
      loop.wake(2000)
      loop.wake(3000)
      await clock.pass(30_000)
      t.same(polledMs, isBackOff ? [0, 30_000] : [0, 3000])
      await loop.stop()
    }
  })

  t.test('a poll loop is alive during any pause, and until a poll makes no progress', async (t) => {
    const { clock, loop } = started(() => ({ waitMs: 300_000, isBackOff: true }))
    await clock.pass(299_999)
    t.equal(loop.isAlive(), true)
    await loop.stop()

    const hanging = createPollLoop({ clock, patienceMs: PATIENCE_MS, poll: () => new Promise(() => {}) })
    t.equal(hanging.isAlive(), true, 'before it starts')
    hanging.start()
    await clock.pass(PATIENCE_MS)
    hanging.noteProgress()
    await clock.pass(PATIENCE_MS)
    t.equal(hanging.isAlive(), true)
    await clock.pass(1)
    t.equal(hanging.isAlive(), false)
  })
})
