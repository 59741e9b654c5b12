import { Registry } from 'prom-client'
import type { Health, UpstreamState } from '../live/ingest/upstream-health.ts'
import type { Instruments } from '../instruments.ts'
import { createCounters } from './counters.ts'
import { OWN_PREFIX, createMetricFamilies, type Readable } from './metric-families.ts'
import { createProcessMetrics } from './process-metrics.ts'

/** What is looked at, and not counted. */
export interface Readings {
  /** How the poller fares, as `/readyz` says. */
  readonly health: Health
  /** How late an event may be now and still be noticed, milliseconds. */
  readonly latenessMs: number
  /** Upstream credentials with a cache and a poller of their own. */
  readonly tenants: number
  readonly cache: { readonly entries: number, readonly bytes: number, readonly capacityBytes: number }
  /** What is left of each limit on requests to Kubiya, of the tenant that has least. */
  readonly budget: ReadonlyArray<{ readonly span: 'minute' | 'day', readonly left: number, readonly capacity: number }>
  readonly subscribersCapacity: number
}

export interface MetricsOptions {
  readonly version: string
  readonly sandbox: boolean
  /** Called whenever somebody asks, not before. */
  readonly read: () => Readings
}

export interface Metrics {
  /** What is to be told of what happens. */
  readonly instruments: Instruments
  /** Everything, as Prometheus reads it. */
  text (): Promise<string>
  /** The media type of that. */
  readonly contentType: string
}

const STATES: readonly UpstreamState[] = ['ok', 'degraded', 'throttled', 'unauthorized']

/** What happens is counted, what there is is looked at; the process's own metrics are beside them. */
export function createMetrics ({ read, sandbox, version }: MetricsOptions): Metrics {
  const registry = new Registry()
  const families = createMetricFamilies(registry, OWN_PREFIX)
  const { gauge } = families
  const instruments = createCounters(families)
  gauge('info', 'What runs: always 1.', () => [{ labels: { version, sandbox: String(sandbox) }, value: 1 }], [
    'version',
    'sandbox'
  ])
  gauge('upstream_state', 'How the poller fares with Kubiya: 1 for the state that holds.', states, ['state'])
  gauge(
    'last_good_poll_age_seconds',
    'Age of the last good poll, or of the poller while there was none.',
    () => read().health.lagMs / 1000
  )
  gauge('lateness_seconds', 'How late an event may be now and still be noticed.', () => read().latenessMs / 1000)
  gauge('tenants', 'Upstream credentials that have a cache and a poller.', () => read().tenants)
  gauge('cache_entries', 'Cached answers.', () => read().cache.entries)
  gauge('cache_bytes', 'Bytes of cached answers, their encodings included.', () => read().cache.bytes)
  gauge('cache_capacity_bytes', 'Most bytes that the cache holds.', () => read().cache.capacityBytes)
  gauge(
    'upstream_budget_requests_left',
    'Requests that may go to Kubiya at once. Absent where there is no limit.',
    () => budget('left'),
    ['span']
  )
  gauge(
    'upstream_budget_requests_capacity',
    'The most that this can be: a quarter of the limit; the rest flows in evenly.',
    () => budget('capacity'),
    ['span']
  )
  gauge('subscribers_capacity', 'Live streams that there may be.', () => read().subscribersCapacity)
  createProcessMetrics(createMetricFamilies(registry, ''))
  return { instruments, text: () => registry.metrics(), contentType: registry.contentType }

  function states (): Readable {
    const { upstream } = read().health
    return STATES.map((state) => ({ labels: { state }, value: state === upstream ? 1 : 0 }))
  }

  function budget (name: 'left' | 'capacity'): Readable {
    return read().budget.map((each) => ({ labels: { span: each.span }, value: each[name] }))
  }
}
