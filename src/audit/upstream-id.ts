import { ExactNumber, type Json, type JsonObject } from './exact-json.ts'

/** The prefix of every computed id. An upstream id with this prefix is unusable. */
export const COMPUTED_PREFIX = 'kab1.'

const FIELDS = ['id', 'audit_id', 'event_id', '_id']
const LONGEST = 200 // UTF-16 code units.
const OWN_SEARCH = 'search' // `/search` is a route of this service, so no event can have this path.
const UNWRITABLE = /[\p{Cc}\p{Cs}]/u
const RELATIVE_PART = /(?:^|[/\\])\.{0,2}(?:[/\\]|$)/
const ASCII_ESCAPE = /%([0-7][\da-f])/gi
const UPSTREAM_STREAM = 'stream' // Kubiya's own stream endpoint (docs/kubiya-api.md §1.3).
const UNFIT_FOR_PATH = /[/\\%?#]/
const MOVED_TO = 'upstream_id'

/** The item's own id: the value of the first known field that is usable. */
export function upstreamId (item: JsonObject): string | undefined {
  for (const field of FIELDS) {
    const id = Object.hasOwn(item, field) ? idOf(item[field]) : undefined
    if (id !== undefined) return id
  }
  return undefined
}

/** The fields to publish beside the id. An unusable `id`, also `null`, is moved to a free name. */
export function withoutUpstreamId (item: JsonObject): JsonObject {
  if (!Object.hasOwn(item, 'id') || idOf(item.id) !== undefined) return item
  let name = MOVED_TO
  for (let number = 2; Object.hasOwn(item, name); number++) name = `${MOVED_TO}_${number}`
  return { ...item, [name]: item.id ?? null }
}

/**
 * Whether a text can be an upstream id. It has 1 to 200 UTF-16 code units, without control characters (C0, DEL, C1) and
 * lone surrogates. It has no white space (as `trim` defines it) at either end. Everything else is allowed, also spaces,
 * U+2028 and format characters inside. All of them are data in JSON, in a frame and, percent-encoded, in a path.
 *
 * No part between `/` or `\` may be empty, `.` or `..`, also after a second percent-decoding, which some proxies do.
 * That decoding keeps invalid escapes, and escapes that are not ASCII: they cannot form such a part.
 */
export function isUsableId (text: string): boolean {
  return text !== '' && text.length <= LONGEST && text !== OWN_SEARCH && !text.startsWith(COMPUTED_PREFIX) &&
    !UNWRITABLE.test(text) && text.trim() === text &&
    !RELATIVE_PART.test(text) && !RELATIVE_PART.test(decodedOnce(text))
}

/** Whether an id is safe in a path of Kubiya's API: it stays the same path, also after a second decoding. */
export function isPathSafe (id: string): boolean {
  return id !== UPSTREAM_STREAM && !UNFIT_FOR_PATH.test(id)
}

function idOf (value: Json | undefined): string | undefined {
  const text = typeof value === 'string' ? value : integerText(value)
  return text !== undefined && isUsableId(text) ? text : undefined
}

function integerText (value: Json | undefined): string | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined
  return value instanceof ExactNumber && /^-?\d+$/.test(value.source) ? value.source : undefined
}

function decodedOnce (text: string): string {
  return text.replace(ASCII_ESCAPE, (_escape, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
}
