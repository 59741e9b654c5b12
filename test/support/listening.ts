import type { Frame } from '../../src/live/transport/frames.ts'
import type { ReceivedRequest } from '../../src/sandbox/sandbox.ts'
import { item, type Service, type Stream } from './support.ts'

/** An event, or an item of Kubiya's, with whatever it holds. */
export type Item = Record<string, any>

export const isEvent = (frame: Frame) => frame.type === 'event'
export const isHello = (frame: Frame) => frame.type === 'hello'

export function numbers (stream: Stream): number[] {
  return stream.events().map(({ n }) => n)
}

export function series (count: number, from = 0): number[] {
  return Array.from({ length: count }, (_, index) => from + index)
}

/** Items n, n + 1 …, a millisecond apart, the last of them now. */
export function burst (count: number, from = 0, fields: Item = {}): Item[] {
  const nowMs = Date.now()
  return series(count).map((index) =>
    item({ n: from + index, timestamp: new Date(nowMs - count + 1 + index).toISOString(), ...fields })
  )
}

export function cursorOf (frame: Frame | undefined): string {
  if (frame === undefined || !('cursor' in frame)) throw new Error('a frame with a cursor was expected')
  return frame.cursor
}

/** The number of each event, and whether it was called late. */
export function lateness (stream: Stream): unknown[] {
  return stream.frames.flatMap((frame) => frame.type === 'event' ? [[(frame.event as Item).n, frame.late]] : [])
}

export function lastEvent (stream: Stream): Frame | undefined {
  return stream.frames.findLast(isEvent)
}

/** What the poller and replays asked: oldest first. */
export function polls (requests: readonly ReceivedRequest[]): ReceivedRequest[] {
  return requests.filter(({ query }) => (query.sort as Item | undefined)?.timestamp === 1)
}

export async function following (service: Service, search = ''): Promise<Stream> {
  const stream = service.stream(search)
  await stream.until(isHello)
  return stream
}
