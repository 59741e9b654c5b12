import { Type, type Static } from '@sinclair/typebox'
import { LONGEST_CURSOR, decodeStreamCursor, type StreamCursor } from '../audit/cursor.ts'
import { AuditFilter, pickFilter } from '../audit/filter.ts'
import { NANOS_PER_SECOND, instantFromMs } from '../audit/instant.ts'
import { resolveTimeBound } from '../audit/time-range.ts'
import type { StreamRequest } from '../live/fanout/hub.ts'
import { cursor, fault, filterFault, readTimes, time, type Fault } from './parameters.ts'

const DEFAULT_REPLAY = 5n * 60n * NANOS_PER_SECOND
const LONGEST_TICKET = 64

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

/**
 * Reads the parameters of a stream. A client that reconnects repeats the parameters of its first request. The header
 * `Last-Event-ID` then takes precedence, or a parameter where the client cannot set the header.
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
