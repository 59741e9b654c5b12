import type { Test } from 'tap'
import type { Inbox } from '../support/inbox.ts'
import { ago, evenDates, eventually, item, startService, startUpstream, type Service } from '../support/support.ts'

/** A stream as a consumer has it, over whichever transport. */
export interface Consumer extends Inbox {
  pause (): void
  resume (): void
  /** Goes without a word. */
  terminate (): void
  /** Resolves when the connection is closed. */
  readonly closed: Promise<unknown>
}

/** Opens a stream with these parameters, behind a cursor if one is given. */
export type Open = (service: Service, query?: string, cursor?: string) => Consumer

const BIG_BYTES = 12_000
const QUIET = { HEARTBEAT_MS: '60000' }
/**
 * For 12 MB or more in one window: pages below the byte limit, polls with pauses between them, and no compression,
 * which would make the streams smaller.
 */
export const HEAVY = {
  POLL_PAGE_SIZE: '200',
  POLL_INTERVAL_MS: '500',
  POLL_MAX_INTERVAL_MS: '500',
  STREAM_COMPRESSION: 'false',
  ...QUIET
}

/** What every transport promises to a subscriber. */
export function streamContract (t: Test, name: string, open: Open): void {
  gives(t, name, open)
  resumes(t, name, open)
  ends(t, name, open)
}

function gives (t: Test, name: string, open: Open): void {
  t.test(`${name} sends hello first, then each event once, with a cursor, in order`, async (t) => {
    const service = await startService(t)
    service.sandbox.publish(evenly(3, 60_000, 1))
    const stream = open(service)
    await stream.untilEvents(3)
    service.sandbox.publish(item({ n: 3 }))
    await stream.untilEvents(4)
    t.same(numbers(stream), series(4))
    t.equal(stream.frames[0]?.type, 'hello')
    t.ok(stream.frames.every((frame) => !('cursor' in frame) || frame.cursor.length > 0))
    stream.terminate()
  })

  t.test(`${name} sends a status on each change`, async (t) => {
    const service = await startService(t, QUIET)
    const stream = open(service)
    await stream.until(({ type }) => type === 'hello')
    const mend = service.sandbox.faults.during({ kind: 'status', status: 500 })
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'degraded')
    mend()
    await stream.until((frame) => frame.type === 'status' && frame.upstream === 'ok')
    t.same(stream.frames.map((frame) => frame.type === 'status' ? frame.upstream : frame.type), [
      'hello',
      'degraded',
      'ok'
    ])
    stream.terminate()
  })
}

function resumes (t: Test, name: string, open: Open): void {
  t.test(`${name} resumes exactly after any of its cursors`, async (t) => {
    const service = await startService(t, { HEARTBEAT_MS: '100' })
    const first = open(service)
    await first.until(({ type }) => type === 'hello')
    service.sandbox.publish(evenly(20, 1000, 1))
    await first.untilEvents(20)
    await first.until(({ type }) => type === 'heartbeat')
    const cursors = first.frames.filter(({ type }) => type === 'event').map((frame, n) =>
      [n, 'cursor' in frame ? frame.cursor : ''] as const
    )
    first.terminate()
    service.sandbox.publish(item({ n: 20 }))
    for (const [n, cursor] of cursors) {
      const stream = open(service, '', cursor)
      await stream.untilEvents(20 - n)
      t.same(numbers(stream), series(21).slice(n + 1))
      t.match(stream.frames[0], { type: 'hello', resumed: true })
      stream.terminate()
    }
  })

  t.test(`${name} resumes within a replay`, async (t) => {
    const service = await startService(t)
    service.sandbox.publish(evenly(50, 60_000, 100))
    const first = open(service)
    await first.untilEvents(50)
    const cursors = first.frames.flatMap((frame) => frame.type === 'event' ? [frame.cursor] : [])
    service.sandbox.publish(item({ n: 50 }), item({ n: 51, timestamp: ago(59_950) })) // The last one late.
    await first.untilEvents(52)
    first.terminate()
    for (const at of [0, 7, 49]) {
      const stream = open(service, '', cursors[at])
      await stream.untilEvents(51 - at)
      t.same(numbers(stream).toSorted((a, b) => a - b), series(52).slice(at + 1), 'nothing twice, nothing left out')
      stream.terminate()
    }
  })

  t.test(`${name} loses nothing over a restart, and repeats have the same id`, async (t) => {
    const sandbox = await startUpstream(t)
    const service = await startService(t, {}, {}, sandbox)
    const before = open(service)
    await before.until(({ type }) => type === 'hello')
    sandbox.publish(evenly(5, 5000, 1))
    await before.untilEvents(5)
    const last = before.frames.at(-1)
    await service.close()
    sandbox.publish(item({ n: 5 }))
    const again = await startService(t, {}, {}, sandbox)
    const after = open(again, '', last?.type === 'event' ? last.cursor : '')
    await after.untilEvents(6)
    t.match(after.frames[0], { type: 'hello', resumed: false })
    t.same(new Set(numbers(after)), new Set(series(6)))
    t.same(after.events().slice(0, 5).map(({ id }) => id), before.events().map(({ id }) => id), 'the same ids')
    after.terminate()
  })
}

function ends (t: Test, name: string, open: Open): void {
  t.test(`${name} ends with an end frame and a cursor, and closes`, async (t) => {
    const service = await startService(t)
    const stream = open(service, '?timeout_minutes=0.005')
    await stream.closed
    t.match(stream.frames.at(-1), { type: 'end', reason: 'timeout', reconnect: false, cursor: String })
  })

  t.test(`${name} keeps no memory of subscribers that have left`, async (t) => {
    const service = await startService(t)
    await service.settled()
    for (let round = 0; round < 3; round++) {
      const streams = series(20).map((n) => open(service, n % 2 === 0 ? '' : '?status=failed&start_time=-2h'))
      for (const stream of streams) await stream.until(({ type }) => type === 'hello')
      for (const stream of streams) stream.terminate()
    }
    await eventually('nobody is left', async () => await service.subscribers() === 0)
    const last = open(service)
    await last.until(({ type }) => type === 'hello')
    t.equal(await service.subscribers(), 1, 'the count still follows the streams')
    last.terminate()
  })
}

/** What every transport promises to a reader that is slow. Megabytes have to back up, so it takes seconds. */
export function slowReaderContract (t: Test, name: string, open: Open): void {
  t.test(`${name} delivers everything in order to a slow reader, and delays no other`, async (t) => {
    const service = await startService(t, HEAVY)
    const [slow, other] = [open(service), open(service)]
    for (const stream of [slow, other]) await stream.until(({ type }) => type === 'hello')
    slow.pause()
    service.sandbox.publish(bulk(series(1000)))
    await other.untilEvents(1000)
    t.ok(slow.events().length < 1000, `${slow.events().length} of 1000 while it was not reading`)
    slow.resume()
    await slow.untilEvents(1000)
    t.same(numbers(slow), series(1000))
    t.notOk(slow.frames.some(({ type }) => type === 'gap'))
    for (const stream of [slow, other]) stream.terminate()
  })

  t.test(`${name} serves a slow reader from Kubiya if its position was evicted`, async (t) => {
    const service = await startService(t, { HISTORY_EVENTS: '100', ...HEAVY })
    const slow = open(service)
    await slow.until(({ type }) => type === 'hello')
    service.sandbox.publish(item({ n: 0, timestamp: ago(40_000) }))
    await slow.untilEvents(1)
    slow.pause()
    const watch = open(service)
    service.sandbox.publish(bulk(series(1200).slice(1)))
    await watch.untilEvents(1200)
    watch.terminate()
    slow.resume()
    await slow.untilEvents(1200)
    t.same(numbers(slow), series(1200), 'all of it, once, in order')
    t.notOk(slow.frames.some(({ type }) => type === 'gap'))
    service.sandbox.publish(item({ n: 1200 }))
    await slow.untilEvents(1201)
    t.equal(slow.events().length, 1201)
    slow.terminate()
  })
}

/** Items 0, 1 and so on, dated as `evenDates` says. */
function evenly (count: number, firstAgoMs: number, stepMs: number): Array<ReturnType<typeof item>> {
  const dateOf = evenDates(firstAgoMs, stepMs)
  return series(count).map((n) => item({ n, timestamp: dateOf(n) }))
}

/** More than sockets hold; each with an id of its own, for hashing it all would take long. */
export function bulk (numbers: number[], bytes = BIG_BYTES): Array<ReturnType<typeof item>> {
  const dateOf = evenDates(30_000, 1)
  return numbers.map((n) => item({ n, id: `big-${n}`, resource_text: 'x'.repeat(bytes), timestamp: dateOf(n) }))
}

export function series (length: number): number[] {
  return Array.from({ length }, (_, n) => n)
}

export function numbers (stream: Inbox): number[] {
  return stream.events().map(({ n }) => Number(n))
}
