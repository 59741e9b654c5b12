import t from 'tap'
import { pauseIfDue } from '../../src/audit/time-slice.ts'

const UNIT_MS = 12 // Longer than a slice: each unit of work spends one.

t.test('pauseIfDue resumes one waiting task in each turn of the event loop, in order', async (t) => {
  const [TASKS, UNITS] = [6, 4]
  let turn = 0
  let isOver = false
  const count = () => {
    turn++
    if (!isOver) setImmediate(count)
  }
  setImmediate(count)
  const done: Array<{ task: number, turn: number }> = []
  await Promise.all(Array.from({ length: TASKS }, async (_, task) => {
    for (let unit = 0; unit < UNITS; unit++) {
      done.push({ task, turn })
      for (const endMs = performance.now() + UNIT_MS; performance.now() < endMs;);
      await pauseIfDue()
    }
  }))
  isOver = true
  const perTurn = new Map<number, number>()
  // In the first turn each began its first unit before it asked whether it should wait.
  for (const each of done.slice(TASKS)) perTurn.set(each.turn, (perTurn.get(each.turn) ?? 0) + 1)
  t.same([...perTurn.values()].filter((units) => units > 1), [])
  t.same(done.slice(TASKS, 2 * TASKS).map(({ task }) => task), [0, 1, 2, 3, 4, 5], 'each has its turn')
  t.equal(done.length, TASKS * UNITS)
})

t.test('pauseIfDue returns nothing before the slice is spent', async (t) => {
  await new Promise((resolve) => { setImmediate(resolve) })
  t.same(Array.from({ length: 100 }, pauseIfDue).filter((pause) => pause !== undefined), [])
})
