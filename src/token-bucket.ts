/** How much a bucket holds, and how fast it refills: `refill` tokens in `spanMs` milliseconds, evenly. */
export interface BucketRate {
  readonly capacity: number
  readonly refill: number
  readonly spanMs: number
}

/**
 * A token bucket. It may go into debt, because some costs are known only after the work: `tokens` is then negative. A
 * record and not a factory, because some owners keep a bucket for each of many thousand callers.
 */
export interface TokenBucket extends BucketRate {
  /** As of `atMs`. */
  tokens: number
  atMs: number
}

/** A full bucket. */
export function createTokenBucket ({ capacity, refill, spanMs }: BucketRate): TokenBucket {
  return { capacity, refill, spanMs, tokens: capacity, atMs: -Infinity }
}

/** The tokens in the bucket. A clock that went back takes nothing away. */
export function tokensAt ({ atMs, capacity, refill, spanMs, tokens }: TokenBucket, nowMs: number): number {
  return Math.min(capacity, tokens + Math.max(0, nowMs - atMs) * refill / spanMs)
}

/** Milliseconds until the bucket holds `amount` tokens. */
export function waitForTokens (bucket: TokenBucket, amount: number, nowMs: number): number {
  return Math.max(0, (amount - tokensAt(bucket, nowMs)) * bucket.spanMs / bucket.refill)
}

/** Takes tokens, also beyond the last one. A negative amount gives tokens back, up to the capacity. */
export function takeTokens (bucket: TokenBucket, amount: number, nowMs: number): void {
  bucket.tokens = Math.min(bucket.capacity, tokensAt(bucket, nowMs) - amount)
  bucket.atMs = nowMs
}
