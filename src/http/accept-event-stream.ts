const UTF_8 = ['utf-8', 'utf8']

/** One media range of `Accept` that matches an event stream. */
interface Range {
  /** How specific the range is: 0 for `any type`. */
  readonly precision: number
  readonly isRefused: boolean
}

/**
 * Whether `Accept` admits Server-Sent Events (RFC 9110 §12.5.1). The most specific matching range decides. Parameters
 * other than `q` and a foreign `charset` are ignored. A missing or empty header admits everything.
 */
export function admitsEventStream (accept = ''): boolean {
  const entries = split(accept, ',')
  if (entries.length === 0) return true
  const ranges = entries.map(readRange).filter((range) => range !== undefined)
  const precision = ranges.reduce((most, range) => Math.max(most, range.precision), 0)
  return ranges.some((range) => range.precision === precision && !range.isRefused)
}

function readRange (entry: string): Range | undefined {
  const [type, ...rest] = split(entry, ';')
  const parameters = new Map(rest.map(readParameter))
  const isRefused = Number(parameters.get('q') ?? 1) === 0
  switch (type?.toLowerCase()) {
    case '*':
    case '*/*': return { precision: 0, isRefused }
    case 'text/*': return { precision: 1, isRefused }
    case 'text/event-stream': break
    default: return undefined
  }
  const charset = parameters.get('charset')
  if (charset === undefined) return { precision: 2, isRefused }
  return UTF_8.includes(charset) ? { precision: 3, isRefused } : undefined
}

function readParameter (text: string): [name: string, value: string] {
  const [name = '', ...value] = text.toLowerCase().split('=')
  const whole = value.join('=').trim()
  return [name.trim(), /^".*"$/.test(whole) ? whole.slice(1, -1).replace(/\\(.)/g, '$1') : whole]
}

/** Splits at separators outside quoted strings, in one pass for any text. Empty parts are dropped. */
function split (text: string, separator: string): string[] {
  const parts: string[] = []
  let [begin, isQuoted] = [0, false]
  for (let index = 0; index < text.length; index++) {
    const character = text[index]
    if (character === '"') isQuoted = !isQuoted
    else if (character === '\\' && isQuoted) index++
    else if (character === separator && !isQuoted) {
      parts.push(text.slice(begin, index).trim())
      begin = index + 1
    }
  }
  parts.push(text.slice(begin).trim())
  return parts.filter((part) => part !== '')
}
