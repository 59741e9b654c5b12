import { ExactNumber, type Json, type JsonObject } from './exact-json.ts'

/** What every computed id begins with; an upstream id that begins so does not count. */
export const COMPUTED_PREFIX = 'kab1.'

const FIELDS = ['id', 'audit_id', 'event_id', '_id']
const LONGEST = 200 // UTF-16 code units.
const OWN_SEARCH = 'search' // Our own route stands where its event would.
const UNWRITABLE = /[\p{Cc}\p{Cs}]/u
const RELATIVE_PART = /(?:^|[/\\])\.{0,2}(?:[/\\]|$)/
const ASCII_ESCAPE = /%([0-7][\da-f])/gi
const UPSTREAM_STREAM = 'stream' // Kubiya's own stream endpoint (docs/kubiya-api.md §1.3).
const UNFIT_FOR_PATH = /[/\\%?#]/
const MOVED_TO = 'upstream_id'

/** The item's own id: the first of the known fields that holds one that counts. */
export function upstreamId (item: JsonObject): string | undefined {
  for (const field of FIELDS) {
    const id = Object.hasOwn(item, field) ? idOf(item[field]) : undefined
    if (id !== undefined) return id
  }
  return undefined
}

/** The fields to publish beside the id. An `id` that does not count, `null` too, moves to a name that is free. */
export function withoutUpstreamId (item: JsonObject): JsonObject {
  if (!Object.hasOwn(item, 'id') || idOf(item.id) !== undefined) return item
  let name = MOVED_TO
  for (let number = 2; Object.hasOwn(item, name); number++) name = `${MOVED_TO}_${number}`
  return { ...item, [name]: item.id ?? null }
}

/**
 * Whether a text can be an upstream id: 1 to 200 UTF-16 code units, no control character (C0, DEL, C1), no lone
 * surrogate, no blank at an end. Blanks are what `trim` takes. All else counts: any script, and inside also blanks,
 * U+2028 and format characters. Each is data in JSON, in a stream's frame and, percent-encoded, in a path.
 *
 * No part between `/` or `\` is empty, `.` or `..`. Neither is one after a further percent-decoding, as some proxies do
 * it. That decoding leaves faulty escapes as they are, and those of no ASCII character, which make no such part.
 */
export function isUsableId (text: string): boolean {
  return text !== '' && text.length <= LONGEST && text !== OWN_SEARCH && !text.startsWith(COMPUTED_PREFIX) &&
    !UNWRITABLE.test(text) && text.trim() === text &&
    !RELATIVE_PART.test(text) && !RELATIVE_PART.test(decodedOnce(text))
}

/** Whether an id may stand in a path of Kubiya's: nobody who decodes it, once more too, takes it for another path. */
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
