import type { CallerPurpose, Failure } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { RequestBudget } from './request-budget.ts'

export interface FairQueueOptions {
  readonly budget: RequestBudget
  /** Most requests of callers at a time. */
  readonly connections: number
  readonly clock: Pick<Clock, 'now' | 'setTimer'>
}

/** A caller's turn: one request may go out. `leave` frees the connection after the request. */
export interface Turn {
  readonly ok: true
  leave (): void
}

/** Lets callers' requests out in turns, as the budget and the connections allow. */
export interface FairQueue {
  /** Waits for the caller's turn, until `maxWaitMs` have passed or the caller has disconnected. */
  enter (caller: CallerPurpose, maxWaitMs: number): Promise<Turn | Failure>
  /** Rejects all waiting requests. */
  close (): void
}

interface Waiting {
  readonly caller: CallerPurpose
  readonly endMs: number
  readonly resolve: (outcome: Turn | Failure) => void
}

const OWN_CONNECTIONS_SHARE = 0.25
const MAX_WAITING = 256
const MAX_WAITING_PER_CALLER = 16
const MAX_CANDIDATES = 8
const CHECK_EVERY_MS = 250 // A turn may come sooner than expected, when other callers leave.
const LEAST_RETRY_MS = 1000

/**
 * Each caller has a line of its own, and callers take turns: the one that took least comes first. While others wait, a
 * caller has at most a quarter of the connections; alone, as many as it leaves free. A full queue rejects the last
 * request of the longest line.
 */
export function createFairQueue ({ budget, clock, connections }: FairQueueOptions): FairQueue {
  const lines = new Map<string, Waiting[]>()
  const running = new Map<string, number>()
  let runningTotal = 0
  let waitingTotal = 0
  let cancelTimer = () => {}
  return { enter, close }

  async function enter (caller: CallerPurpose, maxWaitMs: number): Promise<Turn | Failure> {
    const { key, signal } = caller
    const nowMs = clock.now()
    budget.asks(key, nowMs)
    const ownMs = budget.ownWaitMs(key, nowMs)
    if (ownMs > 0) return { ok: false, kind: 'share', retryAfterMs: Math.ceil(ownMs) }
    // In the line, bulk work would delay the other requests of its caller.
    const isTooEarly = caller.isBulk === true && budget.waitMs(caller, nowMs) > 0
    if (signal?.aborted === true || isTooEarly || budget.leastWaitMs(nowMs) > maxWaitMs || !hasRoom(key)) {
      return rejection(caller)
    }
    return new Promise((resolve) => {
      const waiting: Waiting = { caller, endMs: nowMs + maxWaitMs, resolve: settle }
      const leave = () => { reject(waiting) }
      signal?.addEventListener('abort', leave, { once: true })
      lines.set(key, [...lines.get(key) ?? [], waiting])
      waitingTotal++
      advance()

      function settle (outcome: Turn | Failure): void {
        signal?.removeEventListener('abort', leave)
        resolve(outcome)
      }
    })
  }

  function close (): void {
    cancelTimer()
    for (const waiting of [...lines.values()].flat()) reject(waiting)
  }

  /** Whether one more request of this caller may wait. A longer line than its own gives way. */
  function hasRoom (key: string): boolean {
    const own = lines.get(key)?.length ?? 0
    if (own >= MAX_WAITING_PER_CALLER) return false
    if (waitingTotal < MAX_WAITING) return true
    const longest = [...lines.values()].reduce((a, b) => b.length > a.length ? b : a)
    const last = longest.at(-1)
    if (last === undefined || longest.length <= own + 1) return false
    reject(last)
    return true
  }

  /** Rejects expired requests, starts those that may start, and sets the timer for the next check. */
  function advance (): void {
    cancelTimer()
    const nowMs = clock.now()
    for (const waiting of [...lines.values()].flat()) if (waiting.endMs <= nowMs) reject(waiting)
    while (startNext(nowMs));
    if (waitingTotal === 0) return
    const endMs = Math.min(...[...lines.values()].map(([first]) => first?.endMs ?? Infinity))
    cancelTimer = clock.setTimer(advance, Math.max(1, Math.min(CHECK_EVERY_MS, endMs - nowMs)))
  }

  function startNext (nowMs: number): boolean {
    const ready = [...lines.keys()].filter(hasConnection)
    for (const key of budget.order(ready, nowMs).slice(0, MAX_CANDIDATES)) {
      const [first] = lines.get(key) ?? []
      if (first === undefined) continue
      const ownMs = budget.ownWaitMs(key, nowMs)
      if (ownMs > 0) {
        remove(first)
        first.resolve({ ok: false, kind: 'share', retryAfterMs: Math.ceil(ownMs) })
        return true
      }
      if (budget.take(first.caller, nowMs) > 0) continue
      remove(first)
      first.resolve(turnOf(key))
      return true
    }
    return false
  }

  function hasConnection (key: string): boolean {
    const own = running.get(key) ?? 0
    const free = connections - runningTotal
    const share = Math.max(1, Math.floor(connections * OWN_CONNECTIONS_SHARE))
    return free > 0 && (own < share || (lines.size === 1 && own < free))
  }

  function turnOf (key: string): Turn {
    running.set(key, (running.get(key) ?? 0) + 1)
    runningTotal++
    let isRunning = true
    return { ok: true, leave }

    function leave (): void {
      if (!isRunning) return
      isRunning = false
      runningTotal--
      const left = (running.get(key) ?? 1) - 1
      if (left === 0) running.delete(key)
      else running.set(key, left)
      advance()
    }
  }

  function reject (waiting: Waiting): void {
    if (remove(waiting)) waiting.resolve(rejection(waiting.caller))
  }

  function remove (waiting: Waiting): boolean {
    const { key } = waiting.caller
    const line = lines.get(key) ?? []
    if (!line.includes(waiting)) return false
    const rest = line.filter((each) => each !== waiting)
    if (rest.length === 0) lines.delete(key)
    else lines.set(key, rest)
    waitingTotal--
    return true
  }

  function rejection (caller: CallerPurpose): Failure {
    const waitMs = budget.waitMs(caller, clock.now())
    return { ok: false, kind: 'budget', retryAfterMs: waitMs > 0 ? waitMs : LEAST_RETRY_MS }
  }
}
