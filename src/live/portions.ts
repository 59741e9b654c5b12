import type { LogCursor } from '../audit/cursor.ts'
import type { JsonObject } from '../audit/json.ts'
import type { Encoder } from './encoding.ts'
import type { EventLog, LogEntry } from './event-log.ts'
import { FRAME_OVERHEAD_BYTES, type PreparedFrame } from './frames.ts'
import { createJudging } from './judging.ts'
import { createLayers } from './layers.ts'
import { parcelOf, type Parcel } from './parcel.ts'

/** What listeners with one filter are given of the log from one place on. */
export interface Portion {
  /** `undefined`: nothing of it matches. */
  readonly parcel: Parcel | undefined
  /** The place behind it. */
  readonly end: LogCursor
}

/** Those who have the same filter. */
export interface Listeners {
  readonly matches: (item: JsonObject) => boolean
  readonly members: { readonly size: number }
}

export interface PortionsOptions {
  readonly log: EventLog
  readonly encoder: Encoder
  /** Most bytes of a portion of more than one frame. */
  readonly mostBytes: number
}

/** The log as listeners with one filter see it: what begins at an offset; `undefined` at the head; `evicted` when the log has let go of it. */
export type PortionAt = (offset: number) => Portion | undefined | 'evicted'

const KEPT_BYTES = 16 * 1024 * 1024
const PORTION_OVERHEAD_BYTES = 512

/**
 * Cuts the log into portions: for all who have the same filter and stand at the same place, the same one, judged and
 * encoded once. They go with their listeners: those of ten filters that nobody had any more held 24 MB.
 */
export function createPortions ({ encoder, log, mostBytes }: PortionsOptions): (listeners: Listeners) => PortionAt {
  const kept = createLayers(KEPT_BYTES, () => new WeakMap<Listeners, Map<number, Portion>>())
  let last: { readonly filter: number, readonly offset: number, readonly portion: Portion } | undefined
  let filters = 0

  return (listeners) => {
    const filter = filters++
    return (offset) => {
      if (offset < log.oldest()) return 'evicted'
      if (last?.offset === offset && last.filter === filter) return last.portion // They mostly come one after the other.
      if (offset === log.head().offset) return undefined
      const portion = kept.find((layer) => layer.get(listeners)?.get(offset)) ?? keep(listeners, offset)
      last = { filter, offset, portion }
      return portion
    }
  }

  /** Weighs what is held now; each format is weighed when it is made. */
  function keep (listeners: Listeners, offset: number): Portion {
    const portion = cut(offset, listeners)
    const { bytes = 0, frames = [] } = portion.parcel ?? {}
    const layer = kept.grow(PORTION_OVERHEAD_BYTES + bytes + frames.length * FRAME_OVERHEAD_BYTES)
    const portions = layer.get(listeners) ?? new Map<number, Portion>()
    layer.set(listeners, portions.set(offset, portion))
    return portion
  }

  function cut (first: number, { matches, members }: Listeners): Portion {
    const frames: PreparedFrame[] = []
    let bytes = 0
    let offset = first
    const judging = createJudging()
    for (let entry = log.at(offset); entry !== undefined && !judging.isEnough(); entry = log.at(++offset)) {
      judging.add(entry)
      if (!isFor(entry, matches)) continue
      const frame = encoder.entry(entry)
      if (frames.length > 0 && bytes + frame.payload.length > mostBytes) break
      frames.push(frame)
      bytes += frame.payload.length
    }
    const parcel = frames.length === 0 ? undefined : parcelOf(frames, members.size, kept.grow)
    return { parcel, end: log.cursorAt(offset) }
  }
}

/** Whether a listener is to be told of an entry: what could not be read may be for anyone. */
function isFor (entry: LogEntry, matches: (item: JsonObject) => boolean): boolean {
  return 'gap' in entry || matches(entry.event.item)
}
