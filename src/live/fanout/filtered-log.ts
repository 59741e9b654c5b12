import type { LogCursor } from '../../audit/cursor.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import { compileFilter, filterKey, type AuditFilter } from '../../audit/filter.ts'
import { instantOf, type LogEntry, type LogReader } from '../log/event-log.ts'
import { FULL, LOST, WAIT, YIELD, type Stage, type StageResult } from '../replay/stage.ts'
import type { LogReplay } from '../replay/start-position.ts'
import { FRAME_OVERHEAD_BYTES } from '../transport/frames.ts'
import { MOST_JUDGED, createBatchBuilder, prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'
import type { FrameCache } from './frame-cache.ts'
import { createGenerationalCache } from './generational-cache.ts'

/** What the subscribers with one filter receive from the log, from one position on. */
export interface FilteredBatch {
  /** `undefined`: no entry matches. */
  readonly batch: PreparedBatch | undefined
  /** The position behind it. */
  readonly end: LogCursor
}

/** All subscribers with the same canonical filter, and the log as they see it. */
export interface FilterGroup {
  readonly key: string
  readonly filter: AuditFilter
  readonly matches: (item: JsonObject) => boolean
  /** The subscribers: a batch is worth more effort the more of them will receive it. */
  readonly members: { readonly size: number }
  /**
   * What begins at an offset; `undefined` at the end of the log; `evicted` where the log keeps that offset no more. What
   * a replay leaves out is one subscriber's own matter: its batch is not kept.
   */
  readonly batchAt: (offset: number, replay?: LogReplay) => FilteredBatch | undefined | 'evicted'
}

export interface FilteredLogOptions {
  readonly log: LogReader
  readonly frameCache: FrameCache
  /** Most bytes of a batch of more than one frame. */
  readonly batchBytes: number
}

const KEPT_BYTES = 16 * 1024 * 1024
const BATCH_OVERHEAD_BYTES = 512

/**
 * Returns the function that makes a filter's group. The log is cut into batches: a filter and an offset have one batch,
 * matched and encoded once for all subscribers at that offset. Batches are dropped with their group: those of ten
 * filters without subscribers held 24 MB.
 */
export function createFilteredLogs (
  { batchBytes, frameCache, log }: FilteredLogOptions
): (filter: AuditFilter, members: FilterGroup['members']) => FilterGroup {
  const kept = createGenerationalCache(KEPT_BYTES, () => new WeakMap<FilterGroup, Map<number, FilteredBatch>>())
  let last: { readonly serial: number, readonly offset: number, readonly found: FilteredBatch } | undefined
  let groups = 0

  return (filter, members) => {
    const serial = groups++
    const group: FilterGroup = { key: filterKey(filter), filter, matches: compileFilter(filter), members, batchAt }
    return group

    function batchAt (offset: number, replay?: LogReplay): FilteredBatch | undefined | 'evicted' {
      if (offset < log.startOffset()) return 'evicted'
      if (replay !== undefined && offset < replay.until) return cut(offset, group, replay)
      // Subscribers of one group mostly come one after the other.
      if (last?.offset === offset && last.serial === serial) return last.found
      if (offset === log.end().offset) return undefined
      const found = kept.find((layer) => layer.get(group)?.get(offset)) ?? keep(group, offset)
      last = { serial, offset, found }
      return found
    }
  }

  /** Counts what is held now; each format is counted when it is encoded. */
  function keep (group: FilterGroup, offset: number): FilteredBatch {
    const made = cut(offset, group)
    const { bytes = 0, frames = [] } = made.batch ?? {}
    const layer = kept.grow(BATCH_OVERHEAD_BYTES + bytes + frames.length * FRAME_OVERHEAD_BYTES)
    const batches = layer.get(group) ?? new Map<number, FilteredBatch>()
    layer.set(group, batches.set(offset, made))
    return made
  }

  function cut (first: number, { matches, members }: FilterGroup, replay?: LogReplay): FilteredBatch {
    const batch = createBatchBuilder(Infinity, batchBytes)
    const { until = Infinity } = replay ?? {}
    let offset = first
    for (const entry of log.read(first, MOST_JUDGED) ?? []) {
      if (!batch.judge(entry)) break
      // A gap is for everyone: what could not be read may match any filter.
      const isDue = !isLeftOut(entry, replay) && ('gap' in entry || matches(entry.event.item))
      if (offset === until || (isDue && !batch.add(frameCache.entry(entry)))) break
      offset++
    }
    const { frames } = batch
    const prepared = replay === undefined ? prepareBatch(frames, members.size, kept.grow) : prepareBatch(frames)
    return { batch: frames.length === 0 ? undefined : prepared, end: log.cursorAt(offset) }
  }
}

/** A gap is found by its end: a stream that begins inside it must be told. */
function isLeftOut (entry: LogEntry, replay: LogReplay | undefined): boolean {
  return replay !== undefined && (instantOf(entry) ?? entry.highWater) < replay.from
}

/**
 * The log as one filter sees it, from a position on. It never ends; it is `lost` when the log evicts its position.
 *
 * A class, not a closure for each method: each of many thousand subscribers has one.
 */
export class LiveStage implements Stage {
  private readonly log: LogReader
  private readonly group: Pick<FilterGroup, 'batchAt'>
  private readonly replay: LogReplay | undefined
  // The whole cursor: the log cannot tell the instant of an evicted position.
  private cursor: LogCursor

  constructor (log: LogReader, group: Pick<FilterGroup, 'batchAt'>, from: LogCursor, replay?: LogReplay) {
    this.log = log
    this.group = group
    this.cursor = from
    this.replay = replay
  }

  next (room: number): StageResult {
    const found = this.group.batchAt(this.cursor.offset, this.replay)
    if (found === undefined) return WAIT
    if (found === 'evicted') return LOST
    const { batch, end } = found
    if (batch !== undefined && batch.bytes > room) return FULL
    this.cursor = end
    return batch ?? (end.offset === this.log.end().offset ? WAIT : YIELD)
  }

  position (): LogCursor {
    const end = this.log.end()
    return this.cursor.offset === end.offset ? end : this.cursor
  }

  close (): void {}
}
