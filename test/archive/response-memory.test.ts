import t from 'tap'
import { createResponseMemory, type ResponseMemoryOptions } from '../../src/archive/response-memory.ts'
import { createTime } from '../support/day.ts'

const KB = 1024
const MB = 1024 * KB
const USUAL_BYTES = 6 * KB

const time = createTime()

function memoryOf (options: Omit<ResponseMemoryOptions, 'clock'>) {
  return createResponseMemory({ ...options, clock: time })
}

t.test('response memory: waiting requests get it in order, and one response always fits', async (t) => {
  const memory = memoryOf({ maxAnswerBytes: MB, maxBytes: 10 * USUAL_BYTES, maxWaitMs: 60_000 })
  const first = await memory.reserve(100)
  t.ok(first, 'a single response may have any size')
  const order: string[] = []
  const second = memory.reserve(6).then((room) => { order.push('second'); return room })
  const third = memory.reserve(1).then((room) => { order.push('third'); return room })
  first?.release()
  first?.release()
  const rooms = await Promise.all([second, third])
  t.same(order, ['second', 'third'])
  t.equal(memory.bytes(), 7 * USUAL_BYTES)
  for (const room of rooms) room?.release()
  t.equal(memory.bytes(), 0)
})

t.test('response memory: a response that grows leaves less, and a wait ends in time', async (t) => {
  const memory = memoryOf({ maxAnswerBytes: MB, maxBytes: 10 * USUAL_BYTES, maxWaitMs: 1 })
  const room = await memory.reserve(1)
  room?.resize(2 * USUAL_BYTES)
  const waiting = memory.reserve(1)
  await time.pass(1)
  t.equal(await waiting, undefined)
  room?.resize(0)
  t.ok(await memory.reserve(1))
})

t.test('response memory: an unread response counts once, until its last reader has it', async (t) => {
  const memory = memoryOf({ maxAnswerBytes: MB, maxBytes: 100, maxWaitMs: 60_000 })
  const response = {}
  const [one, two] = [memory.hold(response, 80), memory.hold(response, 80)]
  t.equal(memory.bytes(), 80)
  const waiting = memory.reserve(1)
  one()
  one()
  t.equal(memory.bytes(), 80)
  two()
  t.ok(await waiting)
})
