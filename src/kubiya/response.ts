import { identifyAs, identifyItem, type IdentifiedItem } from '../audit/event-id.ts'
import type { AuditEvent } from '../audit/event.ts'
import { extentOf, isJsonObject, parseJson, type Json, type JsonObject, type TextSpan } from '../audit/exact-json.ts'
import { upstreamId } from '../audit/upstream-id.ts'

/**
 * What an event may hold. More would hold up everything else while it is read; such an event is passed by, and its
 * place told.
 */
const DEEPEST = 5000
const MOST_VALUES_OF_EVENT = 50_000
/** What an answer that is read in one piece may hold. */
const MOST_VALUES_OF_ANSWER = 250_000
const KNOWN_FIELDS = [
  'timestamp',
  'category_type',
  'category_name',
  'resource_type',
  'action_type',
  'resource_text',
  'extra'
]

/** Elements of Kubiya's list answer, whatever they are; `undefined` for everything that is not the protocol. */
export function readElements (body: string): Json[] | undefined {
  return unwrapItems(parsed(body))
}

/** An element's text by itself; `undefined` when that is no JSON. */
export function parseElement (text: string): Json | undefined {
  return parsed(text)
}

/** What an element is; `undefined` for one that is no object. */
export function identifyElement (element: Json): IdentifiedItem | undefined {
  return isJsonObject(element) ? identifyItem(element) : undefined
}

/** Whether an event of this extent can be read. */
export function isReadable ({ depth, values }: Pick<TextSpan, 'depth' | 'values'>): boolean {
  return depth <= DEEPEST && values <= MOST_VALUES_OF_EVENT
}

/** Whether an answer can be read in one piece. */
export function isReadableWhole (body: string): boolean {
  const { depth, values } = extentOf(body)
  return depth <= DEEPEST && values <= MOST_VALUES_OF_ANSWER
}

/**
 * Kubiya's answer to a question by id: the event; `'none'` for answers that say nothing (`null`, `[]`, `{}`, HTML),
 * since nobody knows whether this call exists (docs/kubiya-api.md §1.2); `undefined` for an answer that is not the
 * protocol.
 */
export function readEvent (body: string, id: string): AuditEvent | 'none' | undefined {
  if (/^\s*</.test(body)) return 'none'
  if (!isReadable(extentOf(body))) return undefined
  const answer = parsed(body)
  if (answer === null) return 'none'
  const candidates = isJsonObject(answer)
    ? [answer, ...unwrapItems(answer) ?? [answer.item ?? null, answer.data ?? null]]
    : unwrapItems(answer)
  if (candidates === undefined) return undefined
  const item = candidates.find((each): each is JsonObject => isJsonObject(each) && isEventLike(each))
  if (item !== undefined) return asAsked(item, id)
  const saysNothing = isJsonObject(answer)
    ? Object.keys(answer).length === 0 || unwrapItems(answer) !== undefined
    : true
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

function unwrapItems (answer: Json | undefined): Json[] | undefined {
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
