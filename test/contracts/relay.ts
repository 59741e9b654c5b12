import type { Test } from 'tap'
import type { Batch } from '../../src/audit/log-batch.ts'
import { identify } from '../../src/audit/event-id.ts'
import type { Relay } from '../../src/relay/relay.ts'

/** What the poller and the log may count on, whichever way batches travel between replicas. */
export function relayContract (t: Test, open: (t: Test) => Promise<Relay>): void {
  t.test('a relay delivers every batch to every follower, complete and in order', async (t) => {
    const relay = await open(t)
    const taken: Batch[][] = [[], []]
    for (const batches of taken) relay.subscribe((batch) => { batches.push(batch) })
    for (const names of [['a', 'b'], ['c'], ['d', 'e', 'f']]) await relay.publish(announcement(names))
    for (const batches of taken) {
      t.same(batches.map(({ entries }) => entries.map((each) => 'event' in each && each.event.item.name)), [
        ['a', 'b'],
        ['c'],
        ['d', 'e', 'f']
      ])
    }
  })

  t.test('a relay numbers entries without a hole, in one epoch that a cursor can contain', async (t) => {
    const relay = await open(t)
    const batches: Batch[] = []
    relay.subscribe((batch) => { batches.push(batch) })
    for (const names of [['a', 'b'], [], ['c']]) await relay.publish(announcement(names))
    const starts = batches.map(({ first, entries }) => [first, first + entries.length])
    for (let i = 1; i < starts.length; i++) t.equal(starts[i]?.[0], starts[i - 1]?.[1])
    t.same(new Set(batches.map(({ epoch }) => epoch)), new Set([relay.epoch]))
    t.match(relay.epoch, /^[a-z0-9]{4,32}$/)
  })

  t.test('a relay keeps late marks and the high-water mark', async (t) => {
    const relay = await open(t)
    const batches: Batch[] = []
    relay.subscribe((batch) => { batches.push(batch) })
    await relay.publish({ ...announcement(['a']), highWater: 42n })
    t.equal(batches[0]?.highWater, 42n)
    t.same(batches[0]?.entries.map((each) => 'event' in each && each.late), [false])
  })

  t.test('another relay has another epoch', async (t) => {
    const [one, other] = [await open(t), await open(t)]
    t.not(one.epoch, other.epoch)
  })

  t.test('a relay has one replica that polls', async (t) => {
    t.equal((await open(t)).isLeader(), true)
  })
}

function announcement (names: string[]) {
  return { entries: identify(names.map((name) => ({ name }))).map((event) => ({ event, late: false })), highWater: 0n }
}
