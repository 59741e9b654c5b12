import fc from 'fast-check'
import t from 'tap'
import { createIdSet, idKeyOf, spread, type IdKey } from '../../src/aggregates/id-set.ts'
import { identify } from '../../src/audit/event-id.ts'
import { holds } from '../contracts/property.ts'

const text = ({ high, low }: IdKey) => `${high},${low}`
const compare = (a: IdKey, b: IdKey) => a.high - b.high || a.low - b.low

t.test('keys of computed ids have the order of the ids', async (t) => {
  const timestamp = '2025-06-03T10:00:00Z'
  const ids = Array.from({ length: 300 }, (_, n) => identify([{ n, timestamp }])[0]?.id ?? '')
  const twins = identify(Array.from({ length: 15 }, () => ({ timestamp }))).map(({ id }) => id)
  t.match(twins.at(-1), /\.15$/)
  const all = [...ids, ...twins].sort((a, b) => a < b ? -1 : 1)
  t.same([...all].sort((a, b) => compare(idKeyOf(a), idKeyOf(b))), all)
})

t.test('different ids have different keys: exact duplicates beyond the fifteenth, ids of Kubiya, odd ids', async (t) => {
  const many = identify(Array.from({ length: 40 }, () => ({}))).map(({ id }) => id)
  const digest = many[0]?.slice('kab1.none.'.length) ?? ''
  const odd = [
    'a', 'b', '1', 'kab1.', 'kab1.x', 'kab1.1', 'kab1.1.', `kab1.1.${digest}.1`, `kab1.1.${digest}x`, `kab1.1.${digest}.`,
    `kab1.1.é${digest.slice(1)}`, `kab1.1.${digest.slice(1)}`
  ]
  const keys = [...many, ...odd].map((id) => text(idKeyOf(id)))
  t.equal(new Set(keys).size, many.length + odd.length)
})

t.test('the digest decides the key of a computed id, not its instant', async (t) => {
  t.same(idKeyOf('kab1.1.ABCDEFGHIJKLMNOPQRSTUV'), idKeyOf('kab1.none.ABCDEFGHIJKLMNOPQRSTUV'))
  t.not(text(idKeyOf('kab1.1.ABCDEFGHIJKLMNOPQRSTUV')), text(idKeyOf('kab1.1.ABCDEFGHIKKLMNOPQRSTUV')))
})

t.test('a set adds each key once, and removes it, as a set of texts does', async (t) => {
  const key = fc.record({ high: fc.nat(3), low: fc.constantFrom(0, 1, 2, 3, 0x7fffffff, 0xffffffff) })
  const step = fc.record({ key, isRemoval: fc.boolean() })
  holds(t, fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const [set, model] = [createIdSet(), new Set<string>()]
    for (const { isRemoval, key } of steps) {
      const name = key.high === 0 && key.low === 0 ? '0,1' : text(key) // Two zeros stand for no key.
      if (isRemoval) set.remove(key)
      else if (set.add(key) === model.has(name)) return false
      if (isRemoval) model.delete(name)
      else model.add(name)
      if (set.size !== model.size) return false
    }
    return true
  }))
})

t.test('a set with many keys finds all of them, also after others were removed', async (t) => {
  const set = createIdSet()
  const keys = Array.from({ length: 50_000 }, (_, n) => idKeyOf(`id ${n}`))
  t.ok(keys.every((key) => set.add(key)))
  t.notOk(keys.some((key) => set.add(key)))
  t.ok(set.bytes() <= 50_000 * 8 * 2 * (16 / 13), `${set.bytes()} bytes`)
  for (const key of keys.slice(0, 25_000)) set.remove(key)
  t.equal(set.size, 25_000)
  t.notOk(keys.slice(25_000).some((key) => set.add(key)))
  t.ok(keys.slice(0, 25_000).every((key) => set.add(key)))
  set.clear()
  t.equal(set.size, 0)
  t.ok(set.add({ high: 1, low: 1 }))
})

t.test('keys that share low or high bits are spread over the slots', async (t) => {
  const count = 40_000
  for (const keyOf of [(n: number) => ({ high: n << 16, low: 0 }), (n: number) => ({ high: 7, low: n << 15 })]) {
    for (const [highFactor, lowFactor] of [[0x9e3779b1, 0x85ebca6b], [3, 5], [0xfffffff1, 0x12345677]] as const) {
      const slots = new Set(Array.from({ length: count }, (_, n) => spread(keyOf(n), highFactor, lowFactor) & 0xffff))
      t.ok(slots.size > 0.3 * count, `${slots.size} slots of 65 536`) // At random it would be 0.75 of them.
    }
  }
})
