import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import fc from 'fast-check'
import t from 'tap'
import { createManualClock } from '../../support/manual-clock.ts'
import { encodeCursor } from '../../../src/audit/cursor.ts'
import { identify } from '../../../src/audit/event-id.ts'
import { CLOSE } from '../../../src/live/transport/close-codes.ts'
import {
  eventFrame,
  gapFrame,
  heartbeatFrame,
  helloFrame,
  statusFrame,
  type PreparedFrame
} from '../../../src/live/transport/frames.ts'
import { prepareBatch } from '../../../src/live/transport/prepared-batch.ts'
import { createSseTransport } from '../../../src/live/transport/sse.ts'
import { anyCharacter, holds } from '../../contracts/property.ts'
import { healthOf } from '../../support/stage.ts'
import { at, openLog } from '../../support/timeline.ts'

const PLACE = openLog().end()

/** An answer whose connection takes what it is told to take. */
function answered () {
  const writes: string[] = []
  const callbacks: Array<(error?: Error) => void> = []
  const calls: string[] = []
  const response = Object.assign(new EventEmitter(), {
    writableLength: 0,
    write (bytes: Buffer, callback: (error?: Error) => void): boolean {
      writes.push(bytes.toString())
      callbacks.push(callback)
      response.writableLength += bytes.length
      return true
    },
    end: () => { calls.push('end') },
    destroy: () => { calls.push('destroy') }
  })
  let gone = 0
  const clock = createManualClock()
  const transport = createSseTransport({
    response: response as unknown as ServerResponse,
    backlogBytes: 1000,
    clock,
    onGone: () => { gone++ }
  })
  return {
    transport,
    clock,
    response,
    writes,
    calls,
    gone: () => gone,
    flush (error?: Error): void {
      response.writableLength = 0
      for (const callback of callbacks.splice(0)) callback(error)
    }
  }
}

/** What a consumer makes of it, by the standard (WHATWG HTML §9.2.6). */
function dispatched (text: string): Array<{ type: string, id: string | undefined, data: string }> {
  const events: Array<{ type: string, id: string | undefined, data: string }> = []
  let fields: Array<[name: string, value: string]> = []
  for (const line of text.split(/\r\n|\n|\r/)) {
    if (line === '') {
      const all = (wanted: string) => fields.filter(([name]) => name === wanted).map(([, value]) => value)
      if (all('data').length > 0) {
        events.push({ type: all('event').at(-1) ?? 'message', id: all('id').at(-1), data: all('data').join('\n') })
      }
      fields = []
    } else {
      const [, name = line, value = ''] = /^([^:]*):? ?(.*)$/su.exec(line) ?? []
      fields.push([name, value])
    }
  }
  return events
}

function eventOf (fields: Record<string, string>): PreparedFrame {
  const [event] = identify([fields])
  if (event === undefined) throw new Error('one item is one event')
  return eventFrame({ event, late: false }, PLACE)
}

t.test('SSE transport', async (t) => {
  t.test('an SSE stream begins with a random retry', async (t) => {
    const times = Array.from({ length: 50 }, () => Number(/^retry: (\d+)\n$/.exec(answered().writes[0] ?? '')?.[1]))
    t.ok(times.every((ms) => ms >= 1000 && ms <= 5000))
    t.ok(new Set(times).size > 10)
  })

  t.test('an SSE event has a type, an id if the frame has a cursor, and one line of data', async (t) => {
    const { transport, writes } = answered()
    const gap = gapFrame({ from: at(0), to: at(1), reason: 'too-large' }, PLACE)
    const cursor = encodeCursor(PLACE)
    transport.send(prepareBatch([gap]))
    t.equal(writes[1], `event: gap\nid: ${cursor}\ndata: ${String(gap.payload)}\n\n`)
    const status = statusFrame(healthOf({}))
    transport.send(prepareBatch([status]))
    t.equal(writes[2], `event: status\ndata: ${String(status.payload)}\n\n`, 'the last cursor stays what it was')
  })

  t.test('an SSE stream sends several frames at once', async (t) => {
    const { transport, writes } = answered()
    const frames = [
      helloFrame(PLACE, true, 20_000),
      eventOf({ id: 'a' }),
      eventOf({ id: 'b' }),
      heartbeatFrame(PLACE, healthOf({}))
    ]
    transport.send(prepareBatch(frames))
    t.equal(writes.length, 2)
    t.same(dispatched(writes[1] ?? '').map(({ type }) => type), ['hello', 'event', 'event', 'heartbeat'])
    t.same(dispatched(writes[1] ?? '').map(({ data }) => data), frames.map(({ payload }) => String(payload)))
  })

  t.test('an SSE event is one event, whatever its text contains', async (t) => {
    const { transport, writes } = answered()
    transport.send(
      prepareBatch([
        eventOf({
          id: 'a',
          text: 'x\n\nevent: gap\ndata: {}\r\rid: 7\r\n\r\n: \u0085\u2028\u2029\u0000',
          'a\nname': '\n'
        })
      ])
    )
    const events = dispatched(writes[1] ?? '')
    t.same(events.map(({ id, type }) => [type, id]), [['event', encodeCursor(PLACE)]])
    t.match(JSON.parse(events[0]?.data ?? ''), {
      event: { text: 'x\n\nevent: gap\ndata: {}\r\rid: 7\r\n\r\n: \u0085\u2028\u2029\u0000' }
    })
    holds(
      t,
      fc.property(fc.dictionary(fc.string({ unit: anyCharacter }), fc.string({ unit: anyCharacter })), (fields) => {
        const { transport, writes } = answered()
        const frame = eventOf({ ...fields, id: 'a' })
        transport.send(prepareBatch([frame]))
        const [only, ...others] = dispatched(writes[1] ?? '')
        return others.length === 0 && only?.type === 'event' && only.data === String(frame.payload)
      })
    )
  })

  t.test('an SSE stream reports room, backlog and flushed bytes, and calls back when all is flushed', async (t) => {
    const { flush, transport, response } = answered()
    let calls = 0
    flush()
    const before = transport.flushedBytes()
    t.same([transport.writableBytes(), transport.backlogBytes()], [1000, 0])
    transport.send(prepareBatch([eventOf({ id: 'a' })]))
    const bytes = response.writableLength
    t.same([transport.writableBytes(), transport.backlogBytes(), transport.flushedBytes()], [
      1000 - bytes,
      bytes,
      before
    ])
    transport.onFlushed(() => {
      calls++
    })
    t.equal(calls, 0)
    flush()
    t.same([calls, transport.flushedBytes()], [1, before + bytes])
    transport.send(prepareBatch([eventOf({ id: 'a' })]))
    transport.onFlushed(() => { calls++ })
    flush(new Error('gone'))
    t.same([calls, transport.flushedBytes()], [1, before + bytes], 'an error is no progress')
  })

  t.test('an SSE stream sends a comment if it is quiet, but not if it is busy or blocked', async (t) => {
    const { clock, flush, transport, writes } = answered()
    flush()
    clock.advance(14_999)
    t.equal(transport.keepAlive(), true)
    t.equal(writes.length, 1)
    clock.advance(1)
    t.equal(transport.keepAlive(), true)
    t.equal(writes[1], ':\n\n')
    clock.advance(25_000)
    transport.keepAlive()
    t.equal(writes.length, 2, 'the last comment has not gone yet')
    flush()
    transport.send(prepareBatch([eventOf({ id: 'a' })]))
    flush()
    clock.advance(10_000)
    transport.keepAlive()
    t.equal(writes.length, 3)
    t.same(dispatched(writes.join('')).map(({ type }) => type), ['event'])
  })

  t.test('an SSE stream ends its response, and destroys it if the client does not end', async (t) => {
    const { calls, clock, transport } = answered()
    transport.end(CLOSE.shutdown)
    clock.advance(7999)
    t.same(calls, ['end'])
    clock.advance(1)
    t.same(calls, ['end', 'destroy'])
  })

  t.test('an SSE stream reports once that the connection is lost', async (t) => {
    const { calls, gone, response } = answered()
    response.emit('error', new Error('reset'))
    t.same([calls, gone()], [['destroy'], 0])
    response.emit('close')
    t.equal(gone(), 1)
  })
})
