import type { PublishedEvent } from '../audit/event.ts'
import type { AuditFilter } from '../audit/filter.ts'
import type { Frame } from '../live/transport/frames.ts'
import type { Problem } from '../problems.ts'

// The public types of the client module.
export type { AuditFilter, Frame, Problem, PublishedEvent }

export type EventFrame = Extract<Frame, { type: 'event' }>
export type HelloFrame = Extract<Frame, { type: 'hello' }>
export type GapFrame = Extract<Frame, { type: 'gap' }>
export type StatusFrame = Extract<Frame, { type: 'status' }>
export type HeartbeatFrame = Extract<Frame, { type: 'heartbeat' }>
export type ExpiringFrame = Extract<Frame, { type: 'expiring' }>
export type EndFrame = Extract<Frame, { type: 'end' }>

/** An event with its position, or an interval that may lack events. */
export type AuditFrame = EventFrame | GapFrame

export interface AuditFramesOptions {
  /** URL of the service. A path before `/api` is kept. In a page it may be relative to the page. */
  readonly url: string | URL
  /** Only events that match the filter. Default: all events. */
  readonly filter?: AuditFilter | undefined
  /**
   * The value of `Authorization`: `Bearer …` or `UserKey …`. The client requests a ticket with it for each connection.
   * A function is called before each connection, so that it can return a new credential after the old one has expired.
   * With an expired text, the stream ends with `unauthorized`.
   */
  readonly credential?: string | (() => string | Promise<string>) | undefined
  /** Begins after this cursor: the `cursor` of an earlier stream, or the `live_cursor` of a list. */
  readonly since?: string | undefined
  /** Begins at this time, if `since` is not set: RFC 3339, or relative (`-15m`). Default: five minutes ago. */
  readonly startTime?: string | undefined
  /** Requests a `status` frame after each poll. Default: only after changes. */
  readonly verbose?: boolean | undefined
  /** Ends the iteration on abort, as `break` does: nothing is thrown, and pending events are dropped. */
  readonly signal?: AbortSignal | undefined

  /**
   * Called with the state of Kubiya, also for each heartbeat. So a change during a lost connection is reported, too.
   */
  readonly onStatus?: ((status: StatusFrame | HeartbeatFrame) => void) | undefined
  /** Called for each connection. */
  readonly onHello?: ((hello: HelloFrame) => void) | undefined
  /** Called when a connection was lost or could not be opened. The next try follows after a wait. */
  readonly onReconnect?: ((reconnection: Reconnection) => void) | undefined
  /** Called when the credential, and the connection with it, ends within a minute. */
  readonly onExpiring?: ((expiring: ExpiringFrame) => void) | undefined

  /** Ids of events that are not delivered, for example those of a listed page. */
  readonly known?: Iterable<string> | undefined
  /**
   * The least number of ids that are remembered, so that no event is delivered twice. Default: 50 000. At most twice as
   * many are stored, of at most 200 characters each.
   */
  readonly remembered?: number | undefined
  /**
   * The most events, or events and gaps, that wait for a slow consumer. Default: 10 000. At that number, or at 16 Mi
   * characters of JSON text, the connection is closed. When the consumer has taken all of them, the stream continues
   * from there.
   */
  readonly maxPending?: number | undefined
  /**
   * Bounds of the wait before a reconnect. Default: 250 ms, doubling up to 30 s. The wait is random; from the fourth
   * try on it is at least half of the bound. It begins anew after a connection that has lasted 30 s.
   */
  readonly backOff?: Partial<BackOffBounds> | undefined
  /** A WebSocket class for a runtime without a global one, such as Node 20: for example that of `ws`. */
  readonly WebSocket?: WebSocketConstructor | undefined
  /** Used to request tickets, and to learn why a connection was refused. Default: the global `fetch`. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

export interface AuditStreamOptions extends AuditFramesOptions {
  /** Called when events of an interval may be missing. It may be called before the pending events are taken. */
  readonly onGap?: ((gap: GapFrame) => void) | undefined
}

export interface BackOffBounds {
  readonly leastMs: number
  readonly mostMs: number
}

/**
 * A stream of audit events, each delivered once, or of their frames. It reconnects when a connection is lost, and
 * continues where the last one stopped. It connects when the first value is requested. A stream is for one consumer and
 * can be iterated once.
 *
 * The iteration throws an `AuditStreamError` when a reconnect cannot help. It also throws the error of a hook.
 */
export interface AuditStream<Value = PublishedEvent> extends AsyncIterable<Value> {
  /**
   * The cursor after the last value that was taken: the value of `since` after a restart of the consumer. Store it when
   * that value has been processed. The stream then delivers all later events again.
   */
  readonly cursor: string | undefined
  next (): Promise<IteratorResult<Value, undefined>>
  /** Ends the stream, also while a value is awaited. */
  return (): Promise<IteratorResult<Value, undefined>>
  [Symbol.asyncIterator] (): AuditStream<Value>
}

/** Why there is no connection. */
export interface Loss {
  /**
   * `failed`: it could not be opened. `closed`: it was lost. `silent`: no frame arrived for too long. Otherwise the
   * `reason` of the service's `end` frame.
   */
  readonly reason: 'failed' | 'closed' | 'silent' | EndFrame['reason']
  /** The close code, if there was one. */
  readonly code?: number | undefined
  /** The HTTP status of the service's refusal, if it is known. */
  readonly status?: number | undefined
}

export interface Reconnection extends Loss {
  /** The wait until the next try. */
  readonly waitMs: number
}

/** Why a stream cannot continue. */
export interface AuditStreamError extends Error {
  readonly name: 'AuditStreamError'
  /**
   * The code of a problem, such as `invalid-parameter` and `invalid-cursor`; or `unauthorized`; or `invalid-frame`: the
   * server sent a message that is not a frame.
   */
  readonly code: string
  /** The HTTP status, if the service refused the connection. */
  readonly status: number | undefined
  readonly detail: string
  /** The service's answer, if it refused the connection. */
  readonly problem: Problem | undefined
}

/** The part of the WebSocket interface that the client needs. Browsers, Node and `ws` have it. */
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
