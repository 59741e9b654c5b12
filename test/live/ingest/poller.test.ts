import fc from 'fast-check'
import t from 'tap'
import type { Announcement, NewEntry } from '../../../src/audit/log-batch.ts'
import { formatInstant, instantFromMs } from '../../../src/audit/instant.ts'
import type { AuditSource, Failure, FailureKind } from '../../../src/audit/source.ts'
import { createBookmark } from '../../../src/live/ingest/bookmark.ts'
import type { Health } from '../../../src/live/ingest/upstream-health.ts'
import { createPoller, type PollerOptions } from '../../../src/live/ingest/poller.ts'
import { silentInstruments } from '../../../src/instruments.ts'
import { silentTracer } from '../../../src/tracer.ts'
import { USUAL_HABITS, createMemorySource, dated, type Habits } from '../../contracts/memory-source.ts'
import { holdsAsync } from '../../contracts/property.ts'
import { TEN_MS, at, nameOf } from '../../support/timeline.ts'

const LATENESS_MS = 120_000
const MOST_TIMERS = 5000

/** Time that goes by only when it is told to. */
function createTime () {
  const timers = new Set<{ readonly atMs: number, readonly callback: () => void }>()
  let nowMs = 0

  return {
    nowMs: () => nowMs,
    waits: () => [...timers].map(({ atMs }) => atMs - nowMs),
    setTimer (callback: () => void, waitMs: number): () => void {
      const timer = { atMs: nowMs + waitMs, callback }
      timers.add(timer)
      return () => { timers.delete(timer) }
    },
    async pass (ms: number): Promise<void> {
      const endMs = nowMs + ms
      let fired = 0
      for (let next = earliest(); next !== undefined && next.atMs <= endMs; next = earliest()) {
        if (++fired > MOST_TIMERS) throw new Error('time does not go by: timers of 0 ms without end')
        nowMs = Math.max(nowMs, next.atMs)
        timers.delete(next)
        next.callback()
        await settled()
      }
      nowMs = endMs
    }
  }

  function earliest () {
    return [...timers].sort((a, b) => a.atMs - b.atMs)[0]
  }
}

/** All that follows without waiting for anything has happened. */
async function settled (): Promise<void> {
  await new Promise((resolve) => { setImmediate(resolve) })
}

interface Given {
  readonly quirks?: Partial<Habits>
  readonly fails?: (reads: number) => Failure | undefined
  readonly mostKnown?: number
  readonly options?: Partial<PollerOptions>
}

/** A poller over a log in memory, and what it has announced. */
function prepared ({ quirks = {}, fails = () => undefined, mostKnown = 10_000, options = {} }: Given = {}) {
  const time = createTime()
  const source = createMemorySource({ ...USUAL_HABITS, ...quirks }, fails)
  const entries: NewEntry[] = []
  const polls: Array<{ health: Health, changed: boolean }> = []
  const errors: unknown[] = []
  const clock = () => TEN_MS + time.nowMs()
  let serial = 0
  const poller = createPoller({
    source,
    mostSkewMs: 600_000,
    onSkew: () => {},
    openBookmark: (now) => createBookmark({ from: now - 300_000_000_000n, latenessMs: LATENESS_MS, mostKnown }),
    publish: async (announcement) => { entries.push(...announcement.entries) },
    isLeader: () => true,
    subscriberCount: () => 1,
    budget: () => ({ waitMs: 0, scarcity: 0 }),
    onPoll: (health, changed) => { polls.push({ health, changed }) },
    onError: (error) => { errors.push(error) },
    pageSize: 100,
    scanLimit: 10_000,
    intervalMs: 3000,
    maxIntervalMs: 3000,
    patienceMs: 60_000,
    upstreamTimeoutMs: 10_000,
    instruments: silentInstruments,
    tracer: silentTracer,
    clock: { now: clock, monotonicMs: time.nowMs, setTimer: time.setTimer },
    ...options
  })
  return {
    poller,
    time,
    source,
    polls,
    errors,
    entries,
    names: () => entries.map(nameOf),
    /** An event becomes visible now, dated so many seconds after ten; without: now. */
    publish (seconds = time.nowMs() / 1000, id = `e${serial++}`): string {
      source.keep(dated({ id, timestamp: formatInstant(at(seconds)) }))
      return id
    },
    async begin (): Promise<void> {
      poller.start()
      await settled()
    }
  }
}

/** Jitter that is the same each time. */
function steady (t: { teardown (action: () => void): void }, value = 0.5): void {
  const { random } = Math
  Math.random = () => value
  t.teardown(() => { Math.random = random })
}

const failed = (kind: FailureKind, retryAfterMs?: number): Failure => ({
  ok: false,
  kind,
  ...retryAfterMs !== undefined && { retryAfterMs }
})

function sourceThat (read: AuditSource['read']): AuditSource {
  return { read, find: async () => ({ ok: true, event: undefined }), reportQuirk: () => {}, quirks: new Set() }
}

t.test('poller', async (t) => {
  t.test('a poller is alive while it polls, waits or fails, until a poll hangs', async (t) => {
    const { begin, poller, time } = prepared()
    t.equal(poller.health().isPolling, true, 'before it has begun')
    await begin()
    for (let i = 0; i < 100; i++) {
      await time.pass(10_000)
      t.equal(poller.health().isPolling, true)
    }
    const failing = prepared({ options: { source: sourceThat(async () => failed('throttled', 300_000)) } })
    await failing.begin()
    await failing.time.pass(290_000)
    t.equal(failing.poller.health().isPolling, true, 'it was told to wait')
    const hanging = prepared({ options: { source: sourceThat(() => new Promise(() => {})) } })
    await hanging.begin()
    await hanging.time.pass(60_000)
    t.equal(hanging.poller.health().isPolling, true)
    await hanging.time.pass(10_000)
    t.equal(hanging.poller.health().isPolling, false)
  })

  t.test('a poller announces existing and new events, each once, in order', async (t) => {
    const { begin, names, publish, time } = prepared()
    const expected = [publish(-200), publish(-100), publish(-1)]
    await begin()
    t.same(names(), expected)
    for (let i = 0; i < 50; i++) {
      await time.pass(1700)
      expected.push(publish())
    }
    await time.pass(3000)
    t.same(names(), expected)
  })

  t.test('a poller reads through a burst without waiting for the next poll', async (t) => {
    const { begin, names, publish, source, time } = prepared()
    await begin()
    await time.pass(3000)
    const asked = source.questions.length
    const expected = Array.from({ length: 950 }, (_, i) => publish(2 + i / 1000))
    await time.pass(3000)
    t.same(names(), expected)
    t.ok(source.questions.length - asked < 25, `${source.questions.length - asked} questions`)
  })

  t.test('a poller sends one request for each quiet poll', async (t) => {
    const { begin, publish, source, time } = prepared()
    for (let i = 0; i < 20; i++) publish(-i)
    for (let i = 0; i < 20; i++) publish(-1000 - i)
    await begin()
    await time.pass(3000)
    const asked = source.questions.length
    await time.pass(30_000)
    t.equal(source.questions.length - asked, 10)
  })

  t.test('a poller announces a batch again, complete, in the next poll if publish failed', async (t) => {
    steady(t)
    const { begin, entries, errors, polls, publish, poller, time } = prepared({ options: { publish: relay } })
    let isBroken = true
    const tried: string[][] = []
    async function relay (announcement: Announcement): Promise<void> {
      if (announcement.entries.length > 0) tried.push(announcement.entries.map(nameOf))
      if (isBroken) throw new Error('the relay is gone')
      entries.push(...announcement.entries)
    }
    const ids = [publish(-2), publish(-1)]
    await begin()
    t.same([entries, errors.length, poller.health().upstream, poller.health().fullReads], [[], 1, 'degraded', 0])
    t.equal(polls.length, 1)
    isBroken = false
    ids.push(publish(0))
    await time.pass(60_000)
    t.same(entries.map(nameOf), ids)
    t.same(tried, [ids.slice(0, 2), ids])
    t.equal(poller.health().upstream, 'ok')
  })

  t.test('a poller loses and duplicates nothing, whatever requests or publishes fail', async (t) => {
    steady(t)
    const happening = fc.record({
      afterMs: fc.integer({ min: 0, max: 20_000 }),
      lateMs: fc.constantFrom(0, 0, 0, 500, 30_000, 59_000)
    })
    const numbers = fc.uniqueArray(fc.integer({ min: 1, max: 60 }), { maxLength: 12 })
    await holdsAsync(
      t,
      fc.asyncProperty(
        fc.array(happening, { maxLength: 60 }),
        numbers,
        numbers,
        fc.integer({ min: 3, max: 40 }),
        async (happenings, failing, refusing, pageSize) => {
          let announcements = 0
          const { begin, entries, publish, poller, time } = prepared({
            fails: (reads) => failing.includes(reads) ? failed('unavailable') : undefined,
            options: { publish: relay, pageSize }
          })
          async function relay (announcement: Announcement): Promise<void> {
            if (refusing.includes(++announcements)) throw new Error('not now')
            entries.push(...announcement.entries)
          }
          const expected: string[] = []
          await begin()
          for (const { afterMs, lateMs } of happenings) {
            await time.pass(afterMs)
            expected.push(publish((time.nowMs() - lateMs) / 1000))
          }
          await time.pass(200_000)
          await poller.stop()
          const names = entries.map(nameOf)
          if (new Set(names).size !== names.length) throw new Error('something came twice')
          if (names.length !== expected.length) throw new Error(`${names.length} of ${expected.length} came`)
        }
      ),
      { numRuns: 30 }
    )
  })

  t.test('a poller continues after a failure, and reads nothing again', async (t) => {
    steady(t)
    const { begin, names, publish, source, poller, time } = prepared({
      fails: (reads) => reads === 5 ? failed('unavailable') : undefined,
      options: { pageSize: 10 }
    })
    const ids = Array.from({ length: 60 }, (_, i) => publish(-200 + i))
    await begin()
    t.equal(poller.health().upstream, 'degraded')
    t.ok(names().length > 0 && names().length < 60, 'what was read before it was announced')
    await time.pass(1000)
    t.same([names(), poller.health().upstream], [ids, 'ok'])
    t.same(source.questions[5], source.questions[4])
  })

  t.test('a poller sends at most 25 requests in five minutes of outage, and keeps its page size', async (t) => {
    steady(t)
    for (const isFirst of [true, false]) {
      let isOut = isFirst
      const { begin, names, publish, source, time } = prepared({
        fails: () => isOut ? failed('unavailable') : undefined
      })
      for (let i = 0; i < 100; i++) publish(-1000 - i)
      const ids = isFirst ? [] : [publish(-1)]
      await begin()
      await time.pass(10_000)
      isOut = true
      const asked = source.questions.length
      await time.pass(300_000)
      const requests = source.questions.length - asked
      t.ok(requests >= 6 && requests <= 25, `${requests} requests`)
      for (let i = 0; i < 80; i++) ids.push(publish(200 + i))
      isOut = false
      await time.pass(63_000)
      t.same(names(), ids)
      t.ok(source.questions.length - asked - requests < 30)
    }
  })

  t.test('a poller is throttled while it waits for the budget', async (t) => {
    let waitMs = 23_000
    const { begin, polls, source, poller, time } = prepared({ options: { budget: () => ({ waitMs, scarcity: 1 }) } })
    await begin()
    t.same([poller.health().upstream, time.waits()], ['throttled', [23_000]])
    const asked = source.questions.length
    await time.pass(22_999)
    t.equal(source.questions.length, asked)
    waitMs = 3000
    await time.pass(1)
    t.same(
      [poller.health().upstream, time.waits()],
      ['ok', [3000]],
      'what it would have waited anyway is no holding back'
    )
    t.same(polls.map(({ changed }) => changed), [true, true])
  })

  t.test('a poller reports the failure from the first one until it succeeds', async (t) => {
    steady(t)
    for (
      const [kind, state] of [
        ['unavailable', 'degraded'],
        ['unauthorized', 'unauthorized'],
        ['throttled', 'throttled'],
        ['budget', 'throttled']
      ] as const
    ) {
      let isOut = false
      const { begin, polls, poller, time } = prepared({ fails: () => isOut ? failed(kind, 5000) : undefined })
      await begin()
      isOut = true
      await time.pass(3000)
      t.same([poller.health().upstream, poller.health().sinceMs, poller.health().lagMs], [state, TEN_MS + 3000, 3000])
      await time.pass(200_000)
      t.equal(poller.health().sinceMs, TEN_MS + 3000)
      isOut = false
      await time.pass(60_000)
      t.equal(poller.health().upstream, 'ok')
      t.equal(polls.filter(({ changed }) => changed).length, 2, 'two changes are told')
    }
  })

  t.test('a poller reads the whole window in one answer, otherwise every 30 s or less often', async (t) => {
    const fullReads = async (events: number, scarcity: number) => {
      const { begin, publish, poller, time } = prepared({
        options: { pageSize: 10, budget: () => ({ waitMs: 0, scarcity }) }
      })
      for (let i = 0; i < events; i++) publish(-i)
      await begin()
      const before = poller.health().fullReads
      for (let i = 0; i < 1200; i += 3) {
        if (events > 10) publish()
        await time.pass(3000)
      }
      return poller.health().fullReads - before
    }
    t.equal(await fullReads(5, 0), 400)
    t.equal(await fullReads(5, 1), 400)
    t.equal(await fullReads(100, 0), 40)
    t.equal(await fullReads(100, 0.5), 40)
    t.equal(await fullReads(100, 1), 10)
  })

  t.test('a poller does not reread a burst for long, and still finds late events', async (t) => {
    const { begin, entries, publish, source, time } = prepared({ options: { pageSize: 10 } })
    for (let i = 0; i < 500; i++) publish(-1)
    await begin()
    const inRead = source.questions.length
    const askedWithin = async (ms: number) => {
      const before = source.questions.length
      await time.pass(ms)
      return source.questions.length - before
    }
    t.equal(await askedWithin(9000), 2 * inRead - 1, 'twice more, for events that come late by some seconds')
    t.ok(await askedWithin(LATENESS_MS) < (LATENESS_MS / 30_000) * inRead + LATENESS_MS / 3000, 'later ones by sweeps')
    publish((time.nowMs() - 0.95 * LATENESS_MS) / 1000, 'late')
    await time.pass(60_000)
    t.same(entries.slice(500).map(nameOf), ['late'])
    t.equal(await askedWithin(60_000), 20, 'one a poll')
    t.equal(entries.length, 501)
  })

  t.test('a poller announces recent events with the next poll, also with a window of several answers', async (t) => {
    const { begin, names, publish, time } = prepared({
      options: { pageSize: 10, budget: () => ({ waitMs: 20_000, scarcity: 1 }) }
    })
    for (let i = 0; i < 50; i++) publish(-1)
    await begin()
    for (let i = 0; i < 10; i++) {
      await time.pass(1000)
      const id = publish(time.nowMs() / 1000 - 4)
      t.notOk(names().includes(id))
      await time.pass(19_000)
      t.ok(names().includes(id), `event ${i}`)
      await time.pass(20_000)
    }
  })

  t.test('a poller announces a later high-water mark alone, once, if a read found no event', async (t) => {
    const marks: Array<[number, bigint]> = []
    const { begin, publish, time } = prepared({
      options: {
        publish: async ({ entries, highWater }) => {
          marks.push([entries.length, highWater])
        }
      }
    })
    publish(-1)
    await begin()
    await time.pass(9000)
    t.same(marks, [[1, at(-300 + LATENESS_MS / 1000)], [0, at(-1)]])
  })

  t.test('a poller marks no current event as late', async (t) => {
    const { begin, entries, publish, time } = prepared()
    await begin()
    publish(4, 'dated a second ahead')
    await time.pass(3500)
    publish()
    await time.pass(3000)
    t.same(entries.map((each) => 'event' in each && each.late), [false, false])
  })

  t.test('a poller announces late events with the next full read, once, and recent ones at once', async (t) => {
    const { begin, entries, publish, time } = prepared({ options: { pageSize: 10 } })
    for (let i = 100; i > 0; i--) publish(-i)
    await begin()
    await time.pass(9000)
    publish(9, 'recent')
    publish(-59, 'late')
    await time.pass(3000)
    t.same([entries.map(nameOf).includes('recent'), entries.map(nameOf).includes('late')], [true, false])
    await time.pass(60_000)
    t.same(entries.filter((each) => nameOf(each) === 'late').map((each) => 'event' in each && each.late), [true])
    t.equal(new Set(entries.map(nameOf)).size, entries.length)
  })

  t.test('a poller announces an unreadable row once, in its position, and all other events', async (t) => {
    steady(t)
    for (const kind of ['too-large', 'invalid', 'unavailable'] as const) {
      for (const pageSize of [10, 100]) {
        const { begin, entries, publish, poller, time } = prepared({
          quirks: { spoils: ({ id }) => String(id).startsWith('bad') ? kind : undefined },
          options: { pageSize }
        })
        const expected = Array.from({ length: 30 }, (_, i) => publish(-60 + i))
        publish(-29.5, 'bad')
        expected.push('gap')
        await begin()
        await time.pass(60_000)
        for (let i = 0; i < 40; i++) {
          expected.push(publish())
          await time.pass(5000)
        }
        t.same(entries.map((each) => 'gap' in each ? 'gap' : each.event.id), expected, `${kind}, pages of ${pageSize}`)
        const [gap] = entries.flatMap((each) => 'gap' in each ? [each.gap] : [])
        t.ok(gap !== undefined && gap.from <= at(-29.5) && gap.to >= at(-29.5))
        t.equal(poller.health().upstream, 'ok')
      }
    }
  })

  t.test('a poller does not spend its budget on the same unreadable row', async (t) => {
    steady(t)
    for (const kind of ['too-large', 'invalid'] as const) {
      const { begin, publish, source, time } = prepared({
        quirks: { spoils: ({ id }) => id === 'bad' ? kind : undefined },
        options: { maxIntervalMs: 30_000 }
      })
      for (let i = 0; i < 100; i++) publish(-1000 - i)
      for (let i = 0; i < 20; i++) publish(-40 + i)
      publish(-30.5, 'bad')
      await begin()
      await time.pass(30_000)
      const asked = source.questions.length
      await time.pass(300_000)
      t.ok(source.questions.length - asked < 300, `${source.questions.length - asked} questions in a hundred intervals`)
    }
  })

  t.test('a poller is degraded and announces nothing while too many rows are unsorted', async (t) => {
    steady(t)
    const { begin, names, polls, publish, source, time } = prepared({
      quirks: { ignoresSort: true },
      options: { pageSize: 10, scanLimit: 50 }
    })
    const published = Array.from({ length: 80 }, (_, n) => publish(n / 10))
    await begin()
    await time.pass(30_000)
    t.match(polls.at(-1)?.health, { upstream: 'degraded' })
    t.same(names(), [])
    source.lose(40)
    await time.pass(120_000)
    t.match(polls.at(-1)?.health, { upstream: 'ok' })
    t.same(names().filter((name) => published.slice(40).includes(name)), published.slice(40), 'in order, each once')
  })

  t.test('a poller announces each new row if no row is readable', async (t) => {
    steady(t)
    const { begin, entries, publish, time } = prepared({ quirks: { spoils: () => 'too-large' } })
    await begin()
    for (let seconds = 1; seconds < 60; seconds += 10) {
      publish(time.nowMs() / 1000, `bad${seconds}`)
      await time.pass(10_000)
    }
    const gaps = entries.flatMap((each) => 'gap' in each ? [each.gap] : [])
    for (let seconds = 0; seconds < 60; seconds += 10) {
      t.ok(gaps.some(({ from, to }) => from <= at(seconds) && at(seconds) <= to), `${seconds} s`)
    }
    t.ok(gaps.length <= 6)
  })

  t.test('a poller announces several unreadable rows, in one or more gaps, and no other gap', async (t) => {
    steady(t)
    const happening = fc.record({
      afterMs: fc.integer({ min: 200, max: 9000 }),
      kind: fc.constantFrom(undefined, undefined, undefined, undefined, 'too-large' as const, 'invalid' as const)
    })
    await holdsAsync(
      t,
      fc.asyncProperty(
        fc.array(happening, { maxLength: 40 }),
        fc.integer({ min: 3, max: 40 }),
        async (happenings, pageSize) => {
          const kinds = new Map<string, FailureKind>()
          const { begin, entries, publish, poller, time } = prepared({
            quirks: { spoils: ({ id }) => kinds.get(String(id)) },
            options: { pageSize }
          })
          const readable: string[] = []
          const spoilt: number[] = []
          await begin()
          for (const { afterMs, kind } of happenings) {
            await time.pass(afterMs)
            const id = `n${readable.length + spoilt.length}`
            if (kind !== undefined) kinds.set(id, kind)
            publish(time.nowMs() / 1000, id)
            if (kind === undefined) readable.push(id)
            else spoilt.push(time.nowMs() / 1000)
          }
          await time.pass(200_000)
          await poller.stop()
          const given = entries.flatMap((each) => 'event' in each ? [each.event.id] : [])
          const gaps = entries.flatMap((each) => 'gap' in each ? [each.gap] : [])
          if (given.join() !== readable.join()) throw new Error(`${given.length} of ${readable.length} came`)
          const silent = spoilt.filter((seconds) =>
            !gaps.some(({ from, to }) => from <= at(seconds) && at(seconds) <= to)
          )
          if (silent.length > 0) throw new Error(`nothing was said of ${silent.join()}`)
          if (gaps.length > spoilt.length) throw new Error(`${gaps.length} gaps for ${spoilt.length}`)
        }
      ),
      { numRuns: 30 }
    )
  })

  t.test('a poller reduces its lateness after too many events, and reports it', async (t) => {
    const { begin, names, publish, poller, time } = prepared({ mostKnown: 50 })
    const ids: string[] = []
    await begin()
    for (let i = 0; i < 100; i++) {
      ids.push(publish())
      await time.pass(1000)
    }
    await time.pass(3000)
    t.same(names(), ids)
    t.equal(poller.health().upstream, 'degraded')
    const { latenessMs = 0 } = poller.health()
    t.ok(latenessMs > 40_000 && latenessMs < 60_000, `${latenessMs} ms`)
    for (let i = 0; i < 10; i++) {
      publish()
      await time.pass(30_000)
    }
    t.match(poller.health(), { upstream: 'ok', latenessMs: undefined })
  })

  t.test('a poller has one request in flight', async (t) => {
    let open = () => {}
    const { begin, source, poller, time } = prepared()
    const authenticator = new Promise<void>((resolve) => { open = resolve })
    const read = source.read
    source.read = async (query, purpose) => {
      await authenticator
      return read(query, purpose)
    }
    await begin()
    poller.start()
    poller.wake()
    await time.pass(600_000)
    t.equal(source.questions.length, 0)
    open()
    await settled()
    t.equal(source.questions.length, 2, 'the newest page, and the window')
  })

  t.test('a poller polls soon on wake, but not before the interval, in a back-off or without budget', async (t) => {
    steady(t)
    let isOut = false
    let waitMs = 0
    const { begin, source, poller, time } = prepared({
      fails: () => isOut ? failed('unauthorized') : undefined,
      options: { subscriberCount: () => 0, budget: () => ({ waitMs, scarcity: 0 }) }
    })
    await begin()
    await time.pass(500)
    const asked = () => source.questions.length - 2
    poller.wake()
    await time.pass(2499)
    t.equal(asked(), 0)
    await time.pass(1)
    t.equal(asked(), 1)
    waitMs = 10_000
    poller.wake()
    await time.pass(9999)
    t.equal(asked(), 1)
    await time.pass(1)
    t.equal(asked(), 2)
    waitMs = 0
    isOut = true
    await time.pass(60_000)
    t.equal(asked(), 3)
    poller.wake()
    await time.pass(59_999)
    t.equal(asked(), 3, 'a refused credential is tried once a minute, whoever comes')
  })

  t.test('a poller sends no request while another replica leads', async (t) => {
    let leads = false
    const { begin, names, poller, publish, source, time } = prepared({ options: { isLeader: () => leads } })
    publish(-1)
    await begin()
    await time.pass(10_000)
    t.equal(source.questions.length, 0)
    await time.pass(600_000)
    t.equal(poller.health().isPolling, true, 'a follower waits for its turn')
    const ids = [publish()]
    leads = true
    await time.pass(10_000)
    t.same(names(), ids)
  })

  t.test('a poller stops after the current answer, and announces none of it', async (t) => {
    const { begin, names, publish, polls, poller, time } = prepared()
    await begin()
    publish(0)
    const stopped = poller.stop()
    await time.pass(60_000)
    await stopped
    t.same([names(), polls.length, time.waits()], [[], 1, []])
  })

  t.test("a poller follows the upstream's clock if ours is wrong, and no event moves it past that", async (t) => {
    const { begin, source, poller, time } = prepared()
    const read = source.read
    let aheadMs = 300_000
    source.read = async (query, purpose) => {
      const answer = await read(query, purpose)
      return answer.ok ? { ...answer, upstreamMs: TEN_MS + time.nowMs() + aheadMs } : answer
    }
    await begin()
    t.equal(poller.lowWatermark(), instantFromMs(TEN_MS - 300_000), 'five minutes before the clock that is behind')
    await time.pass(9000)
    t.equal(poller.upstreamClock(), TEN_MS + time.nowMs() + 300_000, 'several answers agree')
    aheadMs = 1500
    await time.pass(30_000)
    t.equal(poller.upstreamClock(), TEN_MS + time.nowMs(), '`Date` has whole seconds: that much is no difference')
  })

  t.test('a poller announces an event of the future, and moves no further than now', async (t) => {
    const highWaters: bigint[] = []
    const { begin, entries, publish, time } = prepared({ options: { publish: relay } })
    async function relay (announcement: Announcement): Promise<void> {
      entries.push(...announcement.entries)
      highWaters.push(announcement.highWater)
    }
    publish(3600, 'future')
    await begin()
    publish(-30, 'late')
    await time.pass(3000)
    t.same(entries.map((each) => [nameOf(each), 'event' in each && each.late]), [['future', false], ['late', true]])
    t.ok(highWaters.length >= 2 && highWaters.every((each) => each <= at(0.001)))
  })
})
