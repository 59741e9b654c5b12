export type Bucket = ReturnType<typeof createBucket>

/** A token bucket that holds a quarter of the limit; three quarters flow in evenly over the span. */
export function createBucket (span: 'minute' | 'day', limit: number, spanMs: number) {
  const capacity = Math.max(1, Math.floor(limit / 4))
  const perMs = Math.max(limit - capacity, 0.1) / spanMs
  let held = capacity
  let atMs = -Infinity
  const tokens = (nowMs: number) => Math.min(capacity, held + Math.max(0, nowMs - atMs) * perMs)
  return {
    span,
    capacity,
    perMs,
    tokens,
    waitMs: (wanted: number, nowMs: number) => Math.max(0, (wanted - tokens(nowMs)) / perMs),
    take (nowMs: number) {
      held = tokens(nowMs) - 1
      atMs = nowMs
    }
  }
}
