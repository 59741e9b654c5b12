import { Type, type Static } from '@sinclair/typebox'
import { COUNTED_FIELDS, type CountedField } from '../aggregates/columns.ts'
import { SESSION_OUTCOMES, type SessionOutcome } from '../audit/session.ts'
import { SESSION_ORDERS, type SessionOrder } from '../aggregates/sessions.ts'
import { MOST_BUCKETS, createCountQuery, type CountKind, type CountQuery } from '../archive/count-query.ts'
import { decodeCursor, type SessionsCursor } from '../audit/cursor.ts'
import { AuditFilter, MOST_FILTER_BYTES, filterBytes, isFilter, pickFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, instantFromMs } from '../audit/instant.ts'
import { resolveRange, type RequestedRange } from '../audit/time-range.ts'
import { cursor, cursorFault, fault, filterFault, readWindow, windowParameters, type Fault } from './parameters.ts'

const MOST_SESSIONS = 500
const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 }
const INTERVAL = /^([1-9]\d{0,6})([smhd])$/
const FIELD_NAMES = COUNTED_FIELDS.join(', ')

const top = (fallback: number, minimum: number, maximum: number, what: string) =>
  Type.Optional(Type.Integer({ minimum, maximum, description: `Number of ${what}; default ${fallback}.` }))
const selection = { ...AuditFilter.properties, ...windowParameters }

export const SummaryQuery = Type.Object({
  ...selection,
  top: top(10, 0, 100, 'values that are listed for each field')
}, { additionalProperties: false })
export type SummaryQuery = Static<typeof SummaryQuery>

export const TimelineQuery = Type.Object({
  ...selection,
  buckets: Type.Optional(Type.Integer({
    minimum: 1,
    maximum: 500,
    description: 'Largest number of buckets; default 60. Their width is the least of 1, 2, 5, 10, 15, 30 s and min, ' +
      '1, 2, 3, 6, 12 h, 1, 7, 30 d that suffices.'
  })),
  interval: Type.Optional(Type.String({
    minLength: 2,
    maxLength: 8,
    description:
      `Width of a bucket instead: a number and \`s\`, \`m\`, \`h\` or \`d\`. At most ${MOST_BUCKETS} buckets.`,
    examples: ['15m']
  })),
  by: Type.Optional(Type.Unsafe<CountedField | 'none'>({
    type: 'string',
    enum: [...COUNTED_FIELDS, 'none'],
    description: 'The field whose values are the series; default `status`.'
  })),
  top: top(8, 1, 50, 'series; the last one, with an empty value, is for all other values')
}, { additionalProperties: false })
export type TimelineQuery = Static<typeof TimelineQuery>

export const FacetsQuery = Type.Object({
  ...selection,
  fields: Type.Optional(Type.String({
    minLength: 1,
    maxLength: 200,
    description: `Names of fields, separated by commas; default all: ${FIELD_NAMES}.`,
    examples: ['category_type,status']
  })),
  top: top(20, 1, 200, 'values that are listed for each field')
}, { additionalProperties: false })
export type FacetsQuery = Static<typeof FacetsQuery>

export const SessionsQuery = Type.Object({
  ...selection,
  outcome: Type.Optional(Type.Unsafe<SessionOutcome>({
    type: 'string',
    enum: [...SESSION_OUTCOMES],
    description:
      'Only sessions with this outcome: that of their newest event that has one. `recovered`: it succeeded after failures.'
  })),
  order_by: Type.Optional(Type.Unsafe<SessionOrder>({
    type: 'string',
    enum: [...SESSION_ORDERS],
    description: 'The greatest value comes first; default `end_time`.'
  })),
  page_size: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MOST_SESSIONS, description: 'Largest number of sessions on a page; default 50.' })
  ),
  cursor: cursor('Position of the next page, from `next`. It contains the whole query: send no other parameter.')
}, { additionalProperties: false })
export type SessionsQuery = Static<typeof SessionsQuery>

/** A question, or everything that is wrong with its parameters. */
export type CountReading = { readonly ok: true, readonly query: CountQuery } | Fault

type KindReading = CountKind | Fault['errors']

export function readSummaryQuery (parameters: SummaryQuery, nowMs: number): CountReading {
  return read(parameters, nowMs, () => ({ operation: 'summary', top: parameters.top ?? 10 }))
}

export function readTimelineQuery (parameters: TimelineQuery, nowMs: number): CountReading {
  const { buckets, by = 'status', interval, top = 8 } = parameters
  return read(parameters, nowMs, (window) => {
    if (interval === undefined) return { operation: 'timeline', width: { buckets: buckets ?? 60 }, by, top }
    if (buckets !== undefined) return [{ parameter: 'interval', message: 'cannot be combined with buckets' }]
    const intervalSeconds = secondsOf(interval)
    const message = intervalSeconds === undefined
      ? 'must be a number and s, m, h or d, such as 15m'
      : faultOfWidth(intervalSeconds, window, nowMs)
    return intervalSeconds === undefined || message !== undefined
      ? [{ parameter: 'interval', message: message ?? '' }]
      : { operation: 'timeline', width: { intervalSeconds }, by, top }
  })
}

export function readFacetsQuery (parameters: FacetsQuery, nowMs: number): CountReading {
  const { fields = COUNTED_FIELDS.join(), top = 20 } = parameters
  return read(parameters, nowMs, () => {
    const names = fields.split(',').map((name) => name.trim())
    const unknown = names.filter((name) => !isField(name))
    if (unknown.length > 0) {
      const message = (name: string) => `names no field: ${name}; known are ${FIELD_NAMES}`
      return unknown.map((name) => ({ parameter: 'fields', message: message(name) }))
    }
    return { operation: 'facets', fields: COUNTED_FIELDS.filter((field) => names.includes(field)), top }
  })
}

/** Reads the parameters of a list of sessions. `prefix`: the path under which a proxy offers the service. */
export function readSessionsQuery (parameters: SessionsQuery, nowMs: number, prefix: string): CountReading {
  const { cursor: text, order_by: orderBy = 'end_time', outcome, page_size: pageSize = 50 } = parameters
  if (text !== undefined) return followSessions(parameters, text, prefix)
  const kind = { operation: 'sessions' as const, orderBy, outcome, pageSize, after: undefined, pin: undefined, prefix }
  return read(parameters, nowMs, () => kind)
}

function followSessions (parameters: SessionsQuery, text: string, prefix: string): CountReading {
  const combined = cursorFault(parameters)
  if (combined !== undefined) return combined
  const decoded = decodeCursor(text)
  if (decoded?.kind !== 'sessions' || !isValid(decoded)) {
    return fault('invalid-cursor', ['cursor', "is no cursor of this service's sessions"])
  }
  const { after, filter, orderBy, outcome, pageSize, pin, window } = decoded
  const kind = { operation: 'sessions' as const, orderBy, outcome, pageSize, after, pin, prefix }
  return { ok: true, query: createCountQuery({ kind, filter, window }) }
}

/** Anyone can write a cursor, so its parts are checked like parameters. */
function isValid (cursor: SessionsCursor): cursor is SessionsCursor & {
  readonly orderBy: SessionOrder
  readonly outcome: SessionOutcome | undefined
} {
  const { filter, orderBy, outcome, pageSize } = cursor
  return isFilter(filter, AuditFilter.properties) && filterBytes(filter) <= MOST_FILTER_BYTES &&
    pageSize >= 1 && pageSize <= MOST_SESSIONS && SESSION_ORDERS.some((each) => each === orderBy) &&
    (outcome === undefined || SESSION_OUTCOMES.some((each) => each === outcome))
}

/** Reads what all counts have in common. All faults are reported together. */
function read (
  parameters: SummaryQuery,
  nowMs: number,
  readKind: (window: RequestedRange | undefined) => KindReading
): CountReading {
  const filter = pickFilter(parameters)
  const reading = readWindow(parameters, nowMs)
  const kind = readKind(reading.ok ? reading.window : undefined)
  const errors = [
    ...filterFault(filter)?.errors ?? [],
    ...reading.ok ? [] : reading.errors,
    ...isFaulty(kind) ? kind : []
  ]
  if (errors.length > 0 || !reading.ok || isFaulty(kind)) {
    const isTimeAlone = !reading.ok && errors.length === reading.errors.length
    return { ok: false, code: isTimeAlone ? reading.code : 'invalid-parameter', errors }
  }
  return { ok: true, query: createCountQuery({ kind, filter, window: reading.window }) }
}

function isFaulty (kind: KindReading): kind is Fault['errors'] {
  return Array.isArray(kind)
}

function isField (name: string): name is CountedField {
  return (COUNTED_FIELDS as readonly string[]).includes(name)
}

function secondsOf (interval: string): number | undefined {
  const [, count, unit] = INTERVAL.exec(interval) ?? []
  return unit === undefined ? undefined : Number(count) * SECONDS[unit as keyof typeof SECONDS]
}

/** Why a width is unusable. Without a lower bound the number of buckets would be known only after the count. */
function faultOfWidth (seconds: number, requested: RequestedRange | undefined, nowMs: number): string | undefined {
  if (requested === undefined) return undefined
  const now = instantFromMs(nowMs)
  const { end = now, start } = resolveRange(requested, now)
  if (start === undefined) return 'needs start_time, because session_id alone has no lower bound'
  const buckets = Number(end - start) / Number(NANOS_PER_SECOND) / seconds
  return buckets > MOST_BUCKETS ? `gives ${Math.ceil(buckets)} buckets; at most ${MOST_BUCKETS} are allowed` : undefined
}
