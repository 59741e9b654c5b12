import t from 'tap'
import { createPageParts, type KeptPart } from '../../src/archive/page-parts.ts'
import { createBytePool } from '../../src/audit/byte-pool.ts'
import { createManualClock } from '../support/manual-clock.ts'

const MINUTE_MS = 60_000

function part (characters: number): KeptPart {
  return {
    part: {
      events: [{ json: 'x'.repeat(characters) }],
      next: { instant: 1n, id: 'a' },
      skip: 0,
      scanned: 1,
      skipped: []
    },
    position: { kind: 'log', epoch: 'abcd', offset: 0, instant: 0n },
    readMs: 0
  }
}

t.test('parts of pages', async (t) => {
  t.test('are kept for six minutes since the last of them was read', async (t) => {
    const clock = createManualClock()
    const pool = createBytePool(1_000_000)
    const parts = createPageParts({ clock, pool })
    parts.keep('a', part(10))
    clock.advance(5 * MINUTE_MS)
    parts.keep('a', part(20))
    clock.advance(5 * MINUTE_MS)
    t.equal(parts.get('a')?.part.events[0]?.json.length, 20)
    clock.advance(MINUTE_MS)
    t.equal(parts.get('a'), undefined)
    t.equal(pool.bytes(), 0)
    t.same(clock.waitsMs(), [], 'no timer stays behind')
  })

  t.test('share the bytes of their pool, and the oldest of the largest store go first', async (t) => {
    const clock = createManualClock()
    const pool = createBytePool(100_000)
    const [one, other] = [createPageParts({ clock, pool }), createPageParts({ clock, pool })]
    other.keep('small', part(1000))
    for (let n = 0; n < 10; n++) one.keep(`large ${n}`, part(10_000))
    t.ok(pool.bytes() <= 100_000, String(pool.bytes()))
    t.ok(other.get('small'))
    t.equal(one.get('large 0'), undefined)
    t.ok(one.get('large 9'))
  })

  t.test('are gone when they are dropped or cleared, and at most 100 are kept', async (t) => {
    const clock = createManualClock()
    const pool = createBytePool(1_000_000)
    const parts = createPageParts({ clock, pool })
    for (let n = 0; n < 150; n++) parts.keep(String(n), part(1))
    t.equal(clock.waitsMs().length, 100)
    parts.drop('149')
    t.equal(parts.get('149'), undefined)
    parts.clear()
    t.equal(parts.get('148'), undefined)
    t.same([pool.bytes(), clock.waitsMs().length], [0, 0])
  })
})
