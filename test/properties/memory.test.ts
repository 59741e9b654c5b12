import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { compress } from '../../src/archive/content-encoding.ts'
import { exactCopy, flatText } from '../../src/audit/exact-bytes.ts'
import { createFrameCache } from '../../src/live/fanout/frame-cache.ts'
import type { LogEntry } from '../../src/live/log/event-log.ts'
import { freshFrame, type PreparedFrame } from '../../src/live/transport/frames.ts'
import { messagesDeflatedAlone, plainMessages } from '../../src/live/transport/websocket-encoding.ts'
import { createFilteredLogs } from '../../src/live/fanout/filtered-log.ts'
import { serverSentEvents } from '../../src/live/transport/sse.ts'
import { EPOCH, batch, openLog } from '../support/timeline.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Several turns: what one collection lets go of, finalizers and weak tables give up before the next. */
async function collected (): Promise<NodeJS.MemoryUsage> {
  for (let turn = 0; turn < 4; turn++) {
    collect()
    await sleep(10)
  }
  return process.memoryUsage()
}

const isOwn = (bytes: Buffer) => bytes.length === bytes.buffer.byteLength

t.test('cached bytes', async (t) => {
  const CURSOR = { kind: 'log', epoch: EPOCH, offset: 1, instant: 0n } as const
  const entries = openLog().append(batch(0, Array.from({ length: 500 }, (_, n) => `e${n}`)))
  const frames = entries.map((entry) => freshFrame(entry, CURSOR))

  t.test('cached bytes have a block of their own', async (t) => {
    t.ok(frames.every(({ payload }) => isOwn(payload)))
    const formats = [plainMessages, messagesDeflatedAlone, serverSentEvents]
    t.ok(formats.every((format) => isOwn(format(frames.slice(0, 1)))))
    const text = Buffer.from('word '.repeat(500))
    for (const coding of ['br', 'gzip'] as const) t.ok(isOwn(await compress(text, coding)), coding)
  })

  t.test('exactCopy copies bytes that are a part of a block, and no others', async (t) => {
    const whole = Buffer.from('é ✅ \u{1f600}'.repeat(2000))
    const own = exactCopy(whole.subarray(2, 100))
    t.ok(isOwn(own))
    t.same(own, whole.subarray(2, 100))
    t.equal(exactCopy(own), own)
    t.equal(flatText(`${String(whole)}!`), `${String(whole)}!`)
  })

  t.test('a deflated frame does not keep the block of zlib', async (t) => {
    const before = (await collected()).arrayBuffers
    for (const frame of frames) messagesDeflatedAlone([frame])
    t.ok((await collected()).arrayBuffers - before < 500 * 1024, `${frames.length} frames`)
  })

  t.test('cached frames keep no source alive', async (t) => {
    const frameCache = createFrameCache(EPOCH)
    const frames: PreparedFrame[] = []
    const made = openLog().append(batch(0, ['a', 'b'])).map((entry) => {
      frames.push(frameCache.entry(entry))
      return new WeakRef(entry)
    })
    await collected()
    t.same(made.map((each) => each.deref()), [undefined, undefined])
    t.equal(
      frameCache.entry(entries[0] as LogEntry).type,
      frames[0]?.type,
      'the encoder and its frames are still there'
    )
  })

  t.test('cached batches are freed with their subscribers', async (t) => {
    const log = openLog()
    log.append(batch(0, ['a', 'b']))
    const groupOf = createFilteredLogs({ log, frameCache: createFrameCache(EPOCH), batchBytes: 65_536 })
    const made = [1, 2, 3].map((size) => {
      const portion = groupOf({}, { size }).batchAt(0)
      if (portion === undefined || portion === 'evicted') throw new Error('there is one')
      return new WeakRef(portion)
    })
    await collected()
    t.same(
      made.map((each) => each.deref()?.batch?.recipients),
      [undefined, undefined, 3],
      'the last one is known at once'
    )
  })
})
