import t from 'tap'
import { decodeCursor, encodeCursor, type LogCursor, type ReplayCursor } from '../../../src/audit/cursor.ts'
import { EARLIEST, LATEST, type Instant } from '../../../src/audit/instant.ts'
import { cursorOf, gapSince, isForged, planStart } from '../../../src/live/replay/start-position.ts'
import { at, batch, freshNamed, openLog } from '../../support/timeline.ts'

t.test('planStart', async (t) => {
  const filled = () => {
    const log = openLog({ maxEvents: 10 })
    log.append(batch(0, Array.from({ length: 20 }, (_, i) => `e${i}`)))
    return log
  }
  const place = (offset: number, seconds: number, epoch = 'epoch1'): LogCursor => ({
    kind: 'log',
    epoch,
    offset,
    instant: at(seconds)
  })
  const replaying = (log: LogCursor, seconds: number): ReplayCursor => ({
    kind: 'replay',
    log,
    after: { instant: at(seconds), id: 'e' }
  })

  const fromLog = (from: Instant) => {
    const log = filled()
    return {
      kind: 'live',
      cursor: log.cursorAt(log.offsetFrom(from)),
      isExact: false,
      replay: { from, until: 20 }
    }
  }

  t.test('is exact behind a cursor whose place is kept, even while the log is being filled', async (t) => {
    for (const isFilled of [true, false]) {
      t.same(planStart({ since: place(10, 9) }, filled(), isFilled, 1000), {
        kind: 'live',
        cursor: place(10, 9),
        isExact: true
      })
      t.same(planStart({ since: place(20, 19) }, filled(), isFilled, 1000), {
        kind: 'live',
        cursor: place(20, 19),
        isExact: true
      })
    }
  })

  t.test('waits for a log that is not filled yet', async (t) => {
    t.same(planStart({ since: place(3, 9, 'epoch0') }, filled(), false, 1000), { kind: 'wait' })
    t.same(planStart({ since: place(3, 2) }, filled(), false, 1000), { kind: 'wait' })
    t.same(planStart({ from: at(15) }, filled(), false, 1000), { kind: 'wait' })
    t.same(planStart({ since: replaying(place(15, 14), 1) }, filled(), false, 1000), { kind: 'wait' })
  })

  t.test('is recalled from the log at an instant that it reaches back to', async (t) => {
    for (const from of [at(15), at(9) + 1n, at(30)]) {
      t.same(planStart({ from }, filled(), true, 1000), fromLog(from))
    }
  })

  t.test('is backfill from Kubiya at an instant that the log does not reach back to', async (t) => {
    t.same(planStart({ from: at(9) }, filled(), true, 1000), {
      kind: 'backfill',
      after: { instant: at(9), id: '' },
      isExact: false,
      countFrom: at(9),
      delivered: [],
      isReturn: false
    })
  })

  t.test('goes back by the lateness behind a cursor of another numbering', async (t) => {
    t.same(planStart({ since: place(3, 15, 'epoch0') }, filled(), true, 1000), fromLog(at(14)))
    t.same(planStart({ since: place(3, 15, 'epoch0') }, filled(), true, 6000), {
      kind: 'backfill',
      after: { instant: at(9), id: '' },
      isExact: false,
      countFrom: at(15),
      delivered: [],
      isReturn: true
    })
  })

  t.test('goes back by the lateness behind a place that was let go, and knows what was given up to there', async (t) => {
    const delivered = [{ before: 9, upTo: { instant: LATEST, id: '' } }]
    t.same(planStart({ since: place(9, 8) }, filled(), true, 1000), {
      kind: 'backfill',
      after: { instant: at(7), id: '' },
      isExact: false,
      countFrom: at(8),
      delivered,
      isReturn: true
    })
    const lost = replaying(place(5, 4), 3)
    t.same(planStart({ since: lost }, filled(), true, 1000), {
      kind: 'backfill',
      after: { instant: at(2), id: '' },
      isExact: false,
      countFrom: at(3),
      delivered: [{ before: 5, upTo: lost.after }],
      isReturn: true
    })
  })

  t.test('never goes back beyond the earliest instant that can be written', async (t) => {
    const since: LogCursor = { ...place(3, 0, 'epoch0'), instant: EARLIEST + 5n }
    t.match(planStart({ since }, filled(), true, 1000), { kind: 'backfill', after: { instant: EARLIEST } })
  })

  t.test('goes on with a replay where it stood, and then at the place that it had taken', async (t) => {
    const since = replaying(place(15, 14), 3)
    t.same(planStart({ since }, filled(), true, 1000), {
      kind: 'backfill',
      after: since.after,
      isExact: true,
      countFrom: at(3),
      until: place(15, 14),
      delivered: [],
      isReturn: true
    })
    const within = replaying(place(15, 14), 12)
    t.match(planStart({ since: within }, filled(), true, 1000), {
      kind: 'backfill',
      until: place(15, 14),
      after: within.after,
      isExact: true,
      countFrom: at(12)
    }, 'also where the log keeps all of the rest: what was delivered is known by instant and id')
    const elsewhere = replaying(place(15, 14, 'epoch0'), 18)
    t.same(planStart({ since: elsewhere }, filled(), true, 1000), fromLog(at(13)))
  })

  t.test('takes over what a replay of its own has given before', async (t) => {
    const delivered = [{ before: 4, upTo: { instant: at(30), id: 'x' } }]
    const since = { ...replaying(place(15, 14), 3), delivered }
    t.match(planStart({ since }, filled(), true, 1000), { kind: 'backfill', isExact: true, delivered })
    const lost = { ...replaying(place(5, 4), 3), delivered }
    t.match(planStart({ since: lost }, filled(), true, 1000), {
      kind: 'backfill',
      isExact: false,
      delivered: [...delivered, { before: 5, upTo: lost.after }]
    })
    t.match(planStart({ since: { ...lost, log: { ...lost.log, epoch: 'epoch0' } } }, filled(), true, 6000), {
      kind: 'backfill',
      delivered: []
    }, 'offsets of another numbering mean nothing')
    t.same(decodeCursor(encodeCursor(since)), since)
  })

  t.test('has a cursor before anything was given', async (t) => {
    t.same(cursorOf({ from: at(5) }, place(20, 19)), {
      kind: 'replay',
      log: place(20, 19),
      after: { instant: at(5), id: '' }
    })
    t.equal(cursorOf({ since: place(3, 2) }, place(20, 19)).kind, 'log')
  })

  t.test('gapSince covers late events that entered behind the place of a replay and were evicted', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append({ ...batch(0, []), entries: freshNamed([['a', 1], ['b', 9]]), highWater: at(9) })
    const since: ReplayCursor = { kind: 'replay', log: log.end(), after: { instant: at(8), id: 'x' } }
    t.match(gapSince(since, log, 10_000), { gap: { from: at(8) }, until: since.log }, 'no event entered since')
    log.append({
      ...batch(2, []),
      entries: freshNamed([['late', 5], ['c', 12], ['d', 13], ['e', 14]]),
      highWater: at(14)
    })
    const { gap, until } = gapSince(since, log, 10_000)
    t.ok(gap.from <= at(5), 'the late event, or one close by')
    t.same([gap.to, gap.reason, until], [at(12), 'history-evicted', log.cursorAt(4)])
  })

  t.test('knows cursors that were never given out', async (t) => {
    const judged = [
      place(20, 1),
      place(21, 1),
      place(21, 1, 'epoch0'),
      place(0, 1),
      replaying(place(20, 1), 1),
      replaying(place(21, 1), 1)
    ]
    t.same(judged.map((cursor) => isForged(cursor, filled())), [false, true, false, false, false, true])
  })
})
