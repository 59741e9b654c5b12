import { createHash } from 'node:crypto'
import type { AuditEvent } from './event.ts'
import { isWritable, parseInstant, type Instant } from './instant.ts'
import { ExactNumber, writeJson, writeMembers, type Json, type JsonObject } from './json.ts'

/** What every computed id begins with; an upstream id that begins so does not count. */
export const COMPUTED_PREFIX = 'kab1.'

const UPSTREAM_ID_FIELDS = ['id', 'audit_id', 'event_id', '_id']
const SANE_ID = /^(?!\.{1,2}$)[A-Za-z0-9._:~-]{1,200}$/
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
 * Gives the items of one upstream answer their ids. An item's own id counts where it is sane; otherwise the id is
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

/** Whether a caller's id could be any event's: it fits a URL's path segment as it is and is no relative segment. */
export function isSaneId (id: string): boolean {
  return SANE_ID.test(id)
}

/** Whether a caller's id could be published by this service: not one that looks computed, but is not. */
export function isPossibleId (id: string): boolean {
  return isSaneId(id) && (!id.startsWith(COMPUTED_PREFIX) || parseComputedId(id) !== undefined)
}

/** The item's own id: the first of the known fields that holds an integer or a sane string. */
export function upstreamId (item: JsonObject): string | undefined {
  return UPSTREAM_ID_FIELDS
    .map((field) => Object.hasOwn(item, field) ? idText(item[field]) : undefined)
    .find((id) => id !== undefined && isSaneId(id) && id !== 'search' && !id.startsWith(COMPUTED_PREFIX))
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

function publish (item: JsonObject, id: string, canonical?: string): string {
  const keys = Object.keys(item)
  const members = canonical !== undefined && !Object.hasOwn(item, 'id')
    ? canonical.slice(1, -1)
    : writeMembers(item, keys.filter((key) => key !== 'id'))
  return members === '' ? `{"id":${JSON.stringify(id)}}` : `{"id":${JSON.stringify(id)},${members}}`
}
