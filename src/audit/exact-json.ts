/** A number that a JavaScript `number` cannot represent exactly. It keeps its source text. */
export class ExactNumber {
  constructor (readonly source: string) {}
}

export type Json = null | boolean | number | string | ExactNumber | Json[] | JsonObject
export interface JsonObject { [key: string]: Json }

// Every number that a double may change begins with 16 digits (with or without a point) or has a two-digit exponent.
// Digits behind a quote are text. Half of all rows have such a text, a session's id for example.
const SUSPICIOUS = /(?:^|[:,[\s])-?(?:\d[\d.]{15}|[\d.]+[eE][+-]?\d{2})/
const NUMBER_OR_QUOTE = /["\d-]/g
const NUMBER = /[-+.\deE]+/y
const [QUOTE, COMMA, BLANK] = [0x22, 0x2c, 0x20]
const [OPEN_OBJECT, CLOSE_OBJECT, OPEN_ARRAY, CLOSE_ARRAY] = [0x7b, 0x7d, 0x5b, 0x5d]
const MOST_EXACT_DIGITS = 15
const MOST_EXACT_EXPONENT = 290
const DEEPEST_RECURSION = 200
const MOST_QUOTED_NAMES = 5000
const LONGEST_QUOTED_NAME = 100

/**
 * `JSON.parse` that keeps the exact value of each number: one that a double would change becomes an `ExactNumber`.
 * Throws a `SyntaxError` for invalid JSON. Deep nesting does not exhaust the stack.
 */
export function parseJson (text: string): Json {
  const plain = JSON.parse(text) as Json
  if (!SUSPICIOUS.test(text)) return plain
  const mark = `${crypto.randomUUID()}:` // Random, so that no text of an event can look like a marked number.
  return unmark([JSON.parse(markNumbers(text, mark)) as Json], mark)[0] ?? null
}

/** Replaces every number that a double would change by a marked string. */
function markNumbers (text: string, mark: string): string {
  const parts: string[] = []
  let copied = 0
  NUMBER_OR_QUOTE.lastIndex = 0
  for (let found = NUMBER_OR_QUOTE.exec(text); found !== null; found = NUMBER_OR_QUOTE.exec(text)) {
    if (found[0] === '"') {
      NUMBER_OR_QUOTE.lastIndex = endOfString(text, found.index)
      continue
    }
    NUMBER.lastIndex = found.index
    const token = NUMBER.exec(text)?.[0] ?? ''
    NUMBER_OR_QUOTE.lastIndex = found.index + token.length
    if (fitsDouble(token)) continue
    parts.push(text.slice(copied, found.index), `"${mark}${token}"`)
    copied = found.index + token.length
  }
  return parts.join('') + text.slice(copied)
}

/** The index after the closing quote of the string that opens at `start`; the text's length if there is none. */
function endOfString (text: string, start: number): number {
  for (let quote = text.indexOf('"', start + 1); quote >= 0; quote = text.indexOf('"', quote + 1)) {
    let backslashes = 0
    while (text[quote - 1 - backslashes] === '\\') backslashes++
    if (backslashes % 2 === 0) return quote + 1
  }
  return text.length
}

/** A part of a text, from `start` to before `end`, and the cost of parsing it as JSON. */
export interface TextSpan {
  readonly start: number
  readonly end: number
  /** Levels of nested arrays and objects, the outermost included. */
  readonly depth: number
  /** An upper bound on the number of values, nested ones included. */
  readonly values: number
}

/**
 * The spans of the objects in an array's JSON text. `from` is a position after the opening bracket. `undefined`: the
 * array contains another type, does not end, or has more than `most` elements. A span may be invalid JSON: brackets are
 * counted without regard to their kind.
 */
export function objectSpans (text: string, from: number, most = Infinity): TextSpan[] | undefined {
  const spans: TextSpan[] = []
  for (let at = from; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === CLOSE_ARRAY) return spans
    if (character <= BLANK || character === COMMA) continue
    const span = character === OPEN_OBJECT ? spanFrom(text, at) : undefined
    if (span === undefined || span.end > text.length || spans.length === most) return undefined
    spans.push(span)
    at = span.end - 1
  }
  return undefined
}

/** The depth and the number of values of a JSON text: the cost of parsing it, without parsing it. */
export function extentOf (text: string): Pick<TextSpan, 'depth' | 'values'> {
  const { depth, values } = spanFrom(text, 0)
  return { depth, values }
}

/** The value from `start` to its closing bracket. Without one, `end` is greater than the text's length. */
function spanFrom (text: string, start: number): TextSpan {
  let depth = 0
  let deepest = 0
  let values = 1
  for (let at = start; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === QUOTE) at = endOfString(text, at) - 1
    else if (character === COMMA) values++
    else if (character === OPEN_OBJECT || character === OPEN_ARRAY) {
      values++
      if (++depth > deepest) deepest = depth
    } else if ((character === CLOSE_OBJECT || character === CLOSE_ARRAY) && --depth === 0) {
      return { start, end: at + 1, depth: deepest, values }
    }
  }
  return { start, end: text.length + 1, depth: deepest, values }
}

/** Replaces marked strings by exact numbers at every depth. */
function unmark (root: Json[], mark: string): Json[] {
  const containers: Array<Json[] | JsonObject> = [root]
  for (let container = containers.pop(); container !== undefined; container = containers.pop()) {
    const members = container as Record<string, Json> // The indices of an array are its keys.
    for (const [key, value] of Object.entries(members)) {
      if (typeof value === 'string' && value.startsWith(mark)) members[key] = new ExactNumber(value.slice(mark.length))
      else if (typeof value === 'object' && value !== null && !(value instanceof ExactNumber)) containers.push(value)
    }
  }
  return root
}

function fitsDouble (token: string): boolean {
  const [mantissa = '', exponent = '0'] = token.toLowerCase().split('e')
  const digits = mantissa.replace(/[-.]/g, '').replace(/^0+/, '')
  return digits.length <= MOST_EXACT_DIGITS && Math.abs(Number(exponent)) <= MOST_EXACT_EXPONENT
}

/** Canonical JSON: keys are sorted by code unit, without white space. Equal values have equal texts. */
export function writeJson (value: Json, depth = 0): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof ExactNumber) return value.source
  if (value === null || typeof value !== 'object') return String(value)
  if (depth === DEEPEST_RECURSION) return writeDeep(value)
  return Array.isArray(value) ? writeArray(value, depth) : `{${writeMembers(value, Object.keys(value), depth)}}`
}

function writeArray (values: readonly Json[], depth: number): string {
  let text = '['
  for (const value of values) text += text.length === 1 ? writeJson(value, depth + 1) : `,${writeJson(value, depth + 1)}`
  return `${text}]`
}

/** Text that is written unchanged. */
class Literal {
  constructor (readonly text: string) {}
}

/** The same as `writeJson`, but without recursion: deep nesting would exhaust the stack. */
function writeDeep (value: Json): string {
  const parts: string[] = []
  const stack: Array<Json | Literal> = [value]
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (next instanceof Literal) parts.push(next.text)
    else if (Array.isArray(next)) {
      parts.push('[')
      stack.push(new Literal(']'))
      for (let at = next.length - 1; at >= 0; at--) stack.push(next[at] ?? null, ...at > 0 ? [new Literal(',')] : [])
    } else if (isJsonObject(next)) {
      parts.push('{')
      stack.push(new Literal('}'))
      const keys = Object.keys(next).sort()
      for (let at = keys.length - 1; at >= 0; at--) {
        const key = keys[at] ?? ''
        stack.push(next[key] ?? null, new Literal(`${at > 0 ? ',' : ''}${JSON.stringify(key)}:`))
      }
    } else parts.push(writeJson(next))
  }
  return parts.join('')
}

/** The JSON of the members in `keys`, sorted, without the braces. */
export function writeMembers (object: JsonObject, keys: string[], depth = 0): string {
  let text = ''
  for (const key of isSorted(keys) ? keys : keys.sort()) {
    if (text !== '') text += ','
    text += quoted(key)
    text += writeJson(object[key] ?? null, depth + 1)
  }
  return text
}

const quotedNames = new Map<string, string>()

/** The name of a member in JSON, with its colon. The few names that all events have are kept: a third of the writing. */
function quoted (name: string): string {
  const known = quotedNames.get(name)
  if (known !== undefined) return known
  const text = `${JSON.stringify(name)}:`
  if (name.length > LONGEST_QUOTED_NAME) return text
  if (quotedNames.size === MOST_QUOTED_NAMES) quotedNames.clear()
  quotedNames.set(name, text)
  return text
}

function isSorted (keys: readonly string[]): boolean {
  return keys.every((key, at) => at === 0 || (keys[at - 1] ?? '') <= key)
}

export function isJsonObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
}

/** A string, number or boolean as text. `undefined`: the value is an array, an object, null or missing. */
export function scalarText (value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (value instanceof ExactNumber) return value.source
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}
