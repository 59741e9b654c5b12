import fc from 'fast-check'
import t from 'tap'
import { pageCovering } from '../../src/scan/page-run.ts'
import { holds } from '../contracts/property.ts'

t.test('pageCovering', async (t) => {
  t.test('pageCovering contains the row, begins at a multiple of its size, and is small enough', async (t) => {
    holds(
      t,
      fc.property(fc.nat({ max: 100_000 }), fc.integer({ min: 1, max: 1000 }), (offset, largest) => {
        const { page, size, start } = pageCovering(offset, largest)
        return start <= offset && offset < start + size && size >= 1 && size <= largest &&
          start === (page - 1) * size && Number.isInteger(page)
      }),
      { numRuns: 2000 }
    )
  })

  t.test('pageCovering reaches further after the row than any other size', async (t) => {
    t.same(pageCovering(170, 100), { page: 3, size: 85, start: 170 })
    t.same(pageCovering(0, 100), { page: 1, size: 100, start: 0 })
    holds(t, fc.property(fc.nat({ max: 2000 }), fc.integer({ min: 1, max: 60 }), (offset, largest) => {
      const tile = pageCovering(offset, largest)
      const ends = Array.from({ length: largest }, (_, i) => (Math.floor(offset / (i + 1)) + 1) * (i + 1))
      return tile.start + tile.size === Math.max(...ends)
    }))
  })
})
