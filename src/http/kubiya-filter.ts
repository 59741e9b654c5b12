import { FILTER_VALUE_CHARACTERS, MOST_FILTER_BYTES, filterBytes, type AuditFilter } from '../audit/filter.ts'
import { formatInstant } from '../audit/instant.ts'
import { parseTimeBound, type TimeBound } from '../audit/time-range.ts'

/** What is wrong with one parameter, or with one key inside `filter`. */
export interface ParameterFault {
  readonly parameter: string
  readonly message: string
}

/** The parameter `filter` of Kubiya's list, read. */
export interface KubiyaFilter {
  readonly filter: AuditFilter
  readonly start: TimeBound | undefined
  readonly end: TimeBound | undefined
}

type Field = Exclude<keyof AuditFilter, 'status' | 'text'>

/** Kubiya's filter keys, and ours. Clients use both keys of a session (docs/kubiya-api.md §1.7). */
const FIELDS = new Map<string, Field>([
  ['category_type', 'category_type'],
  ['category_name', 'category_name'],
  ['resource_type', 'resource_type'],
  ['action_type', 'action_type'],
  ['session_id', 'session_id'],
  ['extra.session_id', 'session_id'],
  ['email', 'email'],
  ['extra.tool_name', 'tool_name']
])
const BOUNDS = ['gte', 'lte'] as const
const DEEPEST = 2
const MOST_MEMBERS = 32
const LONGEST_FILTER = 8192
const LONGEST_TIME = 64
const TIME = 'must be a time of RFC 3339, e.g. 2024-01-01T00:00:00Z, or a date'

const STRING = /"(?:[^"\\]|\\.)*"?/gs

/**
 * Reads `filter`: a JSON object of known keys. Its size is checked before it is parsed, so that no text can cost more
 * than it is long. Returns all faults, each with the key that it concerns.
 */
export function readKubiyaFilter (text: string): KubiyaFilter | ParameterFault[] {
  const parsed = parseFlatObject(text)
  if (typeof parsed === 'string') return [{ parameter: 'filter', message: parsed }]
  const faults: ParameterFault[] = []
  const filter: { [Name in Field]?: string } = {}
  let times: ReturnType<typeof readTimes> = { start: undefined, end: undefined, faults: [] }
  for (const [key, value] of Object.entries(parsed)) {
    if (key === 'timestamp') times = readTimes(value)
    else readField(key, value)
  }
  const bytes = filterBytes(filter)
  if (bytes > MOST_FILTER_BYTES) {
    const message = `all filter values together must be at most ${MOST_FILTER_BYTES} bytes as JSON, not ${bytes}`
    faults.push({ parameter: 'filter', message })
  }
  const { end, start } = times
  const all = [...faults, ...times.faults]
  return all.length > 0 ? all : { filter, start, end }

  function readField (key: string, value: unknown): void {
    const field = FIELDS.get(key)
    const message = field === undefined ? 'is not a known key' : fieldFault(field, value)
    if (message !== undefined) faults.push({ parameter: `filter.${key}`, message })
    else if (field !== undefined) filter[field] = String(value)
  }

  function fieldFault (field: Field, value: unknown): string | undefined {
    if (typeof value !== 'string' || value.length > FILTER_VALUE_CHARACTERS) {
      return `must be a string of at most ${FILTER_VALUE_CHARACTERS} characters`
    }
    return (filter[field] ?? value) === value ? undefined : `differs from another value of ${field}`
  }
}

/** Writes a filter as clients of Kubiya do: the inverse of `readKubiyaFilter`. */
export function writeKubiyaFilter ({ end, filter, start }: KubiyaFilter): string {
  const timestamp = { gte: writeTime(start), lte: writeTime(end) }
  const fields = [...FIELDS].filter(([key]) => key !== 'extra.session_id').map(([key, field]) => [key, filter[field]])
  const hasTimes = timestamp.gte !== undefined || timestamp.lte !== undefined
  return JSON.stringify({ ...hasTimes && { timestamp }, ...Object.fromEntries(fields) })
}

function writeTime (bound: TimeBound | undefined): string | undefined {
  return bound?.kind === 'at' ? formatInstant(bound.instant) : undefined
}

function readTimes (value: unknown): Pick<KubiyaFilter, 'start' | 'end'> & { readonly faults: ParameterFault[] } {
  const none = { start: undefined, end: undefined }
  if (!isObject(value)) return { ...none, faults: [{ parameter: 'filter.timestamp', message: 'must be an object' }] }
  const faults: ParameterFault[] = Object.keys(value).filter((key) => !BOUNDS.some((each) => each === key))
    .map((key) => ({ parameter: `filter.timestamp.${key}`, message: 'is not a known key' }))
  const [start, end] = BOUNDS.map((key) => {
    if (!Object.hasOwn(value, key)) return undefined
    const bound = readTime(value[key])
    if (bound === undefined) faults.push({ parameter: `filter.timestamp.${key}`, message: TIME })
    return bound
  })
  return { start, end, faults }
}

/** Kubiya knows no relative times. */
function readTime (value: unknown): TimeBound | undefined {
  const bound = typeof value === 'string' && value.length <= LONGEST_TIME ? parseTimeBound(value) : undefined
  return bound?.kind === 'at' ? bound : undefined
}

/** Parses an object that is at most two levels deep. Otherwise returns what is wrong with it. */
function parseFlatObject (text: string): Readonly<Record<string, unknown>> | string {
  if (text.length > LONGEST_FILTER) return `must be at most ${LONGEST_FILTER} characters long`
  const members = countMembers(text)
  if (members === undefined) return `must have at most ${DEEPEST} levels and ${MOST_MEMBERS} members`
  const parsed = parseOrUndefined(text)
  if (!isObject(parsed)) return 'must be a JSON object'
  const { timestamp } = parsed
  const keys = Object.keys(parsed).length + (isObject(timestamp) ? Object.keys(timestamp).length : 0)
  // Programs differ in which one of two equal keys they use.
  return keys < members && isFlat(parsed) ? 'must not repeat a key' : parsed
}

/** Counts the members of all objects in a JSON text without building them. `undefined`: too many, or too deep. */
function countMembers (text: string): number | undefined {
  const structure = text.replace(STRING, '')
  const members = countOf(structure, ':')
  const isLarge = members > MOST_MEMBERS || countOf(structure, ',') > MOST_MEMBERS || depthOf(structure) > DEEPEST
  return isLarge ? undefined : members
}

function countOf (text: string, letter: string): number {
  let count = 0
  for (let at = text.indexOf(letter); at >= 0; at = text.indexOf(letter, at + 1)) count++
  return count
}

function depthOf (structure: string): number {
  let depth = 0
  let deepest = 0
  for (const letter of structure) {
    if (letter === '{' || letter === '[') deepest = Math.max(deepest, ++depth)
    else if (letter === '}' || letter === ']') depth--
  }
  return deepest
}

/** Whether no object but `timestamp` is inside the filter: the others are faults of their own. */
function isFlat (filter: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(filter).every(([key, value]) => key === 'timestamp' || typeof value !== 'object')
}

/** The value of a JSON text. `undefined`: it is not JSON. */
export function parseOrUndefined (text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function isObject (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
