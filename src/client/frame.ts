import type { Frame } from './types.ts'
import { isBetween, isObject, isText, parseObject, type Fields } from './values.ts'

const LONGEST_CURSOR = 13_500 // Characters. The service makes none that is longer.
const LONGEST_ID = 200 // UTF-16 code units.
const MOST_HEARTBEAT_SECONDS = 3600
const DEFAULT_HEARTBEAT_SECONDS = 20

/**
 * The frame that a message holds. `undefined`: it holds none, whatever its bytes are. A frame of a type that came after
 * this was written is one. Its `cursor` counts if it can be one.
 */
export function readFrame (data: unknown): Frame | undefined {
  const frame = parseObject(data)
  if (frame === undefined || !isSound(frame)) return undefined
  if (frame.type !== 'hello' || isBetween(frame.heartbeat_seconds, 1, MOST_HEARTBEAT_SECONDS)) return frame as Frame
  return { ...frame, heartbeat_seconds: DEFAULT_HEARTBEAT_SECONDS } as Frame
}

/** The place that a frame leads to, where it names one. */
export function cursorOf (frame: Frame): string | undefined {
  const { cursor } = frame as Fields
  return isCursor(cursor) ? cursor : undefined
}

/**
 * Whether a frame has the fields of its type. Fields that nothing depends on may be missing, but are never of another
 * type.
 */
function isSound (frame: Fields): boolean {
  const { at, cursor, event, from, lag_ms: lagMs = 0, reason, reconnect, resumed, since = '', to, type, upstream } =
    frame
  switch (type) {
    case 'hello': return isCursor(cursor) && typeof resumed === 'boolean'
    case 'event': return isCursor(cursor) && isObject(event) && isText(event.id, LONGEST_ID)
    case 'gap': return isCursor(cursor) && isText(from) && isText(to) && isText(reason)
    case 'status': return isText(upstream) && isBetween(lagMs) && typeof since === 'string'
    case 'heartbeat': return isCursor(cursor) && isText(upstream) && isBetween(lagMs)
    case 'expiring': return isText(at)
    case 'end': return isCursor(cursor) && isText(reason) && typeof reconnect === 'boolean'
    default: return isText(type)
  }
}

function isCursor (value: unknown): value is string {
  return isText(value, LONGEST_CURSOR)
}
