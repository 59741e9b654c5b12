import { createHash } from 'node:crypto'
import type { AuditEvent } from './event.ts'
import { isWritable, parseInstant, type Instant } from './instant.ts'
import { ExactNumber, writeJson, writeMembers, type Json, type JsonObject } from './json.ts'

/** What every computed id begins with; an upstream id that begins so does not count. */
export const COMPUTED_PREFIX = 'kab1.'

const UPSTREAM_ID_FIELDS = ['id', 'audit_id', 'event_id', '_id']
const LONGEST_ID = 200 // UTF-16 code units.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u // Controls, line separators, and half of a surrogate pair.
const MEANS_MORE_IN_A_PATH = /[/\\%?#]/
const SEPARATORS = /[/\\]/
const RELATIVE_PARTS = new Set(['', '.', '..'])
const COMPUTED_ID = /^kab1\.(-?\d{1,21}|none)\.([A-Za-z0-9_-]{22})(?:\.([2-9]|[1-9]\d{1,6}))?$/
const NO_INSTANT = 'none'

export interface ComputedId {
  /** `undefined` for an event without a readable timestamp. */
  readonly instant: Instant | undefined
  readonly digest: string
  /** 1 for the first of several items that are equal in every field. */
  readonly ordinal: number
}

/**
 * Gives the items of one upstream answer their ids. An item's own id counts where it is fit; otherwise the id is
 * `kab1.<nanoseconds since 1970, or none>.<128 bits of SHA-256 over the item's canonical JSON>` and, for the second and
 * later of items that are equal in every field (twins), `.<ordinal>`. Twins are counted within this one answer only: the
 * same event met on two pages must not become two.
 */
export function identify (items: JsonObject[]): AuditEvent[] {
  return tellApart(items.map(natureOf))
}

/** What an item is by itself, whatever stands next to it: the event that it is as the first of its twins. */
export interface Nature {
  readonly event: AuditEvent
  /** Set where the id is computed. */
  readonly digest: string | undefined
}

export function natureOf (item: JsonObject): Nature {
  const instant = readableInstant(item)
  const own = upstreamId(item)
  if (own !== undefined) return { event: { id: own, instant, item, json: publish(item, own) }, digest: undefined }
  const canonical = writeJson(item)
  const digest = createHash('sha256').update(canonical).digest('base64url').slice(0, 22)
  const id = computedId({ instant, digest, ordinal: 1 })
  return { event: { id, instant, item, json: publish(item, id, canonical) }, digest }
}

/** The events of one answer, twins numbered. */
export function tellApart (natures: readonly Nature[]): AuditEvent[] {
  const timesSeen = new Map<string, number>()
  return natures.map(({ digest, event }) => {
    if (digest === undefined) return event
    const ordinal = (timesSeen.get(digest) ?? 0) + 1
    timesSeen.set(digest, ordinal)
    if (ordinal === 1) return event
    const id = computedId({ instant: event.instant, digest, ordinal })
    return { ...event, id, json: publish(event.item, id) }
  })
}

/** The event that Kubiya answered with when asked for this id, whatever id the item itself bears. */
export function identifyAs (item: JsonObject, id: string): AuditEvent {
  return { id, instant: readableInstant(item), item, json: publish(item, id) }
}

/** Takes a computed id apart; `undefined` for any other id. */
export function parseComputedId (id: string): ComputedId | undefined {
  const parts = COMPUTED_ID.exec(id)
  if (parts === null) return undefined
  const [, instantText = '', digest = '', ordinal = '1'] = parts
  const instant = instantText === NO_INSTANT ? undefined : BigInt(instantText)
  if (instant !== undefined && !isWritable(instant)) return undefined
  const computed = { instant, digest, ordinal: Number(ordinal) }
  return computedId(computed) === id ? computed : undefined
}

/**
 * Whether a text can be an event's id: 1 to 200 UTF-16 code units, all of them printable, no blank at either end. No part
 * between slashes is empty or relative, as it is or after one more decoding: a proxy on the way could resolve it.
 */
export function isFitId (id: string): boolean {
  return id.length <= LONGEST_ID && id.trim() === id && !UNPRINTABLE.test(id) && hasPlainParts(id) && hasPlainParts(decoded(id))
}

/** Whether an id means itself alone in a path, once it is percent-encoded, whatever decodes it twice on the way. */
export function isSafeInPath (id: string): boolean {
  return !MEANS_MORE_IN_A_PATH.test(id)
}

function hasPlainParts (id: string): boolean {
  return !id.split(SEPARATORS).some((part) => RELATIVE_PARTS.has(part))
}

function decoded (id: string): string {
  try {
    return decodeURIComponent(id)
  } catch {
    return id
  }
}

/** Whether a caller's id could be published by this service: not one that looks computed, but is not. */
export function isPossibleId (id: string): boolean {
  return isFitId(id) && (!id.startsWith(COMPUTED_PREFIX) || parseComputedId(id) !== undefined)
}

/** The item's own id: the first of the known fields that holds an integer or a fit string. */
export function upstreamId (item: JsonObject): string | undefined {
  return UPSTREAM_ID_FIELDS
    .map((field) => Object.hasOwn(item, field) ? idText(item[field]) : undefined)
    .find((id) => id !== undefined && isFitId(id) && id !== 'search' && !id.startsWith(COMPUTED_PREFIX))
}

function idText (value: Json | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return Number.isSafeInteger(value) ? String(value) : undefined
  return value instanceof ExactNumber && /^-?\d+$/.test(value.source) ? value.source : undefined
}

function readableInstant (item: JsonObject): Instant | undefined {
  const instant = Object.hasOwn(item, 'timestamp') ? parseInstant(item.timestamp) : undefined
  return instant !== undefined && isWritable(instant) ? instant : undefined
}

function computedId ({ instant, digest, ordinal }: ComputedId): string {
  const first = `${COMPUTED_PREFIX}${instant ?? NO_INSTANT}.${digest}`
  return ordinal === 1 ? first : `${first}.${ordinal}`
}

/** The event's JSON text. An `id` that is not the event's is not lost: `upstream_id` holds it. */
function publish (item: JsonObject, id: string, canonical?: string): string {
  const given = Object.hasOwn(item, 'id') ? item.id : undefined
  const members = [
    `"id":${JSON.stringify(id)}`,
    given === undefined || idText(given) === id ? '' : `"${freeField(item)}":${writeJson(given)}`,
    canonical !== undefined && given === undefined ? canonical.slice(1, -1) : writeMembers(item, Object.keys(item).filter((key) => key !== 'id'))
  ]
  return `{${members.filter((text) => text !== '').join(',')}}`
}

/** The first of `upstream_id`, `upstream_id_2`, … that the item does not have. */
function freeField (item: JsonObject): string {
  if (!Object.hasOwn(item, 'upstream_id')) return 'upstream_id'
  let count = 2
  while (Object.hasOwn(item, `upstream_id_${count}`)) count++
  return `upstream_id_${count}`
}
