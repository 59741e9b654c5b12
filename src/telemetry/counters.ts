import type { GapReason } from '../audit/log-batch.ts'
import { CLOSE_CODES } from '../live/transport/close-codes.ts'
import type { CacheLookup, ExportOutcome, Instruments, TransportKind } from '../instruments.ts'
import type { MetricFamilies, Readable } from './metric-families.ts'

// A client may send any close code up to 4999. Labels must stay few.
const OTHER_CODE = 'other'
const TRANSPORTS: readonly TransportKind[] = ['websocket', 'sse']
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const UPSTREAM_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const POLL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const EXPORT_SECONDS = [0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600]
const LAG_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const BATCH_EVENTS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]

/** Why a row is left out: it is too large to be read, or it is no JSON object. */
type SkipReason = 'unreadable' | 'no-event'

/**
 * Counts events of the service. Events that occur for each of thousands of subscribers are counted in plain numbers,
 * which a scrape reads. The library's counters would cost as much as a delivery.
 */
export function createCounters (families: MetricFamilies): Instruments {
  return {
    ...countRequests(families),
    ...countCacheLookups(families),
    ...countPolls(families),
    ...countDrift(families),
    ...countStreams(families),
    ...countExports(families),
    ...countDeliveries(families)
  }
}

function countRequests (
  { histogram, tally }: MetricFamilies
): Pick<Instruments, 'requestCompleted' | 'upstreamRequestCompleted' | 'rowsSkipped'> {
  const skipped: Record<SkipReason, number> = { unreadable: 0, 'no-event': 0 }
  const requestSeconds = histogram(
    'http_request_duration_seconds',
    'From a request to the end of its answer. Streams and exports that began are not counted.',
    REQUEST_SECONDS,
    ['route', 'status']
  )
  const upstreamSeconds = histogram(
    'upstream_request_duration_seconds',
    'Requests to Kubiya, each try by itself.',
    UPSTREAM_SECONDS,
    ['purpose', 'outcome']
  )
  tally(
    'upstream_skipped_rows_total',
    "Rows of Kubiya's answers that were left out, each time that they occurred.",
    () => by('reason', skipped),
    ['reason']
  )

  return {
    requestCompleted: (route, status, durationMs) => requestSeconds(durationMs / 1000, route, String(status)),
    upstreamRequestCompleted: (purpose, outcome, durationMs) => upstreamSeconds(durationMs / 1000, purpose, outcome),
    rowsSkipped (quirk, rows) {
      skipped[quirk === 'sends-what-is-no-event' ? 'no-event' : 'unreadable'] += rows
    }
  }
}

function countCacheLookups ({ tally }: MetricFamilies): Pick<Instruments, 'cacheLookup' | 'cacheEvicted'> {
  let collapsed = 0
  let evictions = 0
  const lookups: Record<CacheLookup, number> = {
    hit: 0,
    log: 0,
    memory: 0,
    'stale-while-revalidate': 0,
    miss: 0,
    stale: 0,
    request: 0,
    'stale-if-error': 0,
    failed: 0
  }
  tally('cache_lookups_total', 'Cache lookups by result.', () => by('result', lookups), ['result'])
  tally('cache_collapsed_total', 'Cache lookups that shared a request to Kubiya in progress.', () => collapsed)
  tally('cache_evictions_total', 'Answers evicted from the cache.', () => evictions)

  return {
    cacheLookup (result, isCollapsed) {
      lookups[result]++
      if (isCollapsed) collapsed++
    },
    cacheEvicted () {
      evictions++
    }
  }
}

function countPolls (
  { histogram, tally }: MetricFamilies
): Pick<Instruments, 'pollCompleted' | 'duplicatesDropped' | 'eventsAppended' | 'deliveryLag'> {
  let events = 0
  let late = 0
  let duplicates = 0
  const pollSeconds = histogram(
    'poll_duration_seconds',
    'Polls with all their requests. The outcome `budget`: the poll sent no request.',
    POLL_SECONDS,
    ['outcome']
  )
  const batchEvents = histogram('poll_batch_events', 'Events of one batch that entered the log.', BATCH_EVENTS)
  const lagSeconds = histogram(
    'event_lag_seconds',
    "From an event's instant to its entry into the log, by the upstream's clock. Events of the first poll are not " +
      'counted.',
    LAG_SECONDS
  )
  tally('poll_events_total', 'Events that entered the log.', () => events)
  tally('poll_late_events_total', 'Events that were older than the newest event of the log.', () => late)
  tally('poll_duplicates_total', 'Known rows of overlapping polls, dropped.', () => duplicates)

  return {
    pollCompleted: (outcome, durationMs) => pollSeconds(durationMs / 1000, outcome),
    duplicatesDropped (rows) {
      duplicates += rows
    },
    eventsAppended (added, addedLate) {
      events += added
      late += addedLate
      batchEvents(added)
    },
    deliveryLag: (lagMs) => lagSeconds(Math.max(0, lagMs) / 1000)
  }
}

/** A gauge without a value until the first check. */
function countDrift ({ gauge }: MetricFamilies): Pick<Instruments, 'driftMeasured'> {
  let drift: number | undefined
  gauge(
    'aggregate_drift_events',
    'By how many events the table of counts differed from Kubiya in the last hour that was checked. It should be 0.',
    () => drift === undefined ? [] : [{ labels: {}, value: drift }]
  )
  return {
    driftMeasured (events) {
      drift = events
    }
  }
}

function countStreams ({ gauge, tally }: MetricFamilies): Pick<Instruments, 'streamBegan' | 'streamEnded'> {
  const began: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const open: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const endings = new Map(TRANSPORTS.flatMap((transport) =>
    [...CLOSE_CODES, OTHER_CODE].map((code) =>
      [`${transport} ${code}`, { labels: { transport, code: String(code) }, value: 0 }]
    )
  ))
  tally('streams_total', 'Streams that began.', () => by('transport', began), ['transport'])
  tally(
    'stream_endings_total',
    'Streams that ended, by close code. 1005 and 1006: the client left.',
    () => [...endings.values()],
    ['transport', 'code']
  )
  gauge('subscribers', 'Live streams.', () => by('transport', open), ['transport'])

  return {
    streamBegan (transport) {
      began[transport]++
      open[transport]++
    },
    streamEnded (transport, code) {
      open[transport]--
      const ending = endings.get(`${transport} ${code}`) ?? endings.get(`${transport} ${OTHER_CODE}`)
      if (ending !== undefined) ending.value++
    }
  }
}

function countExports ({ gauge, histogram, tally }: MetricFamilies): Pick<Instruments, 'exportBegan' | 'exportEnded'> {
  let open = 0
  let exported = 0
  const endings: Record<ExportOutcome, number> = { complete: 0, incomplete: 0, cut: 0 }
  const exportSeconds = histogram(
    'export_duration_seconds',
    'Exports that ended, from the first byte to the last one.',
    EXPORT_SECONDS,
    ['outcome']
  )
  gauge('exports', 'Exports in progress.', () => open)
  tally('exports_total', 'Exports that ended, by outcome.', () => by('outcome', endings), ['outcome'])
  tally('exported_events_total', 'Events of exports that ended.', () => exported)

  return {
    exportBegan () {
      open++
    },
    exportEnded (outcome, events, durationMs) {
      open--
      exportSeconds(durationMs / 1000, outcome)
      endings[outcome]++
      exported += events
    }
  }
}

function countDeliveries (
  { gauge, tally }: MetricFamilies
): Pick<Instruments, 'delivered' | 'blocked' | 'unblocked'> {
  let slowReaders = 0
  let blocked = 0
  const delivered: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const gaps: Record<GapReason, number> = {
    'history-evicted': 0,
    'replay-limit': 0,
    'upstream-outage': 0,
    'too-large': 0
  }
  tally('delivered_events_total', "Events written to subscribers' connections.", () => by('transport', delivered), [
    'transport'
  ])
  tally('gaps_total', 'Gap frames sent to subscribers.', () => by('reason', gaps), ['reason'])
  tally('slow_readers_total', "How often a subscriber's backlog became full.", () => slowReaders)
  gauge('blocked_subscribers', 'Live streams whose backlog is full.', () => blocked)

  return {
    delivered (transport, prepared) {
      delivered[transport] += prepared.events
      for (const reason of prepared.gaps) gaps[reason]++
    },
    blocked () {
      slowReaders++
      blocked++
    },
    unblocked () {
      blocked--
    }
  }
}

function by (label: string, values: Record<string, number>): Readable {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}
