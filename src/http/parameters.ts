import { Type, type Static } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { PageQuery } from '../archive/page-query.ts'
import { LONGEST_CURSOR, decodeCursor, type StreamCursor } from '../audit/cursor.ts'
import { AuditFilter, FieldFilter, pickFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, instantFromMs } from '../audit/instant.ts'
import { TIME_ADVICE, parseTimeBound, resolveTimeBound, resolveRange, type TimeBound } from '../audit/time-range.ts'
import type { StreamRequest } from '../live/fanout/hub.ts'
import type { ProblemCode } from '../problems.ts'

const LARGEST_PAGE = 1000
const LARGEST_LIMIT = 10_000
const DEFAULT_PAGE_SIZE = 50
const DEFAULT_REPLAY = 5n * 60n * NANOS_PER_SECOND
const LONGEST_TIME = 64
const LONGEST_TICKET = 64

const time = (description: string, example: string) =>
  Type.Optional(Type.String({
    minLength: 1,
    maxLength: LONGEST_TIME,
    description: `${description} RFC 3339, or relative: \`-90s\`, \`-15m\`, \`-6h\`, \`-7d\`, \`now\`.`,
    examples: [example]
  }))
const cursor = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: LONGEST_CURSOR, description }))

const paging = {
  start_time: time('Lower bound, inclusive; default 24 h before the end, with `session_id` none.', '-6h'),
  end_time: time('Upper bound, inclusive; default none.', '2030-01-01T00:00:00Z'),
  page: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1_000_000,
      description:
        'Which page, from 1: its rows are (page − 1) · page_size … Default 1. Following `next` is exact where ' +
          'events arrive meanwhile; numbers are not.',
      examples: [1]
    })
  ),
  page_size: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_PAGE,
      description: `Most items of a page; default ${DEFAULT_PAGE_SIZE}.`,
      examples: [DEFAULT_PAGE_SIZE]
    })
  ),
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: LARGEST_LIMIT,
      description:
        "Most items of one joined first page, from as many of Kubiya's pages as it takes; instead of `page` and " +
          '`page_size`.',
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
  cursor: cursor('Where `next` of a page leads; stands alone, all else is inside.')
}

export const ListQuery = Type.Object({ ...FieldFilter.properties, ...paging }, { additionalProperties: false })
export const SearchQuery = Type.Object({ ...AuditFilter.properties, ...paging }, { additionalProperties: false })
export type SearchQuery = Static<typeof SearchQuery>

export const StreamQuery = Type.Object({
  ...AuditFilter.properties,
  start_time: time('Replays from here, then goes on live; default 5 minutes ago.', '-15m'),
  since: cursor(
    "Resumes behind this cursor, from any frame or a list's `live_cursor`; not together with `start_time`."
  ),
  lastEventId: Type.Optional(Type.String({
    maxLength: LONGEST_CURSOR,
    description:
      'Counts as the header `Last-Event-ID` does, for clients that cannot set one. The header beats it; empty is none.'
  })),
  ticket: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: LONGEST_TICKET,
      description:
        "Stands for the caller's credential, where `Authorization` cannot be sent; from `POST /stream/tickets`, " +
          'for one stream.'
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
  verbose: Type.Optional(Type.Boolean({ description: 'Adds a `status` frame after each poll.' }))
}, { additionalProperties: false })
export type StreamQuery = Static<typeof StreamQuery>

export const StreamHeaders = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({
      maxLength: LONGEST_CURSOR,
      description:
        'Server-Sent Events: the cursor behind which to resume, as a browser sends it when it comes back. `since` ' +
          'and `start_time` are not looked at then.'
    })
  )
})

/** What is wrong with parameters that each look right. */
export interface Fault {
  readonly ok: false
  readonly code: ProblemCode
  readonly errors: Array<{ parameter: string, message: string }>
}

export interface ParsedParameters {
  readonly ok: true
  readonly question: PageQuery
  /** Whether the same words will ask the same at any later time; otherwise they may ask nothing sensible then. */
  readonly isLasting: boolean
}

/** The question that the parameters of a list or search ask. */
export function readPageQuery (
  operation: PageQuery['operation'],
  query: SearchQuery,
  nowMs: number
): ParsedParameters | Fault {
  if (query.cursor !== undefined) return followCursor(operation, query, query.cursor)
  if (query.limit !== undefined && (query.page !== undefined || query.page_size !== undefined)) {
    return fault('invalid-parameter', ['limit', 'cannot be combined with page or page_size'])
  }
  const times = readTimes({ start_time: query.start_time, end_time: query.end_time })
  if (!times.ok) return times
  const filter = pickFilter(query)
  const window = {
    start: times.moments.start_time,
    end: times.moments.end_time,
    unbounded: filter.session_id !== undefined
  }
  const { start, end } = resolveRange(window, instantFromMs(nowMs))
  if (start !== undefined && end !== undefined && start > end) {
    return fault('invalid-parameter', ['start_time', 'must not be after end_time'])
  }
  const pageSize = query.limit ?? query.page_size ?? DEFAULT_PAGE_SIZE
  const question = {
    operation,
    filter,
    window,
    direction: query.sort_direction ?? 'desc',
    page: query.page ?? 1,
    pageSize
  }
  // Some time the start will have passed the end.
  const meets = window.start?.kind === 'ago' && window.end?.kind === 'at'
  return { ok: true, question, isLasting: !meets }
}

function followCursor (operation: PageQuery['operation'], query: SearchQuery, text: string): ParsedParameters | Fault {
  const others = Object.keys(query).filter((name) => name !== 'cursor')
  if (others.length > 0) {
    return fault(
      'invalid-parameter',
      ...others.map((name): [string, string] => [name, 'cannot be combined with cursor'])
    )
  }
  const cursor = decodeCursor(text)
  const schema = operation === 'list' ? FieldFilter : AuditFilter
  const holds = cursor?.kind === 'page' && cursor.operation === operation && Value.Check(schema, cursor.filter) &&
    cursor.pageSize >= 1 && cursor.pageSize <= LARGEST_LIMIT && cursor.page >= 1
  if (!holds) return fault('invalid-cursor', ['cursor', `is no cursor of this service's ${operation}`])
  return { ok: true, question: cursor, isLasting: true }
}

/**
 * The stream that the parameters ask for. A client that comes back repeats the parameters of its first request, and
 * names the last event in a header, or in the query where it cannot set one.
 */
export function readStreamRequest (
  query: StreamQuery,
  header: string | undefined,
  nowMs: number,
  isForged: (cursor: StreamCursor) => boolean
): { readonly ok: true, readonly stream: StreamRequest } | Fault {
  const { since, start_time: startTime, timeout_minutes: minutes, verbose = false } = query
  const rest = { filter: pickFilter(query), verbose, timeoutMs: minutes === undefined ? undefined : minutes * 60_000 }
  const [name, lastEventId] = header === undefined || header === ''
    ? ['lastEventId', query.lastEventId]
    : ['Last-Event-ID', header]
  const isBack = lastEventId !== undefined && lastEventId !== ''
  if (!isBack && since !== undefined && startTime !== undefined) {
    return fault('invalid-parameter', ['since', 'cannot be combined with start_time'])
  }
  const resumed = isBack ? lastEventId : since
  if (resumed !== undefined) {
    const cursor = decodeCursor(resumed)
    if (cursor === undefined || cursor.kind === 'page' || isForged(cursor)) {
      return fault('invalid-cursor', [isBack ? name : 'since', "is no cursor of this service's stream"])
    }
    return { ok: true, stream: { ...rest, start: { since: cursor } } }
  }
  const times = readTimes({ start_time: startTime })
  if (!times.ok) return times
  const now = instantFromMs(nowMs)
  const moment = times.moments.start_time
  return {
    ok: true,
    stream: { ...rest, start: { from: moment === undefined ? now - DEFAULT_REPLAY : resolveTimeBound(moment, now) } }
  }
}

function readTimes<Name extends string> (
  texts: Record<Name, string | undefined>
): { readonly ok: true, readonly moments: Record<Name, TimeBound | undefined> } | Fault {
  const entries = Object.entries<string | undefined>(texts).map(([name, text]) => ({
    name,
    text,
    moment: text === undefined ? undefined : parseTimeBound(text)
  }))
  const wrong = entries.filter(({ text, moment }) => text !== undefined && moment === undefined)
  if (wrong.length > 0) return fault('invalid-time', ...wrong.map(({ name }): [string, string] => [name, TIME_ADVICE]))
  return {
    ok: true,
    moments: Object.fromEntries(entries.map(({ name, moment }) => [name, moment])) as Record<
      Name,
      TimeBound | undefined
    >
  }
}

function fault (code: ProblemCode, ...wrong: Array<[parameter: string, message: string]>): Fault {
  return { ok: false, code, errors: wrong.map(([parameter, message]) => ({ parameter, message })) }
}
