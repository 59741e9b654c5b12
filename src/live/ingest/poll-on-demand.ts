import type { Failure } from '../../audit/source.ts'
import type { Clock } from '../../clock.ts'
import type { PollLoop } from './poll-loop.ts'
import type { UpstreamReader } from './upstream-reader.ts'

/** Which read a query needs: monotonic times, milliseconds. */
export interface PollDemand {
  /** A read has to begin at this time or later. */
  readonly sinceMs: number
  /** A read of the whole lateness window has to begin at this time or later. */
  readonly fullSinceMs?: number
}

/** What a demand came to. */
export type DemandResult =
  | { readonly kind: 'met' }
  /** The request budget is short: the poll comes later. */
  | { readonly kind: 'held-back' }
  | { readonly kind: 'failed', readonly failure: Failure }
  /** The poller does not run. */
  | { readonly kind: 'stopped' }

export interface PollsOnDemandOptions {
  readonly loop: Pick<PollLoop, 'phase' | 'pollNow'>
  readonly completed: UpstreamReader['completed']
  /** How long the request budget delays a poll on demand, milliseconds. */
  readonly heldBackMs: () => number
  /** Longest wait for a poll, milliseconds. */
  readonly timeoutMs: number
  readonly clock: Pick<Clock, 'setTimer'>
}

/** Polls that queries ask for. All that wait share one poll: two hundred queries at once cost one. */
export interface PollsOnDemand {
  /** Waits until the demand is met, at most `timeoutMs`. */
  request (demand: PollDemand): Promise<DemandResult>
  /** Whether the next read has to cover the whole lateness window. */
  isFullRequired (): boolean
  /** Notes how a poll ended. Returns whether a further one has to follow at once. */
  pollEnded (failure: Failure | undefined): boolean
}

interface Waiting {
  readonly demand: PollDemand
  readonly end: (result: DemandResult) => void
}

const UNAVAILABLE: Failure = { ok: false, kind: 'unavailable' }
const TIMEOUT: Failure = { ok: false, kind: 'timeout' }

export function createPollsOnDemand (options: PollsOnDemandOptions): PollsOnDemand {
  const { clock, completed, heldBackMs, loop, timeoutMs } = options
  const waiting = new Set<Waiting>()
  let lastFailure = UNAVAILABLE
  return { request, isFullRequired, pollEnded }

  async function request (demand: PollDemand): Promise<DemandResult> {
    if (isMet(demand)) return { kind: 'met' }
    const phase = loop.phase()
    if (phase === 'idle') return { kind: 'stopped' }
    if (phase === 'backing-off') return resultOf(lastFailure) // A back-off is what Kubiya asked for.
    if (phase === 'pausing' && heldBackMs() > 0) return { kind: 'held-back' }
    const result = wait(demand)
    loop.pollNow()
    return result
  }

  function wait (demand: PollDemand): Promise<DemandResult> {
    return new Promise((resolve) => {
      const cancel = clock.setTimer(() => entry.end({ kind: 'failed', failure: TIMEOUT }), timeoutMs)
      const entry: Waiting = {
        demand,
        end (result) {
          cancel()
          waiting.delete(entry)
          resolve(result)
        }
      }
      waiting.add(entry)
    })
  }

  function isFullRequired (): boolean {
    return [...waiting].some(({ demand }) => !isFullMet(demand))
  }

  function pollEnded (failure: Failure | undefined): boolean {
    if (failure !== undefined) lastFailure = failure
    const isStopped = loop.phase() === 'idle'
    const isHeldBack = heldBackMs() > 0
    for (const { demand, end } of waiting) {
      if (failure !== undefined) end(resultOf(failure))
      else if (isMet(demand)) end({ kind: 'met' })
      else if (isStopped) end({ kind: 'stopped' })
      else if (isHeldBack) end({ kind: 'held-back' })
    }
    return waiting.size > 0
  }

  function isMet (demand: PollDemand): boolean {
    return (completed().last?.startedMs ?? -Infinity) >= demand.sinceMs && isFullMet(demand)
  }

  function isFullMet ({ fullSinceMs = -Infinity }: PollDemand): boolean {
    return (completed().lastFull?.startedMs ?? -Infinity) >= fullSinceMs
  }
}

function resultOf (failure: Failure): DemandResult {
  return failure.kind === 'budget' ? { kind: 'held-back' } : { kind: 'failed', failure }
}
