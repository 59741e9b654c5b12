import { identifyAs, identityOf, toEvent, type IdentifiedItem } from '../audit/event-id.ts'
import type { AuditEvent } from '../audit/event.ts'
import { extentOf, isJsonObject, parseJson, type Json, type JsonObject, type TextSpan } from '../audit/exact-json.ts'
import { pauseIfDue } from '../audit/time-slice.ts'
import { upstreamId } from '../audit/upstream-id.ts'

// The limits of one event. A larger one would block the event loop; it is skipped, and reported as a gap.
const MAX_DEPTH = 5000
const MAX_VALUES_OF_EVENT = 50_000
// The limit of an answer that is read in one piece.
const MAX_VALUES_OF_ANSWER = 250_000
const KNOWN_FIELDS = [
  'timestamp',
  'category_type',
  'category_name',
  'resource_type',
  'action_type',
  'resource_text',
  'extra'
]

/** The elements of a list answer, of any type. `undefined`: the answer is not the protocol. */
export function readElements (body: string): Json[] | undefined {
  return unwrapItems(parsed(body))
}

/** Parses the text of one element. `undefined`: it is not JSON. */
export function parseElement (text: string): Json | undefined {
  return parsed(text)
}

/** Identifies an element as an event, in two turns of the event loop if it is large. `undefined`: it is no object. */
export async function identifyElement (element: Json): Promise<IdentifiedItem | undefined> {
  if (!isJsonObject(element)) return undefined
  const identity = identityOf(element)
  await pauseIfDue()
  return toEvent(element, identity)
}

/** Whether an event of this extent can be read. */
export function isReadable ({ depth, values }: Pick<TextSpan, 'depth' | 'values'>): boolean {
  return depth <= MAX_DEPTH && values <= MAX_VALUES_OF_EVENT
}

/** Whether an answer can be read in one piece. */
export function isReadableWhole (body: string): boolean {
  const { depth, values } = extentOf(body)
  return depth <= MAX_DEPTH && values <= MAX_VALUES_OF_ANSWER
}

/**
 * Reads Kubiya's answer to a request by id. `'none'`: the answer says nothing (`null`, `[]`, `{}`, HTML), since nobody
 * knows whether this call exists (docs/kubiya-api.md §1.2). `undefined`: the answer is not the protocol.
 */
export function readEvent (body: string, id: string): AuditEvent | 'none' | undefined {
  if (/^\s*</.test(body)) return 'none'
  if (!isReadable(extentOf(body))) return undefined
  const answer = parsed(body)
  const candidates = candidatesIn(answer)
  if (candidates === undefined) return undefined
  const item = candidates.find((each): each is JsonObject => isJsonObject(each) && isEventLike(each))
  if (item !== undefined) return eventWithId(item, id)
  return isEmptyAnswer(answer) ? 'none' : undefined
}

/** The values in an answer that may be the event: the answer itself, an element of a list, or a wrapped object. */
function candidatesIn (answer: Json | undefined): Json[] | undefined {
  if (!isJsonObject(answer)) return unwrapItems(answer)
  return [answer, ...unwrapItems(answer) ?? [answer.item ?? null, answer.data ?? null]]
}

/** Whether an answer without an event is a list, `null`, or an empty object. */
function isEmptyAnswer (answer: Json | undefined): boolean {
  return !isJsonObject(answer) || Object.keys(answer).length === 0 || unwrapItems(answer) !== undefined
}

/** `'none'`: the item bears another id, so it is another event. */
function eventWithId (item: JsonObject, id: string): AuditEvent | 'none' {
  const own = upstreamId(item)
  return own === undefined || own === id ? identifyAs(item, id) : 'none'
}

function isEventLike (value: JsonObject): boolean {
  return KNOWN_FIELDS.some((field) => Object.hasOwn(value, field))
}

function parsed (body: string): Json | undefined {
  try {
    return parseJson(body)
  } catch {
    return undefined // Truncated, HTML, or empty.
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
