/** A number that a JavaScript `number` cannot hold without change, kept as it was written. */
export class ExactNumber {
  constructor (readonly source: string) {}
}

export type Json = null | boolean | number | string | ExactNumber | Json[] | JsonObject
export interface JsonObject { [key: string]: Json }

// What any number that needs care contains: 16 digits in a row (a point among them or not), or a two-digit exponent.
const SUSPICIOUS = /[\d.]{16}|\d[eE][+-]?\d{2}/
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g
const MOST_EXACT_DIGITS = 15
const MOST_EXACT_EXPONENT = 290

/**
 * `JSON.parse` that keeps every number's value: those beyond what a double holds become an `ExactNumber`.
 * Throws a `SyntaxError` for anything that is not JSON.
 */
export function parseJson (text: string): Json {
  if (!SUSPICIOUS.test(text)) return JSON.parse(text) as Json
  JSON.parse(text) // The rewriting below would hide a syntax error such as `01`.
  const mark = `${crypto.randomUUID()}:` // Not to be guessed, so that no text of an event is taken for a number.
  const marked = text.replace(STRING_OR_NUMBER, (token) =>
    token.startsWith('"') || fitsDouble(token) ? token : `"${mark}${token}"`)
  return JSON.parse(marked, (_key, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? new ExactNumber(value.slice(mark.length)) : value) as Json
}

function fitsDouble (token: string): boolean {
  const [mantissa = '', exponent = '0'] = token.toLowerCase().split('e')
  const digits = mantissa.replace(/[-.]/g, '').replace(/^0+/, '')
  return digits.length <= MOST_EXACT_DIGITS && Math.abs(Number(exponent)) <= MOST_EXACT_EXPONENT
}

/** JSON in one spelling for one value: keys sorted by code unit, no blanks. Equal values give equal text. */
export function writeJson (value: Json): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (value instanceof ExactNumber) return value.source
  if (value === null || typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `[${value.map(writeJson).join(',')}]`
  return `{${writeMembers(value, Object.keys(value))}}`
}

/** The members of an object that are named in `keys`, sorted, without the braces. */
export function writeMembers (object: JsonObject, keys: string[]): string {
  return keys.sort().map((key) => `${JSON.stringify(key)}:${writeJson(object[key] ?? null)}`).join(',')
}

export function isJsonObject (value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber)
}

/** A string, number or boolean as text; `undefined` for everything that holds other values or none. */
export function scalarText (value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (value instanceof ExactNumber) return value.source
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined
}

/** Whether arrays and objects are nested no deeper than `most`: deeper ones could exhaust the stack of whoever walks them. */
export function isNestedAtMost (value: Json, most: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof ExactNumber) return true
  if (most === 0) return false
  const held = Array.isArray(value) ? value : Object.values(value)
  return held.every((child) => isNestedAtMost(child, most - 1))
}
