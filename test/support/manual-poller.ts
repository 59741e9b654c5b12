import { identify } from '../../src/audit/event-id.ts'
import type { JsonObject } from '../../src/audit/exact-json.ts'
import { NANOS_PER_MS, instantFromMs } from '../../src/audit/instant.ts'
import { compareKeyedEvents, withSortKeys } from '../../src/audit/sort-key.ts'
import type { Poller, PollerOptions } from '../../src/live/ingest/poller.ts'
import { createUpstreamHealth, type PollOutcome } from '../../src/live/ingest/upstream-health.ts'

/** A poller that polls when a test says so, within one synchronous step. */
export interface ManualPoller extends Poller {
  /** Publishes what is new among the items that the upstream shows. */
  poll (items: readonly JsonObject[]): void
  /** Tells the feed that a poll has ended so. */
  report (outcome: PollOutcome): void
  /** From now on, the log counts as filled. */
  fill (): void
}

export function createManualPoller ({ clock, onPoll, openBookmark, publish }: PollerOptions): ManualPoller {
  const health = createUpstreamHealth(clock.now, () => true)
  const bookmark = openBookmark(instantFromMs(clock.now()), undefined)

  return {
    start () {},
    wake () {},
    async stop () {},
    demand: async () => ({ kind: 'stopped' }),
    completedReads: () => ({ last: undefined, lastFull: undefined }),
    health: health.now,
    upstreamClock: clock.now,
    earliestClock: clock.now,
    lowWatermark: bookmark.lookbackStart,
    poll,
    report,
    fill: health.fullReadEnded
  }

  function poll (items: readonly JsonObject[]): void {
    const startedAt = instantFromMs(clock.now())
    const start = bookmark.lookbackStart()
    const rows = withSortKeys(identify([...items]), 'asc').filter(({ key }) => key.instant >= start)
      .sort(compareKeyedEvents('asc'))
    const { announcement, commit } = bookmark.diff(rows, undefined, startedAt + NANOS_PER_MS)
    // The local relay publishes within this call.
    if (announcement.entries.length > 0) publish(announcement).catch((error) => { throw error })
    commit()
    bookmark.advance(startedAt)
    report({ failure: undefined, isHeldBack: false, latenessMs: undefined })
  }

  function report (outcome: PollOutcome): void {
    const changed = health.report(outcome)
    onPoll(health.now(), changed)
  }
}
