import type { LogCursor } from '../../audit/cursor.ts'
import type { Instant } from '../../audit/instant.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import { instantOf, type EventLog, type LogEntry } from '../log/event-log.ts'
import type { PreparedFrame } from '../transport/frames.ts'
import { createBatchBuilder, prepareBatch } from '../transport/prepared-batch.ts'
import { FULL, LOST, YIELD, type Stage, type StageResult } from './stage.ts'

export interface LogReplayOptions {
  readonly log: EventLog
  readonly matches: (item: JsonObject) => boolean
  /** Encodes an entry, once for every subscriber; its cursor is the position behind the entry. */
  readonly frameOf: (entry: LogEntry) => PreparedFrame
  /** Most bytes of a batch of more than one frame. */
  readonly batchBytes: number
  /** Inclusive. Older entries are skipped. */
  readonly from: Instant
  /** Where the live log takes over. */
  readonly until: LogCursor
}

/**
 * The entries before `until` that are not older than `from`, in log order. It begins at the first offset that can hold
 * `from`. No snapshot is kept: the stage is `lost` when the log evicts its position.
 */
export function createLogReplay (options: LogReplayOptions): Stage<'log-replay'> {
  const { batchBytes, frameOf, from, log, matches, until } = options
  // The whole cursor: the log cannot tell the instant of an evicted position.
  let cursor = log.cursorAt(Math.min(log.offsetFrom(from), until.offset))

  return { kind: 'log-replay', next, position: () => cursor, close: () => {} }

  function next (room: number): StageResult {
    let { offset } = cursor
    if (offset < log.startOffset()) return LOST
    if (offset === until.offset) return { kind: 'end', until }
    const batch = createBatchBuilder(room, batchBytes)
    let isFull = false
    for (; offset < until.offset; offset++) {
      const entry = log.at(offset)
      if (entry === undefined || !batch.judge(entry)) break
      isFull = isDue(entry) && !batch.add(frameOf(entry))
      if (isFull) break
    }
    cursor = log.cursorAt(offset)
    if (batch.frames.length > 0) return prepareBatch(batch.frames)
    return isFull ? FULL : YIELD
  }

  /** A gap is due where it ends: a stream that begins inside it must be told. */
  function isDue (entry: LogEntry): boolean {
    if ((instantOf(entry) ?? entry.highWater) < from) return false
    return 'gap' in entry || matches(entry.event.item)
  }
}
