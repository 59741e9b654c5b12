import type { Entry } from './entry.ts'
import type { Order } from '../query.ts'

/** Instants in nanoseconds, both included. */
export interface Span {
  from: bigint
  to: bigint
}

/** Walks a part of entries that are sorted by place. */
export function * walkRun (entries: readonly Entry[], span: Span, order: Order): Generator<Entry> {
  const start = countWhile(entries, (entry) => entry.place < span.from)
  const end = countWhile(entries, (entry) => entry.place <= span.to)
  for (let step = 0; step < end - start; step++) {
    const entry = entries[order === 1 ? start + step : end - 1 - step]
    if (entry !== undefined) yield entry
  }
}

/**
 * Merges two sorted runs. For equal instants, the first run's event comes first in ascending order and last in
 * descending order. Each direction is then the reverse of the other.
 */
export function * mergeRuns (earlier: Generator<Entry>, later: Generator<Entry>, order: Order): Generator<Entry> {
  let left = earlier.next()
  let right = later.next()
  while (left.done !== true && right.done !== true) {
    const leftFirst = order === 1 ? left.value.place <= right.value.place : left.value.place > right.value.place
    if (leftFirst) {
      yield left.value
      left = earlier.next()
    } else {
      yield right.value
      right = later.next()
    }
  }
  for (; left.done !== true; left = earlier.next()) yield left.value
  for (; right.done !== true; right = later.next()) yield right.value
}

function countWhile (entries: readonly Entry[], holds: (entry: Entry) => boolean): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const entry = entries[middle]
    if (entry !== undefined && holds(entry)) low = middle + 1
    else high = middle
  }
  return low
}
