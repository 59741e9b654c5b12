import { parseAllDocuments } from 'yaml'

/** The objects of a manifest by their kind, of which there is one each. */
export function manifests (text: string): Record<string, any> {
  const documents = parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw new Error(String(document.errors[0]))
    return document.toJS()
  })
  const byKind = Object.fromEntries(documents.map((each) => [each.kind, each]))
  if (Object.keys(byKind).length !== documents.length) throw new Error('two of a kind')
  return byKind
}

/** Every name that a query may ask for, from what Prometheus reads. */
export function metricNames (exposition: string): Set<string> {
  const types = [...exposition.matchAll(/^# TYPE (\S+) (\S+)$/gm)]
  return new Set(
    types.flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((end) => `${name}${end}`) : [name]
    )
  )
}

/** The metrics of a query: all of them begin so. */
export function namesOf (query: string): string[] {
  return query.match(/\b(?:kubiya|process|nodejs)_\w+/g) ?? []
}

/** Of `90s`. */
export function seconds (text: string): number {
  const [, count] = /^(\d+)s$/.exec(text) ?? []
  if (count === undefined) throw new Error(`not in seconds: ${text}`)
  return Number(count)
}
