import type { Instant } from '../../src/audit/instant.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { silentInstruments } from '../../src/instruments.ts'
import { createLiveFeed, type LiveFeed } from '../../src/live/live-feed.ts'
import { createLocalRelay } from '../../src/relay/local-relay.ts'
import { silentTracer } from '../../src/tracer.ts'
import { USUAL_HABITS, createMemorySource } from '../contracts/memory-source.ts'
import { createManualClock } from './manual-clock.ts'
import { EPOCH, TEN_MS, at } from './timeline.ts'

const LATENESS_MS = 10_000
export const OPEN_TTL_MS = 10_000

export interface RecentWorldOptions {
  readonly historyEvents?: number
  readonly pollPageSize?: number
  readonly subscribers?: number
}

interface Shown {
  readonly at: Instant
  readonly item: JsonObject
  readonly sinceMs: number
}

/** An upstream that remembers what it showed at which time, and the live feed of the service before it. */
export function createRecentWorld (
  { historyEvents = 1000, pollPageSize = 100, subscribers = 0 }: RecentWorldOptions = {}
) {
  const clock = createManualClock(TEN_MS)
  const shown: Shown[] = []
  let isOut = false
  const source = createMemorySource(USUAL_HABITS, () => isOut ? { ok: false, kind: 'unavailable' } : undefined)
  const relay = createLocalRelay(EPOCH)
  const announced = new Set<unknown>()
  relay.subscribe(({ entries }) => {
    for (const entry of entries) if ('event' in entry) announced.add(entry.event.item.n)
  })
  const feed = createLiveFeed({
    source,
    relay,
    clock,
    budget: () => ({ waitMs: 0, scarcity: 0 }),
    instruments: silentInstruments,
    tracer: silentTracer,
    onError: (error) => { throw error },
    onSkew: () => {},
    subscriberCount: () => subscribers,
    pageSize: pollPageSize,
    scanLimit: 10_000,
    intervalMs: 3000,
    maxIntervalMs: 30_000,
    upstreamTimeoutMs: 10_000,
    openTtlMs: OPEN_TTL_MS,
    latenessMs: LATENESS_MS,
    historyEvents,
    historyBytes: 10_000_000,
    replayLimit: 10_000,
    backlogBytes: 65_536,
    heartbeatMs: 1_000_000_000,
    checkMs: 1_000_000_000,
    maxAgeMs: 0
  })
  return { clock, feed, source, show, settle, truthAt, fall: (out: boolean) => { isOut = out } }

  function show (item: JsonObject, placeMs: number): void {
    const place = at(placeMs / 1000)
    source.keep({ at: place, item })
    shown.push({ at: place, item, sinceMs: clock.monotonicMs() })
  }

  /** Lets everything happen that waits for nothing but turns of the event loop. */
  async function settle (): Promise<void> {
    for (let turn = 0; turn < 6; turn++) await new Promise((resolve) => { setImmediate(resolve) })
  }

  /** The upstream as the reads saw it that an answer rests on, and what other reads have found besides. */
  function truthAt ({ last, lastFull }: ReturnType<LiveFeed['poller']['completedReads']>) {
    const truth = createMemorySource(USUAL_HABITS)
    truth.keep(
      ...shown.filter(({ at, item, sinceMs }) =>
        announced.has(item.n) ||
        sinceMs < (last !== undefined && at >= last.start ? last.startedMs : lastFull?.startedMs ?? 0)
      )
    )
    return truth
  }
}

export type RecentWorld = ReturnType<typeof createRecentWorld>
