/** One numbered page of the upstream as the stretch of rows that it covers. */
export interface Tile {
  /** From 1. */
  readonly page: number
  readonly size: number
  /** Index of the first row, from 0. */
  readonly start: number
}

/**
 * The page that holds row `offset` and reaches furthest behind it, beginning at `leastStart` at the earliest. Pages
 * begin only at multiples of their size, so the size is what gives way: row 170 at 100 a page is best read as the third
 * page of 85.
 */
export function tileAt (offset: number, largest: number, leastStart = 0): Tile {
  let best: Tile = { page: 1, size: largest, start: 0 }
  if (offset < 1) return best
  let bestEnd = 0
  for (let size = largest; size >= 1 && size > bestEnd - offset; size--) {
    const start = Math.floor(offset / size) * size
    if (start >= leastStart && start + size > bestEnd) {
      bestEnd = start + size
      best = { page: start / size + 1, size, start }
    }
  }
  return best
}
