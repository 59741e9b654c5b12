import fc from 'fast-check'
import t from 'tap'
import { createRowSlots } from '../../src/console/row-slots.ts'
import { holds } from '../contracts/property.ts'

const anyPainting = fc.uniqueArray(fc.nat(40).map(String), { maxLength: 20 })

t.test('the slots of painted rows', async (t) => {
  t.test('each row has a slot of its own, and keeps it while it is painted', async (t) => {
    holds(t, fc.property(fc.array(anyPainting, { maxLength: 8 }), (paintings) => {
      const assign = createRowSlots()
      let before: ReadonlyMap<string, number> = new Map()
      for (const ids of paintings) {
        const slots = assign(ids)
        if (new Set(slots.values()).size !== ids.length) throw new Error('two rows in one slot')
        for (const [id, slot] of slots) {
          if (before.has(id) && before.get(id) !== slot) throw new Error(`${id} moved to slot ${slot}`)
        }
        before = slots
      }
    }))
  })

  t.test('new rows take the slots of those that left, in their order', async (t) => {
    const assign = createRowSlots()
    assign(['c', 'b', 'a'])
    t.same([...assign(['e', 'd', 'c'])], [['e', 1], ['d', 2], ['c', 0]])
    t.same([...assign(['h', 'g', 'f'])], [['h', 0], ['g', 1], ['f', 2]])
  })
})
