import { ExactNumber, type Json } from '../audit/exact-json.ts'

/**
 * `JSON.parse` that keeps the text of each number that JavaScript would change, where the browser tells it
 * (`context.source`). Other browsers show the nearest double; the raw text is exact everywhere.
 */
export function parseExactly (text: string): Json {
  type Reviver = (this: unknown, key: string, value: Json, context?: { readonly source?: string }) => Json
  const reviver: Reviver = (_key, value, context) =>
    typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
      ? new ExactNumber(context.source)
      : value
  return JSON.parse(text, reviver as (this: unknown, key: string, value: unknown) => unknown) as Json
}
