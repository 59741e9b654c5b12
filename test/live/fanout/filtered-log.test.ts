import t from 'tap'
import { createFrameCache } from '../../../src/live/fanout/frame-cache.ts'
import { LiveStage, createFilteredLogs } from '../../../src/live/fanout/filtered-log.ts'
import type { EventLog } from '../../../src/live/log/event-log.ts'
import type { Stage } from '../../../src/live/replay/stage.ts'
import { EPOCH, at, batch, freshNamed, openLog, type Named } from '../../support/timeline.ts'

function logOf (named: Named[], maxEvents = 1000): EventLog {
  const log = openLog({ maxEvents })
  log.append({ ...batch(0, []), entries: freshNamed(named), highWater: at(9) })
  return log
}

function replayOf (log: EventLog, fromSeconds: number, batchBytes = 65_536): Stage {
  const group = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes })({}, { size: 1 })
  const from = at(fromSeconds)
  const until = log.end().offset
  return new LiveStage(log, group, log.cursorAt(log.offsetFrom(from)), { from, until })
}

/** What the stage delivers until it pauses for good or ends, and how it does. */
function drain (stage: Stage): [names: string[], last: string] {
  const names: string[] = []
  while (true) {
    const result = stage.next(Infinity)
    if (result.kind === 'batch') names.push(...result.frames.map(({ payload }) => nameIn(String(payload))))
    else if (result.kind !== 'yield') return [names, result.kind]
  }
}

function nameIn (json: string): string {
  const frame = JSON.parse(json) as { type: string, event?: { id: string } }
  return frame.event?.id ?? frame.type
}

const LATE: Named[] = [['a', 5], ['b', 1], ['undated', undefined], ['c', 9], ['d', 3]]

t.test('log replay: serves entries in log order, without those before its start', async (t) => {
  const log = logOf(LATE)
  t.same(drain(replayOf(log, 1)), [['a', 'b', 'undated', 'c', 'd'], 'wait'])
  t.same(drain(replayOf(log, 3)), [['a', 'undated', 'c', 'd'], 'wait'])
  t.same(drain(replayOf(log, 6)), [['c'], 'wait'])
  t.same(drain(replayOf(log, 10)), [[], 'wait'])
  t.same(drain(replayOf(openLog(), 0)), [[], 'wait'])
})

t.test('log replay: delivers a gap to a stream that starts inside it', async (t) => {
  const log = logOf([['a', 1]])
  log.append({ ...batch(1, []), entries: [{ gap: { from: at(2), to: at(5), reason: 'too-large' } }], highWater: at(9) })
  t.same([drain(replayOf(log, 5)), drain(replayOf(log, 6))], [[['gap'], 'wait'], [[], 'wait']])
})

t.test('log replay: leaves out nothing that enters later', async (t) => {
  const log = logOf([['a', 1], ['old', 0], ['b', 2]])
  const stage = replayOf(log, 1)
  log.append({ ...batch(3, []), entries: freshNamed([['late', 0], ['c', 3]]), highWater: at(9) })
  t.same(drain(stage), [['a', 'b', 'late', 'c'], 'wait'])
  t.same(stage.position(), log.end())
})

t.test('log replay: delivers no more than there is room for', async (t) => {
  const stage = replayOf(logOf([['a', 1], ['b', 2]]), 1, 10)
  t.equal(stage.next(10).kind, 'full')
  const result = stage.next(250)
  t.same(result.kind === 'batch' && result.frames.map(({ payload }) => nameIn(String(payload))), ['a'])
  t.equal(stage.next(10).kind, 'full')
  t.same(drain(stage), [['b'], 'wait'])
})

t.test('log replay: is lost when the log evicts its position, and keeps the cursor of that position', async (t) => {
  const log = logOf([['a', 1], ['b', 2], ['c', 3]], 3)
  const stage = replayOf(log, 1, 10)
  const result = stage.next(Infinity)
  t.same(result.kind === 'batch' && result.frames.length, 1)
  const stood = log.cursorAt(1)
  log.append({ ...batch(3, []), entries: freshNamed([['d', 4], ['e', 5]]), highWater: at(9) })
  t.same([stage.next(Infinity), stage.position()], [{ kind: 'lost' }, stood])
})
