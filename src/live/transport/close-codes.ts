/** Why the service ends a stream: the `end` frame, the WebSocket close code, and whether a client may reconnect. */
export interface CloseReason {
  readonly reason: 'timeout' | 'shutdown' | 'slow' | 'max-age' | 'unauthorized'
  readonly closeCode: number
  readonly reconnect: boolean
}

/** The endings that an `end` frame announces. */
export const CLOSE = {
  /** 1000: `timeout_minutes` have passed; the client asked for it. */
  timeout: { reason: 'timeout', closeCode: 1000, reconnect: false },
  /** 1001: the service is stopping; the client reconnects with its cursor. */
  shutdown: { reason: 'shutdown', closeCode: 1001, reconnect: true },
  /** 1001: the stream has lasted `STREAM_MAX_AGE_MS`; the client reconnects, perhaps to another replica. */
  'max-age': { reason: 'max-age', closeCode: 1001, reconnect: true },
  /** 4408: the client accepted no data, or answered no ping, for 30 s; it may reconnect. */
  slow: { reason: 'slow', closeCode: 4408, reconnect: true },
  /** 4401: the credential was refused or has expired; the client reconnects with another one. */
  unauthorized: { reason: 'unauthorized', closeCode: 4401, reconnect: true }
} as const satisfies Record<CloseReason['reason'], CloseReason>

/** 4400: the client sent a message; the protocol has none in that direction. */
export const CLIENT_MESSAGE = { closeCode: 4400, reason: 'clients send no messages' } as const

/** 4429: the client sent control frames, or bytes, without end. */
export const FLOODED = { closeCode: 4429, reason: 'too many control frames' } as const

/** 1005: the client closed the connection without a code (RFC 6455 §7.4.1). */
export const NO_STATUS = 1005
/** 1006: the connection was lost without a close frame (RFC 6455 §7.4.1). */
export const ABNORMAL_CLOSURE = 1006
/** 1008: the client sent a message in too many fragments; `ws` closes the connection. */
export const TOO_MANY_FRAGMENTS = 1008
/** 1009: the client sent a message that is too big; `ws` closes the connection. */
export const MESSAGE_TOO_BIG = 1009

/** Every code that ends a stream, in rising order. */
export const CLOSE_CODES: readonly number[] = [
  ...new Set([
    ...Object.values(CLOSE).map(({ closeCode }) => closeCode),
    CLIENT_MESSAGE.closeCode,
    FLOODED.closeCode,
    NO_STATUS,
    ABNORMAL_CLOSURE,
    TOO_MANY_FRAGMENTS,
    MESSAGE_TOO_BIG
  ])
].sort((a, b) => a - b)
