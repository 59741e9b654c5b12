import { LRUCache } from 'lru-cache'

/**
 * A token bucket for each of many: refilled evenly, holding a minute's worth, and in debt where something cost more
 * than was left.
 */
export interface TokenBucket {
  readonly perMinute: number
  /** What is left, possibly less than nothing. */
  left (key: string): number
  /** Less than nothing gives back what was spent. */
  spend (key: string, amount: number): void
  /** Milliseconds until so much is left. */
  waitMs (key: string, amount: number): number
}

interface Bucket {
  left: number
  atMs: number
}

const MINUTE_MS = 60_000

/** `mostKeys`: those seen longest ago are forgotten, and so is what they spent. */
export function createTokenBucket (perMinute: number, mostKeys: number, nowMs: () => number): TokenBucket {
  const buckets = new LRUCache<string, Bucket>({ max: mostKeys })
  return { perMinute, left: (key) => bucketOf(key).left, spend, waitMs }

  function bucketOf (key: string): Bucket {
    const now = nowMs()
    const bucket = buckets.get(key) ?? { left: perMinute, atMs: now }
    bucket.left = Math.min(perMinute, bucket.left + (now - bucket.atMs) * perMinute / MINUTE_MS)
    bucket.atMs = now
    return bucket
  }

  function spend (key: string, amount: number): void {
    const bucket = bucketOf(key)
    bucket.left = Math.min(perMinute, bucket.left - amount)
    buckets.set(key, bucket)
  }

  function waitMs (key: string, amount: number): number {
    return Math.max(0, (amount - bucketOf(key).left) * MINUTE_MS / perMinute)
  }
}
