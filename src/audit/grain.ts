import { NANOS_PER_SECOND, floorToSecond, type Instant } from './instant.ts'
import { isBefore, type Row } from './place.ts'
import type { Direction } from './source.ts'

/** What an upstream's order can be trusted for: each instant, whole seconds, nothing. */
export type Grain = 'instant' | 'second' | 'none'

const FROM_FINE_TO_COARSE: Grain[] = ['instant', 'second', 'none']

/** What the order of these rows can be trusted for. */
export function grainOf (rows: Row[], direction: Direction): Grain {
  let grain: Grain = 'instant'
  rows.forEach(({ place: { instant } }, index) => {
    const previous = rows[index - 1]?.place.instant
    if (previous === undefined || !isBefore(instant, previous, direction)) return
    grain = coarser(grain, floorToSecond(instant) === floorToSecond(previous) ? 'second' : 'none')
  })
  return grain
}

export function coarser (a: Grain, b: Grain): Grain {
  return FROM_FINE_TO_COARSE[Math.max(FROM_FINE_TO_COARSE.indexOf(a), FROM_FINE_TO_COARSE.indexOf(b))] ?? 'none'
}

/** The instant before which (going down: behind which) nothing more can come once a row with `last` was met. */
export function reachedBy (last: Instant, grain: Grain, direction: Direction): Instant | undefined {
  if (grain === 'none') return undefined
  if (grain === 'instant') return last
  return direction === 'asc' ? floorToSecond(last) : floorToSecond(last) + NANOS_PER_SECOND - 1n
}
