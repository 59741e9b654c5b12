import t from 'tap'
import type { CallerPurpose, Failure } from '../../src/audit/source.ts'
import { createRequestBudget, type RequestBudget, type BudgetLimits } from '../../src/kubiya/request-budget.ts'
import { createFairQueue, type FairQueue } from '../../src/kubiya/fair-queue.ts'
import { createTime } from '../support/day.ts'
import { POLLER } from '../support/purposes.ts'

/*
 * What flows in of 100 a minute: 1.25 a second. A poller of 3 s takes 0.3 of it, so that 0.9 are left for callers; one
 * who asks every two seconds wants 0.5. Of 5 000 a day 2.6 a minute flow in, of which the poller has one once they are
 * short.
 */
const LIMITS = { perMinute: 100, perDay: 5000, pollMs: 3000 }
const SECOND_MS = 1000
const MINUTE_MS = 60_000
const ANSWER_MS = 200
const MOST_WAIT_MS = 5000

interface Asking {
  readonly everyMs: number
  readonly fromMs?: number
  /** How many questions come at the same time. */
  readonly atOnce?: number
  /** How many requests a question takes, one after the other. */
  readonly requests?: number
}

interface Outcome { readonly atMs: number, readonly tookMs: number, readonly kind: 'ok' | Failure['kind'] }

interface World {
  readonly time: ReturnType<typeof createTime>
  readonly budget: RequestBudget
  readonly fairQueue: FairQueue
  readonly outcomes: Map<string, Outcome[]>
  readonly polls: number[]
  readonly went: Array<{ readonly atMs: number, readonly key: string }>
}

/** Nobody waits for it here, and it does not fail. */
function unheeded (promise: Promise<unknown>): void {
  promise.catch((error: unknown) => { throw error })
}

const caller = (key: string): CallerPurpose => ({ kind: 'caller', key })

/** Callers who ask at their pace, and a poller that would poll every three seconds, in virtual time. */
function startWorld (limits: BudgetLimits, callers: Record<string, Asking>, hasPoller = true): World {
  const time = createTime()
  const budget = createRequestBudget(limits)
  const fairQueue = createFairQueue({ budget, connections: 16, clock: { now: time.nowMs, setTimer: time.setTimer } })
  const world: World = { time, budget, fairQueue, outcomes: new Map(), polls: [], went: [] }
  for (const [key, asking] of Object.entries(callers)) {
    world.outcomes.set(key, [])
    time.setTimer(() => askOn(world, key, asking), asking.fromMs ?? 0)
  }
  if (hasPoller) poll(world, limits.pollMs ?? MINUTE_MS)
  return world
}

function askOn (world: World, key: string, asking: Asking): void {
  for (let n = 0; n < (asking.atOnce ?? 1); n++) unheeded(question(world, key, asking.requests ?? 1))
  world.time.setTimer(() => askOn(world, key, asking), asking.everyMs)
}

async function question ({ outcomes, time, fairQueue, went }: World, key: string, requests: number): Promise<void> {
  const atMs = time.nowMs()
  let kind: Outcome['kind'] = 'ok'
  for (let n = 0; n < requests && kind === 'ok'; n++) {
    const turn = await fairQueue.enter(caller(key), MOST_WAIT_MS)
    if (!turn.ok) kind = turn.kind
    else {
      went.push({ atMs: time.nowMs(), key })
      await time.wait(ANSWER_MS)
      turn.leave()
    }
  }
  outcomes.get(key)?.push({ atMs, tookMs: time.nowMs() - atMs, kind })
}

function poll (world: World, pollMs: number): void {
  const { budget, polls, time } = world
  const waitMs = budget.take(POLLER, time.nowMs())
  if (waitMs === 0) polls.push(time.nowMs())
  time.setTimer(() => poll(world, pollMs), waitMs === 0 ? pollMs + ANSWER_MS : Math.max(waitMs, pollMs))
}

function goodShare (world: World, key: string): number {
  const outcomes = world.outcomes.get(key) ?? []
  return outcomes.filter(({ kind }) => kind === 'ok').length / outcomes.length
}

const longestPause = (polls: readonly number[], fromMs = 0) =>
  polls.reduce((longest, atMs, i) => atMs < fromMs ? longest : Math.max(longest, atMs - (polls[i - 1] ?? atMs)), 0)
const countOf = (world: World, key: string, fromMs = 0) =>
  world.went.filter((each) => each.key === key && each.atMs >= fromMs).length

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

t.test('fair queue: a later caller gets requests, also behind several others', async (t) => {
  const world = startWorld(LIMITS, { a: { everyMs: 100 }, c: { everyMs: 100 }, b: { everyMs: 2000, fromMs: 30_000 } })
  await world.time.pass(30_000 + 20 * SECOND_MS)
  t.equal(goodShare(world, 'b'), 1)
  t.ok((world.outcomes.get('b') ?? []).slice(0, 2).every(({ tookMs }) => tookMs < 2 * SECOND_MS), 'at once, nearly')
})

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
