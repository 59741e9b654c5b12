import { Type, type Static, type TProperties } from '@sinclair/typebox'
import { encodeCursor, type Cursor } from '../audit/cursor.ts'
import { PublishedEventRef } from '../audit/event.ts'
import { formatInstant, instantFromMs, type Instant } from '../audit/instant.ts'
import type { Ending } from './endings.ts'
import type { LogEntry } from './event-log.ts'
import type { Health } from './health.ts'

const Cursor = Type.String({ description: 'Where to resume: `since=` takes it.' })
const Upstream = Type.Union([Type.Literal('ok'), Type.Literal('degraded'), Type.Literal('throttled'), Type.Literal('unauthorized')], { description: 'How this service fares with Kubiya.' })
const LagMs = Type.Integer({ minimum: 0, description: 'Age of the last good poll, milliseconds.' })

function frame<Name extends string, Properties extends TProperties> (type: Name, description: string, properties: Properties) {
  return Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false, description })
}

export const HelloFrame = frame('hello', 'First, always.', {
  cursor: Cursor,
  resumed: Type.Boolean({ description: 'True: goes on exactly where `since` stood. False: repeats, with the same `id`, are possible.' }),
  heartbeat_seconds: Type.Number({ description: 'How often a heartbeat comes.' })
})
export const EventFrame = frame('event', 'A matching event.', {
  cursor: Cursor,
  event: PublishedEventRef,
  late: Type.Optional(Type.Literal(true, { description: 'Its instant lay before the log\'s newest when it entered.' }))
})
export const GapFrame = frame('gap', 'Continuity cannot be proven.', {
  cursor: Cursor,
  from: Type.String({ description: 'Start of what may be missing; usable as a list\'s `start_time`.' }),
  to: Type.String({ description: 'End of what may be missing; usable as a list\'s `end_time`.' }),
  reason: Type.Union([Type.Literal('history-evicted'), Type.Literal('replay-limit'), Type.Literal('upstream-outage'), Type.Literal('too-large')])
})
export const StatusFrame = frame('status', 'How this service fares with Kubiya: on each change, and after each poll when verbose.', {
  upstream: Upstream,
  since: Type.String({ description: 'Since when, RFC 3339.' }),
  lag_ms: LagMs
})
export const HeartbeatFrame = frame('heartbeat', 'A sign of life with a fresh cursor.', { cursor: Cursor, upstream: Upstream, lag_ms: LagMs })
export const EndFrame = frame('end', 'Last.', {
  reason: Type.Union([Type.Literal('timeout'), Type.Literal('shutdown'), Type.Literal('slow'), Type.Literal('max-age'), Type.Literal('unauthorized')]),
  may_return: Type.Boolean({ description: 'Whether coming back with the cursor makes sense.' }),
  cursor: Cursor
})
export const Frame = Type.Union([HelloFrame, EventFrame, GapFrame, StatusFrame, HeartbeatFrame, EndFrame])
export type Frame = Static<typeof Frame>

/** A frame as JSON text, with its type aside for outlets that name it. */
export interface PreparedFrame {
  readonly type: Frame['type']
  readonly json: string
}

export function helloFrame (cursor: Cursor, resumed: boolean, heartbeatMs: number): PreparedFrame {
  return prepare({ type: 'hello', cursor: encodeCursor(cursor), resumed, heartbeat_seconds: heartbeatMs / 1000 })
}

/** The event's bytes go in as they were prepared; no serializer touches what Kubiya said. */
export function eventFrame ({ event, late }: Pick<LogEntry, 'event' | 'late'>, cursor: Cursor): PreparedFrame {
  return { type: 'event', json: `{"type":"event","cursor":"${encodeCursor(cursor)}"${late ? ',"late":true' : ''},"event":${event.json}}` }
}

export function gapFrame (cursor: Cursor, from: Instant, to: Instant, reason: Static<typeof GapFrame>['reason']): PreparedFrame {
  return prepare({ type: 'gap', cursor: encodeCursor(cursor), from: formatInstant(from), to: formatInstant(to), reason })
}

/** How the tail fares, whatever its subscribers may see. */
export function statusFrame (health: Health): PreparedFrame {
  return prepare({ type: 'status', upstream: health.upstream, since: formatInstant(instantFromMs(health.sinceMs)), lag_ms: Math.round(health.lagMs) })
}

export function heartbeatFrame (cursor: Cursor, health: Health): PreparedFrame {
  return prepare({ type: 'heartbeat', cursor: encodeCursor(cursor), upstream: health.upstream, lag_ms: Math.round(health.lagMs) })
}

export function endFrame (cursor: Cursor, ending: Ending): PreparedFrame {
  return prepare({ type: 'end', reason: ending.reason, may_return: ending.mayReturn, cursor: encodeCursor(cursor) })
}

function prepare (frame: Frame): PreparedFrame {
  return { type: frame.type, json: JSON.stringify(frame) }
}
