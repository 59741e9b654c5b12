import type { GapReason } from '../audit/log-batch.ts'
import type { Instruments, TransportKind, CacheLookup } from '../instruments.ts'
import type { MetricFamilies, Readable } from './metric-families.ts'

// Labels must stay few whatever clients send: a close frame of theirs may hold any number up to 4999.
const KNOWN_CODES = [1000, 1001, 1005, 1006, 1008, 1009, 4400, 4401, 4408, 4429]
/** Why a row is left out: it is larger than can be read, or no JSON object. */
type SkipReason = 'unreadable' | 'no-event'

const OTHER_CODE = 'other'
const OUTLETS: readonly TransportKind[] = ['websocket', 'sse']
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const UPSTREAM_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const POLL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const LAG_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const BATCH_EVENTS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]

/**
 * Counts moments. What happens for each of thousands of listeners is counted in plain numbers: the library's cost as
 * much as a delivery.
 */
export function createCounters ({ gauge, histogram, tally }: MetricFamilies): Instruments {
  const answer = histogram(
    'http_request_duration_seconds',
    'From a request to the end of its answer. Streams that began are not among them.',
    REQUEST_SECONDS,
    ['route', 'status']
  )
  const ask = histogram(
    'upstream_request_duration_seconds',
    'Requests to Kubiya, each try by itself.',
    UPSTREAM_SECONDS,
    ['purpose', 'outcome']
  )
  const poll = histogram(
    'poll_duration_seconds',
    'Polls with all their requests. With the outcome `budget` Kubiya was not asked.',
    POLL_SECONDS,
    ['outcome']
  )
  const batch = histogram('poll_batch_events', 'Events of one batch that entered the log.', BATCH_EVENTS)
  const lag = histogram(
    'event_lag_seconds',
    "From an event's instant to its entering the log, by the upstream's clock. What was there at the start is left " +
      'out.',
    LAG_SECONDS
  )

  let collapsed = 0
  let evictions = 0
  const skipped: Record<SkipReason, number> = { unreadable: 0, 'no-event': 0 }
  let events = 0
  let late = 0
  let duplicates = 0
  let slowReaders = 0
  let blocked = 0
  const cache: Record<CacheLookup, number> = {
    hit: 0,
    'stale-while-revalidate': 0,
    miss: 0,
    stale: 0,
    request: 0,
    'stale-if-error': 0,
    failed: 0
  }
  const began: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const open: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const endings = new Map(
    OUTLETS.flatMap((transport) =>
      [...KNOWN_CODES, OTHER_CODE].map((
        code
      ) => [`${transport} ${code}`, { labels: { transport, code: String(code) }, value: 0 }])
    )
  )
  const delivered: Record<TransportKind, number> = { websocket: 0, sse: 0 }
  const gaps: Record<GapReason, number> = {
    'history-evicted': 0,
    'replay-limit': 0,
    'upstream-outage': 0,
    'too-large': 0
  }
  tally('cache_lookups_total', 'Cache lookups by result.', () => by('result', cache), ['result'])
  tally(
    'cache_collapsed_total',
    'Of these, those that waited for a call to Kubiya that was under way.',
    () => collapsed
  )
  tally('cache_evictions_total', 'Answers evicted from the cache.', () => evictions)
  tally(
    'upstream_skipped_rows_total',
    "Rows of Kubiya's answers that were left out, each time that they were met.",
    () => by('reason', skipped),
    ['reason']
  )
  tally('poll_events_total', 'Events that entered the log.', () => events)
  tally('poll_late_events_total', 'Of these, those whose instant lay before the newest of the log.', () => late)
  tally('poll_duplicates_total', 'Rows of overlapping polls that were known, and dropped.', () => duplicates)
  tally(
    'stream_endings_total',
    'Streams that ended, by the close code. 1005 and 1006: the client left.',
    () => [...endings.values()],
    ['transport', 'code']
  )
  tally('streams_total', 'Streams that began.', () => by('transport', began), ['transport'])
  gauge('subscribers', 'Live streams.', () => by('transport', open), ['transport'])
  tally('delivered_events_total', "Events handed to listeners' connections.", () => by('transport', delivered), [
    'transport'
  ])
  tally('gaps_total', 'Gaps that listeners were told of.', () => by('reason', gaps), ['reason'])
  tally('slow_readers_total', 'How often a listener\'s backlog became full.', () => slowReaders)
  gauge('blocked_subscribers', 'Live streams whose backlog is full.', () => blocked)

  return {
    requestCompleted: (route, status, durationMs) => answer(durationMs / 1000, route, String(status)),
    cacheLookup (result, isCollapsed) {
      cache[result]++
      if (isCollapsed) collapsed++
    },
    cacheEvicted () {
      evictions++
    },
    upstreamRequestCompleted: (purpose, outcome, durationMs) => ask(durationMs / 1000, purpose, outcome),
    rowsSkipped (quirk, rows) {
      skipped[quirk === 'sends-what-is-no-event' ? 'no-event' : 'unreadable'] += rows
    },
    pollCompleted: (outcome, durationMs) => poll(durationMs / 1000, outcome),
    duplicatesDropped (rows) {
      duplicates += rows
    },
    eventsAppended (added, addedLate) {
      events += added
      late += addedLate
      batch(added)
    },
    deliveryLag: (lagMs) => lag(Math.max(0, lagMs) / 1000),
    streamBegan (transport) {
      began[transport]++
      open[transport]++
    },
    streamEnded (transport, code) {
      open[transport]--
      const ending = endings.get(`${transport} ${code}`) ?? endings.get(`${transport} ${OTHER_CODE}`)
      if (ending !== undefined) ending.value++
    },
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
