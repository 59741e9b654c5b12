import { Type, type Static } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createPageQuery, type PageQuery } from '../archive/page-query.ts'
import { LONGEST_CURSOR, decodeCursor, decodeStreamCursor, type StreamCursor } from '../audit/cursor.ts'
import { AuditFilter, FieldFilter, MOST_FILTER_BYTES, filterBytes, isFilter, pickFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, instantFromMs } from '../audit/instant.ts'
import {
  TIME_ADVICE,
  parseTimeBound,
  resolveTimeBound,
  type RequestedRange,
  type TimeBound
} from '../audit/time-range.ts'
import type { StreamRequest } from '../live/fanout/hub.ts'
import type { ProblemCode } from '../problems.ts'
import { searchOf } from './authenticate.ts'
import { faultOf, sendFaults } from './problem-reply.ts'

const LARGEST_PAGE = 1000
const LARGEST_LIMIT = 10_000
const DEFAULT_PAGE_SIZE = 50
const DEFAULT_REPLAY = 5n * 60n * NANOS_PER_SECOND
const LONGEST_TIME = 64
const LONGEST_TICKET = 64
const NUMBERS = ['page', 'page_size', 'limit', 'timeout_minutes', 'top', 'buckets']
const NO_DECIMAL = 'must be a number in decimal digits'
const DECIMAL = /^-?\d{1,15}(\.\d{1,15})?$/

export const time = (description: string, example: string) =>
  Type.Optional(Type.String({
    minLength: 1,
    maxLength: LONGEST_TIME,
    description: `${description} RFC 3339, or relative: \`-90s\`, \`-15m\`, \`-6h\`, \`-7d\`, \`now\`.`,
    examples: [example]
  }))
export const cursor = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: LONGEST_CURSOR, description }))

/** The window of a list or a count. */
export const windowParameters = {
  start_time: time('Lower bound, inclusive; default 24 h before the end, with `session_id` none.', '-6h'),
  end_time: time('Upper bound, inclusive; default none.', '2030-01-01T00:00:00Z')
}

const paging = {
  ...windowParameters,
  page: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        'Number of the page, from 1; it begins at row (page − 1) · page_size. Default 1. If events arrive meanwhile, ' +
          'following `next` is exact and page numbers are not.',
      examples: [1]
    })
  ),
  page_size: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_PAGE,
      description: `Largest number of items on a page; default ${DEFAULT_PAGE_SIZE}.`,
      examples: [DEFAULT_PAGE_SIZE]
    })
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_LIMIT,
      description:
        "Largest number of items on a first page that is joined from several of Kubiya's pages. It replaces `page` " +
          'and `page_size`.',
      examples: [500]
    })
  ),
  sort_direction: Type.Optional(
    Type.Unsafe<'asc' | 'desc'>({
      type: 'string',
      enum: ['asc', 'desc'],
      description: 'By instant, then id; default `desc`.'
    })
  ),
  cursor: cursor('Position of the next page, from `next_cursor`. It contains the whole query: send no other parameter.')
}

export const ListQuery = Type.Object({ ...FieldFilter.properties, ...paging }, { additionalProperties: false })
export const SearchQuery = Type.Object({ ...AuditFilter.properties, ...paging }, { additionalProperties: false })
export type SearchQuery = Static<typeof SearchQuery>

export const StreamQuery = Type.Object({
  ...AuditFilter.properties,
  start_time: time('Replays events from here, then continues live; default 5 minutes ago.', '-15m'),
  since: cursor(
    "Resumes after this cursor, from any frame or a list's `live_cursor`. Not together with `start_time`."
  ),
  lastEventId: Type.Optional(Type.String({
    maxLength: LONGEST_CURSOR,
    description:
      'Like the header `Last-Event-ID`, for clients that cannot set it. The header has precedence; empty means none.'
  })),
  ticket: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: LONGEST_TICKET,
      description:
        "Replaces the caller's credential if `Authorization` cannot be sent. From `POST /stream/tickets`, for one " +
          'stream.'
    })
  ),
  timeout_minutes: Type.Optional(
    Type.Number({
      exclusiveMinimum: 0,
      maximum: 10_080,
      description: 'Ends the stream after this many minutes.',
      examples: [30]
    })
  ),
  verbose: Type.Optional(Type.Boolean({ description: 'Sends a `status` frame after each poll.' }))
}, { additionalProperties: false })
export type StreamQuery = Static<typeof StreamQuery>

export const StreamHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      maxLength: LONGEST_CURSOR,
      description:
        'Server-Sent Events: resumes after this cursor. A browser sends it when it reconnects. `since` and ' +
          '`start_time` are then ignored.'
    })
  )
})

/** Faults of parameters that are each valid by the schema. */
export interface Fault {
  readonly ok: false
  readonly code: ProblemCode
  readonly errors: Array<{ parameter: string, message: string }>
}

export interface ParsedQuery {
  readonly ok: true
  readonly query: PageQuery
  /** Whether the same URL stays valid. A relative start passes an absolute end some day. */
  readonly isRepeatable: boolean
}

/**
 * The parameters that the validator accepts, and what is wrong with the others, so that an answer can name all faults.
 * The route has `attachValidation`.
 */
export function takeValid<Query extends object> (
  { query, url, validationError }: FastifyRequest
): { readonly parameters: Query, readonly errors: Fault['errors'] } {
  const found: Fault['errors'] = (validationError?.validation ?? []).map(faultOf)
  const search = new URLSearchParams(searchOf(url))
  const wrong = NUMBERS.filter((name) => !DECIMAL.test(search.get(name) ?? '0'))
    .filter((name) => found.every(({ parameter }) => parameter !== name))
  const errors = [...found, ...wrong.map((parameter) => ({ parameter, message: NO_DECIMAL }))]
  const invalid = new Set(errors.map(({ parameter }) => parameter))
  const valid = Object.entries(query as Query).filter(([name]) => !invalid.has(name))
  return { parameters: Object.fromEntries(valid) as Query, errors }
}

/** A hook: numbers are decimal. JavaScript also reads `0x10`, `1e2` and a blank as numbers, most likely by mistake. */
export function checkNumbers (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const query = request.query as Record<string, unknown>
  const wrong = NUMBERS.filter((name) => typeof query[name] === 'string' && !DECIMAL.test(query[name]))
  if (wrong.length === 0) return done()
  sendFaults(reply, 'invalid-parameter', wrong.map((parameter) => ({ parameter, message: NO_DECIMAL })))
}

/** Reads the parameters of a list or search. `prefix`: the path under which a proxy offers the service. */
export function readPageQuery (
  operation: 'list' | 'search',
  parameters: SearchQuery,
  nowMs: number,
  prefix: string
): ParsedQuery | Fault {
  const { cursor, limit, page, page_size: pageSize, sort_direction: direction = 'desc' } = parameters
  if (cursor !== undefined) return followCursor(operation, parameters, cursor, prefix)
  if (limit !== undefined && (page !== undefined || pageSize !== undefined)) {
    return fault('invalid-parameter', ['limit', 'cannot be combined with page or page_size'])
  }
  const filter = pickFilter(parameters)
  const large = filterFault(filter)
  if (large !== undefined) return large
  const reading = readWindow(parameters, nowMs)
  if (!reading.ok) return reading
  const { window } = reading
  const size = limit ?? pageSize ?? DEFAULT_PAGE_SIZE
  const query = createPageQuery({ operation, filter, window, direction, page: page ?? 1, pageSize: size, prefix })
  return { ok: true, query, isRepeatable: window.start?.kind !== 'ago' || window.end?.kind !== 'at' }
}

function followCursor (
  operation: 'list' | 'search',
  parameters: SearchQuery,
  text: string,
  prefix: string
): ParsedQuery | Fault {
  const others = Object.keys(parameters).filter((name) => name !== 'cursor')
  const message = 'cannot be combined with cursor'
  if (others.length > 0) return fault('invalid-parameter', ...others.map((name): [string, string] => [name, message]))
  const cursor = decodeCursor(text)
  const { properties } = operation === 'list' ? FieldFilter : AuditFilter
  const isValid = cursor?.kind === 'page' && cursor.operation === operation && isFilter(cursor.filter, properties) &&
    filterBytes(cursor.filter) <= MOST_FILTER_BYTES && cursor.pageSize >= 1 && cursor.pageSize <= LARGEST_LIMIT &&
    cursor.page >= 1
  if (!isValid) return fault('invalid-cursor', ['cursor', `is no cursor of this service's ${operation}`])
  return { ok: true, query: createPageQuery({ ...cursor, operation, prefix }), isRepeatable: true }
}

/** The fault of a filter whose values are too large together. Each of them alone is short enough. */
export function filterFault (filter: AuditFilter): Fault | undefined {
  const bytes = filterBytes(filter)
  if (bytes <= MOST_FILTER_BYTES) return undefined
  const message = `all filter values together must be at most ${MOST_FILTER_BYTES} bytes as JSON, not ${bytes}`
  return fault('invalid-parameter', ...Object.keys(filter).map((name): [string, string] => [name, message]))
}

/** Reads a window. A missing start means none with a filter by session, otherwise 24 hours before the end. */
export function readWindow (
  { end_time: endTime, session_id: session, start_time: startTime }: Pick<
    SearchQuery,
    'end_time' | 'session_id' | 'start_time'
  >,
  nowMs: number
): { readonly ok: true, readonly window: RequestedRange } | Fault {
  const times = readTimes({ start_time: startTime, end_time: endTime })
  if (!times.ok) return times
  const window = { start: times.bounds.start_time, end: times.bounds.end_time, unbounded: session !== undefined }
  if (startsAfterEnd(window, nowMs)) return fault('invalid-parameter', ['start_time', 'must not be after end_time'])
  return { ok: true, window }
}

/** Whether both bounds are given, in the wrong order. The window itself is resolved when Kubiya is called. */
export function startsAfterEnd ({ end, start }: RequestedRange, nowMs: number): boolean {
  const now = instantFromMs(nowMs)
  return start !== undefined && end !== undefined && resolveTimeBound(start, now) > resolveTimeBound(end, now)
}

/**
 * Reads the parameters of a stream. A client that reconnects repeats the parameters of its first request; the header
 * `Last-Event-ID`, or a parameter where it cannot set the header, then takes precedence.
 */
export function readStreamRequest (
  query: StreamQuery,
  header: string | undefined,
  nowMs: number,
  isForged: (cursor: StreamCursor) => boolean
): { readonly ok: true, readonly stream: StreamRequest } | Fault {
  const { timeout_minutes: minutes, verbose = false } = query
  const filter = pickFilter(query)
  const large = filterFault(filter)
  if (large !== undefined) return large
  const start = readStart(query, header, nowMs, isForged)
  if ('ok' in start) return start
  const timeoutMs = minutes === undefined ? undefined : minutes * 60_000
  return { ok: true, stream: { filter, verbose, timeoutMs, start } }
}

function readStart (
  { lastEventId, since, start_time: startTime }: StreamQuery,
  header: string | undefined,
  nowMs: number,
  isForged: (cursor: StreamCursor) => boolean
): StreamRequest['start'] | Fault {
  if (isGiven(header)) return readCursor('Last-Event-ID', header, isForged)
  if (isGiven(lastEventId)) return readCursor('lastEventId', lastEventId, isForged)
  if (since !== undefined && startTime !== undefined) {
    return fault('invalid-parameter', ['since', 'cannot be combined with start_time'])
  }
  if (since !== undefined) return readCursor('since', since, isForged)
  const times = readTimes({ start_time: startTime })
  if (!times.ok) return times
  const now = instantFromMs(nowMs)
  const bound = times.bounds.start_time
  return { from: bound === undefined ? now - DEFAULT_REPLAY : resolveTimeBound(bound, now) }
}

/** An empty cursor means none: a browser sends it before its first event. */
function isGiven (text: string | undefined): text is string {
  return text !== undefined && text !== ''
}

function readCursor (
  parameter: string,
  text: string,
  isForged: (cursor: StreamCursor) => boolean
): { readonly since: StreamCursor } | Fault {
  const cursor = decodeStreamCursor(text)
  if (cursor === undefined || isForged(cursor)) {
    return fault('invalid-cursor', [parameter, "is no cursor of this service's stream"])
  }
  return { since: cursor }
}

/** Reads bounds of time. One fault names all that are unreadable. */
export function readTimes<Name extends string> (
  texts: Record<Name, string | undefined>
): { readonly ok: true, readonly bounds: Record<Name, TimeBound | undefined> } | Fault {
  const entries = Object.entries<string | undefined>(texts).map(([name, text]) => ({
    name,
    text,
    bound: text === undefined ? undefined : parseTimeBound(text)
  }))
  const wrong = entries.filter(({ text, bound }) => text !== undefined && bound === undefined)
  if (wrong.length > 0) return fault('invalid-time', ...wrong.map(({ name }): [string, string] => [name, TIME_ADVICE]))
  const bounds = Object.fromEntries(entries.map(({ name, bound }) => [name, bound]))
  return { ok: true, bounds: bounds as Record<Name, TimeBound | undefined> }
}

export function fault (code: ProblemCode, ...wrong: Array<[parameter: string, message: string]>): Fault {
  return { ok: false, code, errors: wrong.map(([parameter, message]) => ({ parameter, message })) }
}
