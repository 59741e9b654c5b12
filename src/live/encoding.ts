import { LRUCache } from 'lru-cache'
import type { LogEntry } from './event-log.ts'
import { freshFrame, type PreparedFrame } from './frames.ts'

const MOST_BYTES = 16 * 1024 * 1024

/** Encodes an entry of the log once for all who are given it at about the same time. */
export function createEncoder (epoch: string): (entry: LogEntry) => PreparedFrame {
  const kept = new LRUCache<number, PreparedFrame>({ maxSize: MOST_BYTES, sizeCalculation: ({ bytes }) => bytes })

  return (entry) => {
    const { highWater: instant, offset } = entry
    const known = kept.get(offset)
    if (known !== undefined) return known
    // The cursor is made from the entry itself: a batch larger than the log has evicted its own first entries.
    const frame = freshFrame(entry, { kind: 'log', epoch, offset: offset + 1, instant })
    kept.set(offset, frame)
    return frame
  }
}
