const SECONDS = 10

/** Counts events by second, and gives their mean rate over the last ten. */
export function createEventRate () {
  const counts = new Map<number, number>()
  let firstSecond: number | undefined

  return { count, perSecond }

  function count (nowMs: number): void {
    const second = Math.floor(nowMs / 1000)
    firstSecond ??= second
    counts.set(second, (counts.get(second) ?? 0) + 1)
    if (counts.size > SECONDS * 2) forgetBefore(second - SECONDS)
  }

  /** The seconds before the first event do not count, nor does the one that still runs. */
  function perSecond (nowMs: number): number {
    const second = Math.floor(nowMs / 1000)
    forgetBefore(second - SECONDS)
    const seconds = Math.min(SECONDS, second - (firstSecond ?? second))
    if (seconds === 0) return counts.get(second) ?? 0
    let total = 0
    for (const [each, value] of counts) if (each < second) total += value
    return total / seconds
  }

  function forgetBefore (second: number): void {
    for (const each of counts.keys()) if (each < second) counts.delete(each)
  }
}
