import type { GapReason } from '../audit/batch.ts'
import type { Meters, OutletKind, ShelfResult } from '../meters.ts'
import type { Families, Readable } from './families.ts'

// Labels must stay few whatever clients send: a close frame of theirs may hold any number up to 4999.
const KNOWN_CODES = [1000, 1001, 1005, 1006, 1008, 1009, 4400, 4401, 4408, 4429]
/** Why a row is left out: it is larger than can be read, or no JSON object. */
type SkipReason = 'unreadable' | 'no-event'

const OTHER_CODE = 'other'
const OUTLETS: readonly OutletKind[] = ['websocket', 'sse']
const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const UPSTREAM_SECONDS = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const POLL_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
const LAG_SECONDS = [0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600]
const BATCH_EVENTS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]

/** Counts moments. What happens for each of thousands of listeners is counted in plain numbers: the library's cost as much as a delivery. */
export function createCounts ({ gauge, histogram, tally }: Families): Meters {
  const answer = histogram('http_request_duration_seconds', 'From a request to the end of its answer. Streams that began are not among them.', REQUEST_SECONDS, ['route', 'status'])
  const ask = histogram('upstream_request_duration_seconds', 'Requests to Kubiya, each try by itself.', UPSTREAM_SECONDS, ['purpose', 'outcome'])
  const poll = histogram('poll_duration_seconds', 'Polls with all their requests. With the outcome `budget` Kubiya was not asked.', POLL_SECONDS, ['outcome'])
  const batch = histogram('poll_batch_events', 'Events of one batch that entered the log.', BATCH_EVENTS)
  const lag = histogram('event_lag_seconds', 'From an event\'s instant to its entering the log, by the upstream\'s clock. What was there at the start is left out.', LAG_SECONDS)

  let collapsed = 0
  let evictions = 0
  const skipped: Record<SkipReason, number> = { unreadable: 0, 'no-event': 0 }
  let events = 0
  let late = 0
  let duplicates = 0
  let slowReaders = 0
  let blocked = 0
  const shelf: Record<ShelfResult, number> = { hit: 0, 'stale-while-revalidate': 0, miss: 0, stale: 0, request: 0, 'stale-if-error': 0, failed: 0 }
  const began: Record<OutletKind, number> = { websocket: 0, sse: 0 }
  const open: Record<OutletKind, number> = { websocket: 0, sse: 0 }
  const endings = new Map(OUTLETS.flatMap((outlet) => [...KNOWN_CODES, OTHER_CODE].map((code) => [`${outlet} ${code}`, { labels: { outlet, code: String(code) }, value: 0 }])))
  const delivered: Record<OutletKind, number> = { websocket: 0, sse: 0 }
  const gaps: Record<GapReason, number> = { 'history-evicted': 0, 'replay-limit': 0, 'upstream-outage': 0, 'too-large': 0 }
  tally('shelf_answers_total', 'Questions to the shelf, by how it came to an answer.', () => by('result', shelf), ['result'])
  tally('shelf_collapsed_total', 'Of these, those that waited for a call to Kubiya that was under way.', () => collapsed)
  tally('shelf_evictions_total', 'Answers that had to leave the shelf for want of room.', () => evictions)
  tally('upstream_skipped_rows_total', 'Rows of Kubiya\'s answers that were left out, each time that they were met.', () => by('reason', skipped), ['reason'])
  tally('poll_events_total', 'Events that entered the log.', () => events)
  tally('poll_late_events_total', 'Of these, those whose instant lay before the newest of the log.', () => late)
  tally('poll_duplicates_total', 'Rows of overlapping polls that were known, and dropped.', () => duplicates)
  tally('stream_endings_total', 'Streams that ended, by the close code. 1005 and 1006: the client left.', () => [...endings.values()], ['outlet', 'code'])
  tally('streams_total', 'Streams that began.', () => by('outlet', began), ['outlet'])
  gauge('subscribers', 'Live streams.', () => by('outlet', open), ['outlet'])
  tally('delivered_events_total', 'Events handed to listeners\' connections.', () => by('outlet', delivered), ['outlet'])
  tally('gaps_total', 'Gaps that listeners were told of.', () => by('reason', gaps), ['reason'])
  tally('slow_readers_total', 'How often a listener\'s backlog became full.', () => slowReaders)
  gauge('blocked_subscribers', 'Live streams whose backlog is full.', () => blocked)

  return {
    answered: (route, status, durationMs) => answer(durationMs / 1000, route, String(status)),
    shelfAsked (result, isCollapsed) {
      shelf[result]++
      if (isCollapsed) collapsed++
    },
    shelfEvicted () {
      evictions++
    },
    upstreamAsked: (purpose, outcome, durationMs) => ask(durationMs / 1000, purpose, outcome),
    rowsSkipped (habit, rows) {
      skipped[habit === 'sends-what-is-no-event' ? 'no-event' : 'unreadable'] += rows
    },
    polled: (outcome, durationMs) => poll(durationMs / 1000, outcome),
    recognised (rows) {
      duplicates += rows
    },
    entered (added, addedLate) {
      events += added
      late += addedLate
      batch(added)
    },
    lagged: (lagMs) => lag(Math.max(0, lagMs) / 1000),
    streamBegan (outlet) {
      began[outlet]++
      open[outlet]++
    },
    streamEnded (outlet, code) {
      open[outlet]--
      const ending = endings.get(`${outlet} ${code}`) ?? endings.get(`${outlet} ${OTHER_CODE}`)
      if (ending !== undefined) ending.value++
    },
    delivered (outlet, parcel) {
      delivered[outlet] += parcel.events
      for (const reason of parcel.gaps) gaps[reason]++
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
