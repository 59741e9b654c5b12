import t from 'tap'
import {
  askOn,
  countOf,
  LIMITS,
  longestPause,
  MINUTE_MS,
  SECOND_MS,
  startWorld,
  type World
} from './caller-traffic.ts'

function goodShare (world: World, key: string): number {
  const outcomes = world.outcomes.get(key) ?? []
  return outcomes.filter(({ kind }) => kind === 'ok').length / outcomes.length
}

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

t.test('fair queue: a caller within its limits does not take Kubiya away from another', async (t) => {
  for (const [name, asking] of Object.entries({
    'four windows a second': { everyMs: 250 },
    'unknown ids, four a second': { everyMs: 250, requests: 4 },
    'forty windows at once, every ten seconds': { everyMs: 10_000, atOnce: 40 },
    'a hundred a second': { everyMs: 10 }
  })) {
    const world = startWorld(LIMITS, { a: asking, b: { everyMs: 2000 } })
    await world.time.pass(5 * MINUTE_MS)
    t.comment(
      `${name}: B ${goodShare(world, 'b').toFixed(2)}, B went ${countOf(world, 'b')}, A ${
        countOf(world, 'a')
      }, poller ${longestPause(world.polls)} ms at most`
    )
    t.ok(goodShare(world, 'b') >= 0.9, name)
    t.ok(longestPause(world.polls) <= 2 * 3000, 'events come as ever')
  }
})
