import { Type, type Static, type TProperties } from '@sinclair/typebox'
import type { NewEntry, NewEvent, Gap, GapReason } from '../../audit/log-batch.ts'
import { encodeCursor, type Cursor } from '../../audit/cursor.ts'
import { PublishedEventRef } from '../../audit/event.ts'
import { formatInstant, instantFromMs } from '../../audit/instant.ts'
import { exactBuffer } from '../../audit/exact-bytes.ts'
import type { CloseReason } from './close-codes.ts'
import type { Health } from '../ingest/upstream-health.ts'

const Cursor = Type.String({ description: 'Where to resume: `since=` takes it.' })
const Upstream = Type.Union([
  Type.Literal('ok'),
  Type.Literal('degraded'),
  Type.Literal('throttled'),
  Type.Literal('unauthorized')
], { description: 'How this service fares with Kubiya.' })
const LagMs = Type.Integer({ minimum: 0, description: 'Age of the last good poll, milliseconds.' })

function frame<Name extends string, Properties extends TProperties> (
  type: Name,
  description: string,
  properties: Properties
) {
  return Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false, description })
}

export const HelloFrame = frame('hello', 'First, always.', {
  cursor: Cursor,
  resumed: Type.Boolean({
    description: 'True: goes on exactly where `since` stood. False: repeats, with the same `id`, are possible.'
  }),
  heartbeat_seconds: Type.Number({ description: 'How often a heartbeat comes.' })
})
export const EventFrame = frame('event', 'A matching event.', {
  cursor: Cursor,
  event: PublishedEventRef,
  late: Type.Optional(Type.Literal(true, { description: "Its instant lay before the log's newest when it entered." }))
})
export const GapFrame = frame('gap', 'Continuity cannot be proven.', {
  cursor: Cursor,
  from: Type.String({ description: "Start of what may be missing; usable as a list's `start_time`." }),
  to: Type.String({ description: "End of what may be missing; usable as a list's `end_time`." }),
  reason: Type.Union([
    Type.Literal('history-evicted'),
    Type.Literal('replay-limit'),
    Type.Literal('upstream-outage'),
    Type.Literal('too-large')
  ], {
    description:
      '`history-evicted`: more came than the log keeps before this stream was given it. `replay-limit`: more than ' +
        'one stream is given from the past. `upstream-outage`: Kubiya could not be read there. `too-large`: an event ' +
        'is larger than this service reads.'
  })
})
export const StatusFrame = frame(
  'status',
  'How this service fares with Kubiya: on each change, and after each poll when verbose.',
  {
    upstream: Upstream,
    since: Type.String({ description: 'Since when, RFC 3339.' }),
    lag_ms: LagMs,
    lateness_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        description:
          'Only while more events come than can be recognised when met again: how late an event may be now and ' +
            'still be delivered, milliseconds.'
      })
    )
  }
)
export const HeartbeatFrame = frame('heartbeat', 'A sign of life with a fresh cursor.', {
  cursor: Cursor,
  upstream: Upstream,
  lag_ms: LagMs
})
export const ExpiringFrame = frame(
  'expiring',
  "The caller's credential ends soon, and the stream with it; come back with a fresh one and the cursor.",
  {
    at: Type.String({ description: 'When, RFC 3339.' })
  }
)
export const EndFrame = frame('end', 'Last.', {
  reason: Type.Union([
    Type.Literal('timeout'),
    Type.Literal('shutdown'),
    Type.Literal('slow'),
    Type.Literal('max-age'),
    Type.Literal('unauthorized')
  ]),
  reconnect: Type.Boolean({ description: 'Whether coming back with the cursor makes sense.' }),
  cursor: Cursor
})
export const Frame = Type.Union([
  HelloFrame,
  EventFrame,
  GapFrame,
  StatusFrame,
  HeartbeatFrame,
  ExpiringFrame,
  EndFrame
])
export type Frame = Static<typeof Frame>

/** What a kept frame holds beside its payload, measured: its cursor, and the objects of its buffers. */
export const FRAME_OVERHEAD_BYTES = 800

/** A frame as the bytes of its JSON text, encoded once, with what a wire format needs to know of it. */
export interface PreparedFrame {
  readonly type: Frame['type']
  /** The frame's cursor, where it has one. */
  readonly cursor: string | undefined
  readonly payload: Buffer
  /** A gap's reason. */
  readonly reason?: GapReason
}

export function helloFrame (cursor: Cursor, resumed: boolean, heartbeatMs: number): PreparedFrame {
  return prepare({ type: 'hello', cursor: encodeCursor(cursor), resumed, heartbeat_seconds: heartbeatMs / 1000 })
}

/** What the poller brought: an event, or word of what it could not read. */
export function freshFrame (fresh: NewEntry, cursor: Cursor): PreparedFrame {
  return 'gap' in fresh ? gapFrame(fresh.gap, cursor) : eventFrame(fresh, cursor)
}

/** The event's bytes go in as they were prepared; no serializer touches what Kubiya said. */
export function eventFrame ({ event, late }: NewEvent, at: Cursor): PreparedFrame {
  const cursor = encodeCursor(at)
  return prepared(
    'event',
    cursor,
    `{"type":"event","cursor":"${cursor}"${late ? ',"late":true' : ''},"event":${event.json}}`
  )
}

export function gapFrame ({ from, reason, to }: Gap, cursor: Cursor): PreparedFrame {
  return {
    ...prepare({ type: 'gap', cursor: encodeCursor(cursor), from: formatInstant(from), to: formatInstant(to), reason }),
    reason
  }
}

/** How the poller fares, whatever its subscribers may see. */
export function statusFrame (health: Health): PreparedFrame {
  return prepare({
    type: 'status',
    upstream: health.upstream,
    since: formatInstant(instantFromMs(health.sinceMs)),
    lag_ms: Math.round(health.lagMs),
    ...health.latenessMs !== undefined && { lateness_ms: Math.round(health.latenessMs) }
  })
}

export function heartbeatFrame (cursor: Cursor, health: Health): PreparedFrame {
  return prepare({
    type: 'heartbeat',
    cursor: encodeCursor(cursor),
    upstream: health.upstream,
    lag_ms: Math.round(health.lagMs)
  })
}

export function expiringFrame (atMs: number): PreparedFrame {
  return prepare({ type: 'expiring', at: formatInstant(instantFromMs(atMs)) })
}

export function endFrame (cursor: Cursor, ending: CloseReason): PreparedFrame {
  return prepare({ type: 'end', reason: ending.reason, reconnect: ending.reconnect, cursor: encodeCursor(cursor) })
}

function prepare (frame: Frame): PreparedFrame {
  return prepared(frame.type, 'cursor' in frame ? frame.cursor : undefined, JSON.stringify(frame))
}

function prepared (type: Frame['type'], cursor: string | undefined, json: string): PreparedFrame {
  // A kept frame of 0.6 KB held 8192 bytes as a piece of a shared block, and holds 620 of its own.
  return { type, cursor, payload: exactBuffer(json) }
}
