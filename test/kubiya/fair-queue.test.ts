import t from 'tap'
import { caller, countOf, LIMITS, MINUTE_MS, SECOND_MS, startWorld, unheeded, type World } from './caller-traffic.ts'

function goodShare (world: World, key: string): number {
  const outcomes = world.outcomes.get(key) ?? []
  return outcomes.filter(({ kind }) => kind === 'ok').length / outcomes.length
}

t.test('fair queue: a later caller gets requests, also behind several others', async (t) => {
  const world = startWorld(LIMITS, { a: { everyMs: 100 }, c: { everyMs: 100 }, b: { everyMs: 2000, fromMs: 30_000 } })
  await world.time.pass(30_000 + 20 * SECOND_MS)
  t.equal(goodShare(world, 'b'), 1)
  t.ok((world.outcomes.get('b') ?? []).slice(0, 2).every(({ tookMs }) => tookMs < 2 * SECOND_MS), 'at once, nearly')
})

t.test('fair queue: a single caller gets the whole inflow, and leaves half of a bucket', async (t) => {
  const world = startWorld(LIMITS, { a: { everyMs: 50 } }, false)
  await world.time.pass(SECOND_MS)
  const [{ left } = { left: NaN }] = world.budget.levels(world.time.nowMs())
  t.ok(left >= 12 && left <= 14, `${left} of 25 are left`)
  await world.time.pass(10 * MINUTE_MS)
  t.ok(countOf(world, 'a') >= 12 + 10 * 75 - 5, `${countOf(world, 'a')} in ten minutes`)
})

t.test('fair queue: other callers get what a caller does not use', async (t) => {
  const world = startWorld(LIMITS, { a: { everyMs: 100 }, b: { everyMs: 20 * SECOND_MS } })
  await world.time.pass(10 * MINUTE_MS)
  t.equal(goodShare(world, 'b'), 1)
  t.ok(countOf(world, 'a') + countOf(world, 'b') + world.polls.length >= 10 * 75)
})

t.test("fair queue: a caller's own limit is a 429 for that caller only", async (t) => {
  const world = startWorld({ perMinute: 0, perDay: 0, perCaller: 30 }, { a: { everyMs: 250 }, b: { everyMs: 4000 } })
  await world.time.pass(5 * MINUTE_MS)
  t.equal(goodShare(world, 'b'), 1)
  const kinds = new Set((world.outcomes.get('a') ?? []).map(({ kind }) => kind))
  t.same([...kinds].sort(), ['ok', 'share'])
  t.ok(countOf(world, 'a') >= 30 * 5 && countOf(world, 'a') <= 30 * 6, `${countOf(world, 'a')} in five minutes`)
})

t.test('fair queue', async (t) => {
  t.test('fair queue: a caller that disconnects leaves the queue without cost', async (t) => {
    const world = startWorld({ perMinute: 4, perDay: 0 }, {}, false)
    const { time, fairQueue } = world
    t.ok((await fairQueue.enter(caller('a'), 60_000)).ok)
    const gone = new AbortController()
    const [first, second] = [
      fairQueue.enter({ ...caller('a'), signal: gone.signal }, 60_000),
      fairQueue.enter(caller('a'), 60_000)
    ]
    gone.abort()
    t.match(await first, { ok: false, kind: 'budget' })
    await time.pass(21_000) // Three a minute flow in.
    t.match(await second, { ok: true }, 'the next one has the turn')
    t.match(
      await fairQueue.enter({ ...caller('a'), signal: gone.signal }, 60_000),
      { ok: false },
      'who has gone before does not wait at all'
    )
  })

  t.test('fair queue: length and wait are bounded, for one caller and for all', async (t) => {
    const { time, fairQueue } = startWorld({ perMinute: 4, perDay: 0 }, {}, false)
    const outcomes = { a: 0, b: 0 }
    const ask = (key: 'a' | 'b') =>
      fairQueue.enter(caller(key), 30_000).then((turn) => {
        if (!turn.ok) outcomes[key]++
      })
    for (let n = 0; n < 100; n++) unheeded(ask('a'))
    await time.pass(0)
    t.ok(outcomes.a >= 80, 'most are turned away at once')
    for (let n = 0; n < 10; n++) unheeded(ask('b'))
    await time.pass(0)
    t.equal(outcomes.b, 0)
    await time.pass(31_000)
    t.ok(outcomes.a + outcomes.b >= 105, 'the rest in time')
    const many = startWorld({ perMinute: 4, perDay: 0 }, {}, false)
    for (let n = 0; n < 1000; n++) unheeded(many.fairQueue.enter(caller(`caller ${n % 30}`), 30_000))
    let isIn = true
    unheeded(many.fairQueue.enter(caller('late'), 30_000).then(() => { isIn = false }))
    await many.time.pass(0)
    t.ok(isIn, 'a full house turns away the last of the longest line')
  })

  t.test('fair queue: slow answers of one caller hold a quarter of the connections, alone half', async (t) => {
    const { time, fairQueue } = startWorld({ perMinute: 0, perDay: 0 }, {}, false)
    let inside = 0
    for (let n = 0; n < 16; n++) {
      unheeded(
        fairQueue.enter(caller('a'), 60_000).then((turn) => {
          if (turn.ok) inside++
        })
      )
    }
    await time.pass(0)
    t.equal(inside, 8)
    let others = 0
    for (let n = 0; n < 8; n++) unheeded(fairQueue.enter(caller('b'), 60_000).then((turn) => { if (turn.ok) others++ }))
    await time.pass(0)
    t.equal(others, 4)
    t.equal(inside, 8)
    t.match(await fairQueue.enter(caller('c'), 60_000), { ok: true }, 'there is room for a third')
  })

  t.test('fair queue: bulk work does not wait in front of other requests of its caller', async (t) => {
    const { budget, fairQueue } = startWorld({ perMinute: 100, perDay: 0 }, {}, false)
    const bulk = { ...caller('a'), isBulk: true }
    while (budget.take(bulk, 0) === 0);
    const refused = await fairQueue.enter(bulk, 60_000)
    t.match(refused, { ok: false, kind: 'budget' })
    t.ok(!refused.ok && (refused.retryAfterMs ?? 0) > 500, 'with the wait of bulk work')
    t.match(await fairQueue.enter(caller('a'), 60_000), { ok: true })
  })
})
