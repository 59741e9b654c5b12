import fc from 'fast-check'
import t from 'tap'
import { eventOf, GROUPS } from '../../bench/events.ts'
import { createWalker, type Counts } from '../../bench/message-walker.ts'
import { isMet, ratioRow } from '../../bench/row.ts'
import { alternate, median, percentile, undisturbed } from '../../bench/slices.ts'
import { plainMessages } from '../../src/live/transport/websocket-encoding.ts'
import { holds } from '../contracts/property.ts'

t.test('message walker', async (t) => {
  t.test('a message walker counts messages and pings, and returns payloads, wherever the bytes are cut', async (t) => {
    const length = fc.constantFrom(0, 1, 125, 126, 300, 65_535, 65_536)
    const piece = fc.oneof(fc.record({ length, isPing: fc.constant(false) }), fc.record({ length: fc.constantFrom(0, 5), isPing: fc.constant(true) }))
    holds(t, fc.property(fc.array(piece, { maxLength: 10 }), fc.array(fc.integer({ min: 1, max: 70_000 })), (pieces, cuts) => {
      const bytes = Buffer.concat(pieces.map(({ isPing, length }) => isPing
        ? Buffer.concat([Buffer.from([0x89, length]), Buffer.alloc(length)])
        : plainMessages([{ type: 'event', cursor: undefined, payload: Buffer.alloc(length, 'x') }])))
      const counts: Counts = { messages: 0, pings: 0, closed: false }
      const lengths: number[] = []
      let shown = 0
      const walker = createWalker(counts, (piece, ends) => {
        shown += piece.length
        if (ends) lengths.push(shown)
        if (ends) shown = 0
      })
      let at = 0
      for (const cut of [...cuts, bytes.length]) {
        walker.walk(bytes.subarray(at, at + cut))
        at = Math.min(bytes.length, at + cut)
      }
      const wanted = pieces.filter(({ isPing }) => !isPing).map((each) => each.length)
      return counts.messages === wanted.length && counts.pings === pieces.length - wanted.length && lengths.join() === wanted.join()
    }))
  })

  t.test('a message walker detects a close frame', async (t) => {
    const counts: Counts = { messages: 0, pings: 0, closed: false }
    createWalker(counts).walk(Buffer.from([0x88, 2, 0x03, 0xe8]))
    t.same(counts, { messages: 0, pings: 0, closed: true })
  })
})

t.test('slices', async (t) => {
  t.test('slices have a median and percentiles by the nearest rank', async (t) => {
    t.same([median([3, 1, 2]), median([4, 1, 2, 3]), percentile([5], 99), percentile([...Array(100).keys()], 99)], [
      2,
      2,
      5,
      98
    ])
    t.ok(Number.isNaN(median([])))
  })

  t.test('disturbed slices are dropped; if all are disturbed, the best third is kept', async (t) => {
    const slice = (cost: number, steal: number) => ({ cost, steal })
    t.same(undisturbed([slice(1, 0.01), slice(2, 0.06), slice(3, 0.059)]).map(({ cost }) => cost), [1, 3])
    t.same(undisturbed([slice(1, 0.3), slice(2, 0.1), slice(3, 0.2)]).map(({ cost }) => cost), [2])
  })

  t.test('slices alternate, and a contender that does nothing is an error', async (t) => {
    const order: string[] = []
    const contender = (name: string, units: number) => ({
      name,
      slice: async () => {
        order.push(name)
        return { micros: 10, units }
      }
    })
    const { costs } = await alternate([contender('a', 5), contender('b', 10)], 2)
    t.same([order, [...costs]], [['a', 'b', 'a', 'b'], [['a', 2], ['b', 1]]])
    await t.rejects(alternate([contender('a', 0)], 1), /did nothing/)
  })
})

t.test('row', async (t) => {
  t.test('a row is met by its bound, and not met without a measurement', async (t) => {
    const met = (value: number, bound: Parameters<typeof ratioRow>[4]) =>
      isMet({ figure: '', measured: '', value, bound })
    t.same([
      met(1, { most: 1 }),
      met(1.1, { most: 1 }),
      met(1, { least: 1 }),
      met(0.9, { least: 1 }),
      met(1, { equal: 1 }),
      met(0, { equal: 1 })
    ], [true, false, true, false, true, false])
    t.equal(isMet(ratioRow('x', ['a', 1], ['b', undefined], 'µs', { most: 1 })), undefined)
    t.equal(ratioRow('x', ['a', 3], ['b', 2], 'µs', { most: 1 }).value, 1.5)
  })
})

t.test('the events of the bench differ, have about 900 bytes, and form groups of a tenth', async (t) => {
  const texts = Array.from({ length: 1000 }, (_, n) => JSON.stringify(eventOf(n, 0)))
  t.equal(new Set(texts).size, 1000)
  const mean = texts.reduce((sum, { length }) => sum + length, 0) / texts.length
  t.ok(mean > 700 && mean < 1000, `${mean} bytes`)
  const names = new Map<unknown, number>()
  for (const text of texts) {
    const { category_name: name } = JSON.parse(text) as { category_name: string }
    names.set(name, (names.get(name) ?? 0) + 1)
  }
  t.same([...names.values()], Array(GROUPS).fill(100))
})
