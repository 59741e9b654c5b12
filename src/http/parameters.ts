import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { LONGEST_CURSOR } from '../audit/cursor.ts'
import { MOST_FILTER_BYTES, filterBytes, type AuditFilter } from '../audit/filter.ts'
import { instantFromMs } from '../audit/instant.ts'
import {
  TIME_ADVICE,
  parseTimeBound,
  resolveTimeBound,
  type RequestedRange,
  type TimeBound
} from '../audit/time-range.ts'
import type { ProblemCode } from '../problems.ts'
import { searchOf } from './authenticate.ts'
import { faultOf, sendFaults } from './problem-reply.ts'

const LONGEST_TIME = 64
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

/** Faults of parameters that are each valid by the schema. */
export interface Fault {
  readonly ok: false
  readonly code: ProblemCode
  readonly errors: Array<{ parameter: string, message: string }>
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

/** The fault of a cursor beside other parameters: it contains the whole query. */
export function cursorFault (parameters: object): Fault | undefined {
  const others = Object.keys(parameters).filter((name) => name !== 'cursor')
  const message = 'cannot be combined with cursor'
  return others.length === 0
    ? undefined
    : fault('invalid-parameter', ...others.map((name): [string, string] => [name, message]))
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
  { end_time: endTime, session_id: session, start_time: startTime }: {
    readonly end_time?: string
    readonly session_id?: string
    readonly start_time?: string
  },
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
