import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { isBefore, type KeyedEvent } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'

/** What an upstream's order can be trusted for: each instant, whole seconds, nothing. */
export type Granularity = 'instant' | 'second' | 'none'

const FROM_FINE_TO_COARSE: Granularity[] = ['instant', 'second', 'none']

/** What the order of these rows can be trusted for. */
export function granularityOf (rows: KeyedEvent[], direction: Direction): Granularity {
  let grain: Granularity = 'instant'
  rows.forEach(({ key: { instant } }, index) => {
    const previous = rows[index - 1]?.key.instant
    if (previous === undefined || !isBefore(instant, previous, direction)) return
    grain = coarser(grain, floorToSecond(instant) === floorToSecond(previous) ? 'second' : 'none')
  })
  return grain
}

export function coarser (a: Granularity, b: Granularity): Granularity {
  return FROM_FINE_TO_COARSE[Math.max(FROM_FINE_TO_COARSE.indexOf(a), FROM_FINE_TO_COARSE.indexOf(b))] ?? 'none'
}

/** The instant before which (going down: behind which) nothing more can come once a row with `last` was met. */
export function reachedBy (last: Instant, grain: Granularity, direction: Direction): Instant | undefined {
  if (grain === 'none') return undefined
  if (grain === 'instant') return last
  return direction === 'asc' ? floorToSecond(last) : floorToSecond(last) + NANOS_PER_SECOND - 1n
}
