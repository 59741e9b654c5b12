import { NANOS_PER_SECOND, floorToSecond, type Instant } from '../audit/instant.ts'
import { isBefore, type KeyedEvent } from '../audit/sort-key.ts'
import type { Direction } from '../audit/source.ts'

/** How exactly an upstream sorts its rows: by instant, by whole second, or not at all. */
export type Granularity = 'instant' | 'second' | 'none'

const FROM_FINE_TO_COARSE: Granularity[] = ['instant', 'second', 'none']

/** How exactly these rows are sorted. */
export function granularityOf (rows: KeyedEvent[], direction: Direction): Granularity {
  let granularity: Granularity = 'instant'
  rows.forEach(({ key: { instant } }, index) => {
    const previous = rows[index - 1]?.key.instant
    if (previous === undefined || !isBefore(instant, previous, direction)) return
    granularity = coarser(granularity, floorToSecond(instant) === floorToSecond(previous) ? 'second' : 'none')
  })
  return granularity
}

/** The coarser of two granularities. */
export function coarser (a: Granularity, b: Granularity): Granularity {
  return FROM_FINE_TO_COARSE[Math.max(FROM_FINE_TO_COARSE.indexOf(a), FROM_FINE_TO_COARSE.indexOf(b))] ?? 'none'
}

/**
 * The instant up to which a scan is complete after a row with the instant `last`. No later row is strictly before it
 * (in descending order: strictly after it). `undefined`: nothing is certain.
 */
export function reachedBy (last: Instant, granularity: Granularity, direction: Direction): Instant | undefined {
  if (granularity === 'none') return undefined
  if (granularity === 'instant') return last
  return direction === 'asc' ? floorToSecond(last) : floorToSecond(last) + NANOS_PER_SECOND - 1n
}
