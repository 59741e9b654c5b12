import type { Failure, FailureKind } from '../audit/source.ts'
import type { Clock } from '../clock.ts'

/** How long an export puts up with failures. */
export interface Patience {
  /** Waits until the next try. `false`: the export gives up. */
  outlasts (failure: Failure): Promise<boolean>
  /** A page was read. */
  answered (): void
  /** Events were exported. */
  progressed (): void
}

const MOST_TRIES = 3
const RETRY_MS = 1000
const LONGEST_WAIT_MS = 50_000 // Many proxies end a connection after sixty seconds without a byte.
const LEAST_WAIT_MS = 20
const SHORTAGES: ReadonlySet<FailureKind> = new Set(['budget', 'share', 'throttled', 'overloaded'])
const REFUSALS: ReadonlySet<FailureKind> = new Set(['unauthorized', 'forbidden'])

/**
 * A page that fails has three tries. A shortage of the budget is waited for, up to 50 seconds between two events that
 * are exported: so long no byte is sent. A refused credential ends the export at once.
 */
export function createPatience (clock: Pick<Clock, 'setTimer'>, signal: AbortSignal): Patience {
  let tries = 0
  let waitedMs = 0

  return {
    async outlasts (failure) {
      const waitMs = nextWaitMs(failure)
      if (waitMs === undefined) return false
      waitedMs += waitMs
      await pause(clock, waitMs, signal)
      return true
    },
    answered () {
      tries = 0
    },
    progressed () {
      waitedMs = 0
    }
  }

  function nextWaitMs ({ kind, retryAfterMs }: Failure): number | undefined {
    if (REFUSALS.has(kind)) return undefined
    if (!SHORTAGES.has(kind) && ++tries >= MOST_TRIES) return undefined
    const waitMs = Math.max(LEAST_WAIT_MS, retryAfterMs ?? RETRY_MS * Math.max(1, tries))
    return waitedMs + waitMs > LONGEST_WAIT_MS ? undefined : waitMs
  }
}

/** Waits, unless or until the signal is aborted. */
function pause (clock: Pick<Clock, 'setTimer'>, waitMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const cancelTimer = clock.setTimer(done, waitMs)
    signal.addEventListener('abort', done, { once: true })

    function done (): void {
      cancelTimer()
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}
