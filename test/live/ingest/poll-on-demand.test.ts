import t from 'tap'
import type { Failure } from '../../../src/audit/source.ts'
import type { PollPhase } from '../../../src/live/ingest/poll-loop.ts'
import { createPollsOnDemand } from '../../../src/live/ingest/poll-on-demand.ts'
import type { CompletedReads } from '../../../src/live/ingest/upstream-reader.ts'
import { createManualClock } from '../../support/manual-clock.ts'

const TIMEOUT_MS = 10_000
const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }

/** Polls on demand over a loop and reads that a test scripts. */
function scripted () {
  const clock = createManualClock()
  const script = { phase: 'pausing' as PollPhase, heldBackMs: 0, polls: 0 }
  let reads: CompletedReads = { last: undefined, lastFull: undefined }
  const demands = createPollsOnDemand({
    loop: {
      phase: () => script.phase,
      pollNow () {
        if (script.phase === 'pausing') script.polls++
        script.phase = 'polling'
      }
    },
    completed: () => reads,
    heldBackMs: () => script.heldBackMs,
    timeoutMs: TIMEOUT_MS,
    clock
  })
  return { clock, demands, script, completed }

  /** A read that began at `startedMs` has ended well. */
  function completed (startedMs: number, isFull = false): boolean {
    const last = { startedMs, start: 0n }
    reads = { last, lastFull: isFull ? last : reads.lastFull }
    return demands.pollEnded(undefined)
  }
}

t.test('polls on demand', async (t) => {
  t.test('a demand that the last read meets needs no poll', async (t) => {
    const { completed, demands, script } = scripted()
    completed(100)
    t.same(await demands.request({ sinceMs: 100 }), { kind: 'met' })
    t.equal(script.polls, 0)
  })

  t.test('two hundred demands share one poll', async (t) => {
    const { completed, demands, script } = scripted()
    const results = Array.from({ length: 200 }, (_, n) => demands.request({ sinceMs: n }))
    t.equal(script.polls, 1)
    t.equal(completed(200), false)
    t.ok((await Promise.all(results)).every(({ kind }) => kind === 'met'))
  })

  t.test('a poll under way that began early enough counts, an older one is followed by one more', async (t) => {
    const { completed, demands, script } = scripted()
    script.phase = 'polling'
    const [early, late] = [demands.request({ sinceMs: 50 }), demands.request({ sinceMs: 150 })]
    t.equal(completed(100), true, 'a further poll follows at once')
    t.same(await early, { kind: 'met' })
    t.equal(completed(160), false)
    t.same(await late, { kind: 'met' })
    t.equal(script.polls, 0, 'the poll under way was not begun by them')
  })

  t.test('a demand for a whole read makes the next read a whole one', async (t) => {
    const { completed, demands } = scripted()
    completed(90)
    const result = demands.request({ sinceMs: 50, fullSinceMs: 60 })
    t.equal(demands.isFullRequired(), true)
    t.equal(completed(100), true, 'a read of the last seconds is not enough')
    completed(110, true)
    t.same(await result, { kind: 'met' })
    t.equal(demands.isFullRequired(), false)
  })

  t.test('a short budget holds a demand back, but not while a poll is under way', async (t) => {
    const { completed, demands, script } = scripted()
    script.heldBackMs = 1
    t.same(await demands.request({ sinceMs: 0 }), { kind: 'held-back' })
    t.equal(script.polls, 0)
    script.phase = 'polling'
    const [met, older] = [demands.request({ sinceMs: 0 }), demands.request({ sinceMs: 150 })]
    completed(100)
    t.same([await met, await older], [{ kind: 'met' }, { kind: 'held-back' }])
  })

  t.test('a failed poll fails all that wait, and those that ask during its back-off', async (t) => {
    const { demands, script } = scripted()
    const results = [demands.request({ sinceMs: 0 }), demands.request({ sinceMs: 1 })]
    demands.pollEnded(UNAVAILABLE)
    script.phase = 'backing-off'
    results.push(demands.request({ sinceMs: 2 }))
    t.same(await Promise.all(results), Array(3).fill({ kind: 'failed', failure: UNAVAILABLE }))
    t.equal(script.polls, 1)
  })

  t.test('a spent budget is no failure', async (t) => {
    const { demands } = scripted()
    const result = demands.request({ sinceMs: 0 })
    demands.pollEnded({ ok: false, kind: 'budget' })
    t.same(await result, { kind: 'held-back' })
  })

  t.test('a demand waits for a poll no longer than its timeout', async (t) => {
    const { clock, demands } = scripted()
    const result = demands.request({ sinceMs: 0 })
    clock.advance(TIMEOUT_MS)
    t.same(await result, { kind: 'failed', failure: { ok: false, kind: 'timeout' } })
    t.equal(demands.isFullRequired(), false)
    t.same(clock.waitsMs(), [])
  })

  t.test('a poller that has stopped answers at once', async (t) => {
    const { demands, script } = scripted()
    const waiting = demands.request({ sinceMs: 0 })
    script.phase = 'idle'
    demands.pollEnded(undefined)
    t.same([await waiting, await demands.request({ sinceMs: 0 })], [{ kind: 'stopped' }, { kind: 'stopped' }])
  })
})
