import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Creates the metrics of one registry, all with one prefix. Durations are in seconds, as Prometheus requires. */
export interface MetricFamilies {
  /** Returns a function that records a value, with the values of its labels in their order: two at most. */
  histogram (
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[]
  ): (value: number, first?: string, second?: string) => void
  /** A counter whose plain numbers are kept elsewhere and read at each scrape. */
  tally (name: string, help: string, read: () => Readable, labels?: readonly string[]): void
  /** A gauge that is read at each scrape. */
  gauge (name: string, help: string, read: () => Readable, labels?: readonly string[]): void
}

/** A value, or one for each set of labels. */
export type Readable = number | ReadonlyArray<{ readonly labels: Record<string, string>, readonly value: number }>

const BATCH_VALUES = 512

/** The prefix of the service's own metrics. */
export const OWN_PREFIX = 'kubiya_audit_bff_'

export function createMetricFamilies (registry: Registry, prefix: string): MetricFamilies {
  const common = (name: string, help: string) => ({ name: `${prefix}${name}`, help, registers: [registry] })

  return {
    histogram (name, help, buckets, labelNames = []) {
      const batches = new Map<string, Map<string, Batch>>()
      const histogram = new Histogram({
        ...common(name, help),
        labelNames,
        buckets: [...buckets],
        collect () {
          for (const some of batches.values()) for (const batch of some.values()) batch.flush()
        }
      })
      return (value, first = '', second = '') => {
        const batch = batches.get(first)?.get(second) ?? addBatch(first, second)
        batch.add(value)
      }

      function addBatch (...values: [first: string, second: string]): Batch {
        const [first, second] = values
        const batch = createBatch(histogram.labels(...values.slice(0, labelNames.length)))
        batches.set(first, (batches.get(first) ?? new Map<string, Batch>()).set(second, batch))
        return batch
      }
    },
    tally (name, help, read, labelNames = []) {
      const counter: Counter = new Counter({
        ...common(name, help),
        labelNames,
        collect () {
          counter.reset()
          for (const { labels, value } of each(read())) counter.inc(labels, value)
        }
      })
    },
    gauge (name, help, read, labelNames = []) {
      const gauge: Gauge = new Gauge({
        ...common(name, help),
        labelNames,
        collect () {
          gauge.reset()
          for (const { labels, value } of each(read())) gauge.set(labels, value)
        }
      })
    }
  }
}

interface Batch {
  add (value: number): void
  flush (): void
}

/**
 * Hands observations to the library in batches. Measured in a cache hit, one observation at a time costs 6 µs; the
 * library needs 0.6 µs for each in a row.
 */
function createBatch (child: { observe (value: number): void }): Batch {
  const values: number[] = []
  return { add, flush }

  function add (value: number): void {
    values.push(value)
    if (values.length >= BATCH_VALUES) flush()
  }

  function flush (): void {
    for (const value of values) child.observe(value)
    values.length = 0
  }
}

function each (read: Readable): ReadonlyArray<{ readonly labels: Record<string, string>, readonly value: number }> {
  return typeof read === 'number' ? [{ labels: {}, value: read }] : read
}
