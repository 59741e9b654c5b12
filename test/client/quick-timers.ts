/** Timers of a test's own: hours pass at once, and nothing depends on how busy the machine is. */
export interface QuickTimers {
  nowMs (): number
  /** Lets so much time pass. Each timer runs when it is due, and its consequences before the next one. */
  pass (ms: number): Promise<void>
  /** The shortest and the longest time that a timer was asked for. */
  asked (): { readonly leastMs: number, readonly mostMs: number }
}

interface Timer {
  readonly dueMs: number
  readonly run: () => void
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

/** Takes the place of `setTimeout` and `performance.now` while `work` runs. No real socket works meanwhile. */
export async function withQuickTimers<Result> (work: (timers: QuickTimers) => Promise<Result>): Promise<Result> {
  const { clearTimeout, performance, setTimeout } = globalThis
  const timers = new Map<number, Timer>()
  const asked: number[] = []
  let [nowMs, serial] = [0, 0]
  const set = (run: () => void, ms = 1) => {
    asked.push(ms)
    const waitMs = ms >= 1 && ms < 2 ** 31 ? ms : 1 // As Node and browsers have it.
    timers.set(++serial, { dueMs: nowMs + waitMs, run })
    return serial
  }
  const clear = (timer: NodeJS.Timeout | number | undefined) => {
    if (typeof timer === 'number') timers.delete(timer)
    else clearTimeout(timer) // It was set before.
  }
  const replacement = Object.create(performance, { now: { value: () => nowMs } })
  Object.assign(globalThis, { setTimeout: set, clearTimeout: clear, performance: replacement })
  try {
    return await work({
      nowMs: () => nowMs,
      pass,
      asked: () => ({ leastMs: Math.min(...asked), mostMs: Math.max(...asked) })
    })
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout, performance })
  }

  async function pass (ms: number): Promise<void> {
    const untilMs = nowMs + ms
    for (;;) {
      await settled()
      const [next] = [...timers].sort(([, one], [, other]) => one.dueMs - other.dueMs)
      if (next === undefined || next[1].dueMs > untilMs) break
      timers.delete(next[0])
      nowMs = next[1].dueMs
      next[1].run()
    }
    nowMs = untilMs
  }
}
