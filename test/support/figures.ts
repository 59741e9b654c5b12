/** What a scrape found: values by name and labels, as `name{label="value"}` with the labels in alphabetical order. */
export interface Figures {
  /** The value; 0 where there is none. The service's prefix may be left out. */
  of (series: string): number
  /** All series of a name. */
  all (name: string): string[]
}

/** Asks a service for its figures. */
export async function scrape ({ metricsUrl }: { readonly metricsUrl: string }): Promise<Figures> {
  const response = await fetch(metricsUrl)
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  return readFigures(await response.text())
}

const PREFIX = 'kubiya_audit_bff_'
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g

/** Reads Prometheus' text format, strictly: a line that is neither a comment nor a sample is an error. */
export function readFigures (text: string): Figures {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
    if (name === '') throw new Error(`not a sample: ${line}`)
    const series = seriesOf(name, labels)
    if (samples.has(series)) throw new Error(`twice: ${series}`)
    samples.set(series, Number(value))
  }

  return {
    of (series) {
      const [, name = '', labels = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? []
      return samples.get(seriesOf(PREFIX + name, labels)) ?? samples.get(seriesOf(name, labels)) ?? 0
    },
    all: (name) => [...samples.keys()].filter((series) => series.split('{', 1)[0] === PREFIX + name)
  }
}

function seriesOf (name: string, labels: string): string {
  const sorted = [...labels.matchAll(LABEL)].map(([each]) => each).sort()
  return sorted.length === 0 ? name : `${name}{${sorted.join(',')}}`
}
