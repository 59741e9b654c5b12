import t, { type Test } from 'tap'
import { gapSince, withDelivered } from '../../src/live/replay/start-position.ts'
import { HEAVY, bulk, numbers, series, type Consumer } from '../contracts/stream.ts'
import { startService } from '../support/support.ts'
import { at, batch, openLog } from '../support/timeline.ts'
import { overEvents, overWebSocket } from '../support/transports.ts'

const PAGE = 200
const BURST = 1200
const CALLS_PER_PAGE = 5
const SMALL_LOG = { ...HEAVY, HISTORY_EVENTS: '100' }

async function isGivenAll (t: Test, reader: Consumer): Promise<void> {
  await reader.untilEvents(BURST)
  t.same(numbers(reader), series(BURST), 'each once, in order')
  t.notOk(reader.frames.some(({ type }) => type === 'gap'))
  reader.terminate()
}

t.test('a log smaller than a burst: a reader receives all, for five requests a page', async (t) => {
  const service = await startService(t, SMALL_LOG)
  await service.settled()
  const reader = overWebSocket(service)
  await reader.until(({ type }) => type === 'hello')
  service.sandbox.publish(bulk(series(BURST)))
  await isGivenAll(t, reader)
  const backfills = service.sandbox.requests.filter(({ query }) => Number(query.pageSize) !== PAGE)
  t.ok(backfills.length <= CALLS_PER_PAGE * BURST / PAGE, `${backfills.length} calls`)
})

t.test('a log smaller than a burst: fast and slow readers of both transports receive all', async (t) => {
  const service = await startService(t, { ...SMALL_LOG, SUBSCRIBER_BACKLOG_BYTES: '16384' })
  await service.settled()
  const readers = [overWebSocket, overEvents].flatMap((open) => [open(service), open(service)])
  for (const reader of readers) await reader.until(({ type }) => type === 'hello')
  const timer = setInterval(() => { // Each second reader of a transport reads half of the time.
    for (const slow of [readers[1], readers[3]]) {
      slow?.pause()
      setTimeout(() => slow?.resume(), 20)
    }
  }, 40)
  t.teardown(() => clearInterval(timer))
  service.sandbox.publish(bulk(series(BURST)))
  for (const reader of readers) await isGivenAll(t, reader)
})

t.test('a log of fewer bytes than a burst: readers of both transports receive all', async (t) => {
  for (const HISTORY_BYTES of ['1048576', '4194304']) {
    const service = await startService(t, { ...HEAVY, HISTORY_EVENTS: '100000', HISTORY_BYTES })
    await service.settled()
    const readers = [overWebSocket(service), overEvents(service)]
    for (const reader of readers) await reader.until(({ type }) => type === 'hello')
    service.sandbox.publish(bulk(series(BURST)))
    for (const reader of readers) await isGivenAll(t, reader)
  }
})

t.test('delivered ranges of a reader that returns often omit those that others cover', async (t) => {
  const part = (before: number, seconds: number) => ({ before, upTo: { instant: at(seconds), id: '' } })
  const far = part(10, 100)
  const parts = [1, 2, 3, 4, 5, 6].reduce((all, i) => withDelivered(all, part(20 + i, i)), [far])
  t.same(
    parts,
    [far, part(26, 6)],
    'six returns, each further than the one before, and one that reached beyond them all'
  )
  t.same(withDelivered(parts, part(30, 200)), [part(30, 200)])
  const falling = [6, 5, 4, 3, 2, 1].reduce((all, i) => withDelivered(all, part(20 - i, i)), [far])
  t.equal(falling.length, 4, 'no more than four')
})

t.test('a gap of a reader with an evicted position spans the events that it missed, and no more', async (t) => {
  const log = openLog({ maxEvents: 3 })
  log.append(batch(0, ['a', 'b']))
  const stood = log.end()
  log.append(batch(2, ['c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n']))
  const { gap, until } = gapSince(stood, log, 120_000)
  t.equal(until.offset, log.startOffset())
  t.ok(gap.from >= at(0) && gap.from <= at(2), 'the first event that it missed, or one close by')
  t.equal(gap.to, at(10), 'the last one that was evicted')
  t.equal(gap.reason, 'history-evicted')
})
