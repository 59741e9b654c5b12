import type { Frame } from './types.ts'
import { isBetween, isObject, isText, parseObject, type Fields } from './values.ts'

const LONGEST_CURSOR = 13_500 // Characters. The service creates no longer cursor.
const LONGEST_ID = 200 // UTF-16 code units.
const MOST_HEARTBEAT_SECONDS = 3600
const DEFAULT_HEARTBEAT_SECONDS = 20

/**
 * Parses a message. `undefined`: it is not a frame. A frame of an unknown type is accepted, because a later version of
 * the service may add types. Its `cursor` is used if it is valid.
 */
export function readFrame (data: unknown): Frame | undefined {
  const frame = parseObject(data)
  if (frame === undefined || !isValid(frame)) return undefined
  if (frame.type !== 'hello' || isBetween(frame.heartbeat_seconds, 1, MOST_HEARTBEAT_SECONDS)) return frame as Frame
  return { ...frame, heartbeat_seconds: DEFAULT_HEARTBEAT_SECONDS } as Frame
}

/** The cursor of a frame. `undefined`: it has no valid one. */
export function cursorOf (frame: Frame): string | undefined {
  const { cursor } = frame as Fields
  return isCursor(cursor) ? cursor : undefined
}

/** For each type of frame: whether its fields are valid. */
const CHECKS = new Map<unknown, (frame: Fields) => boolean>([
  ['hello', ({ cursor, resumed }) => isCursor(cursor) && typeof resumed === 'boolean'],
  ['event', (frame) => isCursor(frame.cursor) && isObject(frame.event) && isText(frame.event.id, LONGEST_ID) &&
    (frame.late === undefined || typeof frame.late === 'boolean')],
  ['gap', ({ cursor, from, reason, to }) => isCursor(cursor) && isText(from) && isText(to) && isText(reason)],
  ['status', (frame) => hasUpstream(frame) && (frame.since === undefined || typeof frame.since === 'string')],
  ['heartbeat', (frame) => isCursor(frame.cursor) && hasUpstream(frame)],
  ['expiring', ({ at }) => isText(at)],
  ['end', ({ cursor, reason, reconnect }) => isCursor(cursor) && isText(reason) && typeof reconnect === 'boolean']
])

/** Whether a frame has the fields of its type. A field that the client does not need may be missing. */
function isValid (frame: Fields): boolean {
  return CHECKS.get(frame.type)?.(frame) ?? isText(frame.type)
}

function hasUpstream ({ lag_ms: lagMs = 0, upstream }: Fields): boolean {
  return isText(upstream) && isBetween(lagMs)
}

function isCursor (value: unknown): value is string {
  return isText(value, LONGEST_CURSOR)
}
