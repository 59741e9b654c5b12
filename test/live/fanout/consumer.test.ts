import t from 'tap'
import { parseInstant } from '../../../src/audit/instant.ts'
import { CLOSE } from '../../../src/live/transport/close-codes.ts'
import {
  NOW,
  createLine,
  createStage,
  cursorOf,
  happen,
  healthOf,
  idsOf,
  placeOf,
  typesOf,
  type Line,
  type Stage
} from '../../support/stage.ts'
import { at } from '../../support/timeline.ts'

/** The size of an event's frame. */
async function bytesOf (stage: Stage): Promise<number> {
  const line = createLine()
  const { subscription, turns } = stage.listen({ from: at(-300) }, line)
  await turns()
  subscription.disconnected()
  return Math.max(...line.frames.filter(({ type }) => type === 'event').map((frame) => JSON.stringify(frame).length))
}

t.test('consumer', async (t) => {
  t.test('a consumer sends hello, then the existing events, then new ones, each in one synchronous step', async (t) => {
    const stage = createStage()
    happen(stage, 3)
    const line = createLine()
    stage.listen(NOW, line)
    t.equal(line.frames[0]?.type, 'hello')
    t.same(cursorOf(line.frames[0]), stage.log.cursorAt(0), 'the first entry that is not too old')
    const { turns } = stage.listen(NOW, createLine())
    await turns()
    happen(stage, 2, 3)
    t.same(line.faults, [])
  })

  t.test('a consumer misses nothing that enters between its start and its first turn', async (t) => {
    const stage = createStage()
    happen(stage, 3)
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    happen(stage, 3, 3)
    await turns()
    t.same(line.ids(), idsOf(6))
  })

  t.test('a consumer resumes exactly after each cursor, in the replay and in the log', async (t) => {
    const stage = createStage()
    happen(stage, 5)
    const first = createLine()
    const { turns } = stage.listen(NOW, first)
    await turns()
    happen(stage, 5, 5)
    t.same(first.ids(), idsOf(10))
    for (const [i, frame] of first.frames.filter(({ type }) => type === 'event').entries()) {
      const since = placeOf(frame)
      t.same(since, stage.log.cursorAt(i + 1))
      const line = createLine()
      await stage.listen({ since }, line).turns()
      t.match(line.frames[0], { type: 'hello', resumed: true })
      t.same(line.ids(), idsOf(9 - i, i + 1))
    }
  })

  t.test('a consumer sends matching events, and a cursor after the others', async (t) => {
    const stage = createStage()
    for (const [i, id] of idsOf(6).entries()) stage.publish(id, i, { category_type: i % 2 === 0 ? 'a' : 'b' })
    stage.pass(6)
    stage.poll()
    const line = createLine()
    const { subscription, turns } = stage.listen(NOW, line, { filter: { category_type: 'a' } })
    await turns()
    for (const [i, id] of idsOf(5, 6).entries()) stage.publish(id, 6 + i, { category_type: i === 0 ? 'a' : 'b' })
    stage.pass(6)
    stage.poll()
    t.same(line.ids(), ['e0', 'e2', 'e4', 'e6'])
    t.same(cursorOf(line.frames.at(-1)), stage.log.cursorAt(7))
    subscription.heartbeat(healthOf({ lagMs: 40 }))
    t.match(line.frames.at(-1), { type: 'heartbeat', upstream: 'ok', lag_ms: 40 })
    t.same(cursorOf(line.frames.at(-1)), stage.log.end(), 'what was filtered out is behind it')
  })

  t.test('a consumer sends a replay in turns of half a million characters, matching or not', async (t) => {
    const stage = createStage({ backlogBytes: 65_536 })
    for (let i = 0; i < 20; i++) {
      stage.publish(`a${i}`, i, { category_type: 'a' })
      stage.publish(`b${i}`, i + 0.5, { category_type: 'b', pad: 'x'.repeat(100_000) })
    }
    stage.pass(20)
    stage.poll()
    const line = createLine()
    await stage.listen({ from: at(-300) }, line, { filter: { category_type: 'a' } }).turns()
    t.same(line.sends, [1, 6, 6, 6, 2])
  })

  t.test('a consumer has a cursor with a later instant after a batch without entries', async (t) => {
    const stage = createStage()
    happen(stage, 3)
    const line = createLine()
    const { subscription, turns } = stage.listen(NOW, line)
    await turns()
    const before = stage.log.end()
    const later = before.instant + 1_000_000_000n
    stage.enter([], later)
    subscription.heartbeat(healthOf({}))
    t.same(cursorOf(line.frames.at(-1)), { ...before, instant: later })
  })

  t.test('a consumer sends a gap in its position, whatever its filter', async (t) => {
    const stage = createStage()
    happen(stage, 2)
    const [early, late] = [createLine(), createLine()]
    const { turns } = stage.listen(NOW, early, { filter: { category_type: 'none' } })
    await turns()
    stage.gap(2, 2.5)
    happen(stage, 1, 2)
    await stage.listen(NOW, late).turns()
    t.same([typesOf(early), typesOf(late)], [['hello', 'gap'], ['hello', 'event', 'event', 'gap', 'event']])
    t.match(early.frames[1], {
      type: 'gap',
      from: '2025-06-03T10:00:02Z',
      to: '2025-06-03T10:00:02.5Z',
      reason: 'too-large'
    })
    t.same(cursorOf(early.frames[1]), stage.log.cursorAt(3))
  })

  t.test('a consumer sends a gap once, also if the log moves on after it, and after a resume', async (t) => {
    const stage = createStage()
    happen(stage, 3)
    stage.gap(3, 3.5)
    happen(stage, 3, 3)
    const line = createLine(10)
    line.block()
    const { turns } = stage.listen(NOW, line)
    for (let i = 0; i < 20; i++) {
      await turns()
      line.drain()
      happen(stage, 1, 6 + i)
    }
    t.same(line.ids().slice(0, 6), idsOf(6))
    const gaps = line.frames.filter(({ type }) => type === 'gap')
    t.equal(gaps.length, 1)
    const since = placeOf(gaps[0])
    const later = createLine()
    await stage.listen({ since }, later).turns()
    t.same([later.ids().slice(0, 3), typesOf(later).includes('gap')], [idsOf(3, 3), false])
  })

  t.test("a consumer continues in the log's past while the log moves on, without loss or duplicates", async (t) => {
    for (const maxEvents of [12, 40]) {
      const stage = createStage({ historyEvents: maxEvents })
      happen(stage, 12)
      const line = createLine(10)
      line.block()
      const { turns } = stage.listen({ from: at(1) }, line)
      for (let i = 0; i < 40; i++) {
        await turns()
        line.drain()
        stage.pass(1)
        stage.publish(`e${12 + 2 * i}`)
        stage.publish(`e${13 + 2 * i}`, stage.now() - 5.5)
        stage.poll()
      }
      line.unblock()
      for (let i = 0; i < 120; i++) await turns()
      t.same(
        [line.ids().toSorted(), line.faults],
        [idsOf(92).toSorted(), []],
        `a log of ${maxEvents}`
      )
    }
  })

  t.test('a consumer waits for a log that is not filled yet', async (t) => {
    const stage = createStage({ isFilled: false })
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    happen(stage, 3)
    await turns()
    t.same(typesOf(line), ['hello'])
    t.same(cursorOf(line.frames[0]), {
      kind: 'replay',
      log: { kind: 'log', epoch: 'epoch1', offset: 0, instant: at(-300) },
      after: { instant: at(0), id: '' }
    })
    stage.fill()
    stage.tell()
    await turns()
    t.same(line.ids(), idsOf(3))
  })

  t.test('a consumer catches up in batches, in turns with others', async (t) => {
    const stage = createStage()
    for (const id of idsOf(1000)) stage.publish(id)
    stage.poll()
    const line = createLine(10_000_000)
    const { turns } = stage.listen({ from: at(-1) }, line)
    t.ok(line.ids().length < 300, `${line.ids().length} at once`)
    await turns()
    t.same(new Set(line.ids()), new Set(idsOf(1000)))
    t.ok(Math.max(...line.sends) <= 256)
  })
})

t.test('slow consumer', async (t) => {
  t.test('a slow consumer never sends more than fits, except a single frame to an empty backlog', async (t) => {
    const stage = createStage()
    happen(stage, 20)
    const bytes = await bytesOf(stage)
    for (const capacity of [10, bytes - 1, bytes, 2 * bytes, 5 * bytes]) {
      const line = createLine(capacity)
      line.block()
      const { turns } = stage.listen(NOW, line)
      const rounds: number[] = []
      for (let i = 0; i < 30; i++) {
        await turns()
        rounds.push(line.frames.length)
        line.drain()
      }
      t.same([line.ids(), line.faults], [idsOf(20), []], `room for ${capacity}`)
      t.ok((rounds[1] ?? 0) - (rounds[0] ?? 0) <= Math.max(1, Math.floor(capacity / (bytes - 20))))
    }
  })

  t.test('a slow consumer continues from the log when its backlog is flushed', async (t) => {
    const stage = createStage()
    const line = createLine(1000)
    const { subscription, turns } = stage.listen(NOW, line)
    await turns()
    line.block()
    happen(stage, 50)
    const delivered = line.ids().length
    t.ok(delivered > 0 && delivered < 10)
    line.drain(line.backlogBytes() - 1)
    t.equal(line.ids().length, delivered, 'something still waits')
    line.drain(1)
    await stage.turn()
    t.ok(line.ids().length > delivered)
    line.unblock()
    for (let i = 0; i < 30; i++) await turns()
    t.same([line.ids(), line.faults], [idsOf(50), []])
    subscription.heartbeat(healthOf({}))
    t.same(cursorOf(line.frames.at(-1)), stage.log.end())
    t.ok(line.frames.slice(-40).every((frame) => cursorOf(frame)?.kind === 'log'))
  })

  t.test('a slow consumer whose position was evicted continues by backfill, without loss or duplicates', async (t) => {
    for (const historyEvents of [5, 30]) {
      const stage = createStage({ historyEvents })
      const line = createLine(1000)
      const { turns } = stage.listen(NOW, line)
      await turns()
      happen(stage, 3)
      await turns()
      line.block()
      happen(stage, 40, 3)
      await turns()
      line.unblock()
      for (let i = 0; i < 40; i++) await turns()
      happen(stage, 3, 43)
      await turns()
      t.same(
        [line.ids(), line.faults, typesOf(line).includes('gap')],
        [idsOf(46), [], false],
        `a log of ${historyEvents}`
      )
    }
  })

  t.test('a slow consumer continues by backfill after one batch that evicted more than the lateness', async (t) => {
    const stage = createStage({ historyEvents: 5, latenessMs: 10_000 })
    const line = createLine(1000)
    const { subscription, turns } = stage.listen(NOW, line)
    await turns()
    happen(stage, 3)
    line.block()
    for (const id of idsOf(100, 3)) {
      stage.pass(1)
      stage.publish(id)
    }
    stage.poll()
    subscription.end(CLOSE.slow)
    const since = placeOf(line.frames.at(-1))
    const later = createLine(1_000_000)
    await stage.listen({ since }, later).turns()
    t.same(new Set([...line.ids(), ...later.ids()]), new Set(idsOf(103)))
  })

  t.test('a slow consumer sends a gap when its position is evicted again and again', async (t) => {
    const stage = createStage({ historyEvents: 4 })
    const line = createLine(400)
    const { turns } = stage.listen(NOW, line)
    await turns()
    happen(stage, 2)
    await turns()
    line.block()
    for (let round = 0, next = 2; round < 6; round++, next += 20) {
      happen(stage, 20, next)
      await turns()
    }
    line.unblock()
    for (let i = 0; i < 200; i++) await turns()
    happen(stage, 2, 122)
    for (let i = 0; i < 5; i++) await turns()
    const gaps = line.frames.flatMap((frame) => frame.type === 'gap' ? [frame] : [])
    const ids = new Set(line.ids())
    const missing = stage.items.filter(({ item, seconds }) =>
      !ids.has(String(item.id)) &&
      !gaps.some(({ from, to }) =>
        (parseInstant(from) ?? 0n) <= at(seconds) && at(seconds) <= (parseInstant(to) ?? 0n)
      )
    )
    t.same(missing, [])
    t.equal(ids.size, line.ids().length, 'nothing came twice')
    t.same(line.faults, [])
    t.ok(gaps.length <= 1 && gaps.every(({ reason }) => reason === 'history-evicted'))
    t.same(line.ids().slice(-2), idsOf(2, 122))
  })

  t.test('a slow consumer sends the latest status when there is room', async (t) => {
    const stage = createStage()
    const line = createLine(300)
    const { turns } = stage.listen(NOW, line)
    await turns()
    line.block()
    happen(stage, 5)
    const delivered = line.frames.length
    stage.tell({ failure: { ok: false, kind: 'timeout' }, isHeldBack: false, latenessMs: undefined })
    stage.tell({ failure: { ok: false, kind: 'unauthorized' }, isHeldBack: false, latenessMs: undefined })
    t.equal(line.frames.length, delivered)
    line.unblock()
    for (let i = 0; i < 10; i++) await turns()
    t.same(line.frames.flatMap((frame) => frame.type === 'status' ? [frame.upstream] : []), ['unauthorized'])
    t.same([line.ids(), line.faults], [idsOf(5), []])
  })

  t.test('a slow consumer skips heartbeats and verbose statuses without room', async (t) => {
    const stage = createStage()
    const line = createLine(300)
    const { subscription, turns } = stage.listen(NOW, line, { verbose: true })
    await turns()
    line.block()
    happen(stage, 5)
    const delivered = line.frames.length
    subscription.heartbeat(healthOf({}))
    subscription.healthChanged(healthOf({}))
    t.equal(line.frames.length, delivered)
    t.same(line.faults, [])
  })

  t.test('a slow consumer ends when its backlog has not shrunk for the limit, and not before', async (t) => {
    const stage = createStage({ stallMs: 30_000 })
    const line = createLine(400)
    const { ended, subscription, turns } = stage.listen(NOW, line)
    await turns()
    stage.pass(100)
    subscription.check()
    t.equal(ended(), 0, 'nothing waits for it')
    line.block()
    for (const id of idsOf(10)) stage.publish(id)
    stage.poll()
    for (let i = 0; i < 5; i++) {
      line.drain(10)
      subscription.check()
      stage.pass(29.9)
      subscription.check()
      t.equal(ended(), 0)
    }
    stage.pass(0.1)
    subscription.check()
    t.same([ended(), line.endings], [1, [CLOSE.slow]])
    const last = line.frames.at(-1)
    t.match(last, { type: 'end', reason: 'slow', reconnect: true })
  })

  t.test('a slow consumer has the whole limit from the first check that finds a backlog', async (t) => {
    const stage = createStage({ stallMs: 30_000 })
    const line = createLine()
    const { ended, subscription, turns } = stage.listen(NOW, line)
    await turns()
    stage.pass(3600)
    subscription.check()
    line.block()
    happen(stage, 1)
    stage.pass(29.9)
    subscription.check()
    t.equal(ended(), 0)
    stage.pass(29.9)
    subscription.check()
    t.equal(ended(), 0)
    stage.pass(0.1)
    subscription.check()
    t.equal(ended(), 1)
  })
})

t.test('end of a stream', async (t) => {
  t.test('a stream ends when its transport reports that the client is gone', async (t) => {
    const stage = createStage()
    let isThere = true
    const line: Line = { ...createLine(), keepAlive: () => isThere }
    const { ended, subscription } = stage.listen(NOW, line)
    subscription.check()
    t.equal(ended(), 0)
    isThere = false
    subscription.check()
    t.same([ended(), line.endings], [1, [CLOSE.slow]])
  })

  t.test('a stream ends once, with an end frame and a cursor, and nothing follows', async (t) => {
    const stage = createStage()
    const line = createLine(400)
    const { ended, subscription, turns } = stage.listen(NOW, line)
    await turns()
    line.block()
    happen(stage, 10)
    const delivered = line.ids()
    subscription.end(CLOSE.timeout)
    t.match(line.frames.at(-1), { type: 'end', reason: 'timeout', reconnect: false })
    t.same(cursorOf(line.frames.at(-1)), stage.log.cursorAt(delivered.length), 'the place behind what it was given')
    const frames = line.frames.length
    happen(stage, 3, 10)
    line.unblock()
    subscription.end(CLOSE.shutdown)
    subscription.heartbeat(healthOf({}))
    subscription.sendStatus()
    subscription.healthChanged(healthOf({ upstream: 'degraded' }))
    subscription.start()
    subscription.check()
    subscription.disconnected()
    await turns()
    t.same([line.frames.length, line.endings, ended(), line.faults], [frames, [CLOSE.timeout], 1, []])
  })

  t.test('a stream without a connection sends nothing, and leaves its replay', async (t) => {
    const stage = createStage()
    stage.source.read = (query) => {
      stage.source.questions.push(query)
      return new Promise(() => {})
    }
    const [first, second] = [createLine(), createLine()]
    const { ended, subscription } = stage.listen({ from: at(-3600) }, first)
    await stage.turn()
    t.same([typesOf(first), stage.source.questions.length], [['hello'], 1])
    subscription.disconnected()
    subscription.disconnected()
    t.same([typesOf(first), ended(), first.endings], [['hello'], 1, []])
    stage.listen({ from: at(-3600) }, second).subscription.disconnected()
    await stage.turn()
    t.equal(stage.source.questions.length, 1, 'the replay is shared')
  })

  t.test('a stream begins with a status if Kubiya is not ok, or if it is verbose', async (t) => {
    const stage = createStage()
    const [plain, verbose] = [createLine(), createLine()]
    stage.listen(NOW, plain)
    const { subscription, turns } = stage.listen(NOW, verbose, { verbose: true })
    await turns()
    subscription.healthChanged(healthOf({ lagMs: 12 }))
    t.same([typesOf(plain), typesOf(verbose)], [['hello'], ['hello', 'status', 'status']])
    t.match(verbose.frames[2], { upstream: 'ok', lag_ms: 12 })
    stage.tell({ failure: { ok: false, kind: 'throttled' }, isHeldBack: false, latenessMs: undefined })
    const unwell = createLine()
    await stage.listen(NOW, unwell).turns()
    t.same(typesOf(unwell), ['hello', 'status'])
    t.match(unwell.frames[1], { upstream: 'throttled' })
  })

  t.test('a status has lateness_ms while it is reduced', async (t) => {
    const stage = createStage()
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    await turns()
    stage.tell({ failure: undefined, isHeldBack: false, latenessMs: 4000 })
    await turns()
    stage.tell()
    await turns()
    t.match(line.frames.slice(1), [{ type: 'status', upstream: 'degraded', lateness_ms: 4000 }, {
      type: 'status',
      upstream: 'ok'
    }])
    t.notOk('lateness_ms' in (line.frames[2] ?? {}))
  })
})
