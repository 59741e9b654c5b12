import { Type, type Static, type TProperties } from '@sinclair/typebox'
import type { NewEntry, NewEvent, Gap, GapReason } from '../../audit/log-batch.ts'
import { encodeCursor, type Cursor } from '../../audit/cursor.ts'
import { PublishedEventRef } from '../../audit/event.ts'
import { formatInstant, instantFromMs } from '../../audit/instant.ts'
import { exactBuffer } from '../../audit/exact-bytes.ts'
import type { CloseReason } from './close-codes.ts'
import type { Health } from '../ingest/upstream-health.ts'

const Cursor = Type.String({ description: 'A position in the stream. Resume from it with `since=<cursor>`.' })
const Upstream = Type.Union([
  Type.Literal('ok'),
  Type.Literal('degraded'),
  Type.Literal('throttled'),
  Type.Literal('unauthorized')
], { description: 'State of the upstream, as the last poll found it.' })
const LagMs = Type.Integer({ minimum: 0, description: 'Age of the last successful poll, milliseconds.' })

function frame<Name extends string, Properties extends TProperties> (
  type: Name,
  description: string,
  properties: Properties
) {
  return Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false, description })
}

export const HelloFrame = frame('hello', 'The first frame of every stream.', {
  cursor: Cursor,
  resumed: Type.Boolean({
    description: 'True: the stream continues exactly after `since`. False: an event may repeat, with the same `id`.'
  }),
  heartbeat_seconds: Type.Number({ description: 'Interval of heartbeats, seconds.' })
})
export const EventFrame = frame('event', 'A matching event.', {
  cursor: Cursor,
  event: PublishedEventRef,
  late: Type.Optional(Type.Literal(true, { description: 'The log already held a newer event when this one entered.' }))
})
export const GapFrame = frame('gap', 'Events may be missing between `from` and `to`.', {
  cursor: Cursor,
  from: Type.String({ description: 'Start of the gap, RFC 3339. Use it as `start_time` of a list.' }),
  to: Type.String({ description: 'End of the gap, RFC 3339. Use it as `end_time` of a list.' }),
  reason: Type.Union([
    Type.Literal('history-evicted'),
    Type.Literal('replay-limit'),
    Type.Literal('upstream-outage'),
    Type.Literal('too-large')
  ], {
    description:
      '`history-evicted`: the log evicted events before this stream received them. `replay-limit`: the past has more ' +
        'events than one replay may deliver. `upstream-outage`: Kubiya could not be read for these instants. ' +
        '`too-large`: an event is larger than this service reads.'
  })
})
export const StatusFrame = frame(
  'status',
  'The state of the upstream: after each change, and with `verbose` after each poll.',
  {
    upstream: Upstream,
    since: Type.String({ description: 'When this state began, RFC 3339.' }),
    lag_ms: LagMs,
    lateness_ms: Type.Optional(
      Type.Integer({
        minimum: 0,
        description:
          'How late an event may now become visible and still be delivered, milliseconds. Present only while that is ' +
            'less than `LATENESS_MS`, because too many events arrive.'
      })
    )
  }
)
export const HeartbeatFrame = frame('heartbeat', 'Shows that the stream is alive, with the current cursor.', {
  cursor: Cursor,
  upstream: Upstream,
  lag_ms: LagMs
})
export const ExpiringFrame = frame(
  'expiring',
  'The credential expires soon, and the stream ends then. Reconnect with a new credential and the cursor.',
  {
    at: Type.String({ description: 'When the credential expires, RFC 3339.' })
  }
)
export const EndFrame = frame('end', 'The last frame of a stream.', {
  reason: Type.Union([
    Type.Literal('timeout'),
    Type.Literal('shutdown'),
    Type.Literal('slow'),
    Type.Literal('max-age'),
    Type.Literal('unauthorized')
  ]),
  reconnect: Type.Boolean({ description: 'Whether the client should reconnect with the cursor.' }),
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

/** Memory of a cached frame beside its payload, as measured: its cursor, and the objects of its buffers. */
export const FRAME_OVERHEAD_BYTES = 800

/** A frame as the bytes of its JSON text, encoded once, with the fields that wire formats need. */
export interface PreparedFrame {
  readonly type: Frame['type']
  /** `undefined`: the frame has no cursor. */
  readonly cursor: string | undefined
  readonly payload: Buffer
  /** A gap's reason. */
  readonly reason?: GapReason
}

export function helloFrame (cursor: Cursor, resumed: boolean, heartbeatMs: number): PreparedFrame {
  return prepare({ type: 'hello', cursor: encodeCursor(cursor), resumed, heartbeat_seconds: heartbeatMs / 1000 })
}

/** The frame of a new log entry: an event, or a gap. */
export function freshFrame (fresh: NewEntry, cursor: Cursor): PreparedFrame {
  return 'gap' in fresh ? gapFrame(fresh.gap, cursor) : eventFrame(fresh, cursor)
}

/** The event's JSON text is inserted unchanged: it is not serialized again. */
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
  // A cached frame of 0.6 KB kept 8192 bytes as a part of a shared block. With its own block it takes 620.
  return { type, cursor, payload: exactBuffer(json) }
}
