import fc from 'fast-check'
import t from 'tap'
import type { Batch } from '../../../src/audit/log-batch.ts'
import { createBytePool } from '../../../src/audit/byte-pool.ts'
import { decodeCursor, encodeCursor, type Cursor } from '../../../src/audit/cursor.ts'
import { weightOf } from '../../../src/audit/event.ts'
import { LATEST, formatInstant, type Instant } from '../../../src/audit/instant.ts'
import type { Json, JsonObject } from '../../../src/audit/exact-json.ts'
import { systemClock } from '../../../src/clock.ts'
import { createFrameCache } from '../../../src/live/fanout/frame-cache.ts'
import { hasNewSince, instantOf, type EventLog } from '../../../src/live/log/event-log.ts'
import { createOffsetIndex } from '../../../src/live/log/offset-index.ts'
import { holds } from '../../contracts/property.ts'
import { EPOCH, at, batch, freshNamed, freshOf, nameOf, openLog } from '../../support/timeline.ts'

t.test('event log', async (t) => {
  const names = (log: EventLog, offset: number, most = 100) => log.read(offset, most)?.map(nameOf)

  t.test('an event log is empty at first', async (t) => {
    const log = openLog()
    t.same(log.end(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-300) })
    t.same(log.read(0, 10), [])
    t.equal(log.read(1, 10), undefined)
    t.equal(log.startOffset(), 0)
  })

  t.test('an event log begins where the poller fills it from', async (t) => {
    const log = openLog()
    log.resetTo(at(-600))
    t.equal(log.completeSince(), at(-600))
    t.same(log.end(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-600) })
    t.equal(log.cursorAt(0).instant, at(-600))
  })

  t.test('an event log is read from any offset that it holds, with a limit', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b']))
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
    t.same(names(log, 1, 1), ['b'])
    t.same(names(log, 3), [])
    t.same([names(log, 4), names(log, -1)], [undefined, undefined])
    t.same(log.read(0, 10)?.map(({ offset }) => offset), [0, 1, 2])
  })

  t.test('an event log moves its newest position with a batch without entries', async (t) => {
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

  t.test('an event log rejects a batch that is missing, duplicated or of another epoch', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b']))
    for (const odd of [batch(3, ['d']), batch(1, ['b']), batch(0, ['a', 'b']), batch(2, ['c'], { epoch: 'epoch2' })]) {
      t.throws(() => log.append(odd), /missing or duplicated/)
    }
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
  })

  t.test('an event log begins its numbering with its first batch', async (t) => {
    const log = openLog()
    log.append(batch(500, ['a']))
    t.same([log.startOffset(), log.end().offset], [500, 501])
    t.same([names(log, 499), names(log, 500)], [undefined, ['a']])
  })

  t.test('an event log holds the newest events up to its capacity', async (t) => {
    const log = openLog({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b']))
    t.equal(log.startOffset(), 0)
    log.append(batch(2, ['c', 'd', 'e']))
    t.equal(log.startOffset(), 2)
    t.same([names(log, 1), names(log, 2)], [undefined, ['c', 'd', 'e']])
  })

  t.test('an event log holds a bounded number of bytes, also for one larger event', async (t) => {
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

  t.test('an event log counts an event of many empty values by its values', async (t) => {
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

  t.test('event logs share a bound: the largest evicts first, and a removed log frees its bytes', async (t) => {
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
    t.ok(big.completeSince() > at(1))
    big.close()
    for (const name of ['z', 'v']) append(small, name)
    t.same(names(small, 0), ['x', 'y', 'z', 'v'])
  })

  t.test('a position has an offset and the newest instant before it, also inside a batch', async (t) => {
    const log = openLog()
    const entered = log.append(batch(0, ['a', 'b', 'c']))
    t.same(entered, log.read(0, 10), 'and gives what entered')
    t.same([0, 1, 2, 3].map((offset) => log.cursorAt(offset).instant), [at(-300), at(0), at(1), at(2)])
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    t.same(log.end(), log.cursorAt(3))
    t.same(decodeCursor(encodeCursor(log.cursorAt(3))), log.cursorAt(3))
  })

  t.test('the high-water mark is kept through late and undated events, and at most that of the batch', async (t) => {
    const log = openLog()
    const enter = (items: JsonObject[], highWater: Instant) =>
      log.append({ epoch: 'epoch1', first: log.end().offset, entries: freshOf(items), highWater })
    enter([{ id: 'a', timestamp: formatInstant(at(10)) }], at(10))
    enter([{ id: 'late', timestamp: formatInstant(at(5)) }, { id: 'undated' }], at(10))
    t.equal(log.end().instant, at(10))
    enter([{ id: 'future', timestamp: formatInstant(at(3600)) }], at(20))
    t.equal(log.end().instant, at(20))
  })

  t.test('the position of the oldest entry depends on the evicted ones', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    log.append(batch(4, ['e', 'f', 'g']))
    t.equal(log.cursorAt(5).instant, at(4))
  })

  t.test('an event log reaches back to its filling, or to the last evicted event', async (t) => {
    const log = openLog({ maxEvents: 2 })
    t.equal(log.completeSince(), at(-300))
    log.append(batch(0, ['a', 'b', 'c']))
    t.equal(log.completeSince(), at(0) + 1n)
    log.append({ ...batch(3, ['late']), entries: freshNamed([['late', -50]]) })
    log.append(batch(4, ['e', 'f']))
    t.equal(log.completeSince(), at(2) + 1n, 'a late event that went does not bring it back')
  })

  t.test('an event log reports whether it has a matching event after a position', async (t) => {
    const log = openLog({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    const since = (offset: number, wanted: string, epoch = 'epoch1') =>
      hasNewSince(log, systemClock, { epoch, offset }, ({ id }) => id === wanted)
    t.same([since(1, 'b'), since(1, 'x'), since(2, 'b'), since(4, 'd')], [true, false, false, false])
    t.equal(since(0, 'x'), true, 'what was let go cannot be told')
    t.equal(since(4, 'x', 'epoch0'), true, 'nor can another numbering')
  })

  t.test('an event log equals a plain list, for any batches', async (t) => {
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

  t.test('an event log keeps a gap among the events, found by its end', async (t) => {
    const log = openLog({ maxEvents: 2 })
    const gap = { from: at(1), to: at(5), reason: 'too-large' as const }
    const [entry] = log.append({ ...batch(0, []), entries: [{ gap }], highWater: at(5) })
    t.same(entry, { gap, offset: 0, highWater: at(5), newest: at(5) })
    t.equal(hasNewSince(log, systemClock, { epoch: EPOCH, offset: 0 }, () => true), false, 'it is no event')
    log.append(batch(1, ['b', 'c']))
    t.equal(log.completeSince(), at(5) + 1n)
  })

  t.test('an event log bounds gaps, too', async (t) => {
    const log = openLog({ maxBytes: 1000 })
    for (let first = 0; first < 50; first++) {
      log.append({ ...batch(first, []), entries: [{ gap: { from: at(first), to: at(first), reason: 'too-large' } }] })
    }
    t.ok(log.startOffset() >= 39)
  })

  t.test('an event log reaches back only to evicted events without an instant', async (t) => {
    const log = openLog({ maxEvents: 2 })
    log.append({
      ...batch(0, []),
      entries: freshNamed([['a', 0], ['undated', undefined], ['b', 10], ['c', 20]]),
      highWater: at(20)
    })
    t.equal(log.startOffset(), 2)
    t.ok(log.completeSince() > at(0), 'it stood behind an event of this instant')
    log.append({ ...batch(4, []), entries: freshNamed([['d', undefined], ['e', undefined]]), highWater: at(20) })
    log.append({ ...batch(6, []), entries: freshNamed([['f', undefined], ['g', undefined]]), highWater: at(20) })
    t.ok(log.completeSince() > at(20), 'd and e came at this instant and are gone')
  })

  t.test('an event log finds entries by offset, and offsets by id, for some time after eviction', async (t) => {
    const log = openLog({ maxEvents: 2, remembers: at(10) - at(0) })
    log.append(batch(0, ['a', 'b', 'c']))
    t.same([0, 1, 2, 3, 4, -1].map((offset) => log.read(offset, 1)?.map(nameOf)), [
      undefined,
      ['b'],
      ['c'],
      [],
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

t.test('offset index', async (t) => {
  t.test('an offset index remembers ids for at least its span', async (t) => {
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

  t.test('an offset index forgets in time, and holds a bounded number of ids', async (t) => {
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

  t.test('an offset index keeps the newer offset of a repeated id', async (t) => {
    const roll = createOffsetIndex({ span: 10n, most: 4 })
    roll.add('a', 0, 0n)
    for (const [i, id] of ['b', 'c', 'a'].entries()) roll.add(id, i + 1, 0n)
    t.equal(roll.offsetOf('a'), 3)
  })
})

t.test('offsetFrom finds the first offset that may hold an instant, whatever was evicted', async (t) => {
  const batches = fc.array(
    fc.array(fc.option(fc.integer({ min: 0, max: 50 }), { nil: undefined }), { maxLength: 8 }),
    { maxLength: 20 }
  )
  const wanted = fc.tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -1, max: 60 }))
  holds(t, fc.property(batches, wanted, (delivered, [maxEvents, seconds]) => {
    const log = openLog({ maxEvents })
    for (const each of delivered) {
      const first = log.end().offset
      const entries = freshNamed(each.map((second, i) => [`e${first + i}`, second]))
      log.append({ ...batch(first, []), entries, highWater: at(30) })
    }
    const offset = log.offsetFrom(at(seconds))
    const instantAt = (place: number) => {
      const [entry] = log.read(place, 1) ?? []
      return entry === undefined ? undefined : instantOf(entry) ?? entry.highWater
    }
    const isBefore = (place: number) => (instantAt(place) ?? LATEST) < at(seconds)
    const older = Array.from({ length: offset - log.startOffset() }, (_, i) => log.startOffset() + i)
    return older.every(isBefore)
  }))
})

t.test('frame cache', async (t) => {
  t.test('a frame cache returns the same frame for the same entry, with the cursor after it', async (t) => {
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

  t.test('a frame cache makes the cursor from the entry, also after its eviction', async (t) => {
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

  t.test('a frame cache returns the same frame of a replay row to all with the same position', async (t) => {
    const log = openLog()
    const [entry] = log.append(batch(0, ['a', 'b', 'c']))
    if (entry === undefined) throw new Error('three entered')
    const row = { ...entry, key: { instant: at(0), id: 'a' } }
    const frameCache = createFrameCache(EPOCH)
    const frame = frameCache.row(row, log.cursorAt(2), [])
    t.equal(frameCache.row(row, log.cursorAt(2), []), frame)
    t.same(decodeCursor(frame.cursor ?? ''), { kind: 'replay', log: log.cursorAt(2), after: row.key })
    t.same(decodeCursor(frameCache.row(row, log.cursorAt(3), []).cursor ?? ''), {
      kind: 'replay',
      log: log.cursorAt(3),
      after: row.key
    })
  })

  t.test('a frame cache encodes late events and gaps', async (t) => {
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

  t.test('a gap of a replay has a cursor that a stream can resume from', async (t) => {
    const cursor: Cursor = { kind: 'replay', log: openLog().end(), after: { instant: at(1), id: '\uffff' } }
    t.same(decodeCursor(encodeCursor(cursor)), cursor)
  })
})
