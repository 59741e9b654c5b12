import { replayCursor, type DeliveredRange, type LogCursor, type StreamCursor } from '../../audit/cursor.ts'
import type { LogEntry } from '../log/event-log.ts'
import {
  FRAME_OVERHEAD_BYTES,
  freshFrame,
  heartbeatFrame,
  statusFrame,
  type PreparedFrame
} from '../transport/frames.ts'
import type { Health } from '../ingest/upstream-health.ts'
import { createGenerationalCache } from './generational-cache.ts'
import { prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'
import type { BackfillRow } from '../replay/page-read.ts'

/** Encodes once for all who are given the same at about the same time. */
export interface FrameCache {
  /** An entry of the log, with the place behind it as its cursor. */
  entry (entry: LogEntry): PreparedFrame
  /** A row of a replay, with a cursor that resumes the replay behind it and the log at `until`. */
  row (row: BackfillRow, until: LogCursor, delivered: readonly DeliveredRange[]): PreparedFrame
  /** Those at the same place are given the same as long as they are told of the same state. */
  heartbeat (cursor: StreamCursor, health: Health): PreparedBatch
  status (health: Health): PreparedBatch
}

const MOST_OF_ENTRIES = 16 * 1024 * 1024
const MOST_OF_ROWS = 32 * 1024 * 1024 // Thousands of streams come back at once, and each goes through all of them.
const BOTH_FORMS = 2 // An entry's frame is kept deflated, too, which makes it no larger; a row's is sent as it is.

export function createFrameCache (epoch: string): FrameCache {
  const entries = createStore<LogEntry>(MOST_OF_ENTRIES, BOTH_FORMS)
  const rows = createStore<BackfillRow>(MOST_OF_ROWS, 1)
  let heartbeat:
    | { readonly cursor: StreamCursor, readonly health: Health, readonly prepared: PreparedBatch }
    | undefined
  let status: { readonly health: Health, readonly prepared: PreparedBatch } | undefined

  return {
    entry (entry) {
      // The cursor is made from the entry itself: a batch larger than the log has evicted its own first entries.
      const { highWater: instant, offset } = entry
      return entries.get(entry, offset) ??
        entries.keep(entry, offset, freshFrame(entry, { kind: 'log', epoch, offset: offset + 1, instant }))
    },
    row (row, until, delivered) {
      if (delivered.length > 0) return freshFrame(row, replayCursor(until, row.key, delivered)) // One listener's own.
      return rows.get(row, until.offset) ??
        rows.keep(row, until.offset, freshFrame(row, replayCursor(until, row.key, delivered)))
    },
    heartbeat (cursor, health) {
      if (heartbeat?.cursor !== cursor || heartbeat.health !== health) {
        heartbeat = { cursor, health, prepared: prepareBatch([heartbeatFrame(cursor, health)]) }
      }
      return heartbeat.prepared
    },
    status (health) {
      if (status?.health !== health) status = { health, prepared: prepareBatch([statusFrame(health)]) }
      return status.prepared
    }
  }
}

/**
 * Frames by what they were made of. Neither keeps the other: 6000 evicted entries of 0.45 KB held 10 MB that nobody
 * counted, and 12 000 frames 7 MB beyond their payloads.
 */
function createStore<Source extends object> (mostBytes: number, forms: number) {
  interface Kept { readonly offset: number, readonly frame: PreparedFrame }
  const layers = createGenerationalCache(mostBytes, () => new WeakMap<Source, Kept>())
  return {
    get (source: Source, offset: number): PreparedFrame | undefined {
      return layers.find((layer) => {
        const known = layer.get(source)
        return known?.offset === offset ? known.frame : undefined
      })
    },
    keep (source: Source, offset: number, frame: PreparedFrame): PreparedFrame {
      layers.grow(forms * frame.payload.length + FRAME_OVERHEAD_BYTES).set(source, { offset, frame })
      return frame
    }
  }
}
