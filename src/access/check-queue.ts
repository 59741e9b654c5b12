/** Bounds on work that credentials cause. */
export interface CheckQueueOptions {
  /** Most tasks under way at a time. */
  readonly mostUnderWay: number
  /** Most of those for addresses that are not proven. */
  readonly mostUnproven: number
  /** Most tasks under way for one address. */
  readonly mostPerAddress: number
  /** Most tasks that wait for one address. */
  readonly mostWaitingPerAddress: number
  /** Most tasks that wait in all. */
  readonly mostWaiting: number
  /** How long a task waits for its turn, milliseconds. */
  readonly patienceMs: number
}

/** Runs tasks in turns between addresses, so that one address cannot use up what is there for all. */
export interface CheckQueue {
  /** `'busy'`: the line is full, or the task waited too long. A proven address is served first. */
  run<T> (address: string, isProven: boolean, task: () => Promise<T>): Promise<T | 'busy'>
  /** Tasks under way. */
  size (): number
}

interface Waiting {
  readonly begin: () => void
  readonly timer: NodeJS.Timeout
}

interface Lane {
  readonly address: string
  underWay: number
  readonly waiting: Set<Waiting>
}

export function createCheckQueue (options: CheckQueueOptions): CheckQueue {
  const lanes = new Map<string, Lane>()
  // Lanes with a task that waits; the first of them has the next turn.
  const turns = { proven: new Set<Lane>(), unproven: new Set<Lane>() }
  let underWay = 0
  let unproven = 0
  let waiting = 0
  return { run, size: () => underWay }

  async function run<T> (address: string, isProven: boolean, task: () => Promise<T>): Promise<T | 'busy'> {
    const lane = lanes.get(address) ?? { address, underWay: 0, waiting: new Set() }
    if (!mayBegin(lane, isProven)) {
      if (waiting >= options.mostWaiting || lane.waiting.size >= options.mostWaitingPerAddress) return 'busy'
      if (await turnOf(lane, isProven) === 'busy') return 'busy'
    } else {
      enter(lane, isProven)
    }
    try {
      return await task()
    } finally {
      leave(lane, isProven)
    }
  }

  function mayBegin (lane: Lane, isProven: boolean): boolean {
    return underWay < options.mostUnderWay && (isProven || unproven < options.mostUnproven) &&
      lane.underWay < options.mostPerAddress
  }

  function enter (lane: Lane, isProven: boolean): void {
    lanes.set(lane.address, lane)
    lane.underWay++
    underWay++
    if (!isProven) unproven++
  }

  function leave (lane: Lane, isProven: boolean): void {
    lane.underWay--
    underWay--
    if (!isProven) unproven--
    if (lane.underWay === 0 && lane.waiting.size === 0) lanes.delete(lane.address)
    for (let next = nextLane(); next !== undefined; next = nextLane()) beginIn(next)
  }

  /** Resolves when the task has its turn, and counts as under way from then on. */
  function turnOf (lane: Lane, isProven: boolean): Promise<'begun' | 'busy'> {
    lanes.set(lane.address, lane)
    turns[isProven ? 'proven' : 'unproven'].add(lane)
    waiting++
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        remove(lane, place)
        resolve('busy')
      }, options.patienceMs).unref()
      const place = {
        timer,
        begin () {
          remove(lane, place)
          enter(lane, isProven)
          resolve('begun')
        }
      }
      lane.waiting.add(place)
    })
  }

  function remove (lane: Lane, place: Waiting): void {
    clearTimeout(place.timer)
    lane.waiting.delete(place)
    waiting--
    if (lane.waiting.size > 0) return
    turns.proven.delete(lane)
    turns.unproven.delete(lane)
    if (lane.underWay === 0) lanes.delete(lane.address)
  }

  function nextLane (): Lane | undefined {
    if (underWay >= options.mostUnderWay) return undefined
    for (const lane of turns.proven) if (mayBegin(lane, true)) return lane
    if (unproven >= options.mostUnproven) return undefined
    for (const lane of turns.unproven) if (mayBegin(lane, false)) return lane
    return undefined
  }

  /** Begins the lane's oldest task; its next one has its turn behind all other lanes. */
  function beginIn (lane: Lane): void {
    const [place] = lane.waiting
    if (place === undefined) return
    for (const lanesOfKind of [turns.proven, turns.unproven]) if (lanesOfKind.delete(lane)) lanesOfKind.add(lane)
    place.begin()
  }
}
