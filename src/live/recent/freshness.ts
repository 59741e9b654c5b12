import type { Instant } from '../../audit/instant.ts'
import type { Failure } from '../../audit/source.ts'
import type { Clock } from '../../clock.ts'
import type { PollDemand } from '../ingest/poll-on-demand.ts'
import type { Poller } from '../ingest/poller.ts'
import type { CompletedReads } from '../ingest/upstream-reader.ts'

export interface FreshnessOptions {
  readonly poller: Pick<Poller, 'completedReads' | 'demand' | 'health'>
  /** When Kubiya last refused the credential in any call: monotonic time, milliseconds. */
  readonly refusedMs: () => number
  /** Largest age of an answer whose poll succeeds, milliseconds. */
  readonly openTtlMs: number
  readonly intervalMs: number
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** Both reads of one moment, where the log may answer. */
export type Reads = { readonly [Name in keyof CompletedReads]-?: NonNullable<CompletedReads[Name]> }

/** What was taken, and the reads that it rests on. */
export interface Fresh<Taken> {
  readonly ok: true
  readonly taken: Taken
  readonly reads: Reads
  /** Why it is no newer: the poll on demand failed. */
  readonly failure?: Failure
}

/** Decides whether what the poller brought is new enough for a query, and asks for a poll where it is not. */
export interface Freshness {
  /** The reads that answers rest on. `undefined`: the log answers nothing now. */
  reads (): Reads | undefined
  /**
   * Takes something from the log when it is fresh. `from` is the earliest instant that it rests on. `undefined`: the
   * log cannot answer. A failure is a refused credential: nothing that it saw may be shown.
   */
  freshly<Taken extends { readonly from: Instant }> (
    take: () => Promise<Taken | undefined>
  ): Promise<Fresh<Taken> | Failure | undefined>
}

const MOST_POLLS = 3

/** After a refused credential nothing is answered until a poll is good again. */
export function createFreshness (options: FreshnessOptions): Freshness {
  const { clock, intervalMs, openTtlMs, poller, refusedMs } = options
  return { reads, freshly }

  async function freshly<Taken extends { readonly from: Instant }> (
    take: () => Promise<Taken | undefined>
  ): Promise<Fresh<Taken> | Failure | undefined> {
    const askedMs = clock.monotonicMs()
    if (!await isTrusted()) return undefined
    let last: { readonly failure?: Failure } | undefined // Set once no further poll may be waited for.
    for (let polls = 0; polls <= MOST_POLLS; polls++) {
      const now = reads() // Before the rows are taken: a poll may end meanwhile.
      const taken = now === undefined ? undefined : await take()
      if (now === undefined || taken === undefined) return undefined
      const demand = demandOf(taken.from, now, askedMs)
      if (last !== undefined || isMet(demand, now)) return { ok: true, taken, reads: now, ...last }
      const result = await poller.demand(demand)
      if (result.kind === 'stopped') return undefined
      if (result.kind === 'held-back') last = {}
      if (result.kind !== 'failed') continue
      if (isRefusal(result.failure)) return result.failure
      last = { failure: result.failure }
    }
    return undefined
  }

  /**
   * Whether Kubiya has accepted the credential since it last refused it. One poll on demand may show that. While the
   * poller itself is refused, each query asks Kubiya.
   */
  async function isTrusted (): Promise<boolean> {
    const { last } = poller.completedReads()
    if (last === undefined || refusedMs() < last.startedMs) return true
    if (poller.health().upstream === 'unauthorized') return false
    const { kind } = await poller.demand({ sinceMs: refusedMs() + 1 })
    return kind === 'met'
  }

  function reads (): Reads | undefined {
    const { last, lastFull } = poller.completedReads()
    const { latenessMs, upstream } = poller.health()
    // While the lateness window is shortened, late events may be missing.
    if (last === undefined || lastFull === undefined || latenessMs !== undefined) return undefined
    return upstream === 'unauthorized' || refusedMs() >= last.startedMs ? undefined : { last, lastFull }
  }

  function demandOf (from: Instant, { last }: Reads, askedMs: number): PollDemand {
    const sinceMs = askedMs - Math.min(intervalMs, openTtlMs)
    return from < last.start ? { sinceMs, fullSinceMs: askedMs - openTtlMs } : { sinceMs }
  }
}

/** When the read began that rows from this instant on are known from: monotonic time, milliseconds. */
export function knownMs (from: Instant, { last, lastFull }: Reads): number {
  return from < last.start ? lastFull.startedMs : last.startedMs
}

function isMet ({ fullSinceMs = -Infinity, sinceMs }: PollDemand, { last, lastFull }: Reads): boolean {
  return last.startedMs >= sinceMs && lastFull.startedMs >= fullSinceMs
}

function isRefusal ({ kind }: Failure): boolean {
  return kind === 'unauthorized' || kind === 'forbidden'
}
