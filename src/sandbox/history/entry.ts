import { createHash } from 'node:crypto'
import { instantOf } from '../instant.ts'

export type Item = Record<string, unknown>

/** One event of the log. Answers contain `text`; queries are evaluated with the other fields. */
export interface Entry {
  readonly text: string
  /** The parsed text. `undefined`: it is not JSON. */
  readonly value: unknown
  /** Nanoseconds since 1970. An event without a readable timestamp is before all others. */
  readonly place: bigint
  /** Whether it was published as text: no id is added to it. */
  readonly verbatim: boolean
}

export type IdField = 'id' | 'audit_id' | 'event_id' | '_id'
export type Ids = 'none' | 'some' | IdField

export const BEFORE_ALL = -(2n ** 80n)
const ID_FIELDS: readonly IdField[] = ['id', 'audit_id', 'event_id', '_id']

/** The entry of an object. Later changes of the object do not change it. */
export function entryOf (item: object): Entry {
  const text = JSON.stringify(item)
  return { text, value: JSON.parse(text), place: placeOf(item), verbatim: false }
}

/** The entry of an object that never changes. Its text is written when it is first sent. */
export function settledEntry (item: Item): Entry {
  let text: string | undefined
  return {
    get text () {
      text ??= JSON.stringify(item)
      return text
    },
    value: item,
    place: placeOf(item),
    verbatim: false
  }
}

/** The entry of a text that answers contain unchanged. */
export function verbatimEntry (text: string): Entry {
  const value = parsed(text)
  return { text, value, place: placeOf(value), verbatim: true }
}

/** The value at a path such as `['extra', 'session_id']`. */
export function valueAt (value: unknown, path: readonly string[]): unknown {
  return path.reduce(member, value)
}

/** The text of an entry with the id that this upstream adds. */
export function textWithId (entry: Entry, ids: Ids): string {
  const id = givenId(entry, ids)
  if (id === undefined) return entry.text
  const head = `{${JSON.stringify(id.field)}:"${id.value}"`
  return entry.text === '{}' ? `${head}}` : `${head},${entry.text.slice(1)}`
}

/** Whether the entry has this id, its own or one that the upstream adds. */
export function isKnownAs (entry: Entry, id: string, ids: Ids): boolean {
  if (givenId(entry, ids)?.value === id) return true
  return ID_FIELDS.some((field) => {
    const own = member(entry.value, field)
    return (typeof own === 'string' || typeof own === 'number') && String(own) === id
  })
}

function givenId (entry: Entry, ids: Ids): { field: IdField, value: string } | undefined {
  if (ids === 'none' || entry.verbatim) return undefined
  const field = ids === 'some' ? 'id' : ids
  if (member(entry.value, field) !== undefined) return undefined
  // A hash of the item: the id survives a restart and does not reveal the order of events.
  const value = createHash('sha256').update(entry.text).digest('hex').slice(0, 24)
  if (ids === 'some' && Number.parseInt(value.slice(0, 8), 16) % 3 !== 0) return undefined
  return { field, value }
}

function placeOf (value: unknown): bigint {
  return instantOf(member(value, 'timestamp')) ?? BEFORE_ALL
}

function member (value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Item)[name]
}

function parsed (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
