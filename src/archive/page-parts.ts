import { LRUCache } from 'lru-cache'
import type { BytePool } from '../audit/byte-pool.ts'
import type { LogCursor } from '../audit/cursor.ts'
import type { Clock } from '../clock.ts'
import { bytesOf, type PagePart } from './full-page.ts'

/** A part of a page, with the state of the world when its reading began. */
export interface KeptPart {
  readonly part: PagePart
  /** The end of the log before Kubiya was called for the first time. */
  readonly position: LogCursor
  readonly readMs: number
}

/** Parts of pages that wait for the next request for the same page. */
export interface PageParts {
  get (key: string): KeptPart | undefined
  keep (key: string, part: KeptPart): void
  drop (key: string): void
  clear (): void
}

export interface PagePartsOptions {
  /** The bound on the parts of all tenants together. */
  readonly pool: BytePool
  readonly clock: Pick<Clock, 'setTimer'>
}

interface Entry {
  readonly kept: KeptPart
  readonly cancelTimer: () => void
}

const MAX_PARTS = 100
// The longest wait that a caller is told is five minutes, and it may come back somewhat later.
const KEEP_MS = 6 * 60_000
const OVERHEAD_BYTES = 1024
const BYTES_PER_CHARACTER = 2

/**
 * Keeps the rows of incomplete pages. The next request for the same page continues behind them, so a shortage delays
 * an export and does not repeat its reads. A key names the caller and the query. Each
 * part is kept for six minutes at most, the parts of one tenant are at most 100, and all share the pool's bytes.
 */
export function createPageParts ({ clock, pool }: PagePartsOptions): PageParts {
  const entries = new LRUCache<string, Entry>({
    max: MAX_PARTS,
    maxSize: Number.MAX_SAFE_INTEGER,
    sizeCalculation: ({ kept }) => OVERHEAD_BYTES + BYTES_PER_CHARACTER * bytesOf(kept.part),
    dispose: ({ cancelTimer }) => cancelTimer()
  })
  const share = pool.join({ shrink })
  return { get: (key) => entries.get(key)?.kept, keep, drop, clear }

  function keep (key: string, kept: KeptPart): void {
    entries.set(key, { kept, cancelTimer: clock.setTimer(() => drop(key), KEEP_MS) })
    share.hold(entries.calculatedSize)
  }

  function drop (key: string): void {
    entries.delete(key)
    share.hold(entries.calculatedSize)
  }

  function clear (): void {
    entries.clear()
    share.hold(0)
  }

  function shrink (bytes: number): number {
    const targetBytes = entries.calculatedSize - bytes
    while (entries.calculatedSize > targetBytes && entries.pop() !== undefined);
    return entries.calculatedSize
  }
}
