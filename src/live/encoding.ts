import { LRUCache } from 'lru-cache'
import type { Given, LogCursor, ReplayCursor, StreamCursor } from '../audit/cursor.ts'
import type { Place } from '../audit/place.ts'
import type { LogEntry } from './event-log.ts'
import { freshFrame, heartbeatFrame, statusFrame, type PreparedFrame } from './frames.ts'
import type { Health } from './health.ts'
import { parcelOf, type Parcel } from './parcel.ts'
import type { ReplayRow } from './replay.ts'

/** Encodes once for all who are given the same at about the same time. */
export interface Encoder {
  /** An entry of the log, with the place behind it as its cursor. */
  entry (entry: LogEntry): PreparedFrame
  /** A row of a replay, with a cursor that resumes the replay behind it and the log at `until`. */
  row (row: ReplayRow, until: LogCursor, given: readonly Given[]): PreparedFrame
  /** Those at the same place are given the same as long as they are told of the same state. */
  heartbeat (cursor: StreamCursor, health: Health): Parcel
  status (health: Health): Parcel
}

const MOST_BYTES = 16 * 1024 * 1024

export function createEncoder (epoch: string): Encoder {
  const entries = createStore<LogEntry>()
  const rows = createStore<ReplayRow>()
  let heartbeat: { readonly cursor: StreamCursor, readonly health: Health, readonly parcel: Parcel } | undefined
  let status: { readonly health: Health, readonly parcel: Parcel } | undefined

  return {
    entry (entry) {
      // The cursor is made from the entry itself: a batch larger than the log has evicted its own first entries.
      const { highWater: instant, offset } = entry
      return entries.get(entry, offset) ?? entries.keep(entry, offset, freshFrame(entry, { kind: 'log', epoch, offset: offset + 1, instant }))
    },
    row (row, until, given) {
      if (given.length > 0) return freshFrame(row, replayCursor(until, row.place, given)) // One listener's own.
      return rows.get(row, until.offset) ?? rows.keep(row, until.offset, freshFrame(row, replayCursor(until, row.place, given)))
    },
    heartbeat (cursor, health) {
      if (heartbeat?.cursor !== cursor || heartbeat.health !== health) heartbeat = { cursor, health, parcel: parcelOf([heartbeatFrame(cursor, health)]) }
      return heartbeat.parcel
    },
    status (health) {
      if (status?.health !== health) status = { health, parcel: parcelOf([statusFrame(health)]) }
      return status.parcel
    }
  }
}

export function replayCursor (log: LogCursor, after: Place, given: readonly Given[]): ReplayCursor {
  return { kind: 'replay', log, after, ...given.length > 0 && { given } }
}

/** Frames by what they were made of, as long as there is room. */
function createStore<Source extends object> () {
  const kept = new LRUCache<Source, { readonly offset: number, readonly frame: PreparedFrame }>({ maxSize: MOST_BYTES, sizeCalculation: ({ frame }) => frame.payload.length })
  return {
    get (source: Source, offset: number): PreparedFrame | undefined {
      const known = kept.get(source)
      return known?.offset === offset ? known.frame : undefined
    },
    keep (source: Source, offset: number, frame: PreparedFrame): PreparedFrame {
      kept.set(source, { offset, frame })
      return frame
    }
  }
}
