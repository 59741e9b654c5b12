import t from 'tap'
import { LIMITS, SECOND_MS, MINUTE_MS, startWorld, askOn, longestPause, countOf } from './caller-traffic.ts'

t.test('fair queue: callers who ask for more than there is get equal shares', async (t) => {
  const minutes = 3
  for (const n of [2, 20]) {
    const callers = Object.fromEntries(Array.from({ length: n }, (_, i) => [`caller ${i}`, { everyMs: 150 + 37 * i }]))
    const world = startWorld(LIMITS, callers)
    await world.time.pass(minutes * MINUTE_MS)
    const counts = Object.keys(callers).map((key) => countOf(world, key))
    t.comment(`${n}: ${counts.join(' ')}`)
    const mean = counts.reduce((sum, each) => sum + each, 0) / n
    t.ok(counts.every((each) => each >= 0.7 * mean && each <= 1.3 * mean), `${n} callers`)
    t.ok(world.went.length + world.polls.length >= minutes * 75, 'and all that flows in is used')
  }
})

t.test('fair queue: with a short daily budget callers share the inflow, with one poll a minute', async (t) => {
  for (const everyMs of [2000, 15_000]) {
    const world = startWorld(LIMITS, { a: { everyMs: 250 } })
    await world.time.pass(30 * MINUTE_MS)
    const fromMs = world.time.nowMs()
    world.outcomes.set('b', [])
    askOn(world, 'b', { everyMs })
    await world.time.pass(60 * MINUTE_MS)
    const [a, b] = [countOf(world, 'a', fromMs), countOf(world, 'b', fromMs)]
    t.comment(`B every ${everyMs} ms: A ${a}, B ${b}, poller ${longestPause(world.polls, fromMs)} ms at most`)
    t.ok(b >= 0.4 * (a + b), 'who asks less often is not overlooked')
    t.ok(a >= 0.25 * (a + b))
    t.ok(longestPause(world.polls, fromMs) <= MINUTE_MS + 2 * SECOND_MS + 3000)
  }
})
