import type { PublishedEvent } from '../audit/event.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { Frame } from '../live/transport/frames.ts'
import type { Problem } from '../problems.ts'

// What the client module promises to those who use it: types alone.
export type { AuditFilter, Frame, Problem, PublishedEvent }

export type HelloFrame = Extract<Frame, { type: 'hello' }>
export type GapFrame = Extract<Frame, { type: 'gap' }>
export type StatusFrame = Extract<Frame, { type: 'status' }>
export type HeartbeatFrame = Extract<Frame, { type: 'heartbeat' }>
export type EndFrame = Extract<Frame, { type: 'end' }>

export interface AuditStreamOptions {
  /** Where the service is. A path in front of `/api` is kept; in a page it may be relative to the page. */
  readonly url: string | URL
  /** Only events that match; all without. */
  readonly filter?: AuditFilter | undefined
  /**
   * What the service is to be asked with, as `Authorization` has it: `Bearer …` or `UserKey …`. A ticket is got with it
   * for each connection. A function is asked before each, so that a credential that has ended can be followed by a
   * fresh one: without it the stream ends with `unauthorized`.
   */
  readonly credential?: string | (() => string | Promise<string>) | undefined
  /** Begins behind this cursor: an earlier stream's `cursor`, or a list's `live_cursor`. */
  readonly since?: string | undefined
  /** Begins here instead: RFC 3339, or relative (`-15m`); without either, five minutes ago. */
  readonly startTime?: string | undefined
  /** Asks for a `status` frame after each poll, not on changes alone. */
  readonly verbose?: boolean | undefined
  /** Ends the iteration when it aborts, as `break` does: nothing is thrown, events not yet taken are dropped. */
  readonly signal?: AbortSignal | undefined

  /** Events of this interval may be missing. Told as soon as it is known, maybe ahead of events not yet taken. */
  readonly onGap?: ((gap: GapFrame) => void) | undefined
  /**
   * How the service fares with Kubiya. Heartbeats tell it too: what changed while there was no connection is heard from
   * them.
   */
  readonly onStatus?: ((status: StatusFrame | HeartbeatFrame) => void) | undefined
  /** There is a connection, the first or a further one. */
  readonly onHello?: ((hello: HelloFrame) => void) | undefined
  /** The connection was lost, or there was none to be had; the next try follows after a wait. */
  readonly onReconnect?: ((reconnection: Reconnection) => void) | undefined

  /** Ids that were seen before, as on a listed page: their events are not given. */
  readonly known?: Iterable<string> | undefined
  /**
   * How many ids, at least, are remembered so that no event is given twice; default 50 000. At most twice as many are
   * kept, of at most 200 characters each.
   */
  readonly remembered?: number | undefined
  /**
   * Most events that wait for a slow consumer; default 10 000. At that many, or at 16 Mi characters of JSON text, the
   * connection is closed. When all of them have been taken the stream goes on from there.
   */
  readonly maxPending?: number | undefined
  /**
   * Bounds of the wait before a connection is tried again; default 250 ms, doubling up to 30 s. The wait is random;
   * from the fourth try on it is at least half of the bound. It begins anew after a connection that has lasted 30 s.
   */
  readonly backOff?: Partial<BackOffBounds> | undefined
  /** Where there is none, such as in Node 20: the class of `ws`, or another. */
  readonly WebSocket?: WebSocketConstructor | undefined
  /** Asks why a connection was refused, which a WebSocket does not tell, and for tickets. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

export interface BackOffBounds {
  readonly leastMs: number
  readonly mostMs: number
}

/**
 * Audit events, each once, for as long as they are asked for: connections are made again when they are lost, and go on
 * where the last one stopped. Nothing is sent before the first event is asked for. A stream is for one consumer, and
 * can be iterated once. The iteration throws an `AuditStreamError` when coming back makes no sense, and what a hook
 * throws.
 */
export interface AuditStream extends AsyncIterable<PublishedEvent> {
  /**
   * The place behind the last event that was taken, for `since` after a restart of the consumer. Store it once that
   * event has been dealt with: whatever comes behind it is given again.
   */
  readonly cursor: string | undefined
  next (): Promise<IteratorResult<PublishedEvent, undefined>>
  /** Ends the stream, even while an event is awaited. */
  return (): Promise<IteratorResult<PublishedEvent, undefined>>
  [Symbol.asyncIterator] (): AuditStream
}

/** Why there is no connection. */
export interface Loss {
  /**
   * `failed`: it could not be made; `closed`: it broke; `silent`: nothing came for too long; otherwise the service's
   * own word.
   */
  readonly reason: 'failed' | 'closed' | 'silent' | EndFrame['reason']
  /** The close code, where there was one. */
  readonly code?: number | undefined
  /** The HTTP status that the service answers with when it is asked why. */
  readonly status?: number | undefined
}

export interface Reconnection extends Loss {
  /** Until the next try. */
  readonly waitMs: number
}

/** Why a stream cannot go on. */
export interface AuditStreamError extends Error {
  readonly name: 'AuditStreamError'
  /**
   * A problem's code, such as `invalid-parameter` and `invalid-cursor`; or `unauthorized`; or `invalid-frame`: a
   * message of the server is no frame.
   */
  readonly code: string
  /** The HTTP status, where the service refused the connection. */
  readonly status: number | undefined
  readonly detail: string
  /** The service's answer, where it refused the connection. */
  readonly problem: Problem | undefined
}

/** As much of a WebSocket as is needed: a browser's, Node's and that of `ws` have it. */
export interface WebSocketLike {
  addEventListener (type: 'open' | 'message' | 'error' | 'close', listener: (event: WebSocketEvent) => void): void
  close (): void
}

export interface WebSocketEvent {
  readonly type: string
  readonly data?: unknown
  readonly code?: number
}

export type WebSocketConstructor = new (url: string, protocol: string) => WebSocketLike
