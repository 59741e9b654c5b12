import type { Clock } from '../clock.ts'

/** Bounds on the work that credentials cause. */
export interface CheckQueueLimits {
  /** Most checks at a time. */
  readonly maxRunning: number
  /** Most of these for addresses that are not proven. */
  readonly maxUnproven: number
  /** Most checks of one address at a time. */
  readonly maxPerAddress: number
  /** Most checks of one address that wait. */
  readonly maxWaitingPerAddress: number
  /** Most checks that wait in all. */
  readonly maxWaiting: number
  /** The longest wait of a check, milliseconds. */
  readonly maxWaitMs: number
}

/** The usual bounds. A queue replaces those that differ. */
export const USUAL_LIMITS: CheckQueueLimits = {
  maxRunning: 64,
  maxUnproven: 48,
  maxPerAddress: 8,
  maxWaitingPerAddress: 256,
  maxWaiting: 4096,
  maxWaitMs: 5000
}

/** Runs checks in turns between addresses, so that one address cannot use up the capacity of all. */
export interface CheckQueue {
  /**
   * Runs a check in its turn. `'busy'`: the queue is full, or the check waited too long. Proven addresses are served
   * first.
   */
  run<T> (address: string, isProven: boolean, check: () => Promise<T>): Promise<T | 'busy'>
  /** Checks that are running. */
  size (): number
}

interface Waiting {
  readonly start: () => void
  readonly cancelTimer: () => void
}

interface Lane {
  readonly address: string
  running: number
  readonly waiting: Set<Waiting>
}

export function createCheckQueue (limits: CheckQueueLimits, clock: Pick<Clock, 'setTimer'>): CheckQueue {
  const lanes = new Map<string, Lane>()
  // Lanes with a check that waits. The first lane of a set has the next turn.
  const turns = { proven: new Set<Lane>(), unproven: new Set<Lane>() }
  let running = 0
  let unproven = 0
  let waiting = 0
  return { run, size: () => running }

  async function run<T> (address: string, isProven: boolean, check: () => Promise<T>): Promise<T | 'busy'> {
    const lane = lanes.get(address) ?? { address, running: 0, waiting: new Set() }
    if (!mayStart(lane, isProven)) {
      if (waiting >= limits.maxWaiting || lane.waiting.size >= limits.maxWaitingPerAddress) return 'busy'
      if (await turnOf(lane, isProven) === 'busy') return 'busy'
    } else {
      enter(lane, isProven)
    }
    try {
      return await check()
    } finally {
      leave(lane, isProven)
    }
  }

  function mayStart (lane: Lane, isProven: boolean): boolean {
    return running < limits.maxRunning && (isProven || unproven < limits.maxUnproven) &&
      lane.running < limits.maxPerAddress
  }

  function enter (lane: Lane, isProven: boolean): void {
    lanes.set(lane.address, lane)
    lane.running++
    running++
    if (!isProven) unproven++
  }

  function leave (lane: Lane, isProven: boolean): void {
    lane.running--
    running--
    if (!isProven) unproven--
    if (lane.running === 0 && lane.waiting.size === 0) lanes.delete(lane.address)
    for (let next = nextLane(); next !== undefined; next = nextLane()) startFirstOf(next)
  }

  /** Resolves when the check has its turn. The check counts as running from then on. */
  function turnOf (lane: Lane, isProven: boolean): Promise<'started' | 'busy'> {
    lanes.set(lane.address, lane)
    turns[isProven ? 'proven' : 'unproven'].add(lane)
    waiting++
    return new Promise((resolve) => {
      const entry: Waiting = {
        cancelTimer: clock.setTimer(() => {
          remove(lane, entry)
          resolve('busy')
        }, limits.maxWaitMs),
        start () {
          remove(lane, entry)
          enter(lane, isProven)
          resolve('started')
        }
      }
      lane.waiting.add(entry)
    })
  }

  function remove (lane: Lane, entry: Waiting): void {
    entry.cancelTimer()
    lane.waiting.delete(entry)
    waiting--
    if (lane.waiting.size > 0) return
    turns.proven.delete(lane)
    turns.unproven.delete(lane)
    if (lane.running === 0) lanes.delete(lane.address)
  }

  function nextLane (): Lane | undefined {
    if (running >= limits.maxRunning) return undefined
    for (const lane of turns.proven) if (mayStart(lane, true)) return lane
    if (unproven >= limits.maxUnproven) return undefined
    for (const lane of turns.unproven) if (mayStart(lane, false)) return lane
    return undefined
  }

  /** Starts the lane's oldest check. The lane's next check has its turn after all other lanes. */
  function startFirstOf (lane: Lane): void {
    const [entry] = lane.waiting
    if (entry === undefined) return
    for (const lanesOfKind of [turns.proven, turns.unproven]) if (lanesOfKind.delete(lane)) lanesOfKind.add(lane)
    entry.start()
  }
}
