import { Registry } from 'prom-client'
import type { Clock } from '../clock.ts'
import type { Health, UpstreamState } from '../live/ingest/upstream-health.ts'
import type { Instruments } from '../instruments.ts'
import { createCounters } from './counters.ts'
import { OWN_PREFIX, createMetricFamilies, type MetricFamilies, type Readable } from './metric-families.ts'
import { createProcessMetrics } from './process-metrics.ts'

/** What one tenant holds. */
export interface Usage {
  readonly cache: { readonly entries: number, readonly bytes: number }
  /** The table of counts. */
  readonly counts: { readonly events: number, readonly bytes: number }
  /** The state of each limit on requests to Kubiya. */
  readonly budget: readonly BudgetLevel[]
}

export interface BudgetLevel {
  readonly span: 'minute' | 'day'
  readonly left: number
  readonly capacity: number
}

export interface MetricsOptions {
  readonly version: string
  readonly sandbox: boolean
  readonly clock: Clock
  /** Read at each scrape, never before. */
  readonly health: () => Health
  /** One entry for each tenant. Read at each scrape, never before. */
  readonly usage: () => readonly Usage[]
  /** How late an event may be before the first poll, milliseconds. */
  readonly latenessMs: number
  readonly cacheCapacityBytes: number
  readonly subscribersCapacity: number
}

export interface Metrics {
  /** Counts what happens. */
  readonly instruments: Instruments
  /** All metrics, in Prometheus' exposition format. */
  text (): Promise<string>
  /** The media type of that format. */
  readonly contentType: string
}

const SPANS = ['minute', 'day'] as const
const STATES: readonly UpstreamState[] = ['ok', 'degraded', 'throttled', 'unauthorized']

/** Counters of events, gauges that are read at each scrape, and the metrics of the process. */
export function createMetrics (options: MetricsOptions): Metrics {
  const registry = new Registry()
  const families = createMetricFamilies(registry, OWN_PREFIX)
  const instruments = createCounters(families)
  addServiceGauges(families, options)
  addUpstreamGauges(families, options)
  createProcessMetrics(createMetricFamilies(registry, ''), options.clock)
  return { instruments, text: () => registry.metrics(), contentType: registry.contentType }
}

function addServiceGauges ({ gauge }: MetricFamilies, options: MetricsOptions): void {
  const { cacheCapacityBytes, sandbox, subscribersCapacity, usage, version } = options
  const sumOf = (value: (each: Usage) => number) => usage().reduce((sum, each) => sum + value(each), 0)
  gauge('info', 'The running version: always 1.', () => [{ labels: { version, sandbox: String(sandbox) }, value: 1 }], [
    'version',
    'sandbox'
  ])
  gauge('tenants', 'Upstream credentials that have a cache and a poller.', () => usage().length)
  gauge('aggregate_events', 'Events in the tables of counts.', () => sumOf(({ counts }) => counts.events))
  gauge('aggregate_bytes', 'Memory of the tables of counts.', () => sumOf(({ counts }) => counts.bytes))
  gauge('cache_entries', 'Cached answers.', () => sumOf(({ cache }) => cache.entries))
  gauge('cache_bytes', 'Bytes of cached answers, including their encodings.', () => sumOf(({ cache }) => cache.bytes))
  gauge('cache_capacity_bytes', 'Maximum of bytes in the cache.', () => cacheCapacityBytes)
  gauge('subscribers_capacity', 'Maximum of live streams.', () => subscribersCapacity)
}

function addUpstreamGauges ({ gauge }: MetricFamilies, { health, latenessMs, usage }: MetricsOptions): void {
  gauge('upstream_state', "The poller's state: 1 for the current state, 0 for the others.", states, ['state'])
  gauge(
    'last_good_poll_age_seconds',
    'Age of the last good poll, or of the poller before the first one.',
    () => health().lagMs / 1000
  )
  gauge(
    'lateness_seconds',
    'How late an event may become visible and still be delivered.',
    () => (health().latenessMs ?? latenessMs) / 1000
  )
  gauge(
    'upstream_budget_requests_left',
    'Requests that may go to Kubiya at once, of the tenant with the fewest. Absent without a limit.',
    () => budget('left'),
    ['span']
  )
  gauge(
    'upstream_budget_requests_capacity',
    'Maximum of requests at once: a quarter of the limit. The rest flows in evenly.',
    () => budget('capacity'),
    ['span']
  )

  function states (): Readable {
    const { upstream } = health()
    return STATES.map((state) => ({ labels: { state }, value: state === upstream ? 1 : 0 }))
  }

  function budget (name: 'left' | 'capacity'): Readable {
    return scarcestLevels(usage()).map((each) => ({ labels: { span: each.span }, value: each[name] }))
  }
}

/** For each span, the level of the tenant with the fewest requests left. */
function scarcestLevels (usage: readonly Usage[]): BudgetLevel[] {
  const levels = usage.flatMap(({ budget }) => budget)
  return SPANS.flatMap((span) =>
    levels.filter((level) => level.span === span).sort((a, b) => a.left - b.left).slice(0, 1)
  )
}
