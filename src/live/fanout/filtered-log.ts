import type { LogCursor } from '../../audit/cursor.ts'
import type { JsonObject } from '../../audit/exact-json.ts'
import type { FrameCache } from './frame-cache.ts'
import type { EventLog, LogEntry } from '../log/event-log.ts'
import { FRAME_OVERHEAD_BYTES, type PreparedFrame } from '../transport/frames.ts'
import { createMatchBudget } from '../replay/match-budget.ts'
import { createGenerationalCache } from './generational-cache.ts'
import { prepareBatch, type PreparedBatch } from '../transport/prepared-batch.ts'

/** What subscribers with one filter are given of the log from one place on. */
export interface FilteredBatch {
  /** `undefined`: nothing of it matches. */
  readonly batch: PreparedBatch | undefined
  /** The place behind it. */
  readonly end: LogCursor
}

/** Those who have the same filter. */
export interface FilterMembers {
  readonly matches: (item: JsonObject) => boolean
  readonly members: { readonly size: number }
}

export interface FilteredLogOptions {
  readonly log: EventLog
  readonly frameCache: FrameCache
  /** Most bytes of a batch of more than one frame. */
  readonly mostBytes: number
}

/**
 * The log as subscribers with one filter see it: what begins at an offset; `undefined` at the head; `evicted` when the
 * log has let go of it.
 */
export type BatchAt = (offset: number) => FilteredBatch | undefined | 'evicted'

const KEPT_BYTES = 16 * 1024 * 1024
const PORTION_OVERHEAD_BYTES = 512

/**
 * Cuts the log into batches: for all who have the same filter and stand at the same place, the same one, judged and
 * encoded once. They go with their subscribers: those of ten filters that nobody had any more held 24 MB.
 */
export function createFilteredLogs (
  { frameCache, log, mostBytes }: FilteredLogOptions
): (members: FilterMembers) => BatchAt {
  const kept = createGenerationalCache(KEPT_BYTES, () => new WeakMap<FilterMembers, Map<number, FilteredBatch>>())
  let last: { readonly filter: number, readonly offset: number, readonly portion: FilteredBatch } | undefined
  let filters = 0

  return (members) => {
    const filter = filters++
    return (offset) => {
      if (offset < log.startOffset()) return 'evicted'
      // They mostly come one after the other.
      if (last?.offset === offset && last.filter === filter) return last.portion
      if (offset === log.end().offset) return undefined
      const portion = kept.find((layer) => layer.get(members)?.get(offset)) ?? keep(members, offset)
      last = { filter, offset, portion }
      return portion
    }
  }

  /** Weighs what is held now; each format is weighed when it is made. */
  function keep (members: FilterMembers, offset: number): FilteredBatch {
    const portion = cut(offset, members)
    const { bytes = 0, frames = [] } = portion.batch ?? {}
    const layer = kept.grow(PORTION_OVERHEAD_BYTES + bytes + frames.length * FRAME_OVERHEAD_BYTES)
    const portions = layer.get(members) ?? new Map<number, FilteredBatch>()
    layer.set(members, portions.set(offset, portion))
    return portion
  }

  function cut (first: number, { matches, members }: FilterMembers): FilteredBatch {
    const frames: PreparedFrame[] = []
    let bytes = 0
    let offset = first
    const matchBudget = createMatchBudget()
    for (let entry = log.at(offset); entry !== undefined && !matchBudget.isSpent(); entry = log.at(++offset)) {
      matchBudget.spend(entry)
      if (!isFor(entry, matches)) continue
      const frame = frameCache.entry(entry)
      if (frames.length > 0 && bytes + frame.payload.length > mostBytes) break
      frames.push(frame)
      bytes += frame.payload.length
    }
    const batch = frames.length === 0 ? undefined : prepareBatch(frames, members.size, kept.grow)
    return { batch, end: log.cursorAt(offset) }
  }
}

/** Whether a subscriber is to be told of an entry: what could not be read may be for anyone. */
function isFor (entry: LogEntry, matches: (item: JsonObject) => boolean): boolean {
  return 'gap' in entry || matches(entry.event.item)
}
