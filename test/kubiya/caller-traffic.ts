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
export const LIMITS = { perMinute: 100, perDay: 5000, pollMs: 3000 }
export const SECOND_MS = 1000
export const MINUTE_MS = 60_000
export const ANSWER_MS = 200
export const MOST_WAIT_MS = 5000

export interface Asking {
  readonly everyMs: number
  readonly fromMs?: number
  /** How many questions come at the same time. */
  readonly atOnce?: number
  /** How many requests a question takes, one after the other. */
  readonly requests?: number
}

export interface Outcome { readonly atMs: number, readonly tookMs: number, readonly kind: 'ok' | Failure['kind'] }

export interface World {
  readonly time: ReturnType<typeof createTime>
  readonly budget: RequestBudget
  readonly fairQueue: FairQueue
  readonly outcomes: Map<string, Outcome[]>
  readonly polls: number[]
  readonly went: Array<{ readonly atMs: number, readonly key: string }>
}

/** Nobody waits for it here, and it does not fail. */
export function unheeded (promise: Promise<unknown>): void {
  promise.catch((error: unknown) => { throw error })
}

export const caller = (key: string): CallerPurpose => ({ kind: 'caller', key })

/** Callers who ask at their pace, and a poller that would poll every three seconds, in virtual time. */
export function startWorld (limits: BudgetLimits, callers: Record<string, Asking>, hasPoller = true): World {
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

export function askOn (world: World, key: string, asking: Asking): void {
  for (let n = 0; n < (asking.atOnce ?? 1); n++) unheeded(question(world, key, asking.requests ?? 1))
  world.time.setTimer(() => askOn(world, key, asking), asking.everyMs)
}

export async function question ({ outcomes, time, fairQueue, went }: World, key: string, requests: number): Promise<void> {
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

export function poll (world: World, pollMs: number): void {
  const { budget, polls, time } = world
  const waitMs = budget.take(POLLER, time.nowMs())
  if (waitMs === 0) polls.push(time.nowMs())
  time.setTimer(() => poll(world, pollMs), waitMs === 0 ? pollMs + ANSWER_MS : Math.max(waitMs, pollMs))
}

export const longestPause = (polls: readonly number[], fromMs = 0) =>
  polls.reduce((longest, atMs, i) => atMs < fromMs ? longest : Math.max(longest, atMs - (polls[i - 1] ?? atMs)), 0)

export const countOf = (world: World, key: string, fromMs = 0) =>
  world.went.filter((each) => each.key === key && each.atMs >= fromMs).length
