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

/** By the type of a frame: whether its fields are sound. */
const CHECKS = new Map<unknown, (frame: Fields) => boolean>([
  ['hello', ({ cursor, resumed }) => isCursor(cursor) && typeof resumed === 'boolean'],
  ['event', ({ cursor, event }) => isCursor(cursor) && isObject(event) && isText(event.id, LONGEST_ID)],
  ['gap', ({ cursor, from, reason, to }) => isCursor(cursor) && isText(from) && isText(to) && isText(reason)],
  ['status', (frame) => hasUpstream(frame) && (frame.since === undefined || typeof frame.since === 'string')],
  ['heartbeat', (frame) => isCursor(frame.cursor) && hasUpstream(frame)],
  ['expiring', ({ at }) => isText(at)],
  ['end', ({ cursor, reason, reconnect }) => isCursor(cursor) && isText(reason) && typeof reconnect === 'boolean']
])

/**
 * Whether a frame has the fields of its type. Fields on which nothing depends may be missing, but never have another
 * type.
 */
function isSound (frame: Fields): boolean {
  return CHECKS.get(frame.type)?.(frame) ?? isText(frame.type)
}

function hasUpstream ({ lag_ms: lagMs = 0, upstream }: Fields): boolean {
  return isText(upstream) && isBetween(lagMs)
}

function isCursor (value: unknown): value is string {
  return isText(value, LONGEST_CURSOR)
}
