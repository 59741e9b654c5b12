import type { CallerPurpose, Failure } from '../audit/source.ts'
import type { RequestBudget } from './request-budget.ts'

export interface FairQueueOptions {
  readonly budget: RequestBudget
  /** Most requests of callers under way. */
  readonly places: number
  /** Wall clock, milliseconds since 1970: the budget's. */
  readonly clock: () => number
  /** Calls back after a time, unless the function that it gives is called before. */
  readonly setTimer: (callback: () => void, waitMs: number) => () => void
}

/** A caller's turn: a request may go out. `leave` gives the place back, once it has ended. */
export interface Turn {
  readonly ok: true
  leave (): void
}

/** Lets callers' requests out, one caller after the other, as budget and connections permit. */
export interface FairQueue {
  /** Waits for the caller's turn, at most so long and as long as the caller is there. */
  enter (caller: CallerPurpose, mostWaitMs: number): Promise<Turn | Failure>
  /** Turns all away who wait. */
  close (): void
}

interface Waiting {
  readonly caller: CallerPurpose
  readonly endMs: number
  readonly answer: (outcome: Turn | Failure) => void
}

const OWN_PLACES_SHARE = 0.25
const MOST_WAITING = 256
const MOST_WAITING_OF_ONE = 16
const MOST_LOOKED_AT = 8
const LOOK_EVERY_MS = 250 // A turn may come sooner than was reckoned, when others leave.
const LEAST_RETRY_MS = 1000

/**
 * A caller's requests wait in its own line, and callers take turns: first who had least. While others wait, one has at
 * most a quarter of the places; alone, as many as it leaves free. A full house turns away the last of the longest line.
 */
export function createFairQueue ({ budget, clock, places, setTimer }: FairQueueOptions): FairQueue {
  const lines = new Map<string, Waiting[]>()
  const inside = new Map<string, number>()
  let insideInAll = 0
  let waitingInAll = 0
  let cancelLook = () => {}
  return { enter, close }

  async function enter (caller: CallerPurpose, mostWaitMs: number): Promise<Turn | Failure> {
    const { key, signal } = caller
    const nowMs = clock()
    budget.asks(key, nowMs)
    const ownMs = budget.ownWaitMs(key, nowMs)
    if (ownMs > 0) return { ok: false, kind: 'share', retryAfterMs: Math.ceil(ownMs) }
    if (signal?.aborted === true || budget.leastWaitMs(nowMs) > mostWaitMs || !hasRoom(key)) return refusal(key)
    return new Promise((resolve) => {
      const waiting: Waiting = { caller, endMs: nowMs + mostWaitMs, answer }
      const leave = () => { dismiss(waiting) }
      signal?.addEventListener('abort', leave, { once: true })
      lines.set(key, [...lines.get(key) ?? [], waiting])
      waitingInAll++
      look()

      function answer (outcome: Turn | Failure): void {
        signal?.removeEventListener('abort', leave)
        resolve(outcome)
      }
    })
  }

  function close (): void {
    for (const waiting of [...lines.values()].flat()) dismiss(waiting)
  }

  function hasRoom (key: string): boolean {
    const own = lines.get(key)?.length ?? 0
    if (own >= MOST_WAITING_OF_ONE) return false
    if (waitingInAll < MOST_WAITING) return true
    const longest = [...lines.values()].reduce((a, b) => b.length > a.length ? b : a)
    const last = longest.at(-1)
    if (last === undefined || longest.length <= own + 1) return false
    dismiss(last)
    return true
  }

  function look (): void {
    cancelLook()
    const nowMs = clock()
    for (const waiting of [...lines.values()].flat()) if (waiting.endMs <= nowMs) dismiss(waiting)
    while (letOneIn(nowMs));
    if (waitingInAll === 0) return
    const endMs = Math.min(...[...lines.values()].map(([first]) => first?.endMs ?? Infinity))
    cancelLook = setTimer(look, Math.max(1, Math.min(LOOK_EVERY_MS, endMs - nowMs)))
  }

  function letOneIn (nowMs: number): boolean {
    const ready = [...lines.keys()].filter(hasPlace)
    for (const key of budget.order(ready, nowMs).slice(0, MOST_LOOKED_AT)) {
      const [first] = lines.get(key) ?? []
      if (first === undefined) continue
      const ownMs = budget.ownWaitMs(key, nowMs)
      if (ownMs > 0) {
        remove(first)
        first.answer({ ok: false, kind: 'share', retryAfterMs: Math.ceil(ownMs) })
        return true
      }
      if (budget.take(first.caller, nowMs) > 0) continue
      remove(first)
      first.answer(turnOf(key))
      return true
    }
    return false
  }

  function hasPlace (key: string): boolean {
    const own = inside.get(key) ?? 0
    const free = places - insideInAll
    return free > 0 && (own < Math.max(1, Math.floor(places * OWN_PLACES_SHARE)) || (lines.size === 1 && own < free))
  }

  function turnOf (key: string): Turn {
    inside.set(key, (inside.get(key) ?? 0) + 1)
    insideInAll++
    let isInside = true
    return { ok: true, leave }

    function leave (): void {
      if (!isInside) return
      isInside = false
      insideInAll--
      const left = (inside.get(key) ?? 1) - 1
      if (left === 0) inside.delete(key)
      else inside.set(key, left)
      look()
    }
  }

  function dismiss (waiting: Waiting): void {
    if (remove(waiting)) waiting.answer(refusal(waiting.caller.key))
  }

  function remove (waiting: Waiting): boolean {
    const { key } = waiting.caller
    const line = lines.get(key) ?? []
    if (!line.includes(waiting)) return false
    const rest = line.filter((each) => each !== waiting)
    if (rest.length === 0) lines.delete(key)
    else lines.set(key, rest)
    waitingInAll--
    return true
  }

  function refusal (key: string): Failure {
    const waitMs = budget.waitMs({ kind: 'caller', key }, clock())
    return { ok: false, kind: 'budget', retryAfterMs: waitMs > 0 ? waitMs : LEAST_RETRY_MS }
  }
}
