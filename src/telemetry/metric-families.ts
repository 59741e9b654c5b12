import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** Makes the metrics of one registry, all with one prefix. Durations are in seconds, as Prometheus wants them. */
export interface MetricFamilies {
  /** Gives what takes a value, for label values in their order. */
  histogram (
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[]
  ): (value: number, ...values: string[]) => void
  /** Counted elsewhere, in plain numbers: what has been counted is taken over whenever somebody asks. */
  tally (name: string, help: string, read: () => Readable, labels?: readonly string[]): void
  /** Looked at whenever somebody asks. */
  gauge (name: string, help: string, read: () => Readable, labels?: readonly string[]): void
}

/** A value, or one for each set of labels. */
export type Readable = number | ReadonlyArray<{ readonly labels: Record<string, string>, readonly value: number }>

/** The service's own metrics begin with this. */
export const OWN_PREFIX = 'kubiya_audit_bff_'

export function createMetricFamilies (registry: Registry, prefix: string): MetricFamilies {
  const common = (name: string, help: string) => ({ name: `${prefix}${name}`, help, registers: [registry] })

  return {
    histogram (name, help, buckets, labelNames = []) {
      const histogram = new Histogram({ ...common(name, help), labelNames, buckets: [...buckets] })
      const child = kept((values) => histogram.labels(...values))
      return (value, ...values) => child(values).observe(value)
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

/** Finds what belongs to label values without naming them each time: that costs more than to count. */
function kept<Child> (make: (values: string[]) => Child): (values: string[]) => Child {
  const children = new Map<string, Child>()

  return (values) => {
    const key = values.join('\n')
    const known = children.get(key)
    if (known !== undefined) return known
    const child = make(values)
    children.set(key, child)
    return child
  }
}

function each (read: Readable): ReadonlyArray<{ readonly labels: Record<string, string>, readonly value: number }> {
  return typeof read === 'number' ? [{ labels: {}, value: read }] : read
}
