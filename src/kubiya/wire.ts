import { identify, identifyAs, upstreamId } from '../audit/identity.ts'
import type { AuditEvent } from '../audit/event.ts'
import { isJsonObject, isNestedAtMost, parseJson, type Json, type JsonObject } from '../audit/json.ts'

const DEEPEST = 256
const KNOWN_FIELDS = ['timestamp', 'category_type', 'category_name', 'resource_type', 'action_type', 'resource_text', 'extra']

export interface Listing {
  readonly events: AuditEvent[]
  /** Elements of the answer, those that are no events included. */
  readonly rows: number
}

/**
 * Kubiya's list answer as events: a bare array, `{items}` or `{data}`; `null` and `{items|data: null}` are empty
 * (facts 2.1). An element that is no object, or is nested beyond all reason, is passed by and counted. `undefined` for
 * everything that is not the protocol: no text at all, truncated JSON, HTML, objects of another kind.
 */
export function readListing (body: string): Listing | undefined {
  const rows = rowsOf(parsed(body))
  if (rows === undefined) return undefined
  const items = rows.filter((row): row is JsonObject => isJsonObject(row) && isNestedAtMost(row, DEEPEST))
  return { events: identify(items), rows: rows.length }
}

/**
 * Kubiya's answer to a question by id: the event; `'none'` for answers that say nothing (`null`, `[]`, `{}`, HTML), since
 * nobody knows whether this call exists (facts 1.1); `undefined` for an answer that is not the protocol.
 */
export function readEvent (body: string, id: string): AuditEvent | 'none' | undefined {
  if (/^\s*</.test(body)) return 'none'
  const answer = parsed(body)
  if (answer === null) return 'none'
  const candidates = isJsonObject(answer) ? [answer, ...rowsOf(answer) ?? [answer.item ?? null, answer.data ?? null]] : rowsOf(answer)
  if (candidates === undefined) return undefined
  const item = candidates.find((each): each is JsonObject => isJsonObject(each) && isEventLike(each) && isNestedAtMost(each, DEEPEST))
  if (item !== undefined) return asAsked(item, id)
  const saysNothing = isJsonObject(answer) ? Object.keys(answer).length === 0 || rowsOf(answer) !== undefined : true
  return saysNothing ? 'none' : undefined
}

function asAsked (item: JsonObject, id: string): AuditEvent | 'none' {
  const own = upstreamId(item)
  return own === undefined || own === id ? identifyAs(item, id) : 'none' // Else it is another event than was asked for.
}

function isEventLike (value: JsonObject): boolean {
  return KNOWN_FIELDS.some((field) => Object.hasOwn(value, field))
}

function parsed (body: string): Json | undefined {
  try {
    return parseJson(body)
  } catch {
    return undefined // Truncated, HTML, empty: the caller says what it is not.
  }
}

function rowsOf (answer: Json | undefined): Json[] | undefined {
  if (answer === null) return []
  if (Array.isArray(answer)) return answer
  if (!isJsonObject(answer)) return undefined
  for (const wrapper of ['items', 'data']) {
    if (!Object.hasOwn(answer, wrapper)) continue
    const held = answer[wrapper]
    return held === null ? [] : Array.isArray(held) ? held : undefined
  }
  return undefined
}
