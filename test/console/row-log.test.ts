import fc from 'fast-check'
import t from 'tap'
import { compareRows, createRowLog, type Row } from '../../src/console/row-log.ts'
import { holds } from '../contracts/property.ts'

const BOUNDS = { maxRows: 1000, maxBytes: 1_000_000 }

function event (id: string, second: number, isSuccessful: boolean | null = true) {
  return { id, timestamp: new Date(second * 1000).toISOString(), action_successful: isSuccessful }
}

const idsOf = (rows: readonly Row[]) => rows.map(({ id }) => id)

t.test('the rows of the list', async (t) => {
  t.test('are in the order of instants and ids, in whatever order they arrive, each once', async (t) => {
    const anyArrival = fc.array(fc.tuple(fc.nat(30), fc.constantFrom('a', 'b', 'c')), { maxLength: 60 })
    holds(t, fc.property(anyArrival, (arrivals) => {
      const log = createRowLog(BOUNDS)
      for (const [second, name] of arrivals) log.add(event(`${name}${second}`, second), false)
      const rows = log.view()
      const distinct = new Set(arrivals.map(([second, name]) => `${name}${second}`))
      if (rows.length !== distinct.size) throw new Error(`${rows.length} rows`)
      rows.reduce((before, row) => {
        if (compareRows(before, row) > 0) throw new Error(`${before.id} before ${row.id}`)
        return row
      }, rows[0] as Row)
    }))
  })

  t.test('a late event stands in its place and is marked', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('a', 1), false)
    log.add(event('c', 3), false)
    log.add(event('b', 2), true)
    t.same(idsOf(log.view()), ['a', 'b', 'c'])
    t.match(log.view()[1], { isLate: true })
  })

  t.test('a frozen view does not change; nothing that arrives is lost, and it is counted', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('a', 1), false)
    log.freeze()
    log.add(event('b', 2), false)
    log.add(event('c', 3, false), false)
    log.add(event('c', 3, false), false)
    t.same(idsOf(log.view()), ['a'])
    t.same(log.pending(), { events: 2, failed: 1, evicted: 0 })
    log.unfreeze()
    t.same(idsOf(log.view()), ['a', 'b', 'c'])
    t.same(log.pending(), { events: 0, failed: 0, evicted: 0 })
  })

  t.test('a page belongs into a frozen view too, also into an empty one; what arrives meanwhile does not', async (t) => {
    const log = createRowLog(BOUNDS)
    log.freeze()
    log.add(event('c', 3), false)
    log.addListed(event('b', 2))
    log.addListed(event('c', 3))
    log.add(event('a', 1), true)
    t.same(idsOf(log.view()), ['b'])
    t.equal(log.pending().events, 2)
    log.unfreeze()
    t.same(idsOf(log.view()), ['a', 'b', 'c'])
  })

  t.test('an older page goes on below a frozen view', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('b', 2), false)
    log.freeze()
    log.addListed(event('a', 1))
    t.same(idsOf(log.view()), ['a', 'b'])
    t.equal(log.pending().events, 0)
    log.unfreeze()
    t.same(idsOf(log.view()), ['a', 'b'])
  })

  t.test('a gap stands behind the events that came before it', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('a', 1), false)
    log.addGap({ from: 'x', to: 'y', reason: 'upstream-outage' })
    log.addReconnect(5)
    log.add(event('b', 2), false)
    t.same(log.view().map(({ kind }) => kind), ['event', 'gap', 'reconnect', 'event'])
  })

  t.test('what a page could not read is a row at its place, once', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('a', 1), false)
    log.add(event('c', 3), false)
    const gap = { from: '1970-01-01T00:00:01Z', to: '1970-01-01T00:00:02Z', reason: 'too-large' }
    log.freeze()
    log.addListedGap(gap)
    log.addListedGap(gap)
    t.same(log.view().map(({ kind }) => kind), ['event', 'gap', 'event'])
    log.unfreeze()
    t.same(log.view().map(({ kind }) => kind), ['event', 'gap', 'event'])
  })

  t.test('an event without an instant stands with the newest row of its time', async (t) => {
    const log = createRowLog(BOUNDS)
    log.add(event('a', 1), false)
    log.add({ id: 'u', timestamp: 'yesterday' }, false)
    log.add(event('b', 2), false)
    t.same(idsOf(log.view()), ['a', 'u', 'b'])
  })

  t.test('the oldest rows go when there are too many, or when they weigh too much', async (t) => {
    const few = createRowLog({ maxRows: 10, maxBytes: 1_000_000 })
    for (let n = 0; n < 30; n++) few.add(event(`e${n}`, n), false)
    t.ok(few.view().length <= 10)
    t.equal(few.view().at(-1)?.id, 'e29')
    t.equal(few.evicted() + few.view().length, 30)

    const light = createRowLog({ maxRows: 1000, maxBytes: 5000 })
    for (let n = 0; n < 30; n++) light.add({ ...event(`e${n}`, n), resource_text: 'x'.repeat(1000) }, false)
    t.ok(light.view().length < 5)
    t.equal(light.view().at(-1)?.id, 'e29')
  })

  t.test('rows that are dropped under a frozen view are counted, and may be loaded again', async (t) => {
    const log = createRowLog({ maxRows: 3, maxBytes: 1_000_000 })
    for (let n = 0; n < 3; n++) log.add(event(`e${n}`, n), false)
    log.freeze()
    log.add(event('e3', 3), false)
    t.equal(log.pending().evicted, 1)
    t.same(idsOf(log.view()), ['e0', 'e1', 'e2'], 'the reader still sees it')
    log.unfreeze()
    t.same(idsOf(log.view()), ['e1', 'e2', 'e3'])
    t.notOk([...log.ids()].includes('e0'), 'it is no repeat when a page brings it again')
  })
})
