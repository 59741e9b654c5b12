import { decodeStreamCursor } from '../../src/audit/cursor.ts'
import { parseInstant, type Instant } from '../../src/audit/instant.ts'
import type { Frame } from '../../src/live/transport/frames.ts'
import { keyOf, type FilterName, type Item } from './truth.ts'

/** What is kept of a frame: of an event, what it is and where, not what it says. */
export type Heard =
  | {
    readonly type: 'event',
    readonly cursor: string,
    readonly id: string,
    readonly key: string,
    readonly instant: Instant,
    readonly late: boolean,
    readonly place: HeardPlace
  }
  | {
    readonly type: 'gap',
    readonly cursor: string,
    readonly from: Instant,
    readonly to: Instant,
    readonly reason: string
  }
  | { readonly type: 'hello', readonly cursor: string, readonly resumed: boolean }
  | { readonly type: 'heartbeat' | 'end', readonly cursor: string }
  | { readonly type: 'status' }

export type HeardEvent = Extract<Heard, { type: 'event' }>
export type HeardGap = Extract<Heard, { type: 'gap' }>

/** Where an event came from, by its cursor: a place in the log of one epoch, or a replay that goes on from there. */
export interface HeardPlace {
  readonly kind: 'log' | 'replay'
  readonly epoch: string
  readonly offset: number
  /** The log's newest instant. */
  readonly mark: Instant
}

/** What one connection brought. */
export interface Chapter {
  /** Which run of the service it was to. */
  readonly run: number
  readonly heard: Heard[]
}

/** All that one subscriber was given, from connection to connection. */
export interface Story {
  readonly name: string
  readonly filter: FilterName
  /** From here on it is to be given everything. */
  readonly start: Instant
  /** The last publishing before it was live: all later ones are the listener's, too, whatever their instants. */
  liveSince: number | undefined
  readonly chapters: Chapter[]
  readonly refusals: string[]
}

export function eventsOf ({ heard }: Chapter): HeardEvent[] {
  return heard.filter((each) => each.type === 'event')
}

export function gapsOf ({ heard }: Chapter): HeardGap[] {
  return heard.filter((each) => each.type === 'gap')
}

export function heardOf (frame: Frame): Heard {
  switch (frame.type) {
    case 'event':
      return eventOf(frame)
    case 'gap':
      return {
        type: 'gap',
        cursor: frame.cursor,
        from: instantOf(frame.from),
        to: instantOf(frame.to),
        reason: frame.reason
      }
    case 'hello':
      return { type: 'hello', cursor: frame.cursor, resumed: frame.resumed }
    case 'heartbeat':
    case 'end':
      return { type: frame.type, cursor: frame.cursor }
    case 'status':
      return { type: 'status' }
    case 'expiring':
      throw new Error('a credential ends where there is none')
  }
}

function eventOf ({ cursor, event, late }: Extract<Frame, { type: 'event' }>): HeardEvent {
  const item = event as Item
  return {
    type: 'event',
    cursor,
    id: String(item.id),
    key: keyOf(item),
    instant: instantOf(item.timestamp),
    late: late === true,
    place: placeOf(cursor)
  }
}

function placeOf (text: string): HeardPlace {
  const cursor = decodeStreamCursor(text)
  if (cursor === undefined) throw new Error(`no cursor of a stream: ${text}`)
  const { epoch, instant: mark, offset } = cursor.kind === 'log' ? cursor : cursor.log
  return { kind: cursor.kind, epoch, offset, mark }
}

function instantOf (value: unknown): Instant {
  const instant = parseInstant(value)
  if (instant === undefined) throw new Error(`no instant: ${String(value)}`)
  return instant
}
