import type { Test } from 'tap'
import { ago, eventually, item, type Service, type Stream } from '../support/support.ts'

export const EVENTS = '/api/v1/audit/events'
export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const YEAR_MS = 365 * 24 * HOUR_MS

export async function follow (service: Service): Promise<Stream> {
  const stream = service.stream()
  await stream.until(({ type }) => type === 'hello')
  return stream
}

export function numbers (stream: Stream): number[] {
  return stream.frames.flatMap((frame) => 'event' in frame ? [Number((frame.event as Record<string, unknown>).n)] : [])
}

/** Events that become visible one after the other, each dated when it does. */
export async function given (t: Test, service: Service, stream: Stream, skewMs = 0): Promise<void> {
  for (let n = 0; n < 5; n++) {
    service.sandbox.publish(item({ n, timestamp: ago(-skewMs) }))
    await eventually(`event ${n} has come`, () => numbers(stream).includes(n))
  }
  t.same(numbers(stream), [0, 1, 2, 3, 4])
  t.equal(stream.frames.filter(({ type }) => type === 'gap').length, 0)
}
