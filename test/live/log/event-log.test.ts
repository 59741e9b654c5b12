import fc from 'fast-check'
import t from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { createManualClock } from '../../support/manual-clock.ts'
import type { Batch } from '../../../src/audit/log-batch.ts'
import { createBytePool } from '../../../src/audit/byte-pool.ts'
import {
  decodeCursor,
  encodeCursor,
  type Cursor,
  type LogCursor,
  type ReplayCursor
} from '../../../src/audit/cursor.ts'
import { weightOf } from '../../../src/audit/event.ts'
import { EARLIEST, LATEST, formatInstant, type Instant } from '../../../src/audit/instant.ts'
import type { Json, JsonObject } from '../../../src/audit/exact-json.ts'
import { compareSortKeys } from '../../../src/audit/sort-key.ts'
import { createFrameCache } from '../../../src/live/fanout/frame-cache.ts'
import type { EventLog } from '../../../src/live/log/event-log.ts'
import { cursorOf, gapSince, isForged, planStart } from '../../../src/live/replay/start-position.ts'
import { createLogReplay } from '../../../src/live/replay/log-replay.ts'
import type { Replay } from '../../../src/live/replay/replay.ts'
import { createOffsetIndex } from '../../../src/live/log/offset-index.ts'
import { holds } from '../../contracts/property.ts'
import { EPOCH, at, batch, freshNamed, freshOf, nameOf, openLog } from '../../support/timeline.ts'

t.test('the event log', async (t) => {
  const names = (log: EventLog, offset: number, most = 100) => log.read(offset, most)?.map(nameOf)

  t.test('is empty at first', async (t) => {
    const log = openLog()
    t.same(log.end(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-300) })
    t.same(log.read(0, 10), [])
    t.equal(log.read(1, 10), undefined)
    t.equal(log.startOffset(), 0)
  })

  t.test('begins anew where the poller says that it fills it from', async (t) => {
    const log = openLog()
    log.resetTo(at(-600))
    t.same([log.isCompleteSince(at(-600)), log.isCompleteSince(at(-600) - 1n)], [true, false])
    t.same(log.end(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-600) })
    t.equal(log.cursorAt(0).instant, at(-600))
  })

  t.test('is read from any offset that it keeps, so many at a time', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b']))
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
    t.same(names(log, 1, 1), ['b'])
    t.same(names(log, 3), [])
    t.same([names(log, 4), names(log, -1)], [undefined, undefined])
    t.same(log.read(0, 10)?.map(({ offset }) => offset), [0, 1, 2])
  })

  t.test('moves its newest place on with a batch that brings nothing but a later mark', async (t) => {
    const log = openLog()
    log.append({ ...batch(0, ['a']), highWater: at(-200) })
    const before = log.cursorAt(0)
    t.equal(log.end().instant, at(-200))
    log.append({ ...batch(1, []), highWater: at(-100) })
    t.same([log.end().offset, log.end().instant], [1, at(-100)])
    t.same(log.cursorAt(0), before, 'and no other')
    log.append({ ...batch(1, []), highWater: at(-150) })
    t.equal(log.end().instant, at(-100), 'it never moves back')
  })

  t.test('refuses a batch that is missing, doubled or of another epoch', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b']))
    for (const odd of [batch(3, ['d']), batch(1, ['b']), batch(0, ['a', 'b']), batch(2, ['c'], { epoch: 'epoch2' })]) {
      t.throws(() => log.append(odd), /missing or doubled/)
    }
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
  })

  t.test('takes up the numbering where its first batch stands', async (t) => {
    const log = openLog()
    log.append(batch(500, ['a']))
    t.same([log.startOffset(), log.end().offset], [500, 501])
    t.same([names(log, 499), names(log, 500)], [undefined, ['a']])
  })

  t.test('keeps so many events, the newest', async (t) => {
    const log = openLog({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b']))
    t.equal(log.startOffset(), 0)
    log.append(batch(2, ['c', 'd', 'e']))
    t.equal(log.startOffset(), 2)
    t.same([names(log, 1), names(log, 2)], [undefined, ['c', 'd', 'e']])
  })

  t.test('keeps so many bytes, even when one event is more', async (t) => {
    const size = (pad: number) => lengthOf(batch(0, ['a'], { pad }))
    const log = openLog({ maxBytes: 3 * size(100) })
    for (const [first, name] of ['a', 'b', 'c'].entries()) log.append(batch(first, [name], { pad: 100 }))
    t.equal(log.startOffset(), 0)
    log.append(batch(3, ['d'], { pad: 100 }))
    t.same([log.startOffset(), names(log, 1)], [1, ['b', 'c', 'd']])
    log.append(batch(4, ['huge'], { pad: 5000 }))
    t.same([log.startOffset(), log.end().offset, names(log, 5)], [5, 5, []])
    log.append(batch(5, ['f'], { pad: 100 }))
    t.same(names(log, 5), ['f'])
  })

  t.test('counts an event of many empty values by its values: their text is a fraction of what they hold', async (t) => {
    const nested = (depth: number): JsonObject => ({
      deep: Array.from({ length: depth }).reduce<Json>((held) => [held], null)
    })
    for (const values of [nested(1000), { wide: Array.from({ length: 500 }, () => []) }] as const) {
      const log = openLog({ maxBytes: 96_000 })
      for (let first = 0; first < 4; first++) {
        log.append({ ...batch(first, []), entries: freshOf([{ id: `e${first}`, ...values }]) })
      }
      t.equal(log.startOffset(), 2, 'two of 32 KB and no third, though their text is 2 KB each')
    }
  })

  t.test('shares a bound with other logs: the one that holds most lets go first, and what left is free', async (t) => {
    const size = lengthOf(batch(0, ['a'], { pad: 100 }))
    const pool = createBytePool(4 * size)
    const [big, small] = [openLog({ pool }), openLog({ pool })]
    const append = (log: EventLog, name: string) => log.append(batch(log.end().offset, [name], { pad: 100 }))
    for (const name of ['a', 'b', 'c', 'd']) append(big, name)
    const head = big.end()
    append(small, 'x')
    append(small, 'y')
    t.same([names(big, big.startOffset()), names(small, 0)], [['c', 'd'], ['x', 'y']])
    t.same([big.end(), big.read(0, 10)], [head, undefined], 'places are as if it had evicted for itself')
    t.ok(pool.bytes() <= 4 * size)
    t.notOk(big.isCompleteSince(at(1)))
    big.close()
    for (const name of ['z', 'v']) append(small, name)
    t.same(names(small, 0), ['x', 'y', 'z', 'v'])
  })

  t.test('names each place by offset and by the newest instant among all before it, inside a batch too', async (t) => {
    const log = openLog()
    const entered = log.append(batch(0, ['a', 'b', 'c']))
    t.same(entered, log.read(0, 10), 'and gives what entered')
    t.same([0, 1, 2, 3].map((offset) => log.cursorAt(offset).instant), [at(-300), at(0), at(1), at(2)])
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    t.same(log.end(), log.cursorAt(3))
    t.same(decodeCursor(encodeCursor(log.cursorAt(3))), log.cursorAt(3))
  })

  t.test('keeps its high-water mark through late and undated events, and below what the batch says is now', async (t) => {
    const log = openLog()
    const enter = (items: JsonObject[], highWater: Instant) =>
      log.append({ epoch: 'epoch1', first: log.end().offset, entries: freshOf(items), highWater })
    enter([{ id: 'a', timestamp: formatInstant(at(10)) }], at(10))
    enter([{ id: 'late', timestamp: formatInstant(at(5)) }, { id: 'undated' }], at(10))
    t.equal(log.end().instant, at(10))
    enter([{ id: 'future', timestamp: formatInstant(at(3600)) }], at(20))
    t.equal(log.end().instant, at(20))
  })

  t.test('names the place of its oldest entry by what was let go before it', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    log.append(batch(4, ['e', 'f', 'g']))
    t.equal(log.cursorAt(5).instant, at(4))
  })

  t.test('reaches back to where it was filled from, or to behind the last that it let go', async (t) => {
    const log = openLog({ maxEvents: 2 })
    t.same([log.isCompleteSince(at(-300) - 1n), log.isCompleteSince(at(-300))], [false, true])
    log.append(batch(0, ['a', 'b', 'c']))
    t.same([log.isCompleteSince(at(0)), log.isCompleteSince(at(0) + 1n)], [false, true])
    log.append({ ...batch(3, ['late']), entries: freshNamed([['late', -50]]) })
    log.append(batch(4, ['e', 'f']))
    t.same(
      [log.isCompleteSince(at(2)), log.isCompleteSince(at(2) + 1n)],
      [false, true],
      'a late event that went does not bring it back'
    )
  })

  t.test('tells whether anything that matches is new since a place', async (t) => {
    const log = openLog({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    const since = (offset: number, wanted: string, epoch = 'epoch1') =>
      log.hasNewSince({ epoch, offset }, ({ id }) => id === wanted)
    t.same([since(1, 'b'), since(1, 'x'), since(2, 'b'), since(4, 'd')], [true, false, false, false])
    t.equal(since(0, 'x'), true, 'what was let go cannot be told')
    t.equal(since(4, 'x', 'epoch0'), true, 'nor can another numbering')
  })

  t.test('agrees with a plain list, whatever comes', async (t) => {
    const batches = fc.array(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 5 }), { maxLength: 30 })
    holds(
      t,
      fc.property(
        batches,
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 100, max: 3000 }),
        (pads, maxEvents, maxBytes) => {
          const log = openLog({ maxEvents, maxBytes })
          const all: Array<{ id: string, bytes: number }> = []
          for (const group of pads) {
            const first = all.length
            const entries = freshOf(group.map((pad, i) => ({ id: `e${first + i}`, pad: 'x'.repeat(pad) })))
            log.append({ epoch: 'epoch1', first, entries, highWater: at(first) })
            all.push(
              ...entries.map((each) => ({ id: nameOf(each), bytes: 'event' in each ? weightOf(each.event) : 0 }))
            )
          }
          let kept = 0
          for (let bytes = 0; kept < Math.min(maxEvents, all.length); kept++) {
            bytes += all.at(-1 - kept)?.bytes ?? 0
            if (bytes > maxBytes) break
          }
          const expected = all.slice(all.length - kept).map(({ id }) => id)
          return log.end().offset === all.length && names(log, log.startOffset(), 1000)?.join() === expected.join() &&
            log.startOffset() === all.length - kept
        }
      ),
      { numRuns: 300 }
    )
  })

  t.test('keeps word of what could not be read among the events, found by its end', async (t) => {
    const log = openLog({ maxEvents: 2 })
    const gap = { from: at(1), to: at(5), reason: 'too-large' as const }
    const [entry] = log.append({ ...batch(0, []), entries: [{ gap }], highWater: at(5) })
    t.same(entry, { gap, offset: 0, highWater: at(5) })
    t.equal(log.hasNewSince({ epoch: EPOCH, offset: 0 }, () => true), false, 'it is no event')
    log.append(batch(1, ['b', 'c']))
    t.same([log.isCompleteSince(at(5)), log.isCompleteSince(at(5) + 1n)], [false, true])
  })

  t.test('bounds gaps too', async (t) => {
    const log = openLog({ maxBytes: 1000 })
    for (let first = 0; first < 50; first++) {
      log.append({ ...batch(first, []), entries: [{ gap: { from: at(first), to: at(first), reason: 'too-large' } }] })
    }
    t.ok(log.startOffset() >= 39)
  })

  t.test('reaches back no further than events without an instant that it let go', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append({
      ...batch(0, []),
      entries: freshNamed([['a', 0], ['undated', undefined], ['b', 10], ['c', 20]]),
      highWater: at(20)
    })
    t.equal(log.startOffset(), 2)
    t.equal(log.isCompleteSince(at(0)), false, 'it stood behind an event of this instant')
    log.append({ ...batch(4, []), entries: freshNamed([['d', undefined], ['e', undefined]]), highWater: at(20) })
    log.append({ ...batch(6, []), entries: freshNamed([['f', undefined], ['g', undefined]]), highWater: at(20) })
    t.equal(log.isCompleteSince(at(20)), false, 'd and e came at this instant and are gone')
  })

  t.test('finds an entry by its offset, and the offset of an event by its id, for a while longer', async (t) => {
    const log = openLog({ maxEvents: 2, remembers: at(10) - at(0) })
    log.append(batch(0, ['a', 'b', 'c']))
    t.same([0, 1, 2, 3, -1].map((offset) => log.at(offset)).map((each) => each && nameOf(each)), [
      undefined,
      'b',
      'c',
      undefined,
      undefined
    ])
    t.same(['a', 'b', 'c', 'd'].map(log.offsetOf), [0, 1, 2, undefined])
    log.append(batch(30, ['d'], { first: 3 }))
    t.equal(log.offsetOf('a'), 0)
    log.append(batch(60, ['e'], { first: 4 }))
    t.same(['a', 'd', 'e'].map(log.offsetOf), [undefined, 3, 4])
  })
})

function lengthOf ({ entries }: Batch): number {
  return entries.reduce((sum, each) => sum + ('event' in each ? weightOf(each.event) : 0), 0)
}

t.test('a roll', async (t) => {
  t.test('remembers for at least its span', async (t) => {
    const steps = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 100 })
    holds(t, fc.property(steps, fc.integer({ min: 1, max: 40 }), (gaps, span) => {
      const roll = createOffsetIndex({ span: BigInt(span), most: 10_000 })
      const added: Instant[] = []
      let now = 0n
      return gaps.every((gap) => {
        now += BigInt(gap)
        roll.add(`e${added.length}`, added.length, now)
        added.push(now)
        return added.every((since, offset) => now - since > span || roll.offsetOf(`e${offset}`) === offset)
      })
    }))
  })

  t.test('forgets in time, and holds no more than it may', async (t) => {
    const spanned = createOffsetIndex({ span: 10n, most: 1000 })
    for (let i = 0; i < 100; i++) spanned.add(`e${i}`, i, BigInt(i))
    t.equal(spanned.offsetOf('e70'), undefined)
    const bounded = createOffsetIndex({ span: 10n, most: 10 })
    for (let i = 0; i < 100; i++) bounded.add(`e${i}`, i, 0n)
    const held = Array.from({ length: 100 }, (_, i) => bounded.offsetOf(`e${i}`)).filter((offset) =>
      offset !== undefined
    )
    t.ok(held.length <= 10 && held.length >= 5 && held.at(-1) === 99, `${held.length} are held`)
  })

  t.test('takes the newer place of what comes again', async (t) => {
    const roll = createOffsetIndex({ span: 10n, most: 4 })
    roll.add('a', 0, 0n)
    for (const [i, id] of ['b', 'c', 'a'].entries()) roll.add(id, i + 1, 0n)
    t.equal(roll.offsetOf('a'), 3)
  })
})

t.test('a recall', async (t) => {
  const filled = (options = {}) => {
    const log = openLog(options)
    log.append({
      ...batch(0, []),
      entries: freshNamed([['a', 5], ['b', 1], ['undated', undefined], ['c', 9], ['d', 3]]),
      highWater: at(9)
    })
    return log
  }
  const idsOf = (replay: Replay) => replay.rows().map(nameOf)

  t.test('gives what the log keeps, in the order of instants', async (t) => {
    const recall = createLogReplay(filled(), systemClock)
    t.same(idsOf(recall), ['b', 'd', 'a', 'undated', 'c'], 'without an instant: where the log stood')
    t.same([recall.state(), idsOf(createLogReplay(openLog(), systemClock))], ['done', []])
  })

  t.test('has word of a gap where it ends', async (t) => {
    const log = filled()
    log.append({
      ...batch(5, []),
      entries: [{ gap: { from: at(2), to: at(5), reason: 'too-large' } }],
      highWater: at(9)
    })
    t.same(idsOf(createLogReplay(log, systemClock)), ['b', 'd', 'too-large', 'a', 'undated', 'c'])
  })

  t.test('follows the log when it is looked at, and says that its rows have moved', async (t) => {
    const log = filled({ maxEvents: 5 })
    const recall = createLogReplay(log, systemClock)
    const versions = [0, 1].map(() => {
      recall.rows()
      return recall.version()
    })
    t.equal(versions[0], versions[1], 'nothing has moved')
    log.append({ ...batch(5, []), entries: freshNamed([['e', 4], ['f', 20]]), highWater: at(20) })
    t.same(idsOf(recall), ['d', 'e', 'undated', 'c', 'f'], 'a and b are evicted')
    t.not(recall.version(), versions[0])
    t.same([recall.place, recall.newest()], [log.end(), at(20)])
  })

  t.test('holds nothing for long that the log may let go of', async (t) => {
    const clock = createManualClock()
    const log = filled()
    const recall = createLogReplay(log, clock)
    const rows = recall.rows()
    const version = recall.version()
    clock.advance(10_000)
    t.not(recall.version(), version)
    t.same(recall.rows(), rows)
    t.not(recall.rows(), rows)
  })

  t.test('is in order of place and holds what the log holds, whatever entered and whenever it is looked at', async (t) => {
    const batches = fc.array(fc.record({ seconds: fc.array(fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }), { maxLength: 8 }), isLookedAt: fc.boolean() }), { maxLength: 20 })
    holds(t, fc.property(batches, fc.integer({ min: 1, max: 40 }), (delivered, maxEvents) => {
      const log = openLog({ maxEvents })
      const recall = createLogReplay(log, systemClock)
      return delivered.every(({ isLookedAt, seconds }) => {
        const first = log.end().offset
        log.append({ ...batch(first, []), entries: freshNamed(seconds.map((each, i) => [`e${first + i}`, each])), highWater: at(100) })
        if (!isLookedAt) return true
        const rows = recall.rows()
        const isSorted = rows.every((row, i) => i === 0 || compareSortKeys(rows[i - 1]?.place ?? row.place, row.place) <= 0)
        const offsets = rows.map(({ offset = -1 }) => offset).sort((a, b) => a - b)
        return isSorted && offsets.join() === Array.from({ length: log.end().offset - log.startOffset() }, (_, i) => log.startOffset() + i).join()
      })
    }))
  })
})

t.test('an encoder', async (t) => {
  t.test('gives the same frame for the same entry, with the place behind it', async (t) => {
    const log = openLog()
    const [a, b] = log.append(batch(0, ['a', 'b']))
    if (a === undefined || b === undefined) throw new Error('two entered')
    const frameCache = createFrameCache(EPOCH)
    t.equal(frameCache.entry(a), frameCache.entry(a))
    t.not(frameCache.entry(a), frameCache.entry(b))
    const frame = frameCache.entry(b)
    t.match(JSON.parse(String(frame.payload)), { type: 'event', event: { id: 'b' } })
    t.same(decodeCursor(frame.cursor ?? ''), log.cursorAt(2))
  })

  t.test('makes the cursor from the entry, though the log has let go of it', async (t) => {
    const log = openLog({ maxEvents: 1 })
    const [a] = log.append(batch(0, ['a', 'b', 'c']))
    if (a === undefined) throw new Error('three entered')
    t.same(decodeCursor(createFrameCache(EPOCH).entry(a).cursor ?? ''), {
      kind: 'log',
      epoch: EPOCH,
      offset: 1,
      instant: at(0)
    })
  })

  t.test('gives the same frame for the same row of a replay to all who go on at the same place', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b', 'c']))
    const [row] = createLogReplay(log, systemClock).rows()
    if (row === undefined) throw new Error('three were recalled')
    const frameCache = createFrameCache(EPOCH)
    const frame = frameCache.row(row, log.cursorAt(2), [])
    t.equal(frameCache.row(row, log.cursorAt(2), []), frame)
    t.same(decodeCursor(frame.cursor ?? ''), { kind: 'replay', log: log.cursorAt(2), after: row.place })
    t.same(decodeCursor(frameCache.row(row, log.cursorAt(3), []).cursor ?? ''), {
      kind: 'replay',
      log: log.cursorAt(3),
      after: row.place
    })
  })

  t.test('gives a late event and a gap as what they are', async (t) => {
    const log = openLog()
    const entered = log.append({
      ...batch(0, []),
      entries: [
        { gap: { from: at(1), to: at(2), reason: 'upstream-outage' } },
        ...freshNamed([['a', 1]]).map((each) => ({ ...each, late: true }))
      ],
      highWater: at(2)
    })
    const frames = entered.map((entry) =>
      JSON.parse(String(createFrameCache(EPOCH).entry(entry).payload)) as Record<string, unknown>
    )
    t.match(frames, [{ type: 'gap', from: formatInstant(at(1)), to: formatInstant(at(2)), reason: 'upstream-outage' }, {
      type: 'event',
      late: true
    }])
  })

  t.test('has a cursor behind every gap of a replay that a stream can resume from', async (t) => {
    const cursor: Cursor = { kind: 'replay', log: openLog().end(), after: { instant: at(1), id: '\uffff' } }
    t.same(decodeCursor(encodeCursor(cursor)), cursor)
  })
})

t.test('the opening of a stream', async (t) => {
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

  t.test('is exact behind a cursor whose place is kept, even while the log is being filled', async (t) => {
    for (const isFilled of [true, false]) {
      t.same(planStart({ since: place(10, 9) }, filled(), isFilled, 1000), { kind: 'log', place: place(10, 9) })
      t.same(planStart({ since: place(20, 19) }, filled(), isFilled, 1000), { kind: 'log', place: place(20, 19) })
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
      t.same(planStart({ from }, filled(), true, 1000), {
        kind: 'log-replay',
        until: place(20, 19),
        after: { instant: from, id: '' },
        isExact: false
      })
    }
  })

  t.test('is backfill from Kubiya at an instant that the log does not reach back to', async (t) => {
    t.same(planStart({ from: at(9) }, filled(), true, 1000), {
      kind: 'backfill',
      after: { instant: at(9), id: '' },
      isExact: false,
      countFrom: at(9),
      until: undefined,
      delivered: [],
      isReturn: false
    })
  })

  t.test('goes back by the lateness behind a cursor of another numbering', async (t) => {
    t.same(planStart({ since: place(3, 15, 'epoch0') }, filled(), true, 1000), {
      kind: 'log-replay',
      until: place(20, 19),
      after: { instant: at(14), id: '' },
      isExact: false
    })
    t.same(planStart({ since: place(3, 15, 'epoch0') }, filled(), true, 6000), {
      kind: 'backfill',
      after: { instant: at(9), id: '' },
      isExact: false,
      countFrom: at(15),
      until: undefined,
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
      until: undefined,
      delivered,
      isReturn: true
    })
    const lost = replaying(place(5, 4), 3)
    t.same(planStart({ since: lost }, filled(), true, 1000), {
      kind: 'backfill',
      after: { instant: at(2), id: '' },
      isExact: false,
      countFrom: at(3),
      until: undefined,
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
    t.same(planStart({ since: within }, filled(), true, 1000), {
      kind: 'log-replay',
      until: place(15, 14),
      after: within.after,
      isExact: true
    })
    const elsewhere = replaying(place(15, 14, 'epoch0'), 18)
    t.same(planStart({ since: elsewhere }, filled(), true, 1000), {
      kind: 'log-replay',
      until: place(20, 19),
      after: { instant: at(13), id: '' },
      isExact: false
    })
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
    log.append({ ...batch(2, []), entries: freshNamed([['late', 5], ['c', 12], ['d', 13], ['e', 14]]), highWater: at(14) })
    const { gap, until } = gapSince(since, log, 10_000)
    t.ok(gap.from <= at(5), 'the late event, or one close by')
    t.same([gap.to, gap.reason, until], [at(12), 'history-evicted', log.cursorAt(4)])
    const elsewhere: ReplayCursor = { ...since, log: { ...since.log, epoch: 'epoch0' } }
    t.match(gapSince(elsewhere, log, 10_000), { gap: { from: at(-1) } }, 'another numbering: all that may be late')
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
