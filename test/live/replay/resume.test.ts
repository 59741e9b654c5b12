import t from 'tap'
import { formatInstant, parseInstant } from '../../../src/audit/instant.ts'
import { dated } from '../../contracts/memory-source.ts'
import { NOW, createLine, createStage, cursorOf, happen, idsOf, placeOf, typesOf } from '../../support/stage.ts'
import { at } from '../../support/timeline.ts'

t.test('replay from Kubiya', async (t) => {
  /** Listens from before the log, whose subscribers so far were given `evicted` events that it keeps no more. */
  const evicted = (options: Parameters<typeof createStage>[0] = {}) => {
    const stage = createStage({ historyEvents: 5, ...options })
    happen(stage, 40)
    return stage
  }

  t.test('a replay delivers the whole past in the order of instants, then the log, each once', async (t) => {
    const stage = evicted()
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    happen(stage, 5, 40)
    await turns()
    happen(stage, 5, 45)
    await turns()
    t.same(line.ids(), idsOf(50))
    const kinds = line.frames.flatMap((frame) => frame.type === 'event' ? [cursorOf(frame)?.kind] : [])
    t.same(
      kinds,
      [...Array.from({ length: 40 }, () => 'replay'), ...Array.from({ length: 10 }, () => 'log')],
      "what came after its place was taken is the log's"
    )
  })

  t.test('a replay leaves events that are visible but not in the log yet to the log', async (t) => {
    const stage = evicted()
    stage.publish('early', stage.now())
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    await turns()
    t.same(line.ids(), idsOf(40))
    stage.poll()
    t.same(line.ids(), [...idsOf(40), 'early'])
  })

  t.test('a replay delivers what is older than anything that may still enter the log', async (t) => {
    const stage = evicted()
    stage.publish('ancient', 1.5)
    const line = createLine()
    await stage.listen(NOW, line).turns()
    stage.poll()
    t.same(line.ids().filter((id) => id === 'ancient'), ['ancient'])
    t.equal(line.ids().length, 41)
  })

  t.test('a replay stops at its limit with a gap, and continues live', async (t) => {
    const stage = evicted({ replayLimit: 10 })
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    await turns()
    happen(stage, 2, 40)
    await turns()
    t.same(line.ids(), [...idsOf(10), ...idsOf(2, 40)])
    t.match(line.frames[11], {
      type: 'gap',
      reason: 'replay-limit',
      from: '2025-06-03T10:00:11Z',
      to: '2025-06-03T10:00:40Z'
    })
    t.same(cursorOf(line.frames[11]), stage.log.cursorAt(40))
  })

  t.test('a replay that Kubiya does not answer has a gap, and continues live', async (t) => {
    const { random } = Math
    Math.random = () => 0
    t.teardown(() => { Math.random = random })
    const stage = evicted()
    const read = stage.source.read
    let reads = 0
    stage.source.read = async (query, purpose) =>
      ++reads > 2 ? { ok: false, kind: 'throttled' } : read({ ...query, pageSize: 10 }, purpose)
    const line = createLine()
    const { turns } = stage.listen(NOW, line)
    for (let i = 0; i < 200 && !typesOf(line).includes('gap'); i++) {
      await turns()
    }
    happen(stage, 1, 40)
    const gap = line.frames.find(({ type }) => type === 'gap')
    t.match(gap, { reason: 'upstream-outage', to: '2025-06-03T10:00:40Z' })
    const delivered = line.ids().length - 1
    t.ok(delivered >= 8 && delivered < 30)
    t.same(line.ids(), [...idsOf(delivered), 'e40'])
    t.equal(gap?.type === 'gap' && parseInstant(gap.from), at(delivered + 1))
  })

  for (const order of [[20, 22, 25, 27], [27, 25, 22, 20]]) {
    t.test(`a replay is shared by streams that return after ${order.join(', ')}, each with its filter`, async (t) => {
      const stage = createStage({ historyEvents: 5 })
      const early = createLine()
      await stage.listen(NOW, early).turns()
      for (const [i, id] of idsOf(40).entries()) {
        stage.pass(1)
        stage.publish(id, stage.now(), { category_type: i % 2 === 0 ? 'a' : 'b' })
        stage.poll()
      }
      const asked = stage.source.questions.length
      const cursors = early.frames.flatMap((frame) => frame.type === 'event' ? [cursorOf(frame)] : [])
      for (const i of order) {
        const since = cursors[i]
        if (since === undefined) throw new Error('an event has a cursor')
        const line = createLine()
        await stage.listen({ since }, line, { filter: { category_type: 'a' } }).turns()
        t.match(line.frames[0], { type: 'hello', resumed: false })
        t.same(line.ids(), idsOf(40).filter((_, n) => n > i && n % 2 === 0), `behind event ${i}`)
      }
      t.ok(stage.source.questions.length - asked <= 3, `${stage.source.questions.length - asked} requests for four`)
    })
  }

  t.test('a replay reads with the filter of its stream after ten pages for every filter', async (t) => {
    const stage = createStage({ historyEvents: 5, replayLimit: 20_000 })
    const early = createLine()
    await stage.listen(NOW, early).turns()
    happen(stage, 3)
    const since = placeOf(early.frames.at(-1))
    const ids = idsOf(10_500, 3)
    const items = ids.map((id, i) => ({
      seconds: 4 + i / 10,
      item: { id, timestamp: formatInstant(at(4 + i / 10)), category_type: i % 100 === 0 ? 'a' : 'b' }
    }))
    stage.items.push(...items)
    stage.source.keep(...items.map(({ item }) => dated(item)))
    stage.pass(1200)
    stage.poll()
    const line = createLine()
    await stage.listen({ since }, line, { filter: { category_type: 'a' } }).turns()
    t.same(line.ids(), ids.filter((_, i) => i % 100 === 0))
    t.notOk(typesOf(line).includes('gap'))
    const filters = stage.source.questions.map(({ filter }) => filter.category_type)
    t.same(filters.slice(-11), [...Array(10).fill(undefined), 'a'])
  })

  t.test('a replay resumes exactly from its own cursor while its position is held', async (t) => {
    const stage = evicted()
    const first = createLine()
    await stage.listen(NOW, first).turns()
    const since = placeOf(first.frames[20])
    happen(stage, 3, 40)
    const line = createLine()
    await stage.listen({ since }, line).turns()
    t.match(line.frames[0], { resumed: true })
    t.same(line.ids(), idsOf(23, 20))
  })

  t.test('a replay repeats nothing to a stream that resumes in the middle of it', async (t) => {
    const stage = createStage({ historyEvents: 5, latenessMs: 20_000 })
    const first = createLine()
    await stage.listen(NOW, first).turns()
    happen(stage, 10)
    const middle = placeOf(first.frames.at(-1))
    happen(stage, 30, 10)
    const second = createLine(10)
    second.block()
    await stage.listen({ since: middle }, second).turns()
    t.match(second.frames[0], { type: 'hello', resumed: false })
    const since = placeOf(second.frames[0])
    const third = createLine()
    await stage.listen({ since }, third).turns()
    const [hello] = third.frames
    const repeated = third.ids().filter((id) => idsOf(10).includes(id))
    t.ok(hello?.type === 'hello' && (!hello.resumed || repeated.length === 0), `${repeated.length} repeated`)
    t.same(third.ids().slice(-30), idsOf(30, 10))
  })

  t.test('a replay that was dropped for lack of memory begins again, without duplicates', async (t) => {
    for (const room of [0, 1000]) {
      const stage = createStage({ historyEvents: 5, latenessMs: 20_000, replayBytes: 4000 })
      const line = createLine(1000)
      const { turns } = stage.listen(NOW, line)
      await turns()
      happen(stage, 10)
      await turns()
      line.block()
      happen(stage, 30, 10)
      await turns()
      line.drain(room)
      await turns()
      for (const resource of ['none', 'nothing']) {
        await stage.listen(NOW, createLine(), { filter: { resource_type: resource } }).turns()
      }
      for (const from of [-1, -11, -21]) await stage.listen({ from: at(from) }, createLine()).turns()
      line.unblock()
      for (let i = 0; i < 100; i++) await turns()
      t.same(line.ids(), idsOf(40), `room for ${room} before`)
    }
  })
})

t.test('replay limits and starts', async (t) => {
  t.test('streams that start within ten seconds share a replay from Kubiya', async (t) => {
    const stage = createStage({ historyEvents: 5 })
    happen(stage, 40)
    const asked = stage.source.questions.length
    for (const [seconds, first] of [[19.9, 19], [14, 13], [10, 9]] as const) {
      const line = createLine()
      await stage.listen({ from: at(seconds) }, line).turns()
      t.same(line.ids(), idsOf(40 - first, first), `from ${seconds} s on`)
    }
    t.same(stage.source.questions.slice(asked).map(({ window }) => window.start), [at(10), at(10)])
  })

  t.test('a replay ends with a gap after ten times as many scanned events as it may deliver', async (t) => {
    const stage = createStage({ historyEvents: 5, replayLimit: 100, quirks: { ignoresFilter: true } })
    const items = idsOf(3000).map((id, i) => ({ seconds: i, item: { id, timestamp: formatInstant(at(i)) } }))
    stage.items.push(...items)
    stage.source.keep(...items.map(({ item }) => dated(item)))
    stage.pass(3000)
    stage.poll()
    const line = createLine()
    await stage.listen(NOW, line, { filter: { category_type: 'none' } }).turns()
    const [gap] = line.frames.filter(({ type }) => type === 'gap')
    t.match(gap, { reason: 'replay-limit', from: '2025-06-03T10:16:39Z', to: '2025-06-03T10:49:59Z' })
  })
})
