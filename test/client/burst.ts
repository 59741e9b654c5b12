import { item } from '../support/support.ts'

export function series (count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

/** Microseconds apart, so that what comes next is dated later. */
export function burst (count: number, from = 0): object[] {
  const now = new Date().toISOString().slice(0, -1)
  return series(count).map((index) => item({ n: from + index, timestamp: `${now}${String(index).padStart(3, '0')}Z` }))
}
