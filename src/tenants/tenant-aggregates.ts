import type { FastifyBaseLogger } from 'fastify'
import { createAggregates, type Aggregates } from '../aggregates/aggregates.ts'
import { measureDrift } from '../aggregates/drift-detector.ts'
import type { LiveTable } from '../aggregates/live-table.ts'
import type { AuditSource } from '../audit/source.ts'
import type { Clock } from '../clock.ts'
import type { Instruments } from '../instruments.ts'
import type { RequestBudget } from '../kubiya/request-budget.ts'
import type { LiveFeed } from '../live/live-feed.ts'
import { knownMs } from '../live/recent/freshness.ts'
import type { Settings } from '../settings.ts'

export interface TenantAggregatesOptions {
  readonly settings: Settings
  readonly source: AuditSource
  readonly feed: Pick<LiveFeed, 'freshness' | 'log' | 'poller'>
  readonly budget: Pick<RequestBudget, 'levels'>
  readonly clock: Clock
  readonly instruments: Pick<Instruments, 'driftMeasured'>
  readonly logger: FastifyBaseLogger
  readonly onError: (error: unknown) => void
}

// A count right after the start waits for the first poll: before it, nothing would keep its events up to date.
const FIRST_POLL = { sinceMs: 0, fullSinceMs: 0 }
// The longest wait for the events of a count. It then tells how far it went.
const LONGEST_COUNT_MS = 8000

/** Wires the counts of one tenant, and checks them against Kubiya once an hour. */
export function createTenantAggregates (options: TenantAggregatesOptions): Aggregates {
  const { budget, clock, feed: { freshness, log, poller }, instruments, logger, onError, settings, source } = options
  return createAggregates({
    source,
    clock,
    onError,
    upstreamNow: poller.upstreamClock,
    hours: settings.AGGREGATE_HOURS,
    maxEvents: settings.AGGREGATE_EVENTS,
    scanLimit: settings.AGGREGATE_SCAN_LIMIT,
    searchScanLimit: settings.SEARCH_SCAN_LIMIT,
    latenessMs: settings.LATENESS_MS,
    openTtlMs: settings.CACHE_OPEN_TTL_MS,
    waitMs: Math.min(settings.UPSTREAM_TIMEOUT_MS, LONGEST_COUNT_MS),
    position: log.end,
    isRefused: () => poller.health().upstream === 'unauthorized',
    hasHalfOfBudget,
    onHour (table) {
      if (hasHalfOfBudget()) checkDrift(table).catch(onError)
    },
    async freshFeed (from) {
      await poller.demand(FIRST_POLL)
      const fresh = await freshness.freshly(async () => ({ from }))
      if (fresh?.ok !== true) return fresh
      const { failure, reads } = fresh
      return { ok: true, readMs: knownMs(from, reads), polledMs: reads.last.startedMs, ...failure && { failure } }
    }
  })

  function hasHalfOfBudget (): boolean {
    return budget.levels(clock.now()).every(({ capacity, left }) => left >= capacity / 2)
  }

  async function checkDrift (table: LiveTable): Promise<void> {
    const [nowMs, { AGGREGATE_SCAN_LIMIT: rowLimit, LATENESS_MS: latenessMs }] = [poller.upstreamClock(), settings]
    const events = await measureDrift({ source, table, nowMs, latenessMs, rowLimit })
    if (events === undefined) return
    instruments.driftMeasured(events)
    if (events > 0) logger.warn({ events }, 'counts of the last closed hour differ from Kubiya')
  }
}
