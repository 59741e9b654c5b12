import type { LogCursor } from '../src/audit/cursor.ts'
import { PublishedEvent, type AuditEvent } from '../src/audit/event.ts'
import { NANOS_PER_MS, NANOS_PER_SECOND, msFromInstant, parseInstant, type Instant } from '../src/audit/instant.ts'
import { CLOSE } from '../src/live/transport/close-codes.ts'
import {
  endFrame,
  eventFrame,
  expiringFrame,
  gapFrame,
  heartbeatFrame,
  helloFrame,
  statusFrame,
  type Frame,
  type PreparedFrame
} from '../src/live/transport/frames.ts'
import type { Health } from '../src/live/ingest/upstream-health.ts'

const item = Object.fromEntries(
  Object.entries(PublishedEvent.properties).map(([name, { examples: [value] }]) => [name, value])
)
const instant = parseInstant(item.timestamp) ?? 0n
const event: AuditEvent = { id: item.id, instant, item, json: JSON.stringify(item) }
const good: Health = {
  upstream: 'ok',
  sinceMs: msFromInstant(instant),
  lastGoodMs: undefined,
  lagMs: 1834,
  attempted: true,
  latenessMs: undefined,
  isPolling: true,
  fullReads: 1
}

/**
 * Frames as documents show them: made by the encoders that the streams use. A type of frame that has none does not
 * compile.
 */
export const FRAME_EXAMPLES: Record<Frame['type'], Record<string, PreparedFrame>> = {
  hello: {
    begun: helloFrame(cursorAt(1041, instant), false, 20_000),
    resumed: helloFrame(cursorAt(1041, instant), true, 20_000)
  },
  event: {
    live: eventFrame({ event, late: false }, cursorAt(1042, instant)),
    late: eventFrame({ event, late: true }, cursorAt(1043, instant + 9n * NANOS_PER_SECOND))
  },
  gap: {
    'too-large': gapFrame(
      { from: instant, to: instant + 250n * NANOS_PER_MS, reason: 'too-large' },
      cursorAt(1044, instant)
    ),
    'replay-limit': gapFrame(
      { from: instant, to: instant + 3600n * NANOS_PER_SECOND, reason: 'replay-limit' },
      cursorAt(1044, instant)
    )
  },
  status: {
    ok: statusFrame(good),
    degraded: statusFrame({ ...good, upstream: 'degraded', lagMs: 61_020 }),
    shortened: statusFrame({ ...good, upstream: 'degraded', latenessMs: 45_000 })
  },
  heartbeat: {
    quiet: heartbeatFrame(cursorAt(1044, instant), good)
  },
  expiring: {
    soon: expiringFrame(msFromInstant(instant))
  },
  end: Object.fromEntries(
    Object.values(CLOSE).map((ending) => [ending.reason, endFrame(cursorAt(1044, instant), ending)])
  )
}

function cursorAt (offset: number, highWater: Instant): LogCursor {
  return { kind: 'log', epoch: 'k3m9x2w7', offset, instant: highWater }
}
