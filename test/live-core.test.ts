import fc from 'fast-check'
import t from 'tap'
import type { Batch } from '../src/audit/batch.ts'
import type { Cursor, LogCursor, ReplayCursor } from '../src/audit/cursor.ts'
import { decodeCursor, encodeCursor } from '../src/audit/cursor.ts'
import { identify } from '../src/audit/identity.ts'
import { EARLIEST, NANOS_PER_SECOND, formatInstant, parseInstant, type Instant } from '../src/audit/instant.ts'
import type { JsonObject } from '../src/audit/json.ts'
import { placeRows, type Row } from '../src/audit/place.ts'
import type { Failure, FailureKind } from '../src/audit/source.ts'
import { createBookmark } from '../src/live/bookmark.ts'
import { nextWaitMs, type PollReport } from '../src/live/cadence.ts'
import { CLIENT_MESSAGE, ENDINGS } from '../src/live/endings.ts'
import { createEventLog, type EventLog } from '../src/live/event-log.ts'
import { createHealth } from '../src/live/health.ts'
import { cursorOf, isMadeUp, openingOf } from '../src/live/opening.ts'
import { createSoloRelay } from '../src/relay/solo.ts'
import { relayContract } from './contracts/relay.ts'
import { holds } from './contracts/property.ts'

const TEN = parseInstant('2025-06-03T10:00:00Z') ?? 0n
const LATENESS_MS = 120_000

/** So many seconds after ten o'clock. */
function at (seconds: number): Instant {
  return TEN + BigInt(Math.round(seconds * 1000)) * 1_000_000n
}

function row (name: string, seconds: number | undefined): Row {
  return rows([[name, seconds]])[0] ?? { event: { id: name, instant: undefined, item: {}, json: '' }, place: { instant: 0n, id: name } }
}

function rows (named: Array<[name: string, seconds: number | undefined]>): Row[] {
  const items = named.map(([id, seconds]): JsonObject => seconds === undefined ? { id } : { id, timestamp: formatInstant(at(seconds)) })
  return placeRows(identify(items), 'asc', TEN)
}

t.test('a bookmark', async (t) => {
  const opened = (mostKnown = 1000, from = at(-300)) => createBookmark({ from, latenessMs: LATENESS_MS, mostKnown })
  const names = (announced: { events: Array<{ event: { id: string } }> }) => announced.events.map(({ event }) => event.id)

  t.test('begins where it was told to', async (t) => {
    const bookmark = opened()
    t.same([bookmark.highWater(), bookmark.wholeStart(), bookmark.recentStart()], [at(-300), at(-300), at(-300)])
  })

  t.test('tells each event once, however often it is read, in the order of the rows', async (t) => {
    const bookmark = opened()
    t.same(names(bookmark.absorb(rows([['a', -2], ['b', -1]]), at(0))), ['a', 'b'])
    t.same(names(bookmark.absorb(rows([['a', -2], ['b', -1], ['c', -1], ['d', 0]]), at(1))), ['c', 'd'])
    bookmark.completed(at(1))
    t.same(names(bookmark.absorb(rows([['a', -2], ['d', 0]]), at(2))), [])
  })

  t.test('takes equal ids in one answer for one event', async (t) => {
    t.same(names(opened().absorb(rows([['a', -2], ['a', -2]]), at(0))), ['a'])
  })

  t.test('calls late what lay before the newest instant when it came, and nothing of its own batch', async (t) => {
    const bookmark = opened()
    const flags = (...named: Array<[string, number | undefined]>) => bookmark.absorb(rows(named), at(60)).events.map(({ late }) => late)
    t.same(flags(['a', 0], ['b', 10], ['c', 5]), [false, false, false])
    t.same(flags(['d', 9.999], ['e', 10], ['f', 11], ['g', undefined]), [true, false, false, false])
    t.same(flags(['h', 10.5]), [true])
  })

  t.test('follows the newest instant seen, but never past now', async (t) => {
    const bookmark = opened()
    t.equal(bookmark.absorb(rows([['a', -2], ['b', -5]]), at(0)).highWater, at(-2))
    t.equal(bookmark.absorb(rows([['future', 3600]]), at(1)).highWater, at(1))
    t.equal(bookmark.highWater(), at(1))
    t.equal(bookmark.absorb(rows([['c', -10]]), at(2)).highWater, at(1))
    t.equal(bookmark.absorb(rows([['d', undefined]]), at(3)).highWater, at(1), 'an event without an instant moves nothing')
    t.equal(bookmark.absorb([], at(4)).highWater, at(1), 'nor does time alone')
  })

  t.test('reads on from the newest instant minus the lateness after a whole read, counted from when it began', async (t) => {
    const bookmark = opened()
    bookmark.absorb(rows([['a', 10]]), at(20))
    t.equal(bookmark.wholeStart(), at(-300), 'until a whole read has ended')
    bookmark.completed(at(20))
    t.equal(bookmark.wholeStart(), at(10 - 120))
    t.equal(bookmark.recentStart(), at(5))
    bookmark.absorb(rows([['b', 50]]), at(60))
    bookmark.completed(at(40))
    t.equal(bookmark.wholeStart(), at(40 - 120), 'what came after the read began may not have been met by it')
    bookmark.completed(at(30))
    t.equal(bookmark.wholeStart(), at(40 - 120), 'it never moves back')
  })

  t.test('reads recent events from no earlier than the whole window', async (t) => {
    const bookmark = createBookmark({ from: at(0), latenessMs: 1000, mostKnown: 10 })
    bookmark.absorb(rows([['a', 2]]), at(60))
    t.equal(bookmark.recentStart(), at(0))
    bookmark.completed(at(60))
    t.equal(bookmark.recentStart(), at(1))
  })

  t.test('knows again everything that a read from its whole start can meet', async (t) => {
    const bookmark = opened()
    bookmark.absorb(rows([['old', -130], ['edge', -110], ['a', 10]]), at(20))
    bookmark.completed(at(20))
    t.same(names(bookmark.absorb(rows([['edge', -110], ['a', 10]]), at(21))), [])
    t.same(names(bookmark.absorb(rows([['old', -130]]), at(21))), ['old'], 'what lies before it is forgotten')
  })

  t.test('knows again what lies in the whole second at which a read begins', async (t) => {
    const bookmark = opened()
    bookmark.absorb(rows([['same second', -110], ['a', 10.7]]), at(20))
    bookmark.completed(at(20))
    t.equal(bookmark.wholeStart(), at(10.7 - 120))
    t.same(names(bookmark.absorb(rows([['same second', -110]]), at(21))), [])
  })

  t.test('holds no more than it may, and then reads nothing again that it has forgotten', async (t) => {
    const bookmark = opened(3)
    bookmark.absorb(rows([['a', 1], ['b', 2], ['c', 3], ['d', 4], ['e', 5]]), at(20))
    t.equal(bookmark.wholeStart(), at(2) + 1n)
    t.same(names(bookmark.absorb(rows([['c', 3], ['d', 4], ['e', 5]]), at(20))), [])
    bookmark.absorb(rows([['f', 6]]), at(20))
    t.equal(bookmark.wholeStart(), at(3) + 1n)
  })

  t.test('is not blinded by an event of the future that it has to forget', async (t) => {
    const bookmark = opened(3)
    bookmark.absorb(rows([['future', 86_400]]), at(0))
    bookmark.absorb(rows([['a', 1], ['b', 2], ['c', 3]]), at(4))
    t.ok(bookmark.wholeStart() <= bookmark.highWater())
    t.equal(bookmark.highWater(), at(3), 'nor is it led past now')
    t.ok(bookmark.recentStart() <= at(4), 'what comes next lies behind where it reads from')
  })

  t.test('knows an event without an instant again however far its neighbours move on', async (t) => {
    const bookmark = opened()
    t.same(names(bookmark.absorb(rows([['a', 0], ['undated', undefined]]), at(0))), ['a', 'undated'])
    for (let seconds = 100; seconds <= 1000; seconds += 100) {
      const latest: [string, number] = [`b${seconds}`, seconds]
      t.same(names(bookmark.absorb(rows([latest, ['undated', undefined]]), at(seconds))), [latest[0]])
      bookmark.completed(at(seconds))
    }
    t.same(names(bookmark.absorb(rows([['a', 0]]), at(1000))), ['a'], 'while what has an instant of its own is forgotten')
  })

  t.test('announces every event exactly once, in any polls of an upstream that is late by less than the lateness', async (t) => {
    const upstream = fc.array(fc.record({ visible: fc.integer({ min: 0, max: 900 }), late: fc.integer({ min: 0, max: 119 }) }), { maxLength: 80 })
    const polls = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 40 })
    holds(t, fc.property(upstream, polls, (happenings, gaps) => {
      const events = happenings.map(({ visible, late }, i) => ({ visible, row: row(`e${i}`, visible - late) }))
        .sort((a, b) => Number(a.row.place.instant - b.row.place.instant))
      const bookmark = opened(1000, at(-300))
      const announced: string[] = []
      let now = 0
      for (const gap of [...gaps, 1000]) {
        now += gap
        const start = bookmark.wholeStart()
        const found = events.filter(({ visible, row }) => visible <= now && row.place.instant >= start).map(({ row }) => row)
        announced.push(...names(bookmark.absorb(found, at(now))))
        bookmark.completed(at(now))
      }
      return announced.length === events.length && new Set(announced).size === events.length
    }), { numRuns: 300 })
  })
})

t.test('the cadence', async (t) => {
  const OPTIONS = { intervalMs: 3000, maxIntervalMs: 30_000 }
  const wait = (report: Partial<PollReport>, random = 0.5) =>
    nextWaitMs({ failure: undefined, failures: 0, quietMs: 0, audience: 1, ...report }, OPTIONS, () => random)
  const failed = (kind: FailureKind, failures: number, retryAfterMs?: number): Partial<PollReport> =>
    ({ failures, failure: { ok: false, kind, ...retryAfterMs === undefined ? {} : { retryAfterMs } } })

  t.test('is the interval while events flow, and stretches with the quiet', async (t) => {
    for (const [quietMs, waitMs] of [[0, 3000], [30_000, 3000], [60_000, 6000], [299_000, 29_900], [300_000, 30_000], [86_400_000, 30_000]] as const) {
      t.equal(wait({ quietMs }), waitMs, `${quietMs} ms of quiet`)
    }
  })

  t.test('is once a minute with nobody listening, or slower where so set', async (t) => {
    t.equal(wait({ audience: 0 }), 60_000)
    t.equal(nextWaitMs({ failure: undefined, failures: 0, quietMs: 0, audience: 0 }, { intervalMs: 3000, maxIntervalMs: 90_000 }, () => 0), 90_000)
  })

  t.test('backs off from 0.8 s to 60 s with full jitter', async (t) => {
    const longest = [1, 2, 3, 4, 5, 6, 7, 8, 9, 100].map((failures) => wait(failed('unavailable', failures), 1))
    t.same(longest, [800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000, 60_000])
    t.equal(wait(failed('timeout', 3), 0), 0)
    t.equal(wait(failed('invalid', 3), 0.25), 800)
  })

  t.test('makes at most 25 requests in five minutes of outage, nearly always', async (t) => {
    const random = seeded(7)
    const counts = Array.from({ length: 500 }, () => {
      let requests = 0
      for (let ms = 0; ms < 300_000; requests++) ms += nextWaitMs({ ...failed('unavailable', requests + 1), quietMs: 0, audience: 1 } as PollReport, OPTIONS, random)
      return requests
    }).sort((a, b) => a - b)
    t.ok((counts[495] ?? 99) <= 25, `99 in 100 stay below ${counts[495]}`)
    t.ok((counts[0] ?? 0) >= 6)
  })

  t.test('waits at least as long as the upstream asks', async (t) => {
    t.equal(wait(failed('throttled', 1, 20_000), 1), 20_000)
    t.equal(wait(failed('unavailable', 7, 1000), 1), 51_200)
    t.equal(wait(failed('throttled', 1, 300_000), 0), 300_000)
  })

  t.test('tries a refused credential once a minute', async (t) => {
    t.equal(wait(failed('unauthorized', 1), 0), 60_000)
    t.equal(wait(failed('unauthorized', 50), 1), 60_000)
  })

  t.test('waits for the budget, but no less than the interval', async (t) => {
    t.equal(wait(failed('budget', 1, 23_000), 0), 23_000)
    t.equal(wait(failed('budget', 1, 10), 0), 3000)
    t.equal(wait(failed('budget', 1), 0), 3000)
  })
})

function seeded (seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

/** A batch of events of the given names, one second apart. */
function batch (first: number, names: string[], more: Partial<Batch> & { pad?: number } = {}): Batch {
  const { pad = 0, ...fields } = more
  const items = names.map((id, i): JsonObject => ({ id, timestamp: formatInstant(at(first + i)), pad: 'x'.repeat(pad) }))
  return { epoch: 'epoch1', first, events: identify(items).map((event) => ({ event, late: false })), highWater: at(first + names.length - 1), ...fields }
}

function opened (options: { maxEvents?: number, maxBytes?: number } = {}): EventLog {
  return createEventLog({ epoch: 'epoch1', start: at(-300), maxEvents: 1000, maxBytes: 1_000_000, ...options })
}

t.test('the event log', async (t) => {
  const names = (log: EventLog, offset: number, most = 100) => log.read(offset, most)?.map(({ event }) => event.id)

  t.test('is empty at first', async (t) => {
    const log = opened()
    t.same(log.head(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-300) })
    t.same(log.read(0, 10), [])
    t.equal(log.read(1, 10), undefined)
    t.equal(log.oldest(), 0)
  })

  t.test('begins anew where the tail says that it fills it from', async (t) => {
    const log = opened()
    log.fillFrom(at(-600))
    t.same([log.reachesBackTo(at(-600)), log.reachesBackTo(at(-600) - 1n)], [true, false])
    t.same(log.head(), { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-600) })
    t.equal(log.cursorAt(0).instant, at(-600))
  })

  t.test('is read from any offset that it keeps, so many at a time', async (t) => {
    const log = opened()
    log.append(batch(0, ['a', 'b']))
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
    t.same(names(log, 1, 1), ['b'])
    t.same(names(log, 3), [])
    t.same([names(log, 4), names(log, -1)], [undefined, undefined])
    t.same(log.read(0, 10)?.map(({ offset }) => offset), [0, 1, 2])
  })

  t.test('refuses a batch that is missing, doubled or of another epoch', async (t) => {
    const log = opened()
    log.append(batch(0, ['a', 'b']))
    for (const odd of [batch(3, ['d']), batch(1, ['b']), batch(0, ['a', 'b']), batch(2, ['c'], { epoch: 'epoch2' })]) t.throws(() => log.append(odd), /missing or doubled/)
    log.append(batch(2, ['c']))
    t.same(names(log, 0), ['a', 'b', 'c'])
  })

  t.test('takes up the numbering where its first batch stands', async (t) => {
    const log = opened()
    log.append(batch(500, ['a']))
    t.same([log.oldest(), log.head().offset], [500, 501])
    t.same([names(log, 499), names(log, 500)], [undefined, ['a']])
  })

  t.test('keeps so many events, the newest', async (t) => {
    const log = opened({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b']))
    t.equal(log.oldest(), 0)
    log.append(batch(2, ['c', 'd', 'e']))
    t.equal(log.oldest(), 2)
    t.same([names(log, 1), names(log, 2)], [undefined, ['c', 'd', 'e']])
  })

  t.test('keeps so many bytes, even when one event is more', async (t) => {
    const size = (pad: number) => batch(0, ['a'], { pad }).events[0]?.event.json.length ?? 0
    const log = opened({ maxBytes: 3 * size(100) })
    for (const [first, name] of ['a', 'b', 'c'].entries()) log.append(batch(first, [name], { pad: 100 }))
    t.equal(log.oldest(), 0)
    log.append(batch(3, ['d'], { pad: 100 }))
    t.same([log.oldest(), names(log, 1)], [1, ['b', 'c', 'd']])
    log.append(batch(4, ['huge'], { pad: 5000 }))
    t.same([log.oldest(), log.head().offset, names(log, 5)], [5, 5, []])
    log.append(batch(5, ['f'], { pad: 100 }))
    t.same(names(log, 5), ['f'])
  })

  t.test('names each place by offset and by the newest instant among all before it, inside a batch too', async (t) => {
    const log = opened()
    const entered = log.append(batch(0, ['a', 'b', 'c']))
    t.same(entered, log.read(0, 10), 'and gives what entered')
    t.same([0, 1, 2, 3].map((offset) => log.cursorAt(offset).instant), [at(-300), at(0), at(1), at(2)])
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    t.same(log.head(), log.cursorAt(3))
    t.same(decodeCursor(encodeCursor(log.cursorAt(3))), log.cursorAt(3))
  })

  t.test('keeps its high-water mark through late and undated events, and below what the batch says is now', async (t) => {
    const log = opened()
    const enter = (items: JsonObject[], highWater: Instant) =>
      log.append({ epoch: 'epoch1', first: log.head().offset, events: identify(items).map((event) => ({ event, late: false })), highWater })
    enter([{ id: 'a', timestamp: formatInstant(at(10)) }], at(10))
    enter([{ id: 'late', timestamp: formatInstant(at(5)) }, { id: 'undated' }], at(10))
    t.equal(log.head().instant, at(10))
    enter([{ id: 'future', timestamp: formatInstant(at(3600)) }], at(20))
    t.equal(log.head().instant, at(20))
  })

  t.test('names the place of its oldest entry by what was let go before it', async (t) => {
    const log = opened({ maxEvents: 2 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    t.same(log.cursorAt(2), { kind: 'log', epoch: 'epoch1', offset: 2, instant: at(1) })
    log.append(batch(4, ['e', 'f', 'g']))
    t.equal(log.cursorAt(5).instant, at(4))
  })

  t.test('reaches back to where it was filled from, or to behind the last that it let go', async (t) => {
    const log = opened({ maxEvents: 2 })
    t.same([log.reachesBackTo(at(-300) - 1n), log.reachesBackTo(at(-300))], [false, true])
    log.append(batch(0, ['a', 'b', 'c']))
    t.same([log.reachesBackTo(at(0)), log.reachesBackTo(at(0) + 1n)], [false, true])
    log.append({ ...batch(3, ['late']), events: identify([{ id: 'late', timestamp: formatInstant(at(-50)) }]).map((event) => ({ event, late: true })) })
    log.append(batch(4, ['e', 'f']))
    t.same([log.reachesBackTo(at(2)), log.reachesBackTo(at(2) + 1n)], [false, true], 'a late event that went does not bring it back')
  })

  t.test('tells whether anything that matches is new since a place', async (t) => {
    const log = opened({ maxEvents: 3 })
    log.append(batch(0, ['a', 'b', 'c', 'd']))
    const since = (offset: number, wanted: string, epoch = 'epoch1') => log.hasNew({ epoch, offset }, ({ id }) => id === wanted)
    t.same([since(1, 'b'), since(1, 'x'), since(2, 'b'), since(4, 'd')], [true, false, false, false])
    t.equal(since(0, 'x'), true, 'what was let go cannot be told')
    t.equal(since(4, 'x', 'epoch0'), true, 'nor can another numbering')
  })

  t.test('agrees with a plain list, whatever comes', async (t) => {
    const batches = fc.array(fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 5 }), { maxLength: 30 })
    holds(t, fc.property(batches, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 100, max: 3000 }), (pads, maxEvents, maxBytes) => {
      const log = opened({ maxEvents, maxBytes })
      const all: Array<{ id: string, bytes: number }> = []
      for (const group of pads) {
        const first = all.length
        const events = identify(group.map((pad, i) => ({ id: `e${first + i}`, pad: 'x'.repeat(pad) }))).map((event) => ({ event, late: false }))
        log.append({ epoch: 'epoch1', first, events, highWater: at(first) })
        all.push(...events.map(({ event }) => ({ id: event.id, bytes: event.json.length })))
      }
      let kept = 0
      for (let bytes = 0; kept < Math.min(maxEvents, all.length); kept++) {
        bytes += all.at(-1 - kept)?.bytes ?? 0
        if (bytes > maxBytes) break
      }
      const expected = all.slice(all.length - kept).map(({ id }) => id)
      return log.head().offset === all.length && names(log, log.oldest(), 1000)?.join() === expected.join() && log.oldest() === all.length - kept
    }), { numRuns: 300 })
  })
})

t.test('the opening of a stream', async (t) => {
  const filled = () => {
    const log = opened({ maxEvents: 10 })
    log.append(batch(0, Array.from({ length: 20 }, (_, i) => `e${i}`)))
    return log
  }
  const place = (offset: number, seconds: number, epoch = 'epoch1'): LogCursor => ({ kind: 'log', epoch, offset, instant: at(seconds) })
  const replaying = (log: LogCursor, seconds: number): ReplayCursor => ({ kind: 'replay', log, after: { instant: at(seconds), id: 'e' } })

  t.test('is exact behind a cursor whose place is kept, even while the log is being filled', async (t) => {
    for (const isFilled of [true, false]) {
      t.same(openingOf({ since: place(10, 9) }, filled(), isFilled, 1000), { kind: 'log', exact: true, offset: 10, from: undefined })
      t.same(openingOf({ since: place(20, 19) }, filled(), isFilled, 1000), { kind: 'log', exact: true, offset: 20, from: undefined })
    }
  })

  t.test('waits for a log that is not filled yet', async (t) => {
    t.same(openingOf({ since: place(3, 9, 'epoch0') }, filled(), false, 1000), { kind: 'wait' })
    t.same(openingOf({ since: place(3, 2) }, filled(), false, 1000), { kind: 'wait' })
    t.same(openingOf({ from: at(15) }, filled(), false, 1000), { kind: 'wait' })
    t.same(openingOf({ since: replaying(place(15, 14), 1) }, filled(), false, 1000), { kind: 'wait' })
  })

  t.test('comes out of the log at an instant that it reaches back to', async (t) => {
    t.same(openingOf({ from: at(15) }, filled(), true, 1000), { kind: 'log', exact: false, offset: 10, from: at(15) })
    t.same(openingOf({ from: at(9) + 1n }, filled(), true, 1000), { kind: 'log', exact: false, offset: 10, from: at(9) + 1n })
  })

  t.test('is a replay at an instant that the log does not reach back to', async (t) => {
    t.same(openingOf({ from: at(9) }, filled(), true, 1000), { kind: 'replay', from: at(9), after: { instant: at(9), id: '' }, offset: undefined })
  })

  t.test('goes back by the lateness behind a cursor of another numbering or one that was let go', async (t) => {
    t.same(openingOf({ since: place(3, 15, 'epoch0') }, filled(), true, 1000), { kind: 'log', exact: false, offset: 10, from: at(14) })
    t.same(openingOf({ since: place(3, 15, 'epoch0') }, filled(), true, 6000), { kind: 'replay', from: at(9), after: { instant: at(9), id: '' }, offset: undefined })
    t.same(openingOf({ since: place(9, 8) }, filled(), true, 1000), { kind: 'replay', from: at(7), after: { instant: at(7), id: '' }, offset: undefined })
  })

  t.test('never goes back beyond the earliest instant that can be written', async (t) => {
    const since: LogCursor = { ...place(3, 0, 'epoch0'), instant: EARLIEST + 5n }
    t.match(openingOf({ since }, filled(), true, 1000), { kind: 'replay', from: EARLIEST })
  })

  t.test('goes on with a replay where it stood, and then at the place that it had taken', async (t) => {
    const since = replaying(place(15, 14), 3)
    t.same(openingOf({ since }, filled(), true, 1000), { kind: 'replay', from: at(3), after: since.after, offset: 15 })
    const lost = replaying(place(5, 4), 3)
    t.same(openingOf({ since: lost }, filled(), true, 1000), { kind: 'replay', from: at(2), after: { instant: at(2), id: '' }, offset: undefined })
    const elsewhere = replaying(place(15, 14, 'epoch0'), 18)
    t.same(openingOf({ since: elsewhere }, filled(), true, 1000), { kind: 'log', exact: false, offset: 10, from: at(17) })
  })

  t.test('has a cursor before anything was given', async (t) => {
    t.same(cursorOf({ from: at(5) }, place(20, 19)), { kind: 'replay', log: place(20, 19), after: { instant: at(5), id: '' } })
    t.equal(cursorOf({ since: place(3, 2) }, place(20, 19)).kind, 'log')
  })

  t.test('knows cursors that were never given out', async (t) => {
    const page: Cursor = { kind: 'page', operation: 'list', filter: {}, window: {}, direction: 'asc', pageSize: 1, page: 1, skip: 0, after: { instant: 0n, id: '' } }
    const judged = [place(20, 1), place(21, 1), place(21, 1, 'epoch0'), place(0, 1), replaying(place(20, 1), 1), replaying(place(21, 1), 1), page]
    t.same(judged.map((cursor) => isMadeUp(cursor, filled())), [false, true, false, false, false, true, true])
  })
})

t.test('health', async (t) => {
  const failed = (kind: FailureKind): Failure => ({ ok: false, kind })

  t.test('says how the upstream is and since when, and tells a change from a repetition', async (t) => {
    let now = 1000
    const health = createHealth(() => now)
    t.same(health.now(), { upstream: 'ok', sinceMs: 1000, lastGoodMs: undefined, lagMs: 0, attempted: false, sweeps: 0 })
    now = 2000
    t.equal(health.report(failed('timeout')), true)
    t.same(health.now(), { upstream: 'degraded', sinceMs: 2000, lastGoodMs: undefined, lagMs: 1000, attempted: true, sweeps: 0 })
    now = 3000
    t.equal(health.report(failed('unavailable')), false)
    t.equal(health.now().sinceMs, 2000)
    t.same(health.failure(), failed('unavailable'))
    now = 4000
    t.equal(health.report(undefined), true)
    now = 4500
    health.swept()
    t.same(health.now(), { upstream: 'ok', sinceMs: 4000, lastGoodMs: 4000, lagMs: 500, attempted: true, sweeps: 1 })
    t.equal(health.failure(), undefined)
  })

  t.test('has a state for every failure', async (t) => {
    const states = {
      unauthorized: 'unauthorized', forbidden: 'unauthorized', throttled: 'throttled', budget: 'throttled', timeout: 'degraded', unavailable: 'degraded', invalid: 'degraded', 'too-large': 'degraded'
    }
    for (const [kind, state] of Object.entries(states)) {
      const health = createHealth(() => 0)
      t.equal(health.report(failed(kind as FailureKind)), true)
      t.equal(health.now().upstream, state, kind)
    }
  })

  t.test('counts no negative age when the clock is set back', async (t) => {
    let now = 5000
    const health = createHealth(() => now)
    health.report(undefined)
    now = 1000
    t.equal(health.now().lagMs, 0)
  })
})

t.test('an ending', async (t) => {
  t.test('has the close code and the advice that the protocol promises', async (t) => {
    t.same(Object.entries(ENDINGS).map(([name, { reason, closeCode, mayReturn }]) => [name, reason, closeCode, mayReturn]), [
      ['timeout', 'timeout', 1000, false],
      ['shutdown', 'shutdown', 1001, true],
      ['max-age', 'max-age', 1001, true],
      ['slow', 'slow', 4408, true],
      ['unauthorized', 'unauthorized', 4401, true]
    ])
    t.equal(CLIENT_MESSAGE.closeCode, 4400)
    t.ok(Buffer.byteLength(CLIENT_MESSAGE.reason) <= 123, 'RFC 6455: a close frame holds 125 bytes, two of them the code')
  })
})

t.test('the relay of a single process', async (t) => {
  relayContract(t, async () => createSoloRelay())

  t.test('has given a batch to every follower when announcing resolves', async (t) => {
    const relay = createSoloRelay()
    const taken: string[] = []
    relay.follow(() => { taken.push('first') })
    relay.follow(() => { taken.push('second') })
    await relay.announce({ events: [], highWater: NANOS_PER_SECOND })
    t.same(taken, ['first', 'second'])
  })
})
